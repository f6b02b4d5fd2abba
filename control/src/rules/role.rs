//! Who may do what.
//!
//! Three roles, held in any mixture. Nobody decides on their own request unless the integration allows it;
//! everybody sees and may end what is theirs; towards less (ending) more people may act than towards more.

use std::collections::BTreeSet;

use model::GranteeId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a user may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sets up connectors, integrations and users; sees everything; may end everything.
    Admin,
    /// Decides on requests; sees all of them; may end all of them.
    Approver,
    /// Asks for access.
    Requester,
}

impl Role {
    /// Returns the word for logs and messages.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Approver => "approver",
            Self::Requester => "requester",
        }
    }
}

/// Who wants to do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    pub id: GranteeId,
    pub email: String,
    pub roles: BTreeSet<Role>,
}

impl Actor {
    /// Returns true when the actor has the role.
    pub fn is(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}

/// What somebody wants to do; the variants carry whom it concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing<'a> {
    /// Users and other people's tokens and keys.
    ManageUsers,
    ManageConnectors,
    ManageIntegrations,
    /// Settings, secret references and health of integrations and connectors.
    ReadSettings,
    ReadAudit,
    /// Own tokens and keys.
    ManageOwn(&'a GranteeId),
    /// Names, kinds, resources and permissions: what can be asked for.
    Browse,
    Ask,
    SeeRequest(&'a GranteeId),
    SeeAllRequests,
    /// Approve or reject.
    Decide {
        grantee: &'a GranteeId,
        self_approval: bool,
    },
    End(&'a GranteeId),
    CancelEnding,
    /// All accesses of a connector, of an integration, or all there are.
    EndEverything,
    /// The sealed credential and how to connect.
    TakeCredential(&'a GranteeId),
}

/// Why somebody may not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("this needs the role {needs}: ask an admin for it")]
    Role { needs: &'static str },
    #[error(
        "nobody decides on their own request here: ask another approver, or let an admin allow it for this integration"
    )]
    OwnRequest,
    #[error("only the grantee can have the credential: it is sealed to the grantee's key")]
    NotGrantee,
    #[error("this is somebody else's: only that person or an admin may do it")]
    NotOwner,
}

/// Decides whether the actor may do it.
///
/// # Errors
/// Which rule forbids it.
pub fn may(actor: &Actor, doing: Doing<'_>) -> Result<(), Denied> {
    let needs =
        |allowed: bool, needs: &'static str| if allowed { Ok(()) } else { Err(Denied::Role { needs }) };
    let admin = actor.is(Role::Admin);
    let decides = admin || actor.is(Role::Approver);
    match doing {
        Doing::ManageUsers | Doing::ManageConnectors | Doing::ManageIntegrations => needs(admin, "admin"),
        Doing::ReadSettings | Doing::ReadAudit => needs(admin, "admin"),
        Doing::CancelEnding | Doing::EndEverything => needs(admin, "admin"),
        Doing::Browse => Ok(()),
        Doing::ManageOwn(owner) if admin || *owner == actor.id => Ok(()),
        Doing::ManageOwn(_) => Err(Denied::NotOwner),
        Doing::Ask => needs(actor.is(Role::Requester), "requester"),
        Doing::SeeAllRequests => needs(decides, "approver or admin"),
        Doing::SeeRequest(grantee) | Doing::End(grantee) => {
            needs(decides || *grantee == actor.id, "approver or admin")
        }
        Doing::Decide { .. } if !decides => Err(Denied::Role { needs: "approver or admin" }),
        Doing::Decide { grantee, self_approval } if *grantee == actor.id && !self_approval => {
            Err(Denied::OwnRequest)
        }
        Doing::Decide { .. } => Ok(()),
        Doing::TakeCredential(grantee) if *grantee == actor.id => Ok(()),
        Doing::TakeCredential(_) => Err(Denied::NotGrantee),
    }
}
