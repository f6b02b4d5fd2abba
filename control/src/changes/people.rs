//! Users, their tokens and keys.

use std::collections::BTreeSet;

use model::{GranteeId, GranteeKey, IntegrationId, Secret, Span};
use seal::keys::SealingPublic;
use serde_json::json;

use super::{Deed, Who};
use crate::record::{KeyRecord, Token, User};
use crate::refusal::Refusal;
use crate::rules::approval;
use crate::rules::fault::{text_fault, turns};
use crate::rules::order::Order;
use crate::rules::request::Stage;
use crate::rules::role::{Doing, Role};
use crate::store::StoreFault;
use crate::store::rows::RequestQuery;
use crate::token::{self, Holder, TokenHash};

/// How long a token lives when nobody says.
pub const USUAL_LIFE: Span = Span::from_days(90);
/// The longest life of a token.
pub const LONGEST_LIFE: Span = Span::from_days(366);

fn parse(id: &str) -> Result<GranteeId, Refusal> {
    GranteeId::parse(id).map_err(|_| Refusal::missing("user", id))
}

async fn user_of(deed: &mut Deed<'_>, id: &str) -> Result<User, Refusal> {
    let id = parse(id)?;
    deed.rows.user(&id).await?.ok_or_else(|| Refusal::missing("user", id))
}

pub(super) fn no_randomness(fault: &token::NoRandomness) -> Refusal {
    Refusal::Store(StoreFault::Unavailable { detail: fault.to_string() })
}

/// Brings an e-mail address to its one form.
///
/// # Errors
/// It is not an address that this control plane takes.
pub fn email(text: &str) -> Result<String, Refusal> {
    let text = text.trim().to_lowercase();
    let fault = |reason: &str| Err(Refusal::invalid("email", reason, "give it as `name@example.org`"));
    let Some((local, domain)) = text.split_once('@') else { return fault("it has no `@`") };
    if local.is_empty() || domain.is_empty() || domain.contains('@') {
        return fault("it is not an address");
    }
    if text.len() > 254 || text.chars().any(|c| c.is_control() || c.is_whitespace() || turns(c)) {
        return fault("it is longer than 254 bytes, or has spaces or unseen characters in it");
    }
    Ok(text)
}

fn roles_fault(roles: &BTreeSet<Role>) -> Result<(), Refusal> {
    if roles.is_empty() {
        return Err(Refusal::invalid(
            "roles",
            "it is empty",
            "name at least one of admin, approver, requester",
        ));
    }
    Ok(())
}

/// Makes a user.
///
/// # Errors
/// The address is taken or wrong, there is no role, or the asker is no admin.
pub async fn create(
    deed: &mut Deed<'_>,
    address: &str,
    name: Option<String>,
    roles: BTreeSet<Role>,
) -> Result<User, Refusal> {
    deed.may(Doing::ManageUsers)?;
    add(deed, address, name, roles).await
}

async fn add(
    deed: &mut Deed<'_>,
    address: &str,
    name: Option<String>,
    roles: BTreeSet<Role>,
) -> Result<User, Refusal> {
    let address = email(address)?;
    roles_fault(&roles)?;
    if let Some(fault) = name.as_deref().and_then(|name| text_fault("name", name, 200, false)) {
        return Err(Refusal::Invalid { faults: vec![fault] });
    }
    if deed.rows.user_by_email(&address).await?.is_some() {
        return Err(Refusal::conflict("email_taken", format!("there is a user `{address}` already")));
    }
    let id = parse(&token::new_id("usr", deed.now))?;
    let user = User { id, email: address, name, roles, disabled: false, created_at: deed.now };
    deed.rows.put_user(&user).await?;
    let after = json!({ "email": user.email, "roles": user.roles });
    deed.note("user.created", format!("user/{}", user.id), None, Some(after)).await?;
    Ok(user)
}

/// Makes the first admin, or gives an admin another token: for an operator on the server's machine.
///
/// # Errors
/// The address is wrong, or belongs to somebody who is no admin.
pub async fn bootstrap(deed: &mut Deed<'_>, address: &str) -> Result<(User, Secret), Refusal> {
    let address = email(address)?;
    let user = match deed.rows.user_by_email(&address).await? {
        Some(user) if user.roles.contains(&Role::Admin) && !user.disabled => user,
        Some(_) => {
            let detail = format!("`{address}` is a user without the role admin, or disabled");
            return Err(Refusal::conflict("not_an_admin", detail));
        }
        None => {
            let roles = BTreeSet::from([Role::Admin, Role::Approver, Role::Requester]);
            add(deed, &address, None, roles).await?
        }
    };
    let (_, clear) = add_token(deed, &user, "bootstrap".into(), USUAL_LIFE).await?;
    Ok((user, clear))
}

