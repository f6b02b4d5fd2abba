//! Who is calling: the bearer token, and the key that makes a repeated call harmless.
//!
//! A wrong token costs its address some budget; when that is used up, wrong tokens are answered by a wait. A
//! right token always passes: addresses are shared, and 256 random bits are not guessed.

use std::net::{IpAddr, SocketAddr};

use aws_lc_rs::digest;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use model::Span;
use serde::Serialize;

use crate::changes::{Who, people};
use crate::office::Office;
use crate::record::{Token, User};
use crate::refusal::Refusal;
use crate::rules::role::{Actor, Doing, may};
use crate::token::hex;

/// The use of a token is noted at most so often.
const NOTED_EVERY: Span = Span::from_secs(60);
/// Longer texts are no tokens.
const LONGEST_TOKEN: usize = 256;
/// Most characters of an idempotency key.
const LONGEST_KEY: usize = 128;

/// The person who calls.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) user: User,
    pub(super) token: Token,
    pub(super) origin: Option<IpAddr>,
}

impl Caller {
    pub(super) fn actor(&self) -> Actor {
        Actor { id: self.user.id.clone(), email: self.user.email.clone(), roles: self.user.roles.clone() }
    }

    pub(super) fn who(&self) -> Who {
        Who::person(self.actor(), self.origin)
    }

    pub(super) fn may(&self, doing: Doing<'_>) -> Result<(), Refusal> {
        Ok(may(&self.actor(), doing)?)
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    let token = token.trim();
    let fits = !token.is_empty() && token.len() <= LONGEST_TOKEN;
    (scheme.eq_ignore_ascii_case("bearer") && fits).then_some(token)
}

impl FromRequestParts<Office> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, office: &Office) -> Result<Self, Refusal> {
        let origin = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
        let Some(clear) = bearer(&parts.headers) else { return Err(Refusal::Unauthenticated) };
        let now = office.now();
        let mut rows = office.read().await?;
        let found = people::holder(rows.as_mut(), clear, now).await?;
        drop(rows);
        let Some((user, token)) = found else {
            let Some(origin) = origin else { return Err(Refusal::Unauthenticated) };
            let wait = office.throttled(origin);
            office.missed(origin);
            return Err(wait.map_or(Refusal::Unauthenticated, |wait| Refusal::Throttled { wait }));
        };
        let caller = Self { user, token, origin };
        if caller.token.last_used_at.is_none_or(|at| now.since(at) > NOTED_EVERY) {
            let hash = caller.token.hash.clone();
            // The call does not wait for a note about itself.
            let noted = office
                .hand_in(caller.who(), move |deed| {
                    Box::pin(async move { people::token_used(deed, &hash).await })
                })
                .await;
            if let Err(fault) = noted {
                tracing::warn!(error = %fault, "The use of a token could not be noted");
            }
        }
        Ok(caller)
    }
}

/// What makes a repeated call harmless: a key of the caller's choice, and what is asked with it.
#[derive(Debug, Clone)]
pub(super) struct Once {
    pub(super) key: Option<String>,
    what: String,
}

impl Once {
    /// Returns the hash of what is asked, with its body.
    pub(super) fn asked<T: Serialize>(&self, body: &T) -> String {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(self.what.as_bytes());
        context.update(&serde_json::to_vec(body).unwrap_or_default());
        hex(context.finish().as_ref())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Once {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let what = format!("{} {}\n", parts.method, parts.uri.path());
        let Some(key) = parts.headers.get("idempotency-key") else { return Ok(Self { key: None, what }) };
        let key = key.to_str().unwrap_or_default();
        if key.is_empty() || key.len() > LONGEST_KEY {
            let reason = format!("it has {} characters of printable ASCII", key.len());
            return Err(Refusal::invalid("Idempotency-Key", reason, format!("use 1 to {LONGEST_KEY}")));
        }
        Ok(Self { key: Some(key.to_owned()), what })
    }
}
