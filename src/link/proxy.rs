//! A tunnel through an HTTP proxy, made by CONNECT; over TLS to the proxy itself where its address says so.
//!
//! The session's own TLS runs through it to the control plane: a proxy sees whereto, how much and when, and
//! can cut or hold up, but neither read nor change. The login goes to the proxy alone.

use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue, PROXY_AUTHORIZATION};
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use model::Secret;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::Uri;

use crate::config::{Proxy, token};

/// Why there is no tunnel.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyFault {
    #[error("the proxy {proxy} cannot be reached: look at `control_plane.proxy`")]
    Unreachable {
        proxy: Uri,
        #[source]
        cause: io::Error,
    },
    #[error("TLS with the proxy {proxy} cannot be had: look at `control_plane.proxy_ca_file`")]
    Tls {
        proxy: Uri,
        #[source]
        cause: io::Error,
    },
    #[error(
        "the certificates for the proxy cannot be used: name a readable PEM file in `control_plane.proxy_ca_file`"
    )]
    Certificates {
        path: Option<PathBuf>,
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the login for the proxy cannot be used")]
    Login(#[source] token::TokenFault),
    #[error(
        "the proxy {proxy} wants a login (407): put `user:password` into a file and name it in `control_plane.proxy_credentials_file`"
    )]
    LoginWanted { proxy: Uri },
    #[error(
        "the proxy {proxy} refuses the login (407): mend the file of `control_plane.proxy_credentials_file`; it is read at each try"
    )]
    LoginRefused { proxy: Uri },
    #[error(
        "the proxy {proxy} does not lead to {to} ({status}): have it allowed there, or look at `control_plane.proxy`"
    )]
    Refused { proxy: Uri, to: String, status: StatusCode },
    #[error("the proxy {proxy} does not speak HTTP as a proxy does: look at `control_plane.proxy`")]
    Broken {
        proxy: Uri,
        #[source]
        cause: hyper::Error,
    },
}

/// Makes a tunnel to a place.
///
/// # Errors
/// What kept it from coming about.
pub(crate) async fn tunnel(proxy: &Proxy, to: &Uri) -> Result<Upgraded, ProxyFault> {
    let login = proxy.credentials_file.as_deref().map(token::proxy_login).transpose();
    let login = login.map_err(ProxyFault::Login)?;
    let url = &proxy.url;
    let is_tls = url.scheme_str() == Some("https");
    let host = bare(url.host().unwrap_or_default());
    let port = url.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let unreachable = |cause| ProxyFault::Unreachable { proxy: url.clone(), cause };
    let stream = TcpStream::connect((host, port)).await.map_err(unreachable)?;
    stream.set_nodelay(true).map_err(unreachable)?;
    if !is_tls {
        return connect(stream, proxy, to, login.as_ref()).await;
    }
    let fault = |cause| ProxyFault::Tls { proxy: url.clone(), cause };
    let name = ServerName::try_from(host.to_owned()).map_err(|cause| fault(io::Error::other(cause)))?;
    let connector = TlsConnector::from(Arc::new(trust(proxy).await?));
    let stream = connector.connect(name, stream).await.map_err(fault)?;
    connect(stream, proxy, to, login.as_ref()).await
}

/// Asks the proxy to lead on.
async fn connect<S>(
    stream: S,
    proxy: &Proxy,
    to: &Uri,
    login: Option<&Secret>,
) -> Result<Upgraded, ProxyFault>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let url = &proxy.url;
    let broken = |cause| ProxyFault::Broken { proxy: url.clone(), cause };
    // A CONNECT names the port, also the usual one.
    let to = format!("{}:{}", to.host().unwrap_or_default(), to.port_u16().unwrap_or(443));
    let mut request = Request::new(String::new());
    *request.method_mut() = Method::CONNECT;
    // Both were read from an address: they are one.
    *request.uri_mut() = to.parse().unwrap_or_default();
    if let Ok(host) = HeaderValue::from_str(&to) {
        request.headers_mut().insert(HOST, host);
    }
    if let Some(login) = login {
        let text = Secret::new(format!("Basic {}", STANDARD.encode(login.expose())));
        if let Ok(mut value) = HeaderValue::from_str(text.expose()) {
            value.set_sensitive(true);
            request.headers_mut().insert(PROXY_AUTHORIZATION, value);
        }
    }
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let mut connection = pin!(connection.with_upgrades());
    let mut asked = pin!(sender.send_request(request));
    let mut is_handed_over = false;
    let answer = loop {
        tokio::select! {
            biased;
            answer = &mut asked => break answer.map_err(broken)?,
            ended = &mut connection, if !is_handed_over => {
                ended.map_err(broken)?;
                is_handed_over = true;
            }
        }
    };
    match answer.status() {
        StatusCode::OK => {}
        StatusCode::PROXY_AUTHENTICATION_REQUIRED if login.is_some() => {
            return Err(ProxyFault::LoginRefused { proxy: url.clone() });
        }
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            return Err(ProxyFault::LoginWanted { proxy: url.clone() });
        }
        status => return Err(ProxyFault::Refused { proxy: url.clone(), to, status }),
    }
    let upgrade = hyper::upgrade::on(answer);
    if is_handed_over {
        return upgrade.await.map_err(broken);
    }
    let (ended, upgraded) = tokio::join!(connection, upgrade);
    ended.map_err(broken)?;
    upgraded.map_err(broken)
}

/// Whom to believe when the proxy is reached by TLS.
async fn trust(proxy: &Proxy) -> Result<ClientConfig, ProxyFault> {
    let unfit = |cause| ProxyFault::Certificates { path: proxy.ca_file.clone(), cause };
    let path = proxy.ca_file.clone();
    let read = move || -> Result<RootCertStore, Box<dyn std::error::Error + Send + Sync>> {
        let mut roots = RootCertStore::empty();
        match path {
            Some(path) => {
                for certificate in CertificateDer::pem_file_iter(path)? {
                    roots.add(certificate?)?;
                }
            }
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        if roots.is_empty() { Err("there is none".into()) } else { Ok(roots) }
    };
    let roots =
        tokio::task::spawn_blocking(read).await.map_err(|cause| unfit(cause.into()))?.map_err(unfit)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let versions = versions.map_err(|cause| unfit(cause.into()))?;
    let mut config = versions.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Returns a host as it is looked up: an IPv6 address without its brackets.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}
