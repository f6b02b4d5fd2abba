//! The link: keeps one outbound session to the control plane, for ever.
//!
//! Any end of a session is a reason to dial again, after a pause. Accesses outlive sessions: nothing here
//! opens or closes anything.

mod convert;
mod dial;
mod proxy;
mod redial;
mod session;
mod snapshots;
mod standing;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use journal::Journal;
use journal::identity::Identity;
use model::{ConnectorId, InstanceId, Timestamp};
use proto::v1;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::admin;
use crate::clock::Clock;
use crate::config::ControlPlane;
use crate::engine::published::{Desk, Newsstand};
use crate::{drivers, measures, text};
pub(crate) use dial::look;
use dial::{LinkFault, dial};
use redial::Redial;
use session::Session;
use snapshots::Snapshots;

/// How long targets are looked over at the most before the control plane is greeted without the journal that knew them.
const LOOKS: Duration = Duration::from_secs(10);

/// What the link is made of.
pub(crate) struct Link {
    pub(crate) settings: ControlPlane,
    pub(crate) token_file: PathBuf,
    pub(crate) connector: ConnectorId,
    pub(crate) instance: InstanceId,
    /// Of the lease under which this instance is active; 0 without one.
    pub(crate) epoch: u64,
    pub(crate) started: Timestamp,
    pub(crate) public_keys: Vec<v1::PublicKey>,
    pub(crate) desk: Desk,
    pub(crate) news: Newsstand,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Whether a session stands, and if not, why.
    pub(crate) stands: watch::Sender<admin::Link>,
    /// Ends a pause between two dials.
    pub(crate) dial: Arc<Notify>,
}

impl Link {
    /// Whoever has lost its journal looks at its targets before it is told what should live: what is found there is then
    /// gone on with as it stands. An order that comes first may have to close an account to be sure of it, and to open
    /// it again with another credential. Returns false when told to stop.
    async fn look_first(&self, stop: &CancellationToken) -> bool {
        let mut shown = self.desk.published.clone();
        let looked = timeout(LOOKS, shown.wait_for(|shown| shown.looked));
        tokio::select! {
            () = stop.cancelled() => false,
            // Too late or never, it is greeted all the same.
            _ = looked => true,
        }
    }

    /// Dials and redials until told to stop.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut redial = Redial::new(self.settings.redial_most);
        if !self.look_first(&stop).await {
            return;
        }
        let (mut renewed, mut told) = (false, None);
        let snapshots = Mutex::default();
        while !stop.is_cancelled() {
            let begun = Instant::now();
            let journal = self.desk.published.borrow().journal;
            let fault = tokio::select! {
                () = stop.cancelled() => LinkFault::Stopping,
                fault = self.once(&mut renewed, &snapshots) => fault,
            };
            if matches!(fault, LinkFault::Stopping) {
                return;
            }
            measures::link_failed();
            // Whoever speaks on the other side chose the words.
            let reason = text::cut(&text::visible(&crate::exit::chain(&fault)), proto::limits::TEXT_BYTES);
            let since = self.clock.wall();
            self.stands.send_modify(|link| match link {
                admin::Link::Down { reason: held, .. } => held.clone_from(&reason),
                admin::Link::Up { .. } => {
                    told = None;
                    *link = admin::Link::Down { since, reason: reason.clone() };
                }
            });
            renewed |= self.desk.published.borrow().journal != journal;
            let asked = if let LinkFault::Goodbye { retry_after, .. } = &fault { *retry_after } else { None };
            let (random, _) = Uuid::new_v4().as_u64_pair();
            let pause = redial.pause(begun.elapsed(), asked, random);
            const NOT_CONNECTED: &str = "Not connected to the control plane; dialling again";
            if !fault.needs_person() {
                told = None;
                tracing::warn!(fault = reason, ?pause, "{NOT_CONNECTED}");
            } else if told.as_ref() == Some(&reason) {
                tracing::debug!(fault = reason, ?pause, "{NOT_CONNECTED}");
            } else {
                // Once, until something changes: whoever is called by it has to come anyway.
                tracing::error!(fault = reason, ?pause, "{NOT_CONNECTED}");
                told = Some(reason);
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.dial.notified() => {}
                () = sleep(pause) => {}
            }
        }
    }

    async fn once(&self, renewed: &mut bool, snapshots: &Mutex<Snapshots>) -> LinkFault {
        let hello = v1::AgentMessage { message: Some(v1::agent_message::Message::Hello(self.hello())) };
        match dial(&self.settings, &self.token_file, &self.connector, hello).await {
            Ok(line) => {
                let session = Session {
                    desk: &self.desk,
                    news: &self.news,
                    journal: &self.journal,
                    clock: &self.clock,
                    renewed,
                    snapshots,
                    stands: &self.stands,
                    heartbeat: self.settings.heartbeat,
                };
                session.run(line, self.settings.connect_deadline).await
            }
            Err(fault) => fault,
        }
    }

    fn hello(&self) -> v1::Hello {
        let shown = self.desk.published.borrow().clone();
        let cursors = shown.cursors.iter().map(|(incarnation, position)| {
            convert::cursor(convert::Cursor { incarnation: *incarnation, position: *position })
        });
        v1::Hello {
            connector_id: self.connector.to_string(),
            instance_id: self.instance.to_string(),
            agent_version: env!("CARGO_PKG_VERSION").into(),
            oldest_protocol: proto::PROTOCOL,
            newest_protocol: proto::PROTOCOL,
            journal_incarnation: shown.journal.to_string(),
            epoch: self.epoch,
            orders_taken: cursors.take(proto::limits::CURSORS).collect(),
            last_report: shown.last_report.0,
            manifests: drivers::all().map(|driver| convert::manifest(driver.manifest())).collect(),
            public_keys: self.public_keys.clone(),
            whereabouts: None,
            agent_time: Some(convert::time(self.clock.wall())),
            started_at: Some(convert::time(self.started)),
        }
    }
}

/// Returns the identity's public halves as the control plane pins them.
pub(crate) fn public_keys(identity: &Identity) -> Vec<v1::PublicKey> {
    use base64::Engine as _;
    let bytes = |text: &str| base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default();
    let key = |purpose: v1::KeyPurpose, id: String, text: String, current| v1::PublicKey {
        purpose: purpose.into(),
        key_id: id,
        key: bytes(&text),
        current,
    };
    let sealing = identity.sealing.iter().enumerate().map(|(n, sealing)| {
        key(v1::KeyPurpose::Sealing, sealing.id().0, sealing.public().to_base64(), n == 0)
    });
    let receipts = identity
        .receipt_publics
        .iter()
        .enumerate()
        .map(|(n, public)| key(v1::KeyPurpose::Receipts, public.id().0, public.to_base64(), n == 0));
    sealing.chain(receipts).collect()
}
