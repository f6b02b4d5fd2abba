//! Which stages a call means.

use std::collections::BTreeSet;

use anyhow::bail;
use services::install::Need;

use super::Choice;
use super::stages::{Part, Stage};

/// What will run, and what was left out by name.
pub(super) struct Chosen<'a> {
    pub(super) run: Vec<&'a Stage>,
    pub(super) left_out: Vec<&'a str>,
}

impl Chosen<'_> {
    /// What the stages need, once each.
    pub(super) fn needs(&self) -> BTreeSet<Need> {
        self.run.iter().flat_map(|stage| stage.needs.iter().copied()).collect()
    }
}

/// Chooses; a name that means nothing here is a fault, for it would prove nothing.
pub(super) fn choose<'a>(stages: &'a [Stage], choice: &Choice) -> anyhow::Result<Chosen<'a>> {
    let names = || stages.iter().map(|stage| stage.name).collect::<Vec<_>>().join(", ");
    if let Some(unknown) =
        choice.only.iter().find(|name| stages.iter().all(|stage| stage.name != name.as_str()))
    {
        bail!("--only {unknown}: there is no such stage or suite; there are {}", names());
    }
    let wanted: Vec<&Stage> = stages
        .iter()
        .filter(|stage| match (choice.only.is_empty(), stage.part) {
            (false, _) => choice.only.iter().any(|name| name == stage.name),
            (true, Part::Always) => true,
            (true, Part::Long) => choice.all,
            (true, Part::Suite) => false,
        })
        .collect();
    if let Some(odd) =
        choice.without.iter().find(|name| wanted.iter().all(|stage| stage.name != name.as_str()))
    {
        bail!("--without {odd}: that would not run anyway; there are {}", names());
    }
    let (left_out, run): (Vec<&Stage>, Vec<&Stage>) =
        wanted.into_iter().partition(|stage| choice.without.iter().any(|name| name == stage.name));
    if run.is_empty() {
        bail!("nothing is left to run");
    }
    Ok(Chosen { run, left_out: left_out.iter().map(|stage| stage.name).collect() })
}

#[cfg(test)]
mod tests {
    use super::super::stages::STAGES;
    use super::{Choice, Part, choose};

    fn choice(all: bool, only: &[&str], without: &[&str]) -> Choice {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Choice { all, only: owned(only), without: owned(without), yes: false }
    }

    #[test]
    fn a_call_without_a_choice_runs_what_is_not_long() {
        let quick = choose(STAGES, &choice(false, &[], &[])).unwrap();
        assert!(quick.run.iter().all(|stage| stage.part == Part::Always));
        let all = choose(STAGES, &choice(true, &[], &[])).unwrap();
        assert!(quick.run.len() < all.run.len());
        assert!(all.run.iter().all(|stage| stage.part != Part::Suite));
    }

    #[test]
    fn names_choose_and_leave_out() {
        let table = [
            ("one", choice(false, &["rules"], &[]), Ok((vec!["rules"], vec![]))),
            (
                "two, in the table's order",
                choice(false, &["ctl", "rules"], &[]),
                Ok((vec!["rules", "ctl"], vec![])),
            ),
            ("a long one by name", choice(false, &["deny"], &[]), Ok((vec!["deny"], vec![]))),
            ("left out", choice(false, &["seal", "rules"], &["seal"]), Ok((vec!["rules"], vec!["seal"]))),
            ("unknown", choice(false, &["rule"], &[]), Err("no such stage or suite")),
            ("left out, but not chosen", choice(false, &[], &["deny"]), Err("would not run anyway")),
            ("unknown left out", choice(true, &[], &["dney"]), Err("would not run anyway")),
            ("nothing left", choice(false, &["rules"], &["rules"]), Err("nothing is left")),
        ];
        for (name, choice, expected) in table {
            let chosen = choose(STAGES, &choice);
            match expected {
                Ok((run, left_out)) => {
                    let chosen = chosen.unwrap();
                    assert_eq!(chosen.run.iter().map(|stage| stage.name).collect::<Vec<_>>(), run, "{name}");
                    assert_eq!(chosen.left_out, left_out, "{name}");
                }
                Err(part) => {
                    let fault = chosen.err().expect(name).to_string();
                    assert!(fault.contains(part), "{name}: {fault}");
                }
            }
        }
    }

    #[test]
    fn every_name_stands_once() {
        let mut names: Vec<_> = STAGES.iter().map(|stage| stage.name).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
