//! Changes: everything that people and agents do, each in one transaction together with the orders that it
//! gives, the history that it makes and its entry in the audit log.
//!
//! A change asks `rules` what to do and writes it through `store`; it knows neither HTTP nor the wire.

pub mod connectors;
pub mod everything;
pub mod glances;
pub mod integrations;
pub mod logs;
pub mod people;
pub mod receipts;
pub mod reports;
pub mod requests;
pub mod sessions;

use std::net::IpAddr;

use model::{ConnectorId, GranteeKey, Position, Timestamp};
use serde_json::{Value, json};

use crate::bells::Bell;
use crate::office::Limits;
use crate::record::AuditEntry;
use crate::refusal::Refusal;
use crate::rules::order::{AccessOrder, Order, hint};
use crate::rules::request::{By, Moved, Request, Tell};
use crate::rules::role::{Actor, Doing, may};
use crate::store::{Rows, StoreFault};

/// Who does something, and from where.
#[derive(Debug, Clone)]
pub struct Who {
    pub by: By,
    /// The name in the audit log: an e-mail address, `agent:…` or `system`.
    pub name: String,
    pub origin: Option<IpAddr>,
    /// The person with their roles, when it is one.
    pub actor: Option<Actor>,
}

impl Who {
    /// A person.
    pub fn person(actor: Actor, origin: Option<IpAddr>) -> Self {
        Self { by: By::Person(actor.id.clone()), name: actor.email.clone(), origin, actor: Some(actor) }
    }

    /// A connector's agent.
    pub fn agent(connector: ConnectorId, origin: Option<IpAddr>) -> Self {
        let by = By::Agent(connector);
        Self { name: by.to_string(), by, origin, actor: None }
    }

    /// The control plane itself, or an operator on its machine.
    pub fn system() -> Self {
        Self { by: By::System, name: "system".into(), origin: None, actor: None }
    }
}

/// One deed: one transaction, with who does it and when.
pub struct Deed<'r> {
    pub rows: &'r mut dyn Rows,
    pub now: Timestamp,
    pub who: Who,
    pub limits: Limits,
    bells: Vec<Bell>,
}

impl<'r> Deed<'r> {
    /// Begins a deed.
    pub fn new(rows: &'r mut dyn Rows, now: Timestamp, who: Who, limits: Limits) -> Self {
        Self { rows, now, who, limits, bells: vec![] }
    }

    /// Ends the deed; the bells are to be rung once it is on disk.
    pub fn into_bells(self) -> Vec<Bell> {
        self.bells
    }

    /// Refuses what the person may not do.
    pub(crate) fn may(&self, doing: Doing<'_>) -> Result<(), Refusal> {
        match &self.who.actor {
            Some(actor) => Ok(may(actor, doing)?),
            None => Err(Refusal::Unauthenticated),
        }
    }

    /// Notes in the audit log.
    pub(crate) async fn note(
        &mut self,
        what: impl Into<String>,
        subject: impl Into<String>,
        before: Option<Value>,
        after: Option<Value>,
    ) -> Result<(), StoreFault> {
        let entry = AuditEntry {
            at: self.now,
            by: self.who.by.clone(),
            who: self.who.name.clone(),
            what: what.into(),
            subject: subject.into(),
            origin: self.who.origin.map(|address| address.to_string()),
            before,
            after,
        };
        self.rows.add_audit(&entry).await
    }

    /// Notes what an admin must see.
    pub(crate) async fn alarm(
        &mut self,
        code: &str,
        subject: impl Into<String>,
        detail: impl Into<String>,
    ) -> Result<(), StoreFault> {
        let (subject, detail) = (subject.into(), detail.into());
        tracing::warn!(code, subject, detail, "Alarm");
        self.note(format!("alarm.{code}"), subject, None, Some(json!({ "detail": detail }))).await
    }

    /// Gives an order: it is in the connector's log when the deed is.
    pub(crate) async fn order(
        &mut self,
        connector: &ConnectorId,
        order: &Order,
    ) -> Result<Position, StoreFault> {
        let position = self.rows.append_order(connector, order, self.now).await?;
        self.ring(Bell::Connector(connector.clone()));
        Ok(position)
    }

    /// Rings a bell once the deed is on disk.
    pub(crate) fn ring(&mut self, bell: Bell) {
        if !self.bells.contains(&bell) {
            self.bells.push(bell);
        }
    }

    /// Writes what a rule decided about a request: the record, its history, the audit entry, the order.
    pub(crate) async fn moved(&mut self, moved: Moved) -> Result<Request, Refusal> {
        let Moved { request, event, tell, alarm } = moved;
        let subject = format!("request/{}", request.id);
        self.rows.put_request(&request).await?;
        self.rows.add_event(&request.id, &event).await?;
        let after = json!({ "state": request.word(), "revision": request.revision, "detail": event.detail });
        self.note(format!("request.{}", event.what), subject.clone(), None, Some(after)).await?;
        if let Some(detail) = alarm {
            self.alarm("request_contradiction", subject, detail).await?;
        }
        if let Some(tell) = tell {
            let order = self.told_as(&request, tell).await?;
            self.order(&request.connector, &order).await?;
        }
        if request.is_over() {
            self.rows.drop_credential(&request.id).await?;
        }
        self.ring(Bell::Request(request.id.clone()));
        Ok(request)
    }

    /// Makes the order for a request, with the grantee's present key.
    pub(crate) async fn told_as(&mut self, request: &Request, tell: Tell) -> Result<Order, Refusal> {
        let access = request.id.clone();
        Ok(match tell {
            Tell::End => Order::EndAccess { access },
            Tell::CancelEnding => Order::CancelEnding { access },
            Tell::Put => {
                let user = self.rows.user(&request.grantee).await?;
                let user = user.ok_or_else(|| Refusal::missing("user", &request.grantee))?;
                let key = self.key_of(request).await?;
                let window = request.window.ok_or_else(|| {
                    Refusal::conflict("request_not_pending", "the request has no time window yet")
                })?;
                Order::PutAccess(AccessOrder {
                    access,
                    revision: request.revision,
                    integration: request.integration.clone(),
                    grantee: request.grantee.clone(),
                    hint: hint(&user.email),
                    key,
                    entitlements: request.entitlements.clone(),
                    from: window.from,
                    until: window.until,
                    approval: request.approval(),
                })
            }
        })
    }

    async fn key_of(&mut self, request: &Request) -> Result<GranteeKey, Refusal> {
        let found = self.rows.key(&request.grantee).await?;
        found.map(|found| found.key).ok_or_else(key_missing)
    }
}

pub(crate) fn key_missing() -> Refusal {
    Refusal::conflict(
        "key_missing",
        "the grantee has no public key here, so no credential could be delivered: register one with `tidegatectl login`",
    )
}

/// Returns a connector, or says that there is none.
pub(crate) async fn connector_of(
    rows: &mut dyn Rows,
    id: &ConnectorId,
) -> Result<crate::record::Connector, Refusal> {
    rows.connector(id).await?.ok_or_else(|| Refusal::missing("connector", id))
}
