//! The edges: what is refused before anything is done, what surrounds every answer, what is exported.

use proto::v1::agent_message::Message as Say;
use proto::v1::{self};
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use super::{Api, answer, house, refused};
use crate::agent::Memory;

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_nothing_is_said_but_health() {
    let (_folder, _clock, house) = house().await;
    let nobody = Api::new(&house);
    let health = nobody.get("/health").await;
    assert_eq!(health.with(200)["status"], "ok");
    let description: serde_json::Value = serde_json::from_str(&control::http::openapi_json()).unwrap();
    let paths = description["paths"].as_object().unwrap();
    let mut looked_at = 0;
    for (path, methods) in paths {
        for method in methods.as_object().unwrap().keys() {
            let path = path.strip_prefix("/api/v1").unwrap();
            if path == "/health" {
                continue;
            }
            let path = path.replace(['{', '}'], "x");
            let method: Method = method.to_uppercase().parse().unwrap();
            let answer = answer(nobody.call(method.clone(), &path).json(&json!({}))).await;
            assert_eq!(answer.code(), refused(401, "unauthenticated"), "{method} {path}");
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
            looked_at += 1;
        }
    }
    assert!(looked_at > 40, "only {looked_at} routes were looked at");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_tokens_are_slowed_and_right_ones_are_not() {
    let (_folder, _clock, house) = house().await;
    let wrong = Api::new(&house).with_token("tgu_wrong");
    for n in 0..10 {
        assert_eq!(wrong.get("/session").await.code(), refused(401, "unauthenticated"), "wrong token {n}");
    }
    wrong.get("/session").await;
    let slowed = wrong.get("/session").await;
    assert_eq!(slowed.code(), refused(429, "throttled"));
    assert!(slowed.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 6);
    Api::of(&house, &house.cast.ann).get("/session").await.with(200);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_surrounded() {
    let (_folder, _clock, house) = house().await;
    let ann = Api::of(&house, &house.cast.ann);
    for path in ["/session", "/nowhere", "/health", "/requests?limit=0"] {
        let answer = ann.get(path).await;
        let table = [
            ("x-content-type-options", "nosniff"),
            ("cache-control", "no-store"),
            ("strict-transport-security", "max-age=31536000"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
            ("x-frame-options", "DENY"),
        ];
        for (name, value) in table {
            assert_eq!(answer.headers[name], value, "{path}: {name}");
        }
    }
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_a_problem_with_a_code() {
    let (_folder, _clock, house) = house().await;
    let ann = Api::of(&house, &house.cast.ann);
    let raw = async |body: String| {
        let call = ann.call(Method::POST, "/requests").header("content-type", "application/json").body(body);
        answer(call).await.code()
    };
    assert_eq!(raw("{".into()).await, refused(422, "invalid"));
    assert_eq!(raw(r#"{"integrashun":"shop"}"#.into()).await, refused(422, "invalid"));
    assert_eq!(raw(" ".repeat(1024 * 1024 + 1)).await, refused(413, "body_too_large"));
    let table = [
        ("/nowhere", refused(404, "not_found")),
        ("/requests/acc-none", refused(404, "not_found")),
        ("/requests/not%20an%20id", refused(404, "not_found")),
        ("/requests?limit=501", refused(422, "invalid")),
        ("/requests?cursor=!", refused(422, "invalid")),
        ("/requests?state=open", refused(422, "invalid")),
        ("/requests?stat=open", refused(422, "invalid")),
        ("/receipts", refused(403, "denied")),
    ];
    for (path, expected) in table {
        assert_eq!(ann.get(path).await.code(), expected, "{path}");
    }
    assert_eq!(ann.delete("/requests").await.code(), refused(405, "method_not_allowed"));
    let long = answer(ann.call(Method::POST, "/requests").header("Idempotency-Key", "k".repeat(129))).await;
    assert_eq!(long.code(), refused(422, "invalid"));
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_know_the_authority_does_not_talk() {
    let (_folder, _clock, house) = house().await;
    let stranger = reqwest::Client::new();
    let fault = stranger.get(format!("{}/health", house.http)).send().await.unwrap_err();
    assert!(fault.is_connect(), "{fault:?}");
    let plain = house.http.replace("https://", "http://");
    assert!(stranger.get(format!("{plain}/health")).send().await.is_err(), "it answers without TLS");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn resources_and_receipts_come_out_as_they_came_in() {
    let (_folder, _clock, house) = house().await;
    let admin = Api::of(&house, &house.cast.admin);
    let mut memory = Memory::new(&house.cast.connector, &house.cast.connector_token);
    let (mut agent, _) = memory.join(&house).await;
    let table = |name: &str| v1::Resource {
        id: Some(v1::ResourceId { kind: "postgresql-table".into(), path: vec!["shop".into(), name.into()] }),
        permissions: vec!["READ_ONLY".into()],
        tags: Default::default(),
    };
    let page = v1::report::Report::ResourcePage(v1::ResourcePage {
        integration_id: "shop".into(),
        snapshot_id: "one".into(),
        page: 1,
        resources: ["orders", "Größen", "items"].map(table).into(),
        complete: true,
        failure: None,
        unlisted: vec![v1::Unlisted {
            under: Some(v1::ResourceId { kind: "postgresql-database".into(), path: vec!["closed".into()] }),
            failure: Some(v1::Failure {
                code: "right_missing".into(),
                detail: "no way in".into(),
                ..Default::default()
            }),
        }],
        unlisted_count: 3,
    });
    let unnumbered = v1::Report {
        journal_incarnation: memory.journal.clone(),
        position: 0,
        made_at: None,
        report: Some(page),
    };
    agent.say(Say::Report(unnumbered)).await;
    let receipt = |number| {
        v1::report::Report::Receipt(v1::Receipt {
            integration_id: "shop".into(),
            number,
            previous_hash: vec![0; 32],
            body: format!("{{\"deed\":\"opened\",\"n\":{number},\"text\":\"ä\"}}"),
            key_id: "k".into(),
            signature: vec![7; 64],
        })
    };
    for number in 1..=3 {
        agent.say(Say::Report(memory.report(receipt(number)))).await;
    }
    while agent.acked().await < 3 {}
    let ann = Api::of(&house, &house.cast.ann);
    let found = ann.get("/resources?search=gr%C3%B6%C3%9F%20SHOP").await.with(200);
    assert_eq!(found["items"][0]["path"], json!(["shop", "Größen"]));
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    let mut names = vec![];
    let mut cursor = String::new();
    loop {
        let body = ann.get(&format!("/resources?integration=shop&limit=2{cursor}")).await.with(200);
        names.extend(body["items"].as_array().unwrap().iter().map(|item| item["path"][1].clone()));
        match body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(names, ["Größen", "items", "orders"]);
    let shown = ann.get("/integrations/shop").await.with(200);
    let part = json!({ "kind": "postgresql-database", "path": ["closed"], "code": "right_missing", "detail": "no way in" });
    assert_eq!(shown["unlisted"], json!({ "count": 3, "parts": [part] }));
    let list = admin.get("/receipts?limit=2").await.with(200);
    assert_eq!((&list["items"][0]["verified"], &list["items"][1]["number"]), (&json!(false), &json!(2)));
    assert!(list["items"][0]["fault"].is_string());
    let export = admin.get("/receipts/export?integration=shop").await;
    assert_eq!(export.headers["content-type"], "application/x-ndjson");
    let lines: Vec<_> =
        export.text.lines().map(|line| seal::receipt::Line::from_text(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    let seal::receipt::Line::Receipt(first) = lines.first().unwrap() else { panic!("{lines:?}") };
    assert_eq!(first.body, "{\"deed\":\"opened\",\"n\":1,\"text\":\"ä\"}");
    let rest = admin.get("/receipts/export?integration=shop&after=2").await;
    assert_eq!(rest.text.lines().count(), 1);
    assert_eq!(ann.get("/receipts/export?integration=shop").await.code(), refused(403, "denied"));
    let own = format!("/receipts?access=acc-{}", Uuid::new_v4().simple());
    assert_eq!(ann.get(&own).await.code(), refused(404, "not_found"));
    house.stop().await;
}
