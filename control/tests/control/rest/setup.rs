//! What admins do: users, tokens, connectors, integrations, policy.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Api, answer, house, refused};
use crate::agent::Memory;

fn spec() -> Value {
    json!({
        "connector": "north",
        "kind": "postgres",
        "settings": { "host": "db.example.org" },
        "secret": "env://TIDEGATE_SECRET_DB",
        "approval": { "mode": "auto" },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn users_and_their_tokens() {
    let (_folder, _clock, house) = house().await;
    let admin = Api::of(&house, &house.cast.admin);
    let made =
        admin.post("/users", json!({ "email": "Dan@Example.org", "roles": ["requester"] })).await.with(201);
    assert_eq!((&made["email"], &made["has_key"]), (&json!("dan@example.org"), &json!(false)));
    let again = admin.post("/users", json!({ "email": "dan@example.org", "roles": ["admin"] })).await;
    assert_eq!(again.code(), refused(409, "email_taken"));
    let path = format!("/users/{}", made["id"].as_str().unwrap());
    let token = admin.post(&format!("{path}/tokens"), json!({ "name": "laptop" })).await.with(201);
    let dan = Api::new(&house).with_token(token["token"].as_str().unwrap());
    let session = dan.get("/session").await.with(200);
    assert_eq!(
        (&session["user"]["email"], &session["token"]["name"]),
        (&json!("dan@example.org"), &json!("laptop"))
    );
    assert_eq!(session["max_duration_seconds"], 86_400);
    assert_eq!(dan.get("/users").await.code(), refused(403, "denied"));
    assert_eq!(
        dan.post("/users", json!({ "email": "x@y.z", "roles": ["admin"] })).await.code(),
        refused(403, "denied")
    );
    assert_eq!(dan.get("/audit").await.code(), refused(403, "denied"));
    assert_eq!(dan.get(&path).await.with(200)["id"], made["id"], "nobody may see themselves");
    let ann = format!("/users/{}/tokens", house.cast.ann.user.id);
    assert_eq!(dan.get(&ann).await.code(), refused(404, "not_found"));
    assert_eq!(dan.post(&ann, json!({ "name": "stolen" })).await.code(), refused(403, "denied"));
    assert_eq!(dan.delete("/session").await.status.as_u16(), 204);
    assert_eq!(dan.get("/session").await.code(), refused(401, "unauthenticated"));
    let tokens = admin.get(&format!("{path}/tokens")).await.with(200);
    assert!(tokens[0]["revoked_at"].is_string() && tokens[0]["token"].is_null(), "{tokens}");
    let found = admin.get("/users?email=DAN@example.org").await.with(200);
    assert_eq!(found["items"][0]["id"], made["id"]);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ones_own_key() {
    let (_folder, _clock, house) = house().await;
    let ann = Api::of(&house, &house.cast.ann);
    let public = house.cast.ann.key.public();
    let shown = ann.get("/me/key").await.with(200);
    assert_eq!(shown["public_key"], public.to_base64());
    assert_eq!(shown["fingerprint"], public.fingerprint());
    assert_eq!(ann.put("/me/key", json!({ "public_key": "AAAA" })).await.code(), refused(422, "invalid"));
    let fresh = seal::keys::SealingKey::generate().unwrap().public().to_base64();
    ann.put("/me/key", json!({ "public_key": fresh })).await.with(200);
    let path = format!("/users/{}/keys", house.cast.ann.user.id);
    let keys = Api::of(&house, &house.cast.admin).get(&path).await.with(200);
    assert_eq!(keys.as_array().unwrap().len(), 2);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connectors_and_what_their_agents_told() {
    let (_folder, _clock, house) = house().await;
    let admin = Api::of(&house, &house.cast.admin);
    let made =
        admin.post("/connectors", json!({ "id": "south", "description": "the other" })).await.with(201);
    assert_eq!(
        admin.post("/connectors", json!({ "id": "south" })).await.code(),
        refused(409, "connector_taken")
    );
    assert_eq!(admin.post("/connectors", json!({ "id": "a b" })).await.code(), refused(422, "invalid"));
    let shown = admin.get("/connectors/south").await.with(200);
    assert_eq!((&shown["connected"], &shown["last_seen_at"]), (&json!(false), &Value::Null));
    let id = model::ConnectorId::parse("south").unwrap();
    let memory = Memory::new(&id, made["token"].as_str().unwrap());
    let (mut agent, _) = memory.join(&house).await;
    let shown = admin.get("/connectors/south").await.with(200);
    assert_eq!((&shown["connected"], &shown["version"]), (&json!(true), &json!("0.1.0")));
    assert_eq!(shown["keys"][0]["purpose"], "receipts");
    let drivers = admin.get("/drivers").await.with(200);
    let south = drivers.as_array().unwrap().iter().find(|driver| driver["connector"] == "south").unwrap();
    assert_eq!(south["manifest"]["product"], "PostgreSQL");
    assert_eq!(
        admin.post("/connectors/south/standing", json!({ "confirmed": true })).await.with(202)["id"],
        "south"
    );
    while !agent.standing().await.confirmed {}
    let paused = admin.post("/connectors/south/pause", json!({})).await.with(202);
    assert_eq!((&paused["position"], &paused["connected"]), (&json!(1), &json!(true)));
    assert!(matches!(agent.order().await.order, Some(proto::v1::order::Order::Pause(_))));
    assert_eq!(admin.get("/connectors/south").await.with(200)["paused"], true);
    let rotated = admin.post("/connectors/south/rotate-token", json!({ "grace_seconds": 0 })).await.with(200);
    assert_eq!(rotated["previous_until"], Value::Null);
    assert!(memory.dial_silently(&house).await.is_err(), "a token without grace is taken");
    admin.post("/connectors/south/revoke", json!({})).await.with(200);
    assert_eq!(
        admin.post("/connectors/south/pause", json!({})).await.code(),
        refused(409, "connector_revoked")
    );
    assert_eq!(
        admin.post("/connectors/north/standing", json!({})).await.code(),
        refused(409, "connector_offline")
    );
    let list = admin.get("/connectors?limit=1").await.with(200);
    assert_eq!(list["items"][0]["id"], "north");
    let next = list["next_cursor"].as_str().unwrap();
    assert_eq!(admin.get(&format!("/connectors?cursor={next}")).await.with(200)["items"][0]["id"], "south");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn integrations_by_revision() {
    let (_folder, _clock, house) = house().await;
    let admin = Api::of(&house, &house.cast.admin);
    let put = async |body: Value, header: Option<(&str, &str)>| {
        let mut call = admin.call(Method::PUT, "/integrations/ware").json(&body);
        if let Some((name, value)) = header {
            call = call.header(name, value);
        }
        answer(call).await
    };
    let none = Some(("If-None-Match", "*"));
    let first = put(spec(), none).await;
    assert_eq!(
        (first.with(200)["revision"].clone(), &first.headers["etag"]),
        (json!(1), &"\"1\"".parse().unwrap())
    );
    assert_eq!(put(spec(), none).await.code(), refused(412, "stale_revision"));
    let mut next = spec();
    next["max_duration_seconds"] = json!(3_600);
    assert_eq!(put(next.clone(), Some(("If-Match", "\"7\""))).await.code(), refused(412, "stale_revision"));
    assert_eq!(put(next.clone(), Some(("If-Match", "seven"))).await.code(), refused(422, "invalid"));
    assert_eq!(put(next, Some(("If-Match", "\"1\""))).await.with(200)["revision"], 2);
    let table = [
        ("an unknown field", json!({ "hots": 1 }), 422),
        ("a connector that is not there", json!({ "connector": "east" }), 422),
        ("another driver than before", json!({ "kind": "oracle" }), 409),
        ("a password for a reference", json!({ "secret": "hunter2" }), 422),
        ("details of 401 characters", json!({ "access_details": "x".repeat(401) }), 422),
    ];
    for (name, change, status) in table {
        let mut body = spec();
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let answer = put(body, None).await;
        assert_eq!(answer.status.as_u16(), status, "{name}: {}", answer.text);
    }
    let mut unknown = spec();
    unknown["kind"] = json!("oracle");
    assert_eq!(admin.put("/integrations/other", unknown).await.code(), refused(422, "invalid"));
    let shown = Api::of(&house, &house.cast.ann).get("/integrations/ware").await.with(200);
    assert_eq!((&shown["kind"], &shown["max_duration_seconds"]), (&json!("postgres"), &json!(3_600)));
    assert!(shown["settings"].is_null() && shown["secret"].is_null(), "a requester sees settings");
    assert!(admin.get("/integrations/ware").await.with(200)["secret"].is_string());
    let asked = admin.post("/integrations/ware/discover", json!({})).await.with(202);
    assert_eq!((&asked["connector"], &asked["connected"]), (&json!("north"), &json!(false)));
    assert_eq!(admin.delete("/integrations/ware").await.with(202)["lifecycle"], "retiring");
    assert_eq!(put(spec(), None).await.code(), refused(409, "integration_retired"));
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_is_told_to_every_connector() {
    let (_folder, _clock, house) = house().await;
    let admin = Api::of(&house, &house.cast.admin);
    let policy = json!({ "credentials_cleanup_period_in_days": 0 });
    assert_eq!(admin.put("/policy", policy.clone()).await.with(200), policy);
    assert_eq!(admin.get("/policy").await.with(200), policy);
    let bad = json!({ "credentials_rotation_period_in_days": 0 });
    assert_eq!(admin.put("/policy", bad).await.code(), refused(422, "invalid"));
    let orders = crate::changes::orders(&house.office, &house.cast.connector).await;
    assert!(matches!(orders.last(), Some(control::rules::order::Order::SetPolicy { .. })), "{orders:?}");
    house.stop().await;
}
