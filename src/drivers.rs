//! The drivers that are linked into this build, one line each.

use driver::Driver;
use model::DriverKind;

static LINKED: &[&dyn Driver] = &[&driver_postgres::Postgres];

/// Returns every linked driver.
pub fn all() -> impl Iterator<Item = &'static dyn Driver> {
    LINKED.iter().copied()
}

/// Returns the driver of that kind.
pub fn find(kind: &DriverKind) -> Option<&'static dyn Driver> {
    all().find(|driver| driver.manifest().kind == kind.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_kind_is_linked_once_and_says_nothing_that_contradicts_itself() {
        let kinds: BTreeSet<_> = all().map(|driver| driver.manifest().kind).collect();
        assert_eq!(kinds.len(), LINKED.len());
        for driver in all() {
            let manifest = driver.manifest();
            assert_eq!(manifest.contradictions(), Vec::<String>::new(), "{}", manifest.kind);
            assert!(find(&DriverKind(manifest.kind.into())).is_some(), "{}", manifest.kind);
        }
    }
}