/// Changes a user's roles.
///
/// # Errors
/// The asker is no admin, or nobody would be left who is one.
pub async fn set_roles(deed: &mut Deed<'_>, id: &str, roles: BTreeSet<Role>) -> Result<User, Refusal> {
    deed.may(Doing::ManageUsers)?;
    roles_fault(&roles)?;
    let before = user_of(deed, id).await?;
    let user = User { roles, ..before.clone() };
    if user == before {
        return Ok(user);
    }
    deed.rows.put_user(&user).await?;
    some_admin_left(deed).await?;
    let (was, is) = (json!({ "roles": before.roles }), json!({ "roles": user.roles }));
    deed.note("user.roles_changed", format!("user/{}", user.id), Some(was), Some(is)).await?;
    Ok(user)
}

async fn some_admin_left(deed: &mut Deed<'_>) -> Result<(), Refusal> {
    if deed.rows.admins().await? == 0 {
        return Err(Refusal::conflict("last_admin", "nobody would be left who is an admin"));
    }
    Ok(())
}

/// Disables a user: every access is ended, owned accounts are deleted, tokens are refused.
///
/// # Errors
/// The asker is no admin, or nobody would be left who is one.
pub async fn disable(deed: &mut Deed<'_>, id: &str) -> Result<User, Refusal> {
    deed.may(Doing::ManageUsers)?;
    let before = user_of(deed, id).await?;
    if before.disabled {
        return Ok(before);
    }
    let user = User { disabled: true, ..before };
    deed.rows.put_user(&user).await?;
    some_admin_left(deed).await?;
    deed.note("user.disabled", format!("user/{}", user.id), None, None).await?;
    let mut query = RequestQuery { grantee: Some(user.id.clone()), limit: 500, ..RequestQuery::default() };
    let mut accounts: BTreeSet<(model::ConnectorId, IntegrationId)> = BTreeSet::new();
    loop {
        let requests = deed.rows.requests(&query).await?;
        let Some(last) = requests.last() else { break };
        query.before = Some(last.id.to_string());
        for request in &requests {
            if request.stage == Stage::Accepted {
                accounts.insert((request.connector.clone(), request.integration.clone()));
            }
            if request.is_over() {
                continue;
            }
            let by = deed.who.by.clone();
            let reason = Some("the user was disabled".to_owned());
            if let Some(moved) = approval::end(request, by, reason, deed.now)? {
                deed.moved(moved).await?;
            }
        }
    }
    for (connector, integration) in accounts {
        if deed.rows.offer(&integration).await?.is_some_and(|offer| offer.retired_at.is_none()) {
            let order = Order::DeleteAccount { integration, grantee: user.id.clone() };
            deed.order(&connector, &order).await?;
        }
    }
    Ok(user)
}

/// Enables a user again.
///
/// # Errors
/// The asker is no admin.
pub async fn enable(deed: &mut Deed<'_>, id: &str) -> Result<User, Refusal> {
    deed.may(Doing::ManageUsers)?;
    let before = user_of(deed, id).await?;
    if !before.disabled {
        return Ok(before);
    }
    let user = User { disabled: false, ..before };
    deed.rows.put_user(&user).await?;
    deed.note("user.enabled", format!("user/{}", user.id), None, None).await?;
    Ok(user)
}

/// Makes a token for a user.
///
/// # Errors
/// It is somebody else's and the asker no admin; name or life are wrong.
pub async fn issue_token(
    deed: &mut Deed<'_>,
    id: &str,
    name: String,
    life: Option<Span>,
) -> Result<(Token, Secret), Refusal> {
    deed.may(Doing::ManageOwn(&parse(id)?))?;
    let user = user_of(deed, id).await?;
    if name.trim().is_empty() {
        return Err(Refusal::invalid("name", "it is empty", "say what the token is for"));
    }
    if let Some(fault) = text_fault("name", &name, 100, false) {
        return Err(Refusal::Invalid { faults: vec![fault] });
    }
    let life = life.unwrap_or(USUAL_LIFE);
    if life == Span::ZERO || life > LONGEST_LIFE {
        let reason = format!("it is not between 1 second and {LONGEST_LIFE}");
        return Err(Refusal::invalid("expires_in_seconds", reason, "choose another"));
    }
    add_token(deed, &user, name, life).await
}

