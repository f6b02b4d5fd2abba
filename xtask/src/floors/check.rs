//! The pure part: faults from what was read, each with its way out.

use std::collections::{BTreeMap, BTreeSet};

use super::{Never, Plan};
use crate::workspace::Package;

/// Packages that lean upwards or sideways, and packages without a floor.
pub(super) fn floors(floors: &BTreeMap<String, u8>, packages: &[Package]) -> Vec<String> {
    let mut faults = vec![];
    for package in packages {
        let name = &package.name;
        let Some(own) = floors.get(name) else {
            faults.push(format!("package {name} has no floor: give it one under [floors]"));
            continue;
        };
        for (other, kind) in &package.leans_on {
            // One that has no floor is told of by itself.
            let Some(below) = floors.get(other) else { continue };
            if below >= own {
                let table = kind.table();
                faults.push(format!(
                    "{name} (floor {own}) leans on {other} (floor {below}) in its [{table}]: a package leans only on \
                     lower floors; move what both need further down, or turn the need into a port on a lower floor"
                ));
            }
        }
    }
    faults
}

/// Names in floors.toml that no package has.
pub(super) fn names(plan: &Plan, packages: &[Package]) -> Vec<String> {
    let known: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let listed = plan.floors.keys().map(|name| ("[floors]", name));
    let only = plan.only.iter().flat_map(|rule| rule.packages.iter().map(|name| ("[[only]]", name)));
    listed
        .chain(only)
        .filter(|(_, name)| !known.contains(name.as_str()))
        .map(|(place, name)| {
            format!("{place} names {name}, which is no package of the workspace: take the name out")
        })
        .collect()
}

/// Packages in the build tree that may not be there. The tree has one `name version …` a line.
pub(super) fn never(rules: &[Never], tree: &str) -> Vec<String> {
    let built: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    rules
        .iter()
        .filter(|rule| built.contains(rule.package.as_str()))
        .map(|rule| {
            let Never { package, why } = rule;
            format!(
                "{package} is in the build ({why}): find who brings it with `cargo tree --workspace -i {package} \
                 -e normal,build` and choose other features or another package"
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Never, Package, Plan, floors, names, never};
    use crate::workspace::Kind;

    fn package(name: &str, leans_on: &[(&str, Kind)]) -> Package {
        Package {
            name: name.to_owned(),
            folder: name.into(),
            leans_on: leans_on.iter().map(|(other, kind)| ((*other).to_owned(), *kind)).collect(),
        }
    }

    fn plan() -> BTreeMap<String, u8> {
        [("low", 0), ("mid", 1), ("beside", 1), ("high", 2)]
            .map(|(name, floor)| (name.to_owned(), floor))
            .into()
    }

    #[test]
    fn only_lower_floors_bear() {
        let table = [
            ("down", package("high", &[("low", Kind::Normal), ("mid", Kind::Normal)]), vec![]),
            ("nothing", package("low", &[]), vec![]),
            ("up", package("low", &[("mid", Kind::Normal)]), vec!["low (floor 0) leans on mid (floor 1)"]),
            (
                "sideways",
                package("mid", &[("beside", Kind::Normal)]),
                vec!["mid (floor 1) leans on beside (floor 1)"],
            ),
            ("for tests only", package("mid", &[("high", Kind::Dev)]), vec!["in its [dev-dependencies]"]),
            (
                "for the build only",
                package("mid", &[("high", Kind::Build)]),
                vec!["in its [build-dependencies]"],
            ),
            ("itself", package("mid", &[("mid", Kind::Dev)]), vec!["mid (floor 1) leans on mid (floor 1)"]),
            ("no floor", package("new", &[("low", Kind::Normal)]), vec!["package new has no floor"]),
            ("on one without a floor", package("mid", &[("new", Kind::Normal)]), vec![]),
            (
                "both kinds",
                package("low", &[("mid", Kind::Normal), ("mid", Kind::Dev)]),
                vec!["in its [dependencies]", "in its [dev-dependencies]"],
            ),
        ];
        for (name, package, expected) in table {
            let faults = floors(&plan(), &[package]);
            assert_eq!(faults.len(), expected.len(), "{name}: {faults:?}");
            for (fault, part) in faults.iter().zip(expected) {
                assert!(fault.contains(part), "{name}: {fault}");
            }
        }
    }

    #[test]
    fn names_of_no_package_are_faults() {
        let plan: Plan = toml::from_str(
            r#"
            floors = { low = 0, gone = 3 }
            [[only]]
            text = "x"
            packages = ["low", "away"]
            why = "y"
            "#,
        )
        .unwrap();
        let faults = names(&plan, &[package("low", &[])]);
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].contains("[floors] names gone"), "{faults:?}");
        assert!(faults[1].contains("[[only]] names away"), "{faults:?}");
    }

    #[test]
    fn a_forbidden_package_is_found_by_its_whole_name() {
        let rules = [Never { package: "ring".to_owned(), why: "one provider".to_owned() }];
        let table = [
            ("there", "rustls v0.23.1\nring v0.17.8\n", 1),
            ("once though twice in the tree", "ring v0.17.8 (*)\nring v0.17.8\n", 1),
            ("another name", "ring-compat v1.0.0\nspring v2.0.0\n", 0),
            ("nothing", "", 0),
        ];
        for (name, tree, count) in table {
            assert_eq!(never(&rules, tree).len(), count, "{name}");
        }
    }
}
