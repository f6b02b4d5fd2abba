//! What the control plane would say.

use model::{AccessId, AccountId, Generation, GranteeId, GranteeKey, Secret};
use serde_json::{Value, json};

pub(crate) const ANN: &str = "usr-ann";
pub(crate) const AT: &str = "2026-03-01T10:00:00Z";
pub(crate) const ACCOUNT: &str = "6f1f9c1e-6a53-4a35-9e2b-111111111111";

pub(crate) fn user(id: &str, email: &str) -> Value {
    json!({ "id": id, "email": email, "name": null, "roles": ["approver", "requester"], "disabled": false,
        "created_at": AT, "has_key": true })
}

pub(crate) fn token() -> Value {
    json!({ "id": "tok-1", "name": "laptop", "created_at": AT, "expires_at": "2026-06-01T10:00:00Z",
        "last_used_at": null, "revoked_at": null })
}

pub(crate) fn session(id: &str, email: &str) -> Value {
    json!({ "user": user(id, email), "token": token(), "server_time": AT, "incarnation": "one",
        "version": "0.1.0", "max_duration_seconds": 86_400 })
}

pub(crate) fn key(public: &str) -> Value {
    json!({ "public_key": public, "fingerprint": "00", "registered_at": AT })
}

pub(crate) fn entitlement(kind: &str, path: &[&str], permission: &str) -> Value {
    json!({ "resource": { "kind": kind, "path": path }, "permission": permission })
}

pub(crate) fn orders() -> Value {
    entitlement("postgresql-table", &["shop", "public", "orders"], "READ_ONLY")
}

/// A request in this state.
pub(crate) fn request(id: &str, change: u64, label: &str, state: &str) -> Value {
    let over = matches!(state, "ended" | "failed" | "refused" | "rejected" | "withdrawn" | "canceled");
    json!({
        "id": id, "change": change, "label": label, "state": state, "warning": null, "note": null,
        "deadline_passed": false, "over": over, "grantee": { "id": ANN, "email": "ann@example.com" },
        "integration": "shop-db", "connector": "eu", "entitlements": [orders()], "justification": "ticket 4711",
        "requested_at": AT, "duration_seconds": 5400, "from": AT, "until": "2026-03-01T11:30:00Z",
        "credential_ready": state == "active", "can": ["revoke"], "history": [],
    })
}

pub(crate) fn resource(integration: &str, kind: &str, path: &[&str], permissions: &[&str]) -> Value {
    json!({ "integration": integration, "kind": kind, "path": path, "permissions": permissions, "tags": {} })
}

/// A credential sealed to `key`.
pub(crate) fn credential(
    access: &str,
    grantee: &str,
    generation: u32,
    key: &GranteeKey,
    clear: &str,
) -> Value {
    let account: AccountId = ACCOUNT.parse().unwrap();
    let sealed = seal::credential::seal_credential(
        &AccessId::parse(access).unwrap(),
        account,
        &GranteeId::parse(grantee).unwrap(),
        Generation(generation),
        key,
        &Secret::new(clear.into()),
    )
    .unwrap();
    json!({
        "account": ACCOUNT, "account_name": "tg_ann_x7k2", "integration": "shop-db", "grantee": grantee,
        "sealed": sealed, "access_details": "Ask #dba first.", "sealed_at": AT,
        "lines": [
            { "label": "psql", "text": "psql 'host=127.0.0.1 port=5433 dbname=shop user=tg_ann_x7k2'" },
            { "label": "uri", "text": "postgresql://tg_ann_x7k2@127.0.0.1:5433/shop?sslmode=verify-full" },
        ],
    })
}

pub(crate) fn integration(id: &str, revision: u64) -> Value {
    json!({
        "id": id, "revision": revision, "connector": "eu", "kind": "postgres", "title": "The shop's orders",
        "lifecycle": "live", "approval": { "mode": "approve", "self_approval": false },
        "max_duration_seconds": 28_800, "access_details": null, "connected": true,
        "health": { "state": "good", "revision": revision, "checked_at": AT, "product": "PostgreSQL",
            "version": "15.18", "probes": [{ "name": "login", "grade": "good", "detail": "it works" }] },
        "resources": 42, "discovered_at": AT, "updated_at": AT,
        "settings": { "hostname": "db.example.com", "port": "5432" }, "secret": "file://postgres/admin.json",
        "unlisted": { "count": 1, "parts": [{ "kind": "postgresql-database", "path": ["audit"],
            "code": "right_missing", "detail": "the admin lacks a right" }] },
        "policy": {}, "drift": [{ "kind": "excess", "count": 2, "examples": ["tg_ann_x7k2"],
            "detail": "rights added by hand", "being_removed": true }],
    })
}

pub(crate) fn connector(id: &str, keys: &Value) -> Value {
    json!({
        "id": id, "description": "in Frankfurt", "created_at": AT, "connected": true, "last_seen_at": AT,
        "version": "0.1.0", "place": {}, "keys": keys, "keys_offered": [], "paused": false,
        "orders_waiting": 0, "log_incarnation": "one", "last_order": 7,
    })
}
