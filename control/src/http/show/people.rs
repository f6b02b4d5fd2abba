//! Users, tokens and keys as the API gives them.

use crate::http::view::people::{GranteeKeyView, Token as TokenView, User as UserView};
use crate::record::{KeyRecord, Token, User};
use crate::store::{Rows, StoreFault};

pub(in crate::http) async fn user(rows: &mut dyn Rows, user: &User) -> Result<UserView, StoreFault> {
    let has_key = rows.key(&user.id).await?.is_some();
    Ok(UserView {
        id: user.id.to_string(),
        email: user.email.clone(),
        name: user.name.clone(),
        roles: user.roles.clone(),
        disabled: user.disabled,
        created_at: user.created_at.to_string(),
        has_key,
    })
}

pub(in crate::http) fn token(token: &Token) -> TokenView {
    TokenView {
        id: token.id.clone(),
        name: token.name.clone(),
        created_at: token.created_at.to_string(),
        expires_at: token.expires_at.map(|at| at.to_string()),
        last_used_at: token.last_used_at.map(|at| at.to_string()),
        revoked_at: token.revoked_at.map(|at| at.to_string()),
    }
}

pub(in crate::http) fn key(key: &KeyRecord) -> GranteeKeyView {
    GranteeKeyView {
        public_key: key.key.0.clone(),
        fingerprint: key.fingerprint.clone(),
        registered_at: key.registered_at.to_string(),
        replaced_at: key.replaced_at.map(|at| at.to_string()),
    }
}
