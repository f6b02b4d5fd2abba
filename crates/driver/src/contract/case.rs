//! The list of all cases, and how they are played.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use super::stage::{Broken, Run, Stage};
use super::world::World;
use super::{
    check, closing, crash, expiry, foreign, hostile_names, many, opening, outage, overlap, owned, resisting,
    restored, retire, secrecy, survey,
};
use crate::manifest::{ExpiryClass, MarkClass};

/// How long one case may take.
const PATIENCE: Duration = Duration::from_secs(900);

/// What a case needs of its world, beyond what every world has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    HoldSessions,
    AddRightsByHand,
    WriteMarks,
    RenameAccounts,
    OpenByHand,
    WidenRoles,
    OwnObjects,
    PrepareTransactions,
    Resist,
    TearWires,
    RestoreBackups,
    Elsewhere,
    TargetLog,
    Levels,
    NativeExpiry,
    FullMarks,
    Verifier,
}

impl Need {
    /// Returns why the need is not met; `None` when it is.
    fn missing(self, world: &dyn World) -> Option<&'static str> {
        let can = world.can();
        let manifest = world.driver().manifest();
        let (met, reason) = match self {
            Self::HoldSessions => (can.hold_sessions, "sessions do not outlive their login here"),
            Self::AddRightsByHand => (can.add_rights_by_hand, "no right beyond the vocabulary can be given"),
            Self::WriteMarks => (can.write_marks, "marks cannot be written by hand"),
            Self::RenameAccounts => (can.rename_accounts, "accounts cannot be renamed"),
            Self::OpenByHand => (can.open_by_hand, "a login cannot be opened by hand"),
            Self::WidenRoles => (can.widen_roles, "permissions are given without shared roles"),
            Self::OwnObjects => (can.own_objects, "accounts own nothing that outlives their sessions"),
            Self::PrepareTransactions => (can.prepare_transactions, "there are no prepared transactions"),
            Self::Resist => (can.resist, "a grantee has no means to resist"),
            Self::TearWires => (can.tear_wires, "connections cannot be torn here"),
            Self::RestoreBackups => (can.restore_backups, "there is no backup to restore"),
            Self::Elsewhere => (can.have_elsewhere, "there is no second target"),
            Self::TargetLog => (can.read_target_log, "the target's own log cannot be read"),
            Self::Levels => (world.levels().is_some(), "there is one permission only"),
            Self::NativeExpiry => (
                manifest.login_expiry.class == ExpiryClass::Exact,
                "the target keeps no exact expiry by itself",
            ),
            Self::FullMarks => (manifest.mark == MarkClass::Full, "the target has no room for whole marks"),
            Self::Verifier => (manifest.credential.is_verifier(), "the target takes no verifier"),
        };
        (!met).then_some(reason)
    }
}

type Play<'a> = Pin<Box<dyn Future<Output = Result<(), Broken>> + Send + 'a>>;

struct Case {
    name: &'static str,
    needs: &'static [Need],
    play: for<'a> fn(&'a Stage<'a>) -> Play<'a>,
}

macro_rules! cases {
    ($( $room:ident :: $case:ident $([$($need:ident),*])? ; )*) => {
        const CASES: &[Case] = &[$(
            Case {
                name: concat!(stringify!($room), "::", stringify!($case)),
                needs: &[$($(Need::$need),*)?],
                play: |stage| Box::pin($room::$case(stage)),
            },
        )*];
    };
}

