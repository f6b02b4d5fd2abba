//! A scripted HTTPS server. It remembers what was asked, and holds both sides to the OpenAPI document.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use axum_server::tls_rustls::RustlsConfig;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::described::Described;

/// What is answered.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Json(u16, Value),
    Text(String),
    /// What the service for connectors says to everybody else.
    Connectors,
    /// Nothing, for as long as anybody waits.
    Silence,
}

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) body: Value,
    pub(crate) bearer: String,
    pub(crate) idempotency_key: Option<String>,
}

impl Seen {
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Default)]
struct Script {
    /// The last reply of a path stays.
    replies: Vec<(String, String, VecDeque<Reply>)>,
    seen: Vec<Seen>,
    faults: Vec<String>,
}

struct Shared {
    script: Mutex<Script>,
    described: Described,
}

pub(crate) struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
    pub(crate) ca_pem: String,
    runtime: Option<Runtime>,
}

impl Server {
    pub(crate) fn start() -> Self {
        // Another test of this process may have been first.
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let (ca_pem, certificate, key) = certificates();
        let shared = Arc::new(Shared { script: Mutex::default(), described: Described::read() });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let app = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        runtime.block_on(async {
            let tls = RustlsConfig::from_pem(certificate.into_bytes(), key.into_bytes()).await.unwrap();
            let server = axum_server::from_tcp_rustls(listener, tls).unwrap();
            runtime.spawn(server.serve(app.into_make_service()));
        });
        Self { shared, address, ca_pem, runtime: Some(runtime) }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Answers so, once or, for the last one, from then on.
    pub(crate) fn on(&self, method: &str, path: &str, reply: Reply) -> &Self {
        let path = format!("/api/v1{path}");
        if let Reply::Json(status, body) = &reply {
            let operation =
                self.shared.described.operation(method, &path).unwrap_or_else(|| panic!("{method} {path}"));
            let faults = self.shared.described.answer_faults(operation, *status, body);
            assert!(faults.is_empty(), "the script's {method} {path}: {faults:?}");
        }
        let mut script = self.shared.script.lock().unwrap();
        match script.replies.iter_mut().find(|(m, p, _)| m == method && *p == path) {
            Some((_, _, replies)) => replies.push_back(reply),
            None => script.replies.push((method.into(), path, VecDeque::from([reply]))),
        }
        drop(script);
        self
    }

    pub(crate) fn json(&self, method: &str, path: &str, body: Value) -> &Self {
        self.on(method, path, Reply::Json(if method == "GET" { 200 } else { success(method, path) }, body))
    }

    /// Refuses, with what the control plane says then.
    pub(crate) fn refuse(&self, method: &str, path: &str, status: u16, code: &str, detail: &str) -> &Self {
        self.on(method, path, Reply::Json(status, problem(status, code, detail)))
    }

    /// Answers what no control plane would.
    pub(crate) fn raw(&self, method: &str, path: &str, status: u16, body: Value) -> &Self {
        let replies = VecDeque::from([Reply::Json(status, body)]);
        let path = format!("/api/v1{path}");
        self.shared.script.lock().unwrap().replies.push((method.into(), path, replies));
        self
    }

    /// Forgets the replies for a path, so that others can be given.
    pub(crate) fn forget(&self, method: &str, path: &str) -> &Self {
        let path = format!("/api/v1{path}");
        self.shared.script.lock().unwrap().replies.retain(|(m, p, _)| !(m == method && *p == path));
        self
    }

    /// Returns and forgets what was asked.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.shared.script.lock().unwrap().seen)
    }

    /// Returns what was asked that the document does not allow, or nobody scripted.
    pub(crate) fn faults(&self) -> Vec<String> {
        self.shared.script.lock().unwrap().faults.clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn success(method: &str, path: &str) -> u16 {
    let described = Described::read();
    let operation =
        described.operation(method, &format!("/api/v1{path}")).unwrap_or_else(|| panic!("{method} {path}"));
    let statuses = operation["responses"].as_object().unwrap().keys();
    statuses.filter_map(|status| status.parse().ok()).min().unwrap()
}

pub(crate) fn problem(status: u16, code: &str, detail: &str) -> Value {
    json!({
        "type": format!("urn:tidegate:problem:{code}"), "title": code.replace('_', " "),
        "status": status, "code": code, "detail": detail,
    })
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let url = reqwest::Url::parse(&format!("https://server{uri}")).unwrap();
    let seen = Seen {
        method: method.to_string(),
        path: uri.path().to_owned(),
        query: url.query_pairs().map(|(key, value)| (key.into_owned(), value.into_owned())).collect(),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        bearer: header("authorization").unwrap_or_default(),
        idempotency_key: header("idempotency-key"),
    };
    let reply = shared.script.lock().unwrap().reply(&shared.described, seen);
    match reply {
        Some(Reply::Json(204, _)) => StatusCode::NO_CONTENT.into_response(),
        Some(Reply::Json(status, body)) => {
            let status = StatusCode::from_u16(status).unwrap();
            (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
        }
        Some(Reply::Text(text)) => text.into_response(),
        Some(Reply::Connectors) => ([("content-type", "application/grpc")], "").into_response(),
        Some(Reply::Silence) => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            StatusCode::GATEWAY_TIMEOUT.into_response()
        }
        None => (StatusCode::NOT_IMPLEMENTED, "nobody scripted it").into_response(),
    }
}

impl Script {
    fn reply(&mut self, described: &Described, seen: Seen) -> Option<Reply> {
        match described.operation(&seen.method, &seen.path) {
            None => self.faults.push(format!("there is no {} {}", seen.method, seen.path)),
            Some(operation) => {
                let faults = described.request_faults(operation, &seen.query, &seen.body);
                self.faults.extend(
                    faults.into_iter().map(|fault| format!("{} {}: {fault}", seen.method, seen.path)),
                );
            }
        }
        let found =
            self.replies.iter_mut().find(|(method, path, _)| *method == seen.method && *path == seen.path);
        let reply =
            found.and_then(
                |(_, _, replies)| {
                    if replies.len() > 1 { replies.pop_front() } else { replies.front().cloned() }
                },
            );
        if reply.is_none() {
            self.faults.push(format!("nobody scripted {} {}", seen.method, seen.path));
        }
        self.seen.push(seen);
        reply
    }
}

/// Returns a private authority's certificate, and certificate and key of a server at 127.0.0.1.
fn certificates() -> (String, String, String) {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(vec![]).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    ca.distinguished_name.push(rcgen::DnType::CommonName, "a private authority");
    let ca_certificate = ca.self_signed(&ca_key).unwrap();
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(vec!["127.0.0.1".into(), "localhost".into()]).unwrap();
    let certificate = leaf.signed_by(&key, &issuer).unwrap();
    (ca_certificate.pem(), certificate.pem(), key.serialize_pem())
}
