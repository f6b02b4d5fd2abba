//! Users, tokens and keys.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::rules::role::Role;

/// A user.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct User {
    #[schema(example = "usr-0192d4e0c0de7000a1b2c3d4e5f60718")]
    pub id: String,
    #[schema(example = "ann@example.org")]
    pub email: String,
    pub name: Option<String>,
    pub roles: BTreeSet<Role>,
    /// A disabled user's tokens are refused, and everything they had is ended and deleted.
    pub disabled: bool,
    #[schema(format = "date-time")]
    pub created_at: String,
    /// Whether a public key for credentials is registered.
    pub has_key: bool,
}

/// A user, in few words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UserBrief {
    pub id: String,
    pub email: String,
}

/// A user to be made.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    pub email: String,
    #[serde(default)]
    pub name: Option<String>,
    /// At least one.
    pub roles: BTreeSet<Role>,
}

/// The roles that a user is to have from now on.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Roles {
    pub roles: BTreeSet<Role>,
}

/// Which users.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UserFilter {
    /// Only the user of this e-mail address.
    pub email: Option<String>,
    #[param(default = 50, minimum = 1, maximum = 500)]
    pub limit: Option<u32>,
    pub cursor: Option<String>,
}

/// A token, without the token itself.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Token {
    pub id: String,
    pub name: String,
    #[schema(format = "date-time")]
    pub created_at: String,
    /// Missing when it does not expire.
    #[schema(format = "date-time")]
    pub expires_at: Option<String>,
    /// To the minute.
    #[schema(format = "date-time")]
    pub last_used_at: Option<String>,
    #[schema(format = "date-time")]
    pub revoked_at: Option<String>,
}

/// A token to be made.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What it is for, 1 to 100 characters.
    pub name: String,
    /// 1 second to 366 days; 90 days when missing.
    #[serde(default)]
    pub expires_in_seconds: Option<u64>,
}

/// A new token. It is shown this once and kept only as a hash.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct IssuedToken {
    #[serde(flatten)]
    pub about: Token,
    /// Send it as `Authorization: Bearer …`.
    pub token: String,
}

/// Who is asking, and where.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Session {
    pub user: User,
    pub token: Token,
    #[schema(format = "date-time")]
    pub server_time: String,
    /// The life of this control plane; another after a restore.
    pub incarnation: String,
    pub version: String,
    /// The longest access that can be asked for.
    pub max_duration_seconds: u64,
}

/// A grantee's public key, to which credentials are sealed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct GranteeKeyView {
    /// X25519, 32 bytes as standard base64.
    pub public_key: String,
    /// What people compare by eye, as in receipts.
    pub fingerprint: String,
    #[schema(format = "date-time")]
    pub registered_at: String,
    /// Missing for the current key.
    #[schema(format = "date-time")]
    pub replaced_at: Option<String>,
}

/// The key to register as one's own.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyRegistration {
    /// X25519, 32 bytes as standard base64.
    pub public_key: String,
}
