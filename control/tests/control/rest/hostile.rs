//! What nobody should send, in every place of the API where a name, a text or a number can stand: refused with field,
//! reason and way out and without a trace, or kept as it is.

use model::Span;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Answer, Api, answer, house};
use crate::changes::audit;
use crate::stream::ask_for;
use crate::world::House;

/// The name of a text, the text, and whether a person may write it.
const TEXTS: [(&str, &str, bool); 8] = [
    ("an end of text", "a\0b", false),
    ("an escape", "a\u{1b}[31mb", false),
    ("a bell", "a\u{7}b", false),
    ("a turn of direction", "a\u{202e}b", false),
    ("an isolate", "a\u{2066}b", false),
    ("an emoji", "a😀b", true),
    ("quotes", "a'\"`;--</script>b", true),
    ("another script", "שלום Größe 大阪", true),
];

/// How a field takes texts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Of a narrow alphabet: none of these.
    Id,
    /// What people write: those that can be read.
    Text,
    /// As on the target: nothing but NUL is odd there, and what is not offered is refused.
    Target,
}

struct Field {
    name: &'static str,
    kind: Kind,
    method: Method,
    path: String,
    body: Value,
    /// Where in the body the text stands.
    at: &'static str,
    /// As a refusal names it.
    told: &'static str,
    /// Where in the answer it stands.
    back: &'static str,
}

fn field(name: &'static str, kind: Kind, method: Method, path: &str, body: Value, at: &'static str) -> Field {
    let told = at.trim_start_matches('/');
    Field { name, kind, method, path: path.into(), body, at, told, back: at }
}

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

fn spec() -> Value {
    json!({
        "connector": "north",
        "kind": "postgres",
        "title": "Ware",
        "settings": { "host": "db" },
        "secret": "file://db.json",
        "access_details": "Ask first.",
    })
}

fn fields(pending: &str, other: &str) -> Vec<Field> {
    use Kind::{Id, Target, Text};
    let (post, put) = (Method::POST, Method::PUT);
    let told = |field: Field, told| Field { told, ..field };
    let back = |field: Field, back| Field { back, ..field };
    vec![
        field(
            "a user's address",
            Id,
            post.clone(),
            "/users",
            json!({ "email": "x", "roles": ["requester"] }),
            "/email",
        ),
        field(
            "a user's name",
            Text,
            post.clone(),
            "/users",
            json!({ "email": "NEW", "name": "x", "roles": ["requester"] }),
            "/name",
        ),
        field("a connector's id", Id, post.clone(), "/connectors", json!({ "id": "x" }), "/id"),
        field(
            "a connector's description",
            Text,
            post.clone(),
            "/connectors",
            json!({ "id": "NEW", "description": "x" }),
            "/description",
        ),
        field("an integration's title", Text, put.clone(), "/integrations/NEW", spec(), "/title"),
        field("its access details", Text, put.clone(), "/integrations/NEW", spec(), "/access_details"),
        field("its connector", Id, put.clone(), "/integrations/NEW", spec(), "/connector"),
        field("its kind", Target, put.clone(), "/integrations/NEW", spec(), "/kind"),
        field("its secret", Id, put.clone(), "/integrations/NEW", spec(), "/secret"),
        told(
            field("a setting", Text, put.clone(), "/integrations/NEW", spec(), "/settings/host"),
            "settings.host",
        ),
        field("a justification", Text, post.clone(), "/requests", wanted(), "/justification"),
        told(
            field("a requested integration", Id, post.clone(), "/requests", wanted(), "/integration"),
            "integration",
        ),
        told(
            field(
                "a resource's kind",
                Target,
                post.clone(),
                "/requests",
                wanted(),
                "/entitlements/0/resource/kind",
            ),
            "entitlements[0].resource.kind",
        ),
        told(
            field("a permission", Target, post.clone(), "/requests", wanted(), "/entitlements/0/permission"),
            "entitlements[0].permission",
        ),
        field("a time to begin", Id, post.clone(), "/requests", wanted(), "/from"),
        back(
            field(
                "a reason to approve",
                Text,
                post.clone(),
                &format!("/requests/{pending}/approve"),
                json!({}),
                "/reason",
            ),
            "/decision/reason",
        ),
        back(
            field(
                "a reason to reject",
                Text,
                post.clone(),
                &format!("/requests/{other}/reject"),
                json!({}),
                "/reason",
            ),
            "/decision/reason",
        ),
        field("a key", Id, put, "/me/key", json!({}), "/public_key"),
        field("a token's name", Text, post, "/users/ME/tokens", json!({ "name": "x" }), "/name"),
    ]
}

/// Puts a value into a body, where there may be nothing yet.
fn with(mut body: Value, at: &str, value: Value) -> Value {
    match body.pointer_mut(at) {
        Some(place) => *place = value,
        None => {
            let (inside, key) = at.rsplit_once('/').unwrap();
            body.pointer_mut(inside).unwrap()[key] = value;
        }
    }
    body
}