async fn add_token(
    deed: &mut Deed<'_>,
    user: &User,
    name: String,
    life: Span,
) -> Result<(Token, Secret), Refusal> {
    let clear = token::issue(Holder::Person).map_err(|fault| no_randomness(&fault))?;
    let token = Token {
        id: token::new_id("tok", deed.now),
        user: user.id.clone(),
        name,
        hash: token::hash(clear.expose()),
        created_at: deed.now,
        expires_at: Some(deed.now.plus(life)),
        revoked_at: None,
        last_used_at: None,
    };
    deed.rows.put_token(&token).await?;
    let after = json!({ "user": user.id, "name": token.name, "expires_at": token.expires_at });
    deed.note("token.created", format!("token/{}", token.id), None, Some(after)).await?;
    Ok((token, clear))
}

/// Revokes a token.
///
/// # Errors
/// There is none, or it is somebody else's and the asker no admin.
pub async fn revoke_token(deed: &mut Deed<'_>, user: &str, id: &str) -> Result<(), Refusal> {
    let user = parse(user)?;
    deed.may(Doing::ManageOwn(&user))?;
    let tokens = deed.rows.tokens(&user).await?;
    let found = tokens.into_iter().find(|token| token.id == id);
    let token = found.ok_or_else(|| Refusal::missing("token", id))?;
    if token.revoked_at.is_none() {
        deed.rows.put_token(&Token { revoked_at: Some(deed.now), ..token }).await?;
        deed.note("token.revoked", format!("token/{id}"), None, None).await?;
    }
    Ok(())
}

/// Registers the asker's own public key. Another one than before is an alarm.
///
/// # Errors
/// It is not a key.
pub async fn register_key(deed: &mut Deed<'_>, key: &str) -> Result<KeyRecord, Refusal> {
    let Some(actor) = deed.who.actor.clone() else { return Err(Refusal::Unauthenticated) };
    let public = SealingPublic::from_base64(key).map_err(|fault| {
        Refusal::invalid("public_key", fault.to_string(), "give an X25519 public key, 32 bytes as base64")
    })?;
    // A key that nothing can be sealed to is found out now, not when access is opened.
    let trial = seal::hpke::seal(&public, b"tidegate key trial", b"", &Secret::new("trial".into()));
    if let Err(fault) = trial {
        return Err(Refusal::invalid("public_key", fault.to_string(), "make a new key pair"));
    }
    let key = GranteeKey(public.to_base64());
    let before = deed.rows.key(&actor.id).await?;
    if let Some(before) = &before
        && before.key == key
    {
        return Ok(before.clone());
    }
    let record =
        KeyRecord { key, fingerprint: public.fingerprint(), registered_at: deed.now, replaced_at: None };
    deed.rows.replace_key(&actor.id, &record).await?;
    let subject = format!("user/{}", actor.id);
    let was = before.as_ref().map(|before| json!({ "fingerprint": before.fingerprint }));
    let is = json!({ "fingerprint": record.fingerprint });
    deed.note("key.registered", subject.clone(), was, Some(is)).await?;
    if let Some(before) = before {
        let detail = format!(
            "{} replaced the key {} by {}: new credentials are sealed to the new one",
            actor.email, before.fingerprint, record.fingerprint
        );
        deed.alarm("grantee_key_changed", subject, detail).await?;
    }
    Ok(record)
}

/// Returns who holds a token, if it is taken now.
///
/// # Errors
/// The store is not available.
pub async fn holder(
    rows: &mut dyn crate::store::Rows,
    clear: &str,
    now: model::Timestamp,
) -> Result<Option<(User, Token)>, StoreFault> {
    let Some(token) = rows.token_by_hash(&token::hash(clear)).await? else { return Ok(None) };
    let over = token.revoked_at.is_some() || token.expires_at.is_some_and(|at| at <= now);
    if over {
        return Ok(None);
    }
    let user = rows.user(&token.user).await?.filter(|user| !user.disabled);
    Ok(user.map(|user| (user, token)))
}

/// Notes that a token was used, to the minute.
///
/// # Errors
/// The store is not available.
pub async fn token_used(deed: &mut Deed<'_>, hash: &TokenHash) -> Result<(), Refusal> {
    // Read again: it may have been revoked meanwhile.
    if let Some(token) = deed.rows.token_by_hash(hash).await? {
        deed.rows.put_token(&Token { last_used_at: Some(deed.now), ..token }).await?;
    }
    Ok(())
}

/// Returns the operator of the machine, for the audit log.
pub fn operator() -> Who {
    Who { name: "system:operator".into(), ..Who::system() }
}
