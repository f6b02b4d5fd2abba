//! How things are called in policies. Another thing has another name, whatever is in it.

use std::str::FromStr;
use std::sync::LazyLock;

use cedar_policy::{EntityId, EntityTypeName, EntityUid};

/// Divides the parts of a path; a part never has it unescaped.
fn part(text: &str) -> String {
    text.replace('%', "%25").replace('/', "%2F")
}

/// Returns the path as policies write it.
pub(crate) fn path(parts: &[String]) -> String {
    parts.iter().map(|text| part(text)).collect::<Vec<_>>().join("/")
}

/// Returns the names of every place that the path lies in, the innermost last; the first is of its first part.
pub(crate) fn places(integration: &str, parts: &[String]) -> Vec<String> {
    (1..=parts.len())
        .map(|n| format!("{}/{}", part(integration), path(parts.get(..n).unwrap_or_default())))
        .collect()
}

/// Returns the name of a resource.
pub(crate) fn resource(integration: &str, kind: &str, parts: &[String]) -> String {
    format!("{}/{}/{}", part(integration), part(kind), path(parts))
}

/// What policies speak of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Type {
    Connector,
    Grantee,
    Integration,
    Place,
    Resource,
    Action,
}

/// Our own names are names: none of them fails.
fn type_name(text: &str) -> Option<EntityTypeName> {
    EntityTypeName::from_str(text).ok()
}

static TYPES: LazyLock<[Option<EntityTypeName>; 6]> =
    LazyLock::new(|| ["Connector", "Grantee", "Integration", "Place", "Resource", "Action"].map(type_name));

/// Returns the name of a thing as Cedar holds it; `None` never, for our own types.
pub(crate) fn uid(kind: Type, id: &str) -> Option<EntityUid> {
    let name = TYPES.get(kind as usize)?.clone()?;
    Some(EntityUid::from_type_name_and_id(name, EntityId::new(id)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(of: &[&str]) -> Vec<String> {
        of.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_path_is_in_every_place_above_it() {
        assert_eq!(
            places("db", &parts(&["main", "a/b", "50%"])),
            ["db/main", "db/main/a%2Fb", "db/main/a%2Fb/50%25"]
        );
        assert_eq!(resource("db", "table", &parts(&["main", "t"])), "db/table/main/t");
    }

    #[test]
    fn our_own_types_have_names() {
        for kind in
            [Type::Connector, Type::Grantee, Type::Integration, Type::Place, Type::Resource, Type::Action]
        {
            assert_eq!(uid(kind, "x\"y\n").unwrap().id().unescaped(), "x\"y\n");
        }
    }

    proptest! {
        #[test]
        fn other_paths_have_other_names(a in prop::collection::vec("[a/%2F]{0,4}", 1..4), b in prop::collection::vec("[a/%2F]{0,4}", 1..4)) {
            prop_assert_eq!(a == b, path(&a) == path(&b));
        }
    }
}
