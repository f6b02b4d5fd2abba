//! Asking the admin endpoints of a running agent.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;

/// How long the answer may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// The largest answer that is read, in bytes.
const LARGEST: usize = 16 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskFault {
    #[error("no agent answers at {address} ({detail}): start it, or give its address with --address")]
    NoAnswer { address: SocketAddr, detail: String },
    #[error("the agent at {address} did not answer within {DEADLINE:?}: look at its log")]
    Late { address: SocketAddr },
}

/// An answer: its status and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub text: String,
}

/// Asks for a path. An address of all interfaces is asked on loopback.
///
/// # Errors
/// When nobody answers, or not in time.
pub async fn ask(address: SocketAddr, path: &str) -> Result<Answer, AskFault> {
    let address = reachable(address);
    match timeout(DEADLINE, asked(address, path)).await {
        Ok(answer) => answer.map_err(|detail| AskFault::NoAnswer { address, detail }),
        Err(_) => Err(AskFault::Late { address }),
    }
}

async fn asked(address: SocketAddr, path: &str) -> Result<Answer, String> {
    let url = format!("http://{address}{path}").parse().map_err(|_| "the path is none".to_owned())?;
    let client: Client<HttpConnector, Body> = Client::builder(TokioExecutor::new()).build_http();
    let response = client.get(url).await.map_err(|fault| crate::exit::chain(&fault))?;
    let status = response.status().as_u16();
    let body = to_bytes(Body::new(response.into_body()), LARGEST).await;
    let bytes = body.map_err(|fault| crate::exit::chain(&fault))?;
    Ok(Answer { status, text: String::from_utf8_lossy(&bytes).into_owned() })
}

fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_all_interfaces_is_asked_on_loopback() {
        let table = [
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:1", "[::1]:1"),
            ("10.0.0.1:1", "10.0.0.1:1"),
            ("[fd00::1]:1", "[fd00::1]:1"),
        ];
        for (listen, asked) in table {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), asked, "{listen}");
        }
    }
}
