//! The REST API through real sockets and TLS.

mod access;
mod edges;
mod hostile;
mod setup;

use reqwest::{Certificate, Client, Method, RequestBuilder, StatusCode};
use serde_json::Value;

use crate::world::{Folder, House, PATIENCE, Person, StandingClock};

/// Calls a house as somebody.
#[derive(Clone)]
pub(crate) struct Api {
    client: Client,
    base: String,
    token: Option<String>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Api {
    pub(crate) fn new(house: &House) -> Self {
        let authority = Certificate::from_pem(&house.authority).unwrap();
        let client = Client::builder().tls_certs_only([authority]).timeout(PATIENCE * 2).build().unwrap();
        Self { client, base: house.http.clone(), token: None }
    }

    pub(crate) fn of(house: &House, person: &Person) -> Self {
        Self { token: Some(person.token.clone()), ..Self::new(house) }
    }

    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    pub(crate) fn call(&self, method: Method, path: &str) -> RequestBuilder {
        let call = self.client.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => call.bearer_auth(token),
            None => call,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        answer(self.call(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        answer(self.call(Method::POST, path).json(&body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        answer(self.call(Method::PUT, path).json(&body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        answer(self.call(Method::DELETE, path)).await
    }
}

pub(crate) async fn answer(call: RequestBuilder) -> Answer {
    let response = call.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    Answer { status, headers, text: response.text().await.unwrap() }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|fault| panic!("{fault}: {}", self.text))
    }

    /// The body of an answer that must have this status.
    pub(crate) fn with(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self.json()
    }

    /// The code of a refusal.
    pub(crate) fn code(&self) -> (u16, String) {
        let body = self.json();
        assert_eq!(self.headers["content-type"], "application/problem+json", "{}", self.text);
        assert_eq!(body["status"], self.status.as_u16());
        let code = body["code"].as_str().unwrap().to_owned();
        assert_eq!(body["type"], format!("urn:tidegate:problem:{code}"));
        assert!(!body["detail"].as_str().unwrap().is_empty());
        (self.status.as_u16(), code)
    }
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

async fn house() -> (Folder, std::sync::Arc<StandingClock>, House) {
    let (folder, clock) = (Folder::new(), StandingClock::new());
    let house = House::build(&folder, &clock, control::rules::terms::Approval::default()).await;
    (folder, clock, house)
}
