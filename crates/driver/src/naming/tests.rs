use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const POSTGRES: NameLimits = NameLimits { max_bytes: 63, case: NameCase::Lower };
const WINDOWS: NameLimits = NameLimits { max_bytes: 20, case: NameCase::Lower };
const ORACLE: NameLimits = NameLimits { max_bytes: 30, case: NameCase::Upper };

fn ids() -> (ConnectorId, IntegrationId, GranteeId) {
    (
        ConnectorId::parse("con-1").unwrap(),
        IntegrationId::parse("int-1").unwrap(),
        GranteeId::parse("u-1").unwrap(),
    )
}

fn name(hint: &str, limits: NameLimits) -> String {
    let (connector, integration, grantee) = ids();
    account_name(&Prefix::ours(limits), hint, &connector, &integration, &grantee, limits).unwrap().0
}

#[test]
fn names_are_pinned_because_they_are_frozen_on_targets() {
    let (connector, integration, grantee) = ids();
    assert_eq!(name("Ann.Smith+x@corp.example", POSTGRES), "tidegate_ann_smith_x_tb6ujgu7s3");
    assert_eq!(name("Ann.Smith+x@corp.example", WINDOWS), "tg_ann_smit_tb6ujgu7");
    assert_eq!(name("Ann.Smith+x@corp.example", ORACLE), "TIDEGATE_ANN_SMITH_TB6UJGU7S3");
    assert_eq!(
        account_id(&connector, &integration, &grantee).to_string(),
        "6a8ab8f8-b829-8620-8d9d-1e7529e753b1"
    );
    let role =
        role_name(&Prefix::ours(POSTGRES), "ro", &connector, &integration, &["db"], "READ_ONLY", POSTGRES);
    assert_eq!(role.unwrap(), "tidegate_ro_6jzd5zfyjw");
}

#[test]
fn slugs_keep_what_people_can_read() {
    let table = [
        ("plain", "ann", "ann"),
        ("mail", "Ann.Smith@corp.example", "ann_smith"),
        ("marks", "José Ñandú", "jose_nandu"),
        ("composed and decomposed are one", "Jose\u{301}", "jose"),
        ("letters without decomposition", "Łukasz Straße Øre", "lukasz_strasse_ore"),
        ("wide", "ＡＮＮ", "ann"),
        ("other scripts", "Иван", "user"),
        ("mixed", "Иван ivan", "ivan"),
        ("nothing", "", "user"),
        ("only marks", "@@--''\"\0\n", "user"),
        ("leading @", "@ann", "ann"),
        ("quotes", "a\"b'c`d]e\\f", "a_b_c_d_e_f"),
        ("statement", "x'; DROP ROLE y;--", "x_drop_role_y"),
        ("long", "abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnopqrstuvwx"),
        ("cut at a joint", "abcdefghijklmnopqrstuvw.yz", "abcdefghijklmnopqrstuvw"),
        ("emoji", "🦀crab", "crab"),
    ];
    for (row, hint, expected) in table {
        assert_eq!(slug::slug(hint, LONGEST_SLUG), expected, "{row}");
    }
    assert_eq!(slug::slug("ﷺ", 1).len(), 1, "one letter that becomes many, and no room");
}

#[test]
fn who_it_is_for_is_in_the_hash_and_not_in_the_slug() {
    let (connector, integration, grantee) = ids();
    let parse = |text: &str| GranteeId::parse(text).unwrap();
    let of = |grantee: &GranteeId| {
        account_name(&Prefix::ours(POSTGRES), "ann", &connector, &integration, grantee, POSTGRES).unwrap()
    };
    assert_eq!(of(&grantee), of(&grantee));
    assert_ne!(of(&parse("u-1")), of(&parse("u-2")));
    let shifted =
        account_id(&ConnectorId::parse("con-").unwrap(), &IntegrationId::parse("1int-1").unwrap(), &grantee);
    assert_ne!(account_id(&connector, &integration, &grantee), shifted, "lengths are hashed, too");
}

#[test]
fn role_names_differ_by_everything_that_they_stand_for() {
    let (connector, integration, _) = ids();
    let role = |scope: &[&str], permission| {
        let prefix = Prefix::ours(POSTGRES);
        role_name(&prefix, "ro", &connector, &integration, scope, permission, POSTGRES).unwrap()
    };
    let all = [
        role(&["a", "b"], "READ_ONLY"),
        role(&["ab"], "READ_ONLY"),
        role(&["a", "b", ""], "READ_ONLY"),
        role(&["A", "b"], "READ_ONLY"),
        role(&["a", "b"], "READ_WRITE"),
    ];
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
}

#[test]
fn a_prefix_is_checked() {
    let table = [
        ("ours", "tidegate_", true),
        ("letters", "jit", true),
        ("empty", "", false),
        ("digit first", "1jit_", false),
        ("upper", "Jit_", false),
        ("quote", "jit\"", false),
        ("long", "a2345678901234567", false),
        ("kept by a target", "pg_jit_", false),
        ("unicode", "jité_", false),
    ];
    for (row, text, expected) in table {
        assert_eq!(Prefix::parse(text).is_ok(), expected, "{row}");
    }
}

#[test]
fn no_name_without_its_hash() {
    for max_bytes in 0..LEAST_BYTES {
        let limits = NameLimits { max_bytes, case: NameCase::Lower };
        assert!(limits.check().is_err(), "{max_bytes}");
        assert!(limits.room(&Prefix::ours(limits)).is_err(), "{max_bytes}");
    }
    assert_eq!(name("ann", NameLimits { max_bytes: LEAST_BYTES, case: NameCase::Lower }).len(), LEAST_BYTES);
}

proptest! {
    #[test]
    fn any_hint_gives_a_name_that_needs_no_quoting(hint in ".*", max_bytes in LEAST_BYTES..300, upper: bool) {
        let case = if upper { NameCase::Upper } else { NameCase::Lower };
        let limits = NameLimits { max_bytes, case };
        let name = name(&hint, limits);
        prop_assert!(name.len() <= max_bytes);
        let lower = if upper { name.to_ascii_lowercase() } else { name.clone() };
        prop_assert!(lower.starts_with(|c: char| c.is_ascii_lowercase()));
        prop_assert!(lower.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{name}");
        let hash = lower.rsplit('_').next().unwrap_or_default();
        prop_assert!(hash.len() == LONG_HASH || hash.len() == SHORT_HASH, "{name}");
    }

    #[test]
    fn other_grantees_have_other_names(a in "[a-z0-9._-]{1,64}", b in "[a-z0-9._-]{1,64}", hint in ".*") {
        let (connector, integration, _) = ids();
        let of = |text: &str| {
            let grantee = GranteeId::parse(text).unwrap();
            account_name(&Prefix::ours(POSTGRES), &hint, &connector, &integration, &grantee, POSTGRES).unwrap()
        };
        prop_assert_eq!(a == b, of(&a) == of(&b));
    }
}
