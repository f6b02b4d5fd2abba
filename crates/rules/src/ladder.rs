//! The closing ladder: which rung comes next. All are tried, whatever failed before.
//!
//! Owned accounts: shut the login, end sessions, shut again if the first try was blocked, strip, scramble
//! where shutting does not, end sessions again (a login may have raced the first two), bring the mark up
//! to date, observe. Borrowed accounts: only what we added is taken away, then observe.

use model::{Certainty, Failure, Observed, Ownership, Rung};

/// One task of the ladder, for the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    Rung(Rung),
    /// Write the mark that says when this was revoked.
    Renew,
    /// Read the account back. Always the last.
    Observe,
}

/// A way up the ladder.
#[derive(Debug, Clone)]
pub struct Ladder {
    place: Place,
    ownership: Ownership,
    shutting_scrambles: bool,
    shut: bool,
    in_doubt: bool,
    failures: Vec<(Task, Failure)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Shut,
    End,
    ShutAgain,
    Strip,
    Scramble,
    EndAgain,
    Renew,
    Observe,
    Done,
}

/// What came of a climb.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Climb {
    /// The login was shut, or was seen shut.
    pub contained: bool,
    /// Something that was sent may still land.
    pub in_doubt: bool,
    /// What failed on the way.
    pub failures: Vec<(Task, Failure)>,
    /// What was read back at the end.
    pub observed: Result<Observed, Failure>,
}

impl Climb {
    /// Returns the failure that says most about why the close is not done.
    pub fn reason(&self) -> Option<&Failure> {
        self.failures.first().map(|(_, failure)| failure).or(self.observed.as_ref().err())
    }
}

impl Ladder {
    /// Begins at the foot. `shutting_scrambles`: the driver's first rung already voids the credential.
    pub const fn new(ownership: Ownership, shutting_scrambles: bool) -> Self {
        let place = match ownership {
            Ownership::Owned => Place::Shut,
            Ownership::Borrowed => Place::Strip,
        };
        Self { place, ownership, shutting_scrambles, shut: false, in_doubt: false, failures: vec![] }
    }

    /// Returns the task to do next; `None` after the observation was asked for.
    pub fn next_task(&mut self) -> Option<Task> {
        let owned = self.ownership == Ownership::Owned;
        loop {
            let (task, then) = match self.place {
                Place::Shut => (Some(Task::Rung(Rung::ShutLogin)), Place::End),
                Place::End => (Some(Task::Rung(Rung::EndSessions)), Place::ShutAgain),
                Place::ShutAgain => ((!self.shut).then_some(Task::Rung(Rung::ShutLogin)), Place::Strip),
                Place::Strip => {
                    (Some(Task::Rung(Rung::Strip)), if owned { Place::Scramble } else { Place::Renew })
                }
                Place::Scramble => {
                    let needed = !(self.shut && self.shutting_scrambles);
                    (needed.then_some(Task::Rung(Rung::Scramble)), Place::EndAgain)
                }
                Place::EndAgain => (Some(Task::Rung(Rung::EndSessions)), Place::Renew),
                Place::Renew => (owned.then_some(Task::Renew), Place::Observe),
                Place::Observe => (Some(Task::Observe), Place::Done),
                Place::Done => return None,
            };
            self.place = then;
            if task.is_some() {
                return task;
            }
        }
    }

    /// Takes the outcome of a task other than the observation.
    pub fn done(&mut self, task: Task, outcome: Result<(), Failure>) {
        match outcome {
            Ok(()) => {
                if task == Task::Rung(Rung::ShutLogin) {
                    self.shut = true;
                    // A first try that was blocked and then succeeded leaves nothing to report.
                    self.failures.retain(|(failed, _)| *failed != task);
                }
            }
            Err(failure) => {
                self.in_doubt |= failure.certainty == Certainty::Unknown;
                self.failures.push((task, failure));
            }
        }
    }

    /// Ends the climb with what was read back.
    pub fn finish(self, observed: Result<Observed, Failure>) -> Climb {
        let contained = match &observed {
            Ok(observed) => observed.is_shut(),
            Err(_) => self.shut,
        };
        Climb { contained, in_doubt: self.in_doubt, failures: self.failures, observed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Code, Failure};

    fn climb(ownership: Ownership, shutting_scrambles: bool, blocked: &[usize]) -> Vec<Task> {
        let mut ladder = Ladder::new(ownership, shutting_scrambles);
        let mut tasks = vec![];
        while let Some(task) = ladder.next_task() {
            let outcome = if blocked.contains(&tasks.len()) {
                Err(Failure::unknown(Code::BUSY, "blocked"))
            } else {
                Ok(())
            };
            ladder.done(task, outcome);
            tasks.push(task);
        }
        tasks
    }

    #[test]
    fn every_rung_in_its_order() {
        use Rung::{EndSessions, Scramble, ShutLogin, Strip};
        let rungs = |rungs: &[Rung]| {
            let mut tasks: Vec<_> = rungs.iter().map(|rung| Task::Rung(*rung)).collect();
            tasks.extend([Task::Renew, Task::Observe]);
            tasks
        };
        let table = [
            ("all well", false, vec![], rungs(&[ShutLogin, EndSessions, Strip, Scramble, EndSessions])),
            ("shutting scrambles", true, vec![], rungs(&[ShutLogin, EndSessions, Strip, EndSessions])),
            (
                "shut is blocked once: tried again behind the sessions",
                true,
                vec![0],
                rungs(&[ShutLogin, EndSessions, ShutLogin, Strip, EndSessions]),
            ),
            (
                "shut is blocked twice: scrambled, and all the rest is tried",
                true,
                vec![0, 2],
                rungs(&[ShutLogin, EndSessions, ShutLogin, Strip, Scramble, EndSessions]),
            ),
            (
                "everything fails: everything is tried",
                false,
                (0..9).collect(),
                rungs(&[ShutLogin, EndSessions, ShutLogin, Strip, Scramble, EndSessions]),
            ),
        ];
        for (name, scrambles, blocked, expected) in table {
            assert_eq!(climb(Ownership::Owned, scrambles, &blocked), expected, "{name}");
        }
        assert_eq!(climb(Ownership::Borrowed, true, &[0]), [Task::Rung(Strip), Task::Observe], "borrowed");
    }

    #[test]
    fn contained_is_what_was_seen_before_what_was_said() {
        let mut ladder = Ladder::new(Ownership::Owned, true);
        while let Some(task) = ladder.next_task() {
            ladder.done(task, Ok(()));
        }
        let lost = ladder.clone().finish(Err(Failure::unknown(Code::UNREACHABLE, "gone")));
        assert!(lost.contained);
        assert!(ladder.finish(Ok(Observed::absent(None))).contained);
    }
}