/// Everything that a change would leave a trace in.
async fn trace(house: &House) -> usize {
    audit(&house.office).await.len()
}

fn explained(name: &str, answer: &Answer, field: &str) {
    let problem = answer.json();
    assert_eq!(
        (answer.status.as_u16(), &problem["code"]),
        (422, &json!("invalid")),
        "{name}: {}",
        answer.text
    );
    let faults = problem["faults"].as_array().unwrap();
    let fault = faults.iter().find(|fault| fault["field"] == field);
    let fault = fault.unwrap_or_else(|| panic!("{name}: `{field}` is not named: {}", answer.text));
    for part in ["reason", "way_out"] {
        let text = fault[part].as_str().unwrap();
        assert!(!text.is_empty() && text.len() < 1_000, "{name}: {fault}");
        assert!(!text.contains(|c: char| c.is_control() || c == '\u{202e}'), "{name}: {fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_texts_are_refused_by_their_field_or_kept_as_they_are() {
    let (_folder, _clock, house) = house().await;
    let (admin, approver) = (Api::of(&house, &house.cast.admin), Api::of(&house, &house.cast.approver));
    let ann = Api::of(&house, &house.cast.ann);
    let me = house.cast.ann.user.id.to_string();
    let endless = "x".repeat(10_000);
    let (mut made, mut kept) = (0, 0);
    for (text_name, text, readable) in TEXTS.into_iter().chain([("10,000 letters", endless.as_str(), false)])
    {
        // Each may be decided once.
        let pending = ask_for(&house.office, &house.cast.ann.who).await.id.to_string();
        let other = ask_for(&house.office, &house.cast.ann.who).await.id.to_string();
        for one in fields(&pending, &other) {
            made += 1;
            let name = format!("{text_name} in {}", one.name);
            let fresh = format!("new-{made}");
            let path = one.path.replace("NEW", &fresh).replace("ME", &me);
            let body = with(one.body.clone(), one.at, json!(text)).to_string();
            let body = body
                .replace("\"email\":\"NEW\"", &format!("\"email\":\"{fresh}@example.org\""))
                .replace("\"NEW\"", &format!("\"{fresh}\""));
            let who = match one.path.split('/').nth(1) {
                Some("requests") if one.path.len() > "/requests".len() => &approver,
                Some("requests" | "me") => &ann,
                Some("users") if one.path.contains("ME") => &ann,
                _ => &admin,
            };
            let before = trace(&house).await;
            let call =
                who.call(one.method.clone(), &path).header("content-type", "application/json").body(body);
            let answer = answer(call).await;
            // A setting may be as long as a certificate.
            let fits = text.len() < 100 || one.told == "settings.host";
            let taken = match one.kind {
                Kind::Id | Kind::Target => false,
                Kind::Text => (readable || text == endless) && fits,
            };
            if taken {
                kept += 1;
                assert!(answer.status.is_success(), "{name}: {}", answer.text);
                let back = answer.json();
                let found = back.pointer(one.back).or_else(|| back.pointer("/connector/description"));
                if let Some(found) = found {
                    assert_eq!(found, text, "{name}: {back}");
                }
                assert!(trace(&house).await > before, "{name}");
            } else if one.told == "integration" || (one.kind == Kind::Id && answer.status.as_u16() == 404) {
                assert_eq!(answer.code(), super::refused(404, "not_found"), "{name}: {}", answer.text);
                assert_eq!(trace(&house).await, before, "{name}");
            } else {
                explained(&name, &answer, one.told);
                assert_eq!(trace(&house).await, before, "{name}: it left a trace");
            }
        }
    }
    assert!(kept > 20, "{kept}");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn impossible_numbers_and_times_are_refused_by_their_field() {
    let (_folder, _clock, house) = house().await;
    let (admin, ann) = (Api::of(&house, &house.cast.admin), Api::of(&house, &house.cast.ann));
    let me = house.cast.ann.user.id.to_string();
    let tokens = format!("/users/{me}/tokens");
    let day = Span::from_hours(24).as_millis() / 1000;
    let raw = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    // Who asks, how, for what, where, the value, and the field that is named: `body` when it is no number at all.
    type Row<'r> = (&'r Api, Method, &'r str, Value, &'r str, Value, &'r str);
    let (post, put) = (Method::POST, Method::PUT);
    let long = "duration_seconds";
    let table: Vec<Row<'_>> = vec![
        (&ann, post.clone(), "/requests", wanted(), "/duration_seconds", json!(0), long),
        (&ann, post.clone(), "/requests", wanted(), "/duration_seconds", json!(day + 1), long),
        (&ann, post.clone(), "/requests", wanted(), "/duration_seconds", json!(u64::MAX), long),
        (&ann, post.clone(), "/requests", wanted(), "/duration_seconds", json!(i64::MAX), long),
        (&ann, post.clone(), "/requests", wanted(), "/duration_seconds", json!(-1), "body"),
        (&ann, post.clone(), "/requests", wanted(), "/duration_seconds", json!(1.5), "body"),
        (&ann, post.clone(), "/requests", wanted(), "/duration_seconds", raw("1e300"), "body"),
        (&ann, post.clone(), "/requests", wanted(), "/duration_seconds", json!("1h"), "body"),
        (&ann, post.clone(), "/requests", wanted(), "/duration_seconds", json!(null), "body"),
        (&ann, post.clone(), "/requests", wanted(), "/from", json!("1969-01-01T00:00:00Z"), "from"),
        (&ann, post.clone(), "/requests", wanted(), "/from", json!("9999-12-31T23:59:59Z"), "from"),
        (&ann, post.clone(), "/requests", wanted(), "/from", json!("2026-02-30T00:00:00Z"), "from"),
        (&ann, post.clone(), "/requests", wanted(), "/from", json!("2026-01-01 00:00"), "from"),
        (&ann, post.clone(), "/requests", wanted(), "/entitlements", json!([]), "entitlements"),
        (&admin, put.clone(), "/integrations/ware", spec(), "/settings/port", json!("abc"), "settings.port"),
        (&admin, put.clone(), "/integrations/ware", spec(), "/settings/port", json!("0"), "settings.port"),
        (
            &admin,
            put.clone(),
            "/integrations/ware",
            spec(),
            "/settings/port",
            json!("65536"),
            "settings.port",
        ),
        (&admin, put.clone(), "/integrations/ware", spec(), "/settings/port", json!(5432), "body"),
        (
            &admin,
            put.clone(),
            "/integrations/ware",
            spec(),
            "/max_duration_seconds",
            json!(0),
            "max_duration_seconds",
        ),
        (&admin, put.clone(), "/integrations/ware", spec(), "/max_duration_seconds", json!(-1), "body"),
        (
            &admin,
            put.clone(),
            "/integrations/ware",
            spec(),
            "/policy",
            json!({ "credentials_cleanup_period_in_days": 3_651 }),
            "policy.credentials_cleanup_period_in_days",
        ),
        (
            &admin,
            put,
            "/integrations/ware",
            spec(),
            "/policy",
            json!({ "credentials_rotation_period_in_days": -1 }),
            "body",
        ),
        (
            &ann,
            post.clone(),
            &tokens,
            json!({ "name": "n" }),
            "/expires_in_seconds",
            json!(0),
            "expires_in_seconds",
        ),
        (
            &ann,
            post.clone(),
            &tokens,
            json!({ "name": "n" }),
            "/expires_in_seconds",
            json!(u64::MAX),
            "expires_in_seconds",
        ),
        (
            &admin,
            post,
            "/connectors/north/rotate-token",
            json!({}),
            "/grace_seconds",
            json!(u64::MAX),
            "grace_seconds",
        ),
    ];
    for (who, method, path, body, at, value, field) in table {
        let name = format!("{at} = {value} at {path}");
        let before = trace(&house).await;
        let answer = answer(who.call(method, path).json(&with(body, at, value))).await;
        explained(&name, &answer, field);
        assert_eq!(trace(&house).await, before, "{name}: it left a trace");
    }
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_back_is_short_and_moves_no_cursor() {
    let (_folder, _clock, house) = house().await;
    let (admin, ann) = (Api::of(&house, &house.cast.admin), Api::of(&house, &house.cast.ann));
    let (long, less) = ("k".repeat(100_000), "k".repeat(10_000));
    let odd = |key: &str| {
        let mut body = wanted();
        body[key] = json!(1);
        body
    };
    let before = trace(&house).await;
    let table = [
        ("an unknown key", ann.post("/requests", odd("a\u{1b}[2J\u{202e}\n")).await, 422),
        ("an endless key", ann.post("/requests", odd(&long)).await, 422),
        ("an id", ann.get("/integrations/a%1b%5b2J%e2%80%aeb").await, 404),
        ("an endless id", ann.get(&format!("/integrations/{less}")).await, 404),
        ("a filter", ann.get("/requests?a%1b%e2%80%ae=1").await, 422),
        ("an endless filter", ann.get(&format!("/requests?{less}=1")).await, 422),
        ("a kind", admin.get("/drivers?kind=a%0ab").await, 200),
        ("no UTF-8", ann.get("/integrations/%ff%fe").await, 422),
        ("no UTF-8 in a filter", ann.get("/requests?cursor=%ff").await, 422),
    ];
    for (name, answer, status) in table {
        if answer.status.as_u16() != status {
            panic!("{name}: {} {:.500}", answer.status, answer.text);
        }
        assert!(answer.text.len() < 4_000, "{name}: {} bytes", answer.text.len());
        let texts = answer.text.replace("\\n", "\n");
        assert!(!texts.contains(|c: char| c.is_control() || c == '\u{202e}'), "{name}: {texts}");
        assert!(!answer.text.contains("\\u001b"), "{name}: {}", answer.text);
    }
    assert_eq!(trace(&house).await, before, "something left a trace");
    house.stop().await;
}
