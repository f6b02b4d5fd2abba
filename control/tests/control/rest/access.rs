//! The story of an access, as a person's tool sees it.

use model::Span;
use proto::v1::agent_message::Message as Say;
use proto::v1::{self, access_state::State};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Api, answer, house, refused};
use crate::agent::{Memory, active, changed, wire_time};
use crate::world::{Person, START};

fn wanted() -> Value {
    json!({
        "integration": "shop",
        "entitlements": [{
            "resource": { "kind": "postgresql-table", "path": ["shop", "public", "orders"] },
            "permission": "READ_ONLY",
        }],
        "duration_seconds": 5400,
        "justification": "ticket 7",
    })
}

fn id(body: &Value) -> String {
    body["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_asking_to_the_receipt() {
    let (_folder, clock, house) = house().await;
    let cast = &house.cast;
    let (ann, eve) = (Api::of(&house, &cast.ann), Api::of(&house, &cast.approver));
    let asked = ann.post("/requests", wanted()).await.with(201);
    assert_eq!((&asked["label"], &asked["state"]), (&json!("Pending Approval"), &json!("pending")));
    assert_eq!(asked["can"], json!(["revoke"]), "who asked can decide");
    assert_eq!(asked["until"], Value::Null);
    let path = format!("/requests/{}", id(&asked));
    let seen = eve.get(&path).await.with(200);
    assert_eq!(seen["can"], json!(["approve", "reject", "revoke"]));
    let waiting = {
        let (ann, path, change) = (ann.clone(), path.clone(), asked["change"].clone());
        async move { ann.get(&format!("{path}?wait_seconds=20&after_change={change}")).await.with(200) }
    };
    clock.pass(Span::from_mins(10));
    let approve = format!("{path}/approve");
    let approving = eve.post(&approve, json!({ "reason": "fine" }));
    let (waited, approved) = tokio::join!(waiting, approving);
    let approved = approved.with(200);
    assert_eq!(approved["label"], "Granting");
    assert_eq!(approved["until"], START.plus(Span::from_mins(100)).to_string());
    assert_eq!(waited["state"], "accepted", "who waits for a change is told too early, or too late");
    assert_eq!(house.office.bells.kept(), 0, "a bell is kept for nobody");

    let mut memory = Memory::new(&cast.connector, &cast.connector_token);
    let (agent, _) = memory.join(&house).await;
    let sealed = v1::report::Report::CredentialSealed(v1::CredentialSealed {
        access_id: id(&asked),
        integration_id: "shop".into(),
        account_id: Uuid::from_u128(7).to_string(),
        account_name: "tg_ann_1f".into(),
        generation: 1,
        sealed_for_access_id: id(&asked),
        public_key: cast.ann.key.public().as_bytes().to_vec(),
        encapsulated: vec![1; 32],
        ciphertext: vec![2; 40],
        connection_lines: vec![v1::ConnectionLine { label: "psql".into(), text: "psql -h db".into() }],
    });
    assert_eq!(ann.get(&format!("{path}/credential")).await.code(), refused(409, "credential_not_ready"));
    for report in [changed(&id(&asked), active()), sealed] {
        agent.say(Say::Report(memory.report(report))).await;
    }
    let open = told(&ann, &path, |body| body["credential_ready"] == json!(true)).await;
    assert_eq!((&open["label"], &open["agent"]["state"]), (&json!("Active"), &json!("active")));
    assert_eq!(open["can"], json!(["revoke", "credential"]));
    let credential = ann.get(&format!("{path}/credential")).await.with(200);
    assert_eq!(credential["account_name"], "tg_ann_1f");
    assert_eq!(credential["access_details"], "Ask in #db first.");
    assert_eq!(credential["ca_certificates"], "PEM of a private authority");
    assert_eq!(credential["sealed"]["key"], cast.ann.key.public().to_base64());
    assert_eq!(eve.get(&format!("{path}/credential")).await.code(), refused(403, "denied"));

    clock.pass(Span::from_mins(90));
    let passed = ann.get(&path).await.with(200);
    assert_eq!((&passed["label"], &passed["state"]), (&json!("Revoking"), &json!("active")));
    assert_eq!(passed["note"], "deadline passed, waiting for the agent");
    let ended = State::Ended(v1::access_state::Ended {
        verdict: v1::Verdict::Expired.into(),
        residual: vec![],
        at: Some(wire_time(START)),
    });
    agent.say(Say::Report(memory.report(changed(&id(&asked), ended)))).await;
    let over = told(&ann, &path, |body| body["over"] == json!(true)).await;
    assert_eq!((&over["label"], &over["can"]), (&json!("Expired"), &json!([])));
    let history: Vec<_> = over["history"].as_array().unwrap().iter().map(|line| &line["what"]).collect();
    assert_eq!(history, ["requested", "approved", "active", "credential_sealed", "ended"]);
    assert_eq!(ann.get(&format!("{path}/credential")).await.code(), refused(409, "credential_not_ready"));
    let audit =
        Api::of(&house, &cast.admin).get(&format!("/audit?subject=request/{}", id(&asked))).await.with(200);
    let lines = audit["items"].as_array().unwrap();
    let lines: Vec<_> =
        lines.iter().map(|line| (line["what"].as_str().unwrap(), line["who"].as_str().unwrap())).collect();
    assert!(lines.contains(&("request.approved", "eve@example.org")), "{lines:?}");
    assert!(lines.contains(&("request.ended", "agent:north")), "{lines:?}");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_an_agent_that_opens_nothing_says_so() {
    let (_folder, _, house) = house().await;
    let cast = &house.cast;
    let (ann, eve, admin) =
        (Api::of(&house, &cast.ann), Api::of(&house, &cast.approver), Api::of(&house, &cast.admin));
    let asked = ann.post("/requests", wanted()).await.with(201);
    let path = format!("/requests/{}", id(&asked));
    let note = async || ann.get(&path).await.with(200)["note"].clone();
    let paused = json!("the agent is paused: it opens nothing until it is resumed");
    admin.post("/connectors/north/pause", json!({})).await.with(202);
    assert_eq!(note().await, Value::Null, "it waits for a person");
    eve.post(&format!("{path}/approve"), json!({})).await.with(200);
    assert_eq!(note().await, paused);
    admin.post("/connectors/north/resume", json!({})).await.with(202);
    assert_eq!(note().await, Value::Null);

    // By what the agent says of itself.
    let mut memory = Memory::new(&cast.connector, &cast.connector_token);
    let (agent, _) = memory.join(&house).await;
    let table = [
        (vec![(v1::HindranceKind::Paused, "paused")], paused),
        (
            vec![(v1::HindranceKind::Reconciling, "reconciling")],
            json!("the agent opens nothing yet: it makes sure that it missed nothing"),
        ),
        (
            vec![(v1::HindranceKind::Unspecified, "guardrails_broken")],
            json!("the agent opens nothing now: it can only close"),
        ),
        (vec![], Value::Null),
    ];
    for (hindrances, expected) in table {
        let hindrances = hindrances.into_iter().map(|(kind, code)| v1::Hindrance {
            kind: kind.into(),
            code: code.into(),
            detail: "/var/lib/agent".into(),
            ..Default::default()
        });
        agent
            .say(Say::Heartbeat(v1::AgentHeartbeat {
                time: Some(wire_time(START)),
                hindrances: hindrances.collect(),
                ..Default::default()
            }))
            .await;
        let mut seen = note().await;
        for _ in 0..200 {
            if seen == expected {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            seen = note().await;
        }
        assert_eq!(seen, expected);
    }
    agent.say(Say::Report(memory.report(changed(&id(&asked), active())))).await;
    let open = told(&ann, &path, |body| body["label"] == json!("Active")).await;
    assert_eq!(open["note"], Value::Null);
    house.stop().await;
}

/// Waits by the API itself until a request is as it should be.
async fn told(api: &Api, path: &str, so: impl Fn(&Value) -> bool) -> Value {
    let mut body = api.get(path).await.with(200);
    for _ in 0..20 {
        if so(&body) {
            return body;
        }
        let change = &body["change"];
        body = api.get(&format!("{path}?wait_seconds=5&after_change={change}")).await.with(200);
    }
    panic!("it never came about: {body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_sees_what_is_theirs_to_see() {
    let (_folder, clock, house) = house().await;
    let cast = &house.cast;
    let [ann, bob, eve, root] =
        [&cast.ann, &cast.bob, &cast.approver, &cast.admin].map(|person: &Person| Api::of(&house, person));
    let anns = id(&ann.post("/requests", wanted()).await.with(201));
    clock.pass(Span::from_millis(1));
    let bobs = id(&bob.post("/requests", wanted()).await.with(201));
    let list = async |api: &Api, query: &str| {
        let body = api.get(&format!("/requests{query}")).await.with(200);
        body["items"].as_array().unwrap().iter().map(id).collect::<Vec<_>>()
    };
    assert_eq!(list(&ann, "").await, [anns.as_str()]);
    assert_eq!(list(&eve, "").await, [bobs.as_str(), anns.as_str()], "newest first");
    assert_eq!(list(&root, "?mine=true").await, Vec::<String>::new());
    assert_eq!(list(&eve, "?label=Pending%20Approval&limit=1").await, [bobs.as_str()]);
    assert_eq!(list(&eve, "?state=active").await, Vec::<String>::new());
    assert_eq!(list(&eve, &format!("?grantee={}", cast.ann.user.id)).await, [anns.as_str()]);
    let others = format!("/requests?grantee={}", cast.ann.user.id);
    assert_eq!(bob.get(&others).await.code(), refused(422, "invalid"));
    let path = format!("/requests/{anns}");
    assert_eq!(bob.get(&path).await.code(), refused(404, "not_found"));
    assert_eq!(bob.post(&format!("{path}/revoke"), json!({})).await.code(), refused(404, "not_found"));
    assert_eq!(ann.post(&format!("{path}/approve"), json!({})).await.code(), refused(403, "denied"));
    assert_eq!(
        eve.post(&format!("{path}/reject"), json!({ "reason": " " })).await.code(),
        refused(422, "invalid")
    );
    let rejected = eve.post(&format!("{path}/reject"), json!({ "reason": "no ticket" })).await.with(200);
    assert_eq!(
        (&rejected["label"], &rejected["decision"]["reason"]),
        (&json!("Rejected"), &json!("no ticket"))
    );
    assert_eq!(list(&eve, "?open=false").await, [anns.as_str()]);
    let mut pages = vec![];
    let mut cursor = String::new();
    loop {
        let body = eve.get(&format!("/requests?limit=1{cursor}")).await.with(200);
        pages.extend(body["items"].as_array().unwrap().iter().map(id));
        match body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(pages, [bobs, anns]);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_call_with_its_key_is_one_call() {
    let (_folder, _clock, house) = house().await;
    let ann = Api::of(&house, &house.cast.ann);
    let ask = async |key: &str, body: &Value| {
        answer(ann.call(Method::POST, "/requests").header("Idempotency-Key", key).json(body)).await
    };
    let first = ask("k1", &wanted()).await.with(201);
    assert_eq!(ask("k1", &wanted()).await.with(201), first);
    let other =
        json!({ "integration": "shop", "entitlements": [], "duration_seconds": 1, "justification": "x" });
    assert_eq!(ask("k1", &other).await.code(), refused(409, "idempotency_key_reused"));
    assert_ne!(ask("k2", &wanted()).await.with(201)["id"], first["id"]);
    let bob = Api::of(&house, &house.cast.bob);
    let call = bob.call(Method::POST, "/requests").header("Idempotency-Key", "k1").json(&wanted());
    assert_ne!(answer(call).await.with(201)["id"], first["id"], "people share keys");
    let admin = Api::of(&house, &house.cast.admin);
    let make = async || {
        let body = json!({ "id": "south" });
        answer(admin.call(Method::POST, "/connectors").header("Idempotency-Key", "c").json(&body)).await
    };
    let token = make().await.with(201)["token"].as_str().unwrap().to_owned();
    let again = make().await;
    assert_eq!(again.code(), refused(409, "already_done"));
    assert!(!again.text.contains(&token), "a token is shown twice");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_does_not_fit_is_told_all_its_faults() {
    let (_folder, _clock, house) = house().await;
    let ann = Api::of(&house, &house.cast.ann);
    let body = json!({
        "integration": "shop",
        "entitlements": [{ "resource": { "kind": "mysql-table", "path": ["a"] }, "permission": "READ_ONLY" }],
        "duration_seconds": 0,
        "justification": "",
        "from": "2026-11-23T00:00:00Z",
    });
    let answer = ann.post("/requests", body).await;
    assert_eq!(answer.code(), refused(422, "invalid"));
    let faults = answer.json()["faults"].as_array().unwrap().clone();
    let fields: Vec<_> = faults.iter().map(|fault| fault["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["duration_seconds", "justification", "entitlements[0].resource.kind"]);
    let missing =
        json!({ "integration": "nowhere", "entitlements": [], "duration_seconds": 1, "justification": "x" });
    assert_eq!(ann.post("/requests", missing).await.code(), refused(404, "not_found"));
    house.stop().await;
}
