//! The admin endpoints: is it alive, is it ready, how does it stand, and its metrics. Plain HTTP, read-only.
//!
//! `/livez` answers while the process does. `/readyz` answers 200 when new accesses can be opened, else 503
//! and why. `/healthz` answers 200 as long as closing can be done, with the same report. `/metrics` is for
//! Prometheus. Nothing here is secret, and nothing can be changed. The report is only as true as the
//! [`Readiness`] that the app keeps.

pub mod ask;
mod door;

use std::io;
use std::net::{self, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use model::{InstanceId, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use door::Door;

/// How often what was measured is folded together, so that it does not grow when nobody asks.
const FOLD: Duration = Duration::from_secs(5);

/// How one part of the agent is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Part {
    Good,
    /// Why it is not, and the way out.
    Bad {
        reason: String,
    },
}

/// How the link to the control plane is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Link {
    Up {
        since: Timestamp,
    },
    /// `reason` is why the last try failed.
    Down {
        since: Timestamp,
        reason: String,
    },
}

/// What the agent does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "mode")]
pub enum Mode {
    /// It has not read its journal yet.
    Starting,
    /// Another instance of the connector is active; this one is ready to take over. `None`: nobody was seen yet.
    Standby { active: Option<InstanceId>, epoch: Option<u64> },
    /// It opens and closes.
    Open,
    /// It closes what it has to, and opens nothing.
    CloseOnly { reason: String },
    /// It does nothing on any target.
    Standstill { reason: String },
    /// It was asked to stop.
    Stopping,
}

/// How the agent stands, as the app knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    pub journal: Part,
    pub identity: Part,
    pub link: Link,
    #[serde(flatten)]
    pub mode: Mode,
}

impl Readiness {
    /// Begins before anything was read.
    pub fn starting(now: Timestamp) -> Self {
        Self {
            journal: Part::Bad { reason: "it is not read yet".into() },
            identity: Part::Bad { reason: "it is not read yet".into() },
            link: Link::Down { since: now, reason: "it is not begun yet".into() },
            mode: Mode::Starting,
        }
    }

    /// Returns true when new accesses can be opened.
    pub fn is_ready(&self) -> bool {
        self.journal == Part::Good
            && self.identity == Part::Good
            && matches!(self.link, Link::Up { .. })
            && self.mode == Mode::Open
    }

    /// Returns true when accesses can be closed.
    pub const fn can_close(&self) -> bool {
        matches!(self.mode, Mode::Open | Mode::CloseOnly { .. })
    }
}

/// A readiness and what it comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub ready: bool,
    #[serde(flatten)]
    pub readiness: Readiness,
}

impl From<Readiness> for Report {
    fn from(readiness: Readiness) -> Self {
        Self { ready: readiness.is_ready(), readiness }
    }
}

/// Why the endpoints cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for the admin endpoints: free the port, or set `admin.listen`")]
pub struct AdminFault {
    address: SocketAddr,
    #[source]
    cause: io::Error,
}

/// The endpoints, bound to their address.
#[derive(Debug, Clone)]
pub struct Admin {
    listener: Arc<net::TcpListener>,
    address: SocketAddr,
    what: Shown,
}

#[derive(Clone)]
struct Shown {
    readiness: watch::Receiver<Readiness>,
    metrics: PrometheusHandle,
    /// Sets the gauges to what is so now.
    look: Arc<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shown").field("readiness", &self.readiness).finish_non_exhaustive()
    }
}

impl Admin {
    /// Binds the address; port 0 takes a free one. `look` sets the gauges to what is so now, and is called before
    /// they are shown.
    ///
    /// # Errors
    /// When it is taken, or not of this machine.
    pub fn bind(
        address: SocketAddr,
        readiness: watch::Receiver<Readiness>,
        metrics: PrometheusHandle,
        look: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self, AdminFault> {
        let fault = |cause| AdminFault { address, cause };
        let listener = net::TcpListener::bind(address).map_err(fault)?;
        listener.set_nonblocking(true).map_err(fault)?;
        let bound = listener.local_addr().map_err(fault)?;
        Ok(Self {
            listener: Arc::new(listener),
            address: bound,
            what: Shown { readiness, metrics, look: Arc::new(look) },
        })
    }

    /// Returns where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`. May be called again after it failed.
    ///
    /// # Errors
    /// When the listener is lost.
    pub async fn serve(self, stop: CancellationToken) -> io::Result<()> {
        let door = Door::new(TcpListener::from_std(self.listener.try_clone()?)?);
        let what = self.what.clone();
        let server = axum::serve(door, routes(self.what)).with_graceful_shutdown(stop.cancelled_owned());
        tokio::select! {
            served = server.into_future() => served,
            () = fold(what) => Ok(()),
        }
    }
}

async fn fold(what: Shown) {
    let mut ticks = interval(FOLD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        (what.look)();
        what.metrics.run_upkeep();
    }
}

fn routes(what: Shown) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/healthz", get(health))
        .route("/metrics", get(metrics))
        .with_state(what)
}

async fn ready(State(what): State<Shown>) -> Response {
    report(&what, Readiness::is_ready)
}

async fn health(State(what): State<Shown>) -> Response {
    report(&what, Readiness::can_close)
}

fn report(what: &Shown, good: impl Fn(&Readiness) -> bool) -> Response {
    let mut readiness = what.readiness.borrow().clone();
    if what.readiness.has_changed().is_err() {
        // Nobody keeps it true any more.
        readiness.mode = Mode::Standstill { reason: "the agent's core has ended".into() };
    }
    let status = if good(&readiness) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let fresh = [(header::CACHE_CONTROL, "no-store")];
    (status, fresh, Json(Report::from(readiness))).into_response()
}

async fn metrics(State(what): State<Shown>) -> Response {
    (what.look)();
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, what.metrics.render()).into_response()
}

#[cfg(test)]
mod tests;
