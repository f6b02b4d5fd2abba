#![expect(clippy::unwrap_in_result, reason = "a test that cannot go on fails where it stands")]

use super::*;

fn read(text: &str) -> Result<Policies, LoadFault> {
    parse(&ConnectorId::parse("c").unwrap(), text, "UTC")
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_the_way_out() {
    let table: [(&str, &str, &str); 9] = [
        ("no text", "", "without one that permits"),
        ("only a remark", "// nothing yet\n", "without one that permits"),
        (
            "not Cedar",
            "permit (principal, action, resource);\nforbid (principal action, resource);",
            "line 2",
        ),
        (
            "a word that is not there",
            "permit (principal, action == Action::\"open\", resource) when { context.permision == \"X\" };",
            "permision",
        ),
        (
            "an action that is not there",
            "permit (principal, action == Action::\"close\", resource);",
            "close",
        ),
        (
            "a text and a number",
            "permit (principal, action == Action::\"open\", resource) when { context.permission == 7 };",
            "policy0",
        ),
        (
            "a word that may be missing",
            "permit (principal, action == Action::\"open\", resource) when { context.approval == \"x\" };",
            "approval",
        ),
        (
            "two of one name",
            "@id(\"a\") permit (principal, action, resource);\n@id(\"a\") forbid (principal, action, resource);",
            "two guardrails are called `a`",
        ),
        ("a template", "@id(\"t\") permit (principal == ?principal, action, resource);", "template"),
    ];
    for (name, text, said) in table {
        let fault = read(text).unwrap_err().to_string();
        assert!(fault.contains(said), "{name}: {fault}");
    }
    let long = format!("// {}", "x".repeat(MOST_BYTES));
    assert!(matches!(read(&long), Err(LoadFault::TooLong { .. })));
    let zone = parse(&ConnectorId::parse("c").unwrap(), "permit (principal, action, resource);", "Mars/Base")
        .unwrap_err();
    assert!(zone.to_string().contains("`Mars/Base` is not a time zone"), "{zone}");
}

#[test]
fn what_speaks_of_moments_is_known_and_nothing_else_is_taken_for_it() {
    let table = [
        ("permission", "context.permission == \"at\"", false, false),
        ("duration", "context.duration > duration(\"8h\")", false, false),
        ("a tag called time", "resource.integration.hasTag(\"time\")", false, false),
        ("elapsed", "context.elapsed > duration(\"8h\")", true, false),
        (
            "deep inside",
            "!(principal == Grantee::\"a\" && (if context.time < duration(\"9h\") then true else false))",
            true,
            false,
        ),
        ("the moment's own methods", "context.at.toTime() < duration(\"9h\")", true, false),
        ("used", "context.used_week > duration(\"8h\")", true, true),
        ("asked whether it is there", "context has used_day", true, true),
    ];
    for (name, when, by_moment, by_use) in table {
        let text = format!("permit (principal, action == Action::\"open\", resource) when {{ {when} }};");
        let policies = read(&text).unwrap();
        assert_eq!((policies.by_moment, policies.by_use), (by_moment, by_use), "{name}");
    }
}

#[test]
fn others_have_another_digest_and_a_remark_is_others_too() {
    let digest =
        |text: &str, zone: &str| parse(&ConnectorId::parse("c").unwrap(), text, zone).unwrap().digest;
    let one = "permit (principal, action, resource);";
    assert_eq!(digest(one, "UTC"), digest(one, "UTC"));
    assert_ne!(digest(one, "UTC"), digest(&format!("{one} "), "UTC"));
    assert!(!digest(one, "UTC").is_empty());
}

#[test]
fn policies_are_listed_by_their_own_names() {
    let text = "@id(\"all\") permit (principal, action, resource);\n\
        @id(\"night\") @reason(\"sleep\") forbid (principal, action == Action::\"open\", resource) when { context.time < duration(\"5h\") };\n\
        forbid (principal == Grantee::\"x\", action, resource);";
    let listed = list(&read(text).unwrap().set);
    let names: Vec<_> = listed.iter().map(|view| (view.id.as_str(), view.permits, view.by_moment)).collect();
    assert_eq!(names, [("all", true, false), ("night", false, true), ("policy2", false, false)]);
    assert_eq!(listed[1].reason.as_deref(), Some("sleep"));
}

#[test]
fn fuzz_guardrails_of_any_text_are_read_or_refused() {
    fuzz::hammer_text(
        "guardrails",
        &[
            "permit (principal, action, resource);",
            "@id(\"a\") forbid (principal, action == Action::\"open\", resource in Place::\"a/b\") when { context.elapsed > duration(\"8h\") };",
        ],
        |text| {
            drop(read(text));
        },
    );
}
