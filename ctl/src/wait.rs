//! Waiting for a request to become what is wanted.
//!
//! The server is asked to answer when something changes; a connection that breaks meanwhile is made again,
//! until the time is over.

use std::time::Duration;

use clap::Args;
use model::{AccessId, Span};
use serde_json::Value;

use crate::api::{Api, Call, read};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::print::Printer;
use crate::shape::Request;

/// How long the server is asked to hold an answer.
const HOLD: Duration = Duration::from_secs(20);
/// Pause before another try.
const PAUSE: Duration = Duration::from_millis(500);

/// Whether and how long to wait.
#[derive(Debug, Args)]
pub(crate) struct Waiting {
    /// Wait until it is done, at most so long [default: 10m]
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "10m")]
    pub(crate) wait: Option<Span>,
}

/// What a look at a request says.
pub(crate) enum Look {
    /// Wait on.
    NotYet,
    Done,
    /// It will never be.
    Lost,
}

/// Waits until `look` says that it is done or lost, and returns the request as it is then.
///
/// # Errors
/// `TimedOut` when the time is over, `Access` when it will never be.
pub(crate) async fn until(
    api: &Api,
    printer: &Printer,
    access: &AccessId,
    limit: Span,
    look: impl Fn(&Request) -> Look,
) -> Result<(Request, Value), Fault> {
    let mut last = None;
    let watched = watch(api, printer, access, look, &mut last);
    match tokio::time::timeout(limit.as_std(), watched).await {
        Ok(found) => found,
        Err(_) => {
            let label = last.map_or_else(|| "not known".to_owned(), |(_, label)| label);
            let why = format!("it is still {label} after {limit}");
            Err(Fault::new(Exit::TimedOut, format!("wait for {access}"), why)
                .or(format!("it goes on without this command: look with tidegatectl show {access}")))
        }
    }
}

async fn watch(
    api: &Api,
    printer: &Printer,
    access: &AccessId,
    look: impl Fn(&Request) -> Look,
    last: &mut Option<(u64, String)>,
) -> Result<(Request, Value), Fault> {
    let what = format!("wait for {access}");
    loop {
        let known = last.as_ref().map(|(change, _)| *change);
        let held = known.map(|_| HOLD.as_secs());
        let call = Call::get(&["requests", access.as_str()], &what)
            .with("after_change", known)
            .with("wait_seconds", held)
            .patient_for(HOLD);
        let answer = match api.call(call).await {
            Ok(answer) => answer,
            Err(fault) if fault.passing => {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            Err(fault) => return Err(fault),
        };
        let request: Request = read(answer.clone(), &what)?;
        if last.as_ref().is_none_or(|(_, label)| *label != request.label) {
            printer.note(&format!("{access}: {}", request.label));
        }
        match look(&request) {
            Look::Done => return Ok((request, answer)),
            Look::Lost => return Err(lost(&request)),
            Look::NotYet if known == Some(request.change) => tokio::time::sleep(PAUSE).await,
            Look::NotYet => {}
        }
        *last = Some((request.change, request.label));
    }
}

fn lost(request: &Request) -> Fault {
    let mut why = vec![format!("it is {}", request.label)];
    why.extend(request.decision.as_ref().and_then(|decision| decision.reason.clone()));
    why.extend(request.note.clone());
    if let Some(agent) = &request.agent {
        why.extend(agent.code.clone());
        why.extend(agent.detail.clone());
    }
    Fault::new(Exit::Access, format!("get {}", request.id), why.join(": "))
        .or(format!("see the whole story with tidegatectl show {}", request.id))
}
