//! What the server says when it does not do it (RFC 9457), as a fault.

use reqwest::{Response, StatusCode};
use serde::Deserialize;

use super::{is_passing, whole};
use crate::exit::Exit;
use crate::fault::{Fault, Field};

#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    detail: Option<String>,
    #[serde(default)]
    faults: Vec<Field>,
    #[serde(default)]
    retry_after_seconds: Option<u64>,
}

/// Reads why the server did not do it.
pub(super) async fn read(answer: Response, what: &str) -> Fault {
    let status = answer.status();
    let bytes = match whole(answer, what).await {
        Ok(bytes) => bytes,
        Err(fault) => return fault,
    };
    let Ok(problem) = serde_json::from_slice::<Problem>(&bytes) else {
        let why = format!("the server answered {status} and no reason");
        let fault = Fault::new(exit(status), what, why);
        return Fault { passing: is_passing(status), ..fault.or("is this address the control plane's?") };
    };
    let why = problem.detail.unwrap_or_else(|| format!("the server answered {status}"));
    let fault = Fault {
        code: problem.code.map(Into::into),
        fields: problem.faults.into(),
        passing: is_passing(status),
        ..Fault::new(exit(status), what, why)
    };
    match (status, problem.retry_after_seconds) {
        (StatusCode::UNAUTHORIZED, _) => fault.or("run: tidegatectl login --token-file FILE"),
        (_, Some(seconds)) => fault.or(format!("try again in {seconds} s")),
        _ => fault,
    }
}

fn exit(status: StatusCode) -> Exit {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Exit::Denied,
        StatusCode::NOT_FOUND => Exit::NotFound,
        _ => Exit::Failed,
    }
}