// In this order: the last ones look back on all before them.
cases! {
    check::it_leaves_everything_as_it_was;
    check::it_finds_nothing_bad_and_names_the_product;
    check::a_wrong_secret_is_refused_once_and_for_this_version;
    check::the_identity_is_the_targets_own;
    check::the_identity_is_another_elsewhere [Elsewhere];
    check::discovery_tells_the_plain_resources_and_leaves_nothing;
    check::discovery_stops_when_its_reader_does;
    check::connection_lines_name_the_account;
    opening::an_account_is_shut_until_it_is_enabled;
    opening::open_is_create_grant_rotate_enable;
    opening::every_verb_twice_is_once;
    opening::a_retried_opening_meets_its_own_account;
    opening::creating_an_open_account_leaves_it_open;
    opening::grant_converges_to_the_full_set;
    opening::rotating_replaces_the_credential;
    opening::rotating_never_opens_a_shut_account;
    opening::renewing_never_opens_a_shut_account;
    opening::a_missing_account_cannot_be_opened;
    opening::an_unknown_permission_is_refused;
    opening::a_vanished_resource_is_refused;
    opening::the_mark_says_what_was_ordered [FullMarks];
    closing::what_was_never_opened_closes;
    closing::the_ladder_closes_what_was_open;
    closing::rungs_work_twice_and_in_any_order;
    closing::each_rung_does_its_own_part;
    closing::sessions_are_seen_and_ended [HoldSessions];
    closing::ending_sessions_leaves_the_login_open [HoldSessions];
    closing::prepared_transactions_end_with_the_sessions [HoldSessions, PrepareTransactions];
    closing::rights_added_by_hand_are_seen_and_stripped [AddRightsByHand];
    closing::a_scrambled_credential_stays_void [OpenByHand];
    closing::deleting_works_twice_and_the_account_can_come_back;
    closing::an_account_removed_by_hand_is_closed;
    closing::a_vanished_resource_does_not_hold_up_a_close;
    overlap::ending_one_leaves_the_other;
    overlap::joining_keeps_the_credential;
    overlap::the_narrow_stays_when_the_wide_ends [Levels];
    overlap::two_grantees_share_a_resource;
    overlap::a_lost_right_is_lost_in_open_sessions [HoldSessions];
    overlap::a_vanished_resource_does_not_hold_up_an_ending;
    foreign::a_foreign_account_of_our_name_is_not_touched;
    foreign::a_foreign_account_in_place_of_ours_is_not_touched;
    foreign::an_unmarked_account_is_closed_by_its_immutable_id [WriteMarks];
    foreign::a_renamed_account_is_closed_by_its_immutable_id [RenameAccounts];
    foreign::a_forged_mark_is_not_believed [WriteMarks];
    foreign::a_copied_mark_is_not_believed [WriteMarks];
    foreign::a_mark_of_another_account_of_ours_is_not_believed [WriteMarks];
    foreign::another_connectors_account_is_not_touched;
    foreign::what_claims_to_be_ours_is_not_touched_and_not_called_absent [WriteMarks];
    foreign::a_shared_role_that_grew_is_reported_and_not_given [WidenRoles];
    hostile_names::resources_with_hostile_names_are_granted_and_stripped;
    hostile_names::names_that_cannot_be_are_refused;
    hostile_names::look_alike_names_are_not_confused;
    hostile_names::a_name_is_never_cut_to_fit;
    hostile_names::hostile_account_names_are_quoted_or_refused;
    owned::owned_objects_are_reported_and_kept_or_handed_over [OwnObjects];
    owned::what_it_owns_does_not_hold_up_a_close [OwnObjects];
    resisting::a_grantee_that_resists_is_closed [HoldSessions, Resist];
    many::thirty_two_at_once_on_one_resource;
    many::two_instances_do_the_same_at_once;
    expiry::an_account_past_its_expiry_opens_nothing [NativeExpiry];
    expiry::renewing_moves_expiry_and_mark [NativeExpiry];
    survey::it_sees_ours_and_nothing_else;
    survey::it_sees_what_looks_like_ours [WriteMarks];
    survey::it_sees_what_observe_sees;
    survey::it_stops_when_its_reader_does;
    crash::an_opening_torn_anywhere_leaves_nothing_unseen [TearWires];
    crash::a_single_verb_torn_anywhere_opens_nothing [TearWires];
    crash::a_torn_closing_is_closed_by_the_next [TearWires];
    crash::a_torn_rotation_leaves_one_credential [TearWires];
    crash::a_torn_delete_is_deleted_by_the_next [TearWires];
    outage::a_half_open_target_is_given_up_in_time [TearWires];
    outage::a_slow_target_is_waited_for [TearWires];
    outage::it_connects_again_by_itself [TearWires];
    restored::an_account_from_the_backup_is_closed [RestoreBackups];
    restored::a_mark_from_elsewhere_is_not_believed [Elsewhere, WriteMarks];
    secrecy::nothing_secret_is_in_the_targets_log [TargetLog, Verifier];
    secrecy::nothing_secret_is_in_failures_or_logs;
    retire::nothing_of_ours_is_left;
}

