//! Calls of the control plane's REST API: TLS only, each under a deadline, none followed elsewhere.

use std::path::Path;
use std::time::Duration;

use model::Secret;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Certificate, Client, Method, Response, StatusCode, Url, redirect, tls};
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use crate::exit::Exit;
use crate::fault::{Fault, chain};

mod problem;

/// Where all of the API is.
const BASE: [&str; 2] = ["api", "v1"];
/// Largest answer that is kept in memory, in bytes.
const LARGEST: usize = 64 * 1024 * 1024;
const CONNECT: Duration = Duration::from_secs(10);
/// How often a call is repeated, and how long after it failed.
const RETRIES: u32 = 2;
const PAUSE: Duration = Duration::from_millis(200);
/// Items of one page.
const PAGE: u32 = 500;

/// A checked address of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server(Url);

impl Server {
    /// Takes an address.
    ///
    /// # Errors
    /// When it is no plain `https://` address.
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        let fault =
            |why: &str| Fault::usage(format!("use the server {text:?}"), why, "give https://HOST[:PORT]");
        let url = Url::parse(text).map_err(|cause| fault(&cause.to_string()))?;
        if url.scheme() != "https" {
            return Err(fault("the token would travel unprotected: only https is spoken"));
        }
        let plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if plain { Ok(Self(url)) } else { Err(fault("it has more than host, port and path")) }
    }

    /// Returns the address as text, without a slash at its end.
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }
}

/// One call.
#[derive(Debug)]
pub(crate) struct Call<'c> {
    method: Method,
    path: Vec<&'c str>,
    query: Vec<(&'c str, String)>,
    body: Option<Value>,
    patience: Option<Duration>,
    /// By which the server knows a repeated call.
    key: Option<Uuid>,
    what: String,
}

impl<'c> Call<'c> {
    fn new(method: Method, path: &[&'c str], what: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            query: vec![],
            body: None,
            patience: None,
            key: None,
            what: what.into(),
        }
    }

