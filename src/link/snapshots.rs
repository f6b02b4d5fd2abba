//! Which snapshots of resources are on their way to the control plane.
//!
//! Pages are told once and nobody acknowledges them; one that is lost makes the rest of its snapshot worthless. So
//! what was under way when a session ended is discovered anew, and its remaining pages are not sent any more. A
//! snapshot has arrived when a heartbeat of ours that was sent after its last page was heard.

use std::collections::BTreeMap;

use model::{IntegrationId, Timestamp};
use uuid::Uuid;

/// The youngest snapshot of each integration that may not have arrived.
#[derive(Debug, Default)]
pub(crate) struct Snapshots(BTreeMap<IntegrationId, Way>);

#[derive(Debug)]
struct Way {
    snapshot: Uuid,
    /// When its last page was sent.
    ended: Option<Timestamp>,
    /// Pages of it went with a session that is over.
    torn: bool,
}

impl Snapshots {
    /// A session begins. Returns the integrations whose snapshot may not have arrived.
    pub(crate) fn begin(&mut self) -> Vec<IntegrationId> {
        let lost = self.0.keys().cloned().collect();
        // What has ended is over; of the others there are pages to come.
        self.0.retain(|_, way| way.ended.is_none());
        for way in self.0.values_mut() {
            way.torn = true;
        }
        lost
    }

    /// A page is to be sent at `now`. Returns false when it is worth nothing any more.
    pub(crate) fn page(
        &mut self,
        integration: &IntegrationId,
        snapshot: Uuid,
        is_last: bool,
        now: Timestamp,
    ) -> bool {
        let torn = self.0.get(integration).is_some_and(|way| way.snapshot == snapshot && way.torn);
        if torn && is_last {
            self.0.remove(integration);
        } else if !torn {
            let way = Way { snapshot, ended: is_last.then_some(now), torn };
            self.0.insert(integration.clone(), way);
        }
        !torn
    }

    /// The control plane has heard what was sent through a heartbeat of that time.
    pub(crate) fn heard(&mut self, through: Timestamp) {
        self.0.retain(|_, way| way.ended.is_none_or(|ended| ended >= through));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What happens to a snapshot, and what is said of it.
    enum Event {
        /// A page of a snapshot, whether it is the last, at a second; is it sent?
        Page(u128, bool, i64, bool),
        /// A heartbeat of that second was heard.
        Heard(i64),
        /// A session begins; is it discovered again?
        Session(bool),
    }
    use Event::{Heard, Page, Session};

    #[test]
    fn what_may_be_lost_is_discovered_again() {
        let table: [(&str, &[Event]); 8] = [
            ("nothing was told", &[Session(false)]),
            ("it has arrived", &[Page(1, false, 1, true), Page(1, true, 2, true), Heard(3), Session(false)]),
            ("its end is not known to have arrived", &[Page(1, true, 2, true), Heard(1), Session(true)]),
            ("a heartbeat of the same moment", &[Page(1, true, 2, true), Heard(2), Session(true)]),
            ("it is under way", &[Page(1, false, 2, true), Heard(9), Session(true)]),
            (
                "the rest is not sent",
                &[
                    Page(1, false, 1, true),
                    Session(true),
                    Page(1, false, 2, false),
                    Page(1, true, 3, false),
                    Session(false),
                ],
            ),
            (
                "what is discovered again is sent",
                &[
                    Page(1, false, 1, true),
                    Session(true),
                    Page(2, false, 2, true),
                    Page(2, true, 3, true),
                    Heard(4),
                    Session(false),
                ],
            ),
            (
                "it is asked for as often as a session ends",
                &[
                    Page(1, false, 1, true),
                    Session(true),
                    Session(true),
                    Page(1, true, 2, false),
                    Session(false),
                ],
            ),
        ];
        let shop = IntegrationId::parse("shop").unwrap();
        for (name, events) in table {
            let mut snapshots = Snapshots::default();
            for (n, event) in events.iter().enumerate() {
                match *event {
                    Page(id, is_last, at, sent) => {
                        let at = Timestamp::from_secs(at);
                        assert_eq!(
                            snapshots.page(&shop, Uuid::from_u128(id), is_last, at),
                            sent,
                            "{name}, {n}"
                        );
                    }
                    Heard(at) => snapshots.heard(Timestamp::from_secs(at)),
                    Session(again) => assert_eq!(!snapshots.begin().is_empty(), again, "{name}, {n}"),
                }
            }
        }
    }
}
