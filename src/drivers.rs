//! The drivers that are linked into this build, one line each.
//!
//! Another program that is made of these rooms may bring drivers of its own; `tidegate` has these and no others.

use std::sync::OnceLock;

use driver::Driver;
use model::DriverKind;

static OF_THIS_BUILD: &[&dyn Driver] = &[&driver_postgres::Postgres];
static LINKED: OnceLock<&'static [&'static dyn Driver]> = OnceLock::new();

/// Somebody has asked for the drivers before, or has brought others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the drivers of this process are settled: bring others first thing")]
pub struct Settled;

/// Takes these drivers in place of this build's, for the whole process, before anything else is done.
///
/// # Errors
/// When it is too late for that.
pub fn link(drivers: &'static [&'static dyn Driver]) -> Result<(), Settled> {
    LINKED.set(drivers).map_err(|_| Settled)
}

/// Returns every linked driver.
pub fn all() -> impl Iterator<Item = &'static dyn Driver> {
    LINKED.get_or_init(|| OF_THIS_BUILD).iter().copied()
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
        assert_eq!(kinds.len(), OF_THIS_BUILD.len());
        for driver in all() {
            let manifest = driver.manifest();
            assert_eq!(manifest.contradictions(), Vec::<String>::new(), "{}", manifest.kind);
            assert!(find(&DriverKind(manifest.kind.into())).is_some(), "{}", manifest.kind);
        }
    }

    #[test]
    fn nobody_brings_others_once_they_were_asked_for() {
        assert!(all().any(|driver| driver.manifest().kind == "postgres"));
        assert_eq!(link(&[]), Err(Settled));
        assert!(all().any(|driver| driver.manifest().kind == "postgres"));
    }
}