/// What came of playing the suite.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub kept: Vec<&'static str>,
    /// Cases that the world lists as not applicable, with its reason.
    pub not_applicable: Vec<(&'static str, &'static str)>,
    /// Cases that the driver, or the world, did not stand, with what was found.
    pub broken: Vec<(&'static str, String)>,
}

impl Report {
    /// Returns true when the case was found broken.
    pub fn is_broken(&self, case: &str) -> bool {
        self.broken.iter().any(|(name, _)| *name == case)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, reason) in &self.not_applicable {
            writeln!(f, "not applicable: {name} ({reason})")?;
        }
        for (name, found) in &self.broken {
            writeln!(f, "broken: {name}: {found}")?;
        }
        write!(
            f,
            "{} kept, {} not applicable, {} broken",
            self.kept.len(),
            self.not_applicable.len(),
            self.broken.len()
        )
    }
}

/// Plays every case and panics when one is broken.
///
/// # Panics
/// With the names of all broken cases and what was found.
#[expect(clippy::print_stdout, reason = "what is not applicable has to be seen in the output of the test")]
pub async fn run(world: &dyn World) -> Report {
    let report = play(world, "").await;
    println!("{report}");
    assert!(report.broken.is_empty(), "the contract is broken:\n{report}");
    report
}

/// Plays the cases whose name contains `part`, all for an empty one, and says what came of it. The last
/// case expects that nothing of ours was on the target before.
pub async fn play(world: &dyn World, part: &str) -> Report {
    let mut report = Report::default();
    report.broken.extend(unknown_excuses(world));
    let run = match begin(world).await {
        Ok(run) => run,
        Err(Broken(found)) => {
            report.broken.push(("the beginning", found));
            return report;
        }
    };
    for case in CASES.iter().filter(|case| case.name.contains(part)) {
        let missing = case.needs.iter().find_map(|need| need.missing(world));
        match (excuse(world, case.name), missing) {
            (Some(reason), _) => {
                report.not_applicable.push((case.name, reason));
                continue;
            }
            (None, Some(reason)) => {
                let found =
                    format!("cannot be played ({reason}), and the world does not list it as not applicable");
                report.broken.push((case.name, found));
                continue;
            }
            (None, None) => {}
        }
        tracing::debug!(case = case.name, "Playing");
        match tokio::time::timeout(PATIENCE, play_one(world, &run, case)).await {
            Ok(Ok(())) => report.kept.push(case.name),
            Ok(Err(Broken(found))) => report.broken.push((case.name, found)),
            Err(_) => report.broken.push((case.name, format!("not done after {PATIENCE:?}"))),
        }
    }
    report
}

fn excuse(world: &dyn World, case: &str) -> Option<&'static str> {
    world.not_applicable().iter().find(|(name, _)| *name == case).map(|(_, reason)| *reason)
}

/// Names in the world's list that are no case's: what they stood for is played, or not there any more.
fn unknown_excuses(world: &dyn World) -> Vec<(&'static str, String)> {
    let unknown = |name: &str| CASES.iter().all(|case| case.name != name);
    let listed = world.not_applicable().iter().filter(|(name, _)| unknown(name));
    listed
        .map(|(name, _)| (*name, "is listed as not applicable, and there is no such case".to_owned()))
        .collect()
}

async fn begin(world: &dyn World) -> Result<Run, Broken> {
    let contradictions = world.driver().manifest().contradictions();
    super::stage::equal(&contradictions, &vec![], "contradictions in the manifest")?;
    Run::begin(world.inventory().await?)
}

async fn play_one(world: &dyn World, run: &Run, case: &Case) -> Result<(), Broken> {
    let now = world.now().await?;
    let stage = Stage { world, run, case: case.name, now };
    (case.play)(&stage).await
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_case_is_in_the_list_once() {
        let names: BTreeSet<_> = CASES.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), CASES.len());
        assert_eq!(CASES.last().map(|case| case.name), Some("retire::nothing_of_ours_is_left"));
    }
}
