//! Users, their tokens and keys.

use crate::changes::people as change;
use crate::http::body::Body;
use crate::http::caller::{Caller, Once};
use crate::http::once::{Answer, once};
use crate::http::path::Path;
use crate::http::problem::Problem;
use crate::http::query::{Query, after, limit, page};
use crate::http::show;
use crate::http::view::Page;
use crate::http::view::people::{
    GranteeKeyView, IssuedToken, NewToken, NewUser, Roles, Token, User, UserFilter,
};
use crate::office::Office;
use crate::refusal::Refusal;
use crate::rules::role::Doing;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use model::{GranteeId, Span};

/// Lists users, by id.
#[utoipa::path(
    get,
    path = "/users",
    tag = "users",
    operation_id = "user_list",
    params(
        UserFilter,
    ),
    responses(
        (status = 200, description = "A page of users", body = Page<User>),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn user_list(
    State(office): State<Office>,
    caller: Caller,
    Query(filter): Query<UserFilter>,
) -> Result<Json<Page<User>>, Refusal> {
    caller.may(Doing::ManageUsers)?;
    let limit = limit(filter.limit)?;
    let after = after(filter.cursor.as_deref())?;
    let mut rows = office.read().await?;
    let found = match &filter.email {
        Some(email) => rows.user_by_email(&change::email(email)?).await?.into_iter().collect(),
        None => rows.users(after.as_deref(), limit + 1).await?,
    };
    let mut shown = Vec::with_capacity(found.len());
    for user in &found {
        shown.push(show::people::user(rows.as_mut(), user).await?);
    }
    Ok(Json(page(shown, limit, |user| user.id.clone(), |user| user)))
}

/// Makes a user.
#[utoipa::path(
    post,
    path = "/users",
    tag = "users",
    operation_id = "user_create",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated call answer as the first did, for 24 hours; 1 to 128 characters of your choice"),
    ),
    request_body = NewUser,
    responses(
        (status = 201, description = "The user", body = User),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn user_create(
    State(office): State<Office>,
    caller: Caller,
    key: Once,
    Body(body): Body<NewUser>,
) -> Result<(StatusCode, Json<User>), Refusal> {
    let new = body.clone();
    let answer = once(&office, &caller, key, &body, Answer::Plain, move |deed| {
        Box::pin(async move {
            let user = change::create(deed, &new.email, new.name, new.roles).await?;
            Ok(show::people::user(deed.rows, &user).await?)
        })
    })
    .await?;
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Shows a user.
#[utoipa::path(
    get,
    path = "/users/{user}",
    tag = "users",
    operation_id = "user_show",
    params(
        ("user" = String, Path, description = "The user's id"),
    ),
    responses(
        (status = 200, description = "The user", body = User),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn user_show(
    State(office): State<Office>,
    caller: Caller,
    Path(user): Path<String>,
) -> Result<Json<User>, Refusal> {
    let id = GranteeId::parse(user.as_str()).map_err(|_| Refusal::missing("user", &user))?;
    caller.may(Doing::ManageOwn(&id)).map_err(|_| Refusal::missing("user", &user))?;
    let mut rows = office.read().await?;
    let found = rows.user(&id).await?.ok_or_else(|| Refusal::missing("user", &user))?;
    Ok(Json(show::people::user(rows.as_mut(), &found).await?))
}

/// Changes a user's roles. The last admin cannot lose the role.
#[utoipa::path(
    put,
    path = "/users/{user}/roles",
    tag = "users",
    operation_id = "user_roles",
    params(
        ("user" = String, Path, description = "The user's id"),
    ),
    request_body = Roles,
    responses(
        (status = 200, description = "The user", body = User),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn user_roles(
    State(office): State<Office>,
    caller: Caller,
    Path(user): Path<String>,
    Body(body): Body<Roles>,
) -> Result<Json<User>, Refusal> {
    let answer = office
        .write(caller.who(), move |deed| {
            Box::pin(async move {
                let user = change::set_roles(deed, &user, body.roles).await?;
                Ok(show::people::user(deed.rows, &user).await?)
            })
        })
        .await?;
    Ok(Json(answer))
}

/// Disables a user: tokens are refused, every access is ended, owned accounts are deleted.
#[utoipa::path(
    post,
    path = "/users/{user}/disable",
    tag = "users",
    operation_id = "user_disable",
    params(
        ("user" = String, Path, description = "The user's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated call answer as the first did, for 24 hours; 1 to 128 characters of your choice"),
    ),
    responses(
        (status = 200, description = "The user", body = User),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn user_disable(
    State(office): State<Office>,
    caller: Caller,
    Path(user): Path<String>,
    key: Once,
) -> Result<Json<User>, Refusal> {
    let answer = once(&office, &caller, key, &(), Answer::Plain, move |deed| {
        Box::pin(async move {
            let user = change::disable(deed, &user).await?;
            Ok(show::people::user(deed.rows, &user).await?)
        })
    })
    .await?;
    Ok(Json(answer))
}

/// Enables a user again; what was ended stays ended.
#[utoipa::path(
    post,
    path = "/users/{user}/enable",
    tag = "users",
    operation_id = "user_enable",
    params(
        ("user" = String, Path, description = "The user's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated call answer as the first did, for 24 hours; 1 to 128 characters of your choice"),
    ),
    responses(
        (status = 200, description = "The user", body = User),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn user_enable(
    State(office): State<Office>,
    caller: Caller,
    Path(user): Path<String>,
    key: Once,
) -> Result<Json<User>, Refusal> {
    let answer = once(&office, &caller, key, &(), Answer::Plain, move |deed| {
        Box::pin(async move {
            let user = change::enable(deed, &user).await?;
            Ok(show::people::user(deed.rows, &user).await?)
        })
    })
    .await?;
    Ok(Json(answer))
}

/// Lists all public keys that a user had, newest first.
#[utoipa::path(
    get,
    path = "/users/{user}/keys",
    tag = "users",
    operation_id = "user_keys",
    params(
        ("user" = String, Path, description = "The user's id"),
    ),
    responses(
        (status = 200, description = "The keys", body = Vec<GranteeKeyView>),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn user_keys(
    State(office): State<Office>,
    caller: Caller,
    Path(user): Path<String>,
) -> Result<Json<Vec<GranteeKeyView>>, Refusal> {
    let id = GranteeId::parse(user.as_str()).map_err(|_| Refusal::missing("user", &user))?;
    caller.may(Doing::ManageOwn(&id)).map_err(|_| Refusal::missing("user", &user))?;
    let mut rows = office.read().await?;
    let found = rows.keys(&id).await?;
    Ok(Json(found.iter().map(show::people::key).collect()))
}

/// Lists a user's tokens, newest first.
#[utoipa::path(
    get,
    path = "/users/{user}/tokens",
    tag = "users",
    operation_id = "token_list",
    params(
        ("user" = String, Path, description = "The user's id"),
    ),
    responses(
        (status = 200, description = "The tokens", body = Vec<Token>),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn token_list(
    State(office): State<Office>,
    caller: Caller,
    Path(user): Path<String>,
) -> Result<Json<Vec<Token>>, Refusal> {
    let id = GranteeId::parse(user.as_str()).map_err(|_| Refusal::missing("user", &user))?;
    caller.may(Doing::ManageOwn(&id)).map_err(|_| Refusal::missing("user", &user))?;
    let mut rows = office.read().await?;
    let found = rows.tokens(&id).await?;
    Ok(Json(found.iter().map(show::people::token).collect()))
}

/// Makes a token. It is shown this once.
#[utoipa::path(
    post,
    path = "/users/{user}/tokens",
    tag = "users",
    operation_id = "token_create",
    params(
        ("user" = String, Path, description = "The user's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated call answer as the first did, for 24 hours; 1 to 128 characters of your choice"),
    ),
    request_body = NewToken,
    responses(
        (status = 201, description = "The token", body = IssuedToken),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn token_create(
    State(office): State<Office>,
    caller: Caller,
    Path(user): Path<String>,
    key: Once,
    Body(body): Body<NewToken>,
) -> Result<(StatusCode, Json<IssuedToken>), Refusal> {
    let new = body.clone();
    let answer = once(&office, &caller, key, &body, Answer::Secret, move |deed| {
        Box::pin(async move {
            let life = new
                .expires_in_seconds
                .map(|seconds| Span::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX)));
            let (token, clear) = change::issue_token(deed, &user, new.name, life).await?;
            Ok(IssuedToken { about: show::people::token(&token), token: clear.expose().to_owned() })
        })
    })
    .await?;
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Revokes a token.
#[utoipa::path(
    delete,
    path = "/users/{user}/tokens/{token}",
    tag = "users",
    operation_id = "token_revoke",
    params(
        ("user" = String, Path, description = "The user's id"),
        ("token" = String, Path, description = "The token's id"),
    ),
    responses(
        (status = 204, description = "Revoked"),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn token_revoke(
    State(office): State<Office>,
    caller: Caller,
    Path((user, token)): Path<(String, String)>,
) -> Result<StatusCode, Refusal> {
    office
        .write(caller.who(), move |deed| {
            Box::pin(async move { change::revoke_token(deed, &user, &token).await })
        })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