    /// Reads. `what` follows "could not" when it fails.
    pub(crate) fn get(path: &[&'c str], what: impl Into<String>) -> Self {
        Self::new(Method::GET, path, what)
    }

    /// Does something.
    pub(crate) fn post(path: &[&'c str], body: Value, what: impl Into<String>) -> Self {
        Self { body: Some(body), key: Some(Uuid::new_v4()), ..Self::new(Method::POST, path, what) }
    }

    /// Makes something be so.
    pub(crate) fn put(path: &[&'c str], body: Value, what: impl Into<String>) -> Self {
        Self { body: Some(body), ..Self::new(Method::PUT, path, what) }
    }

    /// Takes something away.
    pub(crate) fn delete(path: &[&'c str], what: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path, what)
    }

    /// Adds a query parameter when it has a value.
    #[must_use]
    pub(crate) fn with(mut self, name: &'c str, value: Option<impl ToString>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }

    /// Adds to the time that the server may take.
    #[must_use]
    pub(crate) fn patient_for(self, longer: Duration) -> Self {
        Self { patience: Some(longer), ..self }
    }
}

/// A server, and the token that it knows its caller by.
pub(crate) struct Api {
    client: Client,
    server: Server,
    patience: Duration,
}

impl Api {
    /// Prepares calls. With `ca`, only the certificates in that file are trusted.
    ///
    /// # Errors
    /// When the file or the token cannot be used.
    pub(crate) fn new(
        server: Server,
        ca: Option<&Path>,
        token: &Secret,
        patience: Duration,
    ) -> Result<Self, Fault> {
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose())).map_err(|_| {
            Fault::usage("use the token", "it has characters that no token has", "copy it again, whole")
        })?;
        bearer.set_sensitive(true);
        let mut builder = Client::builder()
            .default_headers(HeaderMap::from_iter([(AUTHORIZATION, bearer)]))
            .user_agent(concat!("tidegatectl/", env!("CARGO_PKG_VERSION")))
            .https_only(true)
            .tls_version_min(tls::Version::TLS_1_2)
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT);
        if let Some(path) = ca {
            builder = builder.tls_certs_only(trusted(path)?);
        }
        let client = builder.build().map_err(|fault| Fault::system("prepare TLS", &fault))?;
        Ok(Self { client, server, patience })
    }

    /// Calls and reads the answer as JSON; `null` when it is empty.
    ///
    /// # Errors
    /// What the server or the network says.
    pub(crate) async fn call(&self, call: Call<'_>) -> Result<Value, Fault> {
        let what = call.what.clone();
        let answer = self.send(call).await?;
        let bytes = whole(answer, &what).await?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).map_err(|fault| not_understood(&what, &fault))
    }

    /// Calls, and returns the answer as it comes in. A connection that fails, or a server that is not ready,
    /// is tried again a few times: each call may be repeated without being done twice.
    ///
    /// # Errors
    /// What the server or the network says.
    pub(crate) async fn send(&self, call: Call<'_>) -> Result<Response, Fault> {
        let deadline = self.patience + call.patience.unwrap_or_default();
        let tries = async {
            let mut left = RETRIES;
            loop {
                match self.once(&call).await {
                    Err(fault) if fault.passing && left > 0 => left -= 1,
                    answer => return answer,
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        match tokio::time::timeout(deadline, tries).await {
            Ok(answer) => answer,
            Err(_) => Err(self.silent(&call.what, deadline)),
        }
    }

    async fn once(&self, call: &Call<'_>) -> Result<Response, Fault> {
        let mut request = self.client.request(call.method.clone(), self.url(&call.path, &call.what)?);
        if !call.query.is_empty() {
            request = request.query(&call.query);
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        if let Some(key) = &call.key {
            request = request.header("idempotency-key", key.to_string());
        }
        match request.send().await {
            Ok(answer) if is_for_connectors(&answer) => Err(Fault::new(
                Exit::Failed,
                &call.what,
                format!("{} is where connectors dial, and no REST API", self.server.as_str()),
            )
            .or("log in with the address that the control plane was given as --http, not as --grpc")),
            Ok(answer) if answer.status().is_success() => Ok(answer),
            Ok(answer) => Err(problem::read(answer, &call.what).await),
            Err(fault) => Err(self.unreachable(&call.what, fault)),
        }
    }

    /// Reads the pages of a list until there are `limit` items or no more. Returns whether there are more.
    ///
    /// # Errors
    /// What the server or the network says.
    pub(crate) async fn list(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        limit: Option<usize>,
        what: &str,
    ) -> Result<(Vec<Value>, bool), Fault> {
        let mut items: Vec<Value> = vec![];
        let mut cursor: Option<String> = None;
        loop {
            let left = limit.map_or(usize::MAX, |limit| limit.saturating_sub(items.len()));
            let page = u32::try_from(left).unwrap_or(PAGE).clamp(1, PAGE);
            let mut call = Call::get(path, what).with("limit", Some(page)).with("cursor", cursor.take());
            call.query.extend_from_slice(query);
            let page: Page = read(self.call(call).await?, what)?;
            items.extend(page.items);
            match page.next_cursor {
                None => return Ok((items, false)),
                Some(_) if limit.is_some_and(|limit| items.len() >= limit) => return Ok((items, true)),
                next => cursor = next,
            }
        }
    }

    fn url(&self, path: &[&str], what: &str) -> Result<Url, Fault> {
        // A dot segment would not be sent as one: it would name another resource.
        let odd = path.iter().any(|segment| matches!(*segment, "" | "." | ".."));
        let mut url = self.server.0.clone();
        match url.path_segments_mut() {
            Ok(mut segments) if !odd => {
                segments.pop_if_empty().extend(BASE).extend(path);
            }
            _ => return Err(Fault::usage(what, "the id is no id", "copy it from a list")),
        }
        Ok(url)
    }

    fn unreachable(&self, what: &str, fault: reqwest::Error) -> Fault {
        let why = format!("{} cannot be reached: {}", self.server.as_str(), chain(&fault.without_url()));
        let way_out = if why.contains("ertificate") {
            "log in again with --ca FILE that names who signed the server's certificate"
        } else {
            "check the address with `tidegatectl whoami`, the network and the server"
        };
        Fault { passing: true, ..Fault::new(Exit::Failed, what, why).or(way_out) }
    }

    fn silent(&self, what: &str, deadline: Duration) -> Fault {
        let why = format!("{} did not answer within {} s", self.server.as_str(), deadline.as_secs_f32());
        let fault = Fault::new(Exit::Failed, what, why);
        Fault { passing: true, ..fault.or("it may have been done all the same: look, then try again") }
    }
}

#[derive(serde::Deserialize)]
struct Page {
    items: Vec<Value>,
    #[serde(default)]
    next_cursor: Option<String>,
}

/// Reads an answer into the shape that a command needs of it.
///
/// # Errors
/// When the server speaks another language.
pub(crate) fn read<T: DeserializeOwned>(answer: Value, what: &str) -> Result<T, Fault> {
    serde_json::from_value(answer).map_err(|fault| not_understood(what, &fault))
}

fn not_understood(what: &str, fault: &serde_json::Error) -> Fault {
    Fault::new(Exit::Failed, what, format!("the server's answer is not understood: {fault}"))
        .or("use a tidegatectl of the server's version")
}

/// Reads a whole answer, within the limit.
async fn whole(mut answer: Response, what: &str) -> Result<Vec<u8>, Fault> {
    let mut bytes = vec![];
    while let Some(chunk) = chunk(&mut answer, what).await? {
        bytes.extend_from_slice(chunk.as_ref());
        if bytes.len() > LARGEST {
            return Err(Fault::new(Exit::Failed, what, "the answer is too large").or("ask for less"));
        }
    }
    Ok(bytes)
}

/// Returns the next piece of an answer; a server that falls silent is given up on.
///
/// # Errors
/// When the connection breaks or stands still.
pub(crate) async fn chunk(
    answer: &mut Response,
    what: &str,
) -> Result<Option<impl AsRef<[u8]> + use<>>, Fault> {
    let broken = |why: String| Fault { passing: true, ..Fault::new(Exit::Failed, what, why).or("try again") };
    match tokio::time::timeout(Duration::from_secs(30), answer.chunk()).await {
        Ok(Ok(chunk)) => Ok(chunk),
        Ok(Err(fault)) => Err(broken(format!("the answer broke off: {}", chain(&fault.without_url())))),
        Err(_) => Err(broken("the answer stands still for 30 s".into())),
    }
}

fn trusted(path: &Path) -> Result<Vec<Certificate>, Fault> {
    let what = format!("trust the certificates in {}", path.display());
    let pem = std::fs::read(path).map_err(|fault| {
        Fault::new(Exit::Usage, what.clone(), fault.to_string()).or("log in again with --ca FILE")
    })?;
    let certificates = Certificate::from_pem_bundle(&pem)
        .map_err(|fault| Fault::usage(what.clone(), chain(&fault), "give a file in PEM form"))?;
    if certificates.is_empty() {
        return Err(Fault::usage(what, "there is none in it", "give a file in PEM form"));
    }
    Ok(certificates)
}

/// Returns true for answers in the language of connectors.
fn is_for_connectors(answer: &Response) -> bool {
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("application/grpc"))
}

/// Returns true for answers that say "not ready", not "no".
fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 502..=504)
}
