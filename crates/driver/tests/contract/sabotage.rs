//! Every way to break the driver is found, by the case that is there for it.

use driver::contract;
use driver::fake::{Nature, Sabotage};

use crate::fake_world::FakeWorld;

/// Which case has to find which sabotage, on which nature. Other cases may find it, too.
const TABLE: &[(Nature, Sabotage, &str)] = {
    use Nature::{Steps, Transactions};
    use Sabotage::*;
    &[
        (Transactions, AdoptsForeignAccounts, "foreign::a_foreign_account_of_our_name_is_not_touched"),
        (Transactions, BelievesAnyMark, "foreign::a_forged_mark_is_not_believed"),
        (Transactions, BelievesAnyMark, "foreign::a_copied_mark_is_not_believed"),
        (Transactions, BelievesAnyMark, "foreign::another_connectors_account_is_not_touched"),
        (Transactions, BelievesAnyMark, "restored::a_mark_from_elsewhere_is_not_believed"),
        (Transactions, CheckLeavesItsProbe, "check::it_leaves_everything_as_it_was"),
        (Transactions, ClosesByName, "foreign::a_foreign_account_in_place_of_ours_is_not_touched"),
        (Transactions, CloseStumblesOverVanished, "closing::a_vanished_resource_does_not_hold_up_a_close"),
        (Transactions, ConnectionLineForgetsAccount, "check::connection_lines_name_the_account"),
        (Transactions, CreateForgetsExpiry, "expiry::an_account_past_its_expiry_opens_nothing"),
        (Transactions, CreateForgetsMark, "opening::the_mark_says_what_was_ordered"),
        (Transactions, CreateLeavesOpen, "opening::an_account_is_shut_until_it_is_enabled"),
        (Transactions, CreateShutsWhatIsOpen, "opening::creating_an_open_account_leaves_it_open"),
        (Transactions, CutsNames, "hostile_names::a_name_is_never_cut_to_fit"),
        (Transactions, DeletesByName, "foreign::a_foreign_account_in_place_of_ours_is_not_touched"),
        (Transactions, DeletesOwnersAnyway, "owned::owned_objects_are_reported_and_kept_or_handed_over"),
        (Transactions, DeletesWhatIsOwned, "owned::owned_objects_are_reported_and_kept_or_handed_over"),
        (
            Transactions,
            DeleteStumblesOverAbsent,
            "closing::deleting_works_twice_and_the_account_can_come_back",
        ),
        (Transactions, DiscoversOwnAccounts, "check::discovery_tells_the_plain_resources_and_leaves_nothing"),
        (Steps, EnablesBeforeGranting, "crash::an_opening_torn_anywhere_leaves_nothing_unseen"),
        (Transactions, EndsEverybodysSessions, "closing::the_ladder_closes_what_was_open"),
        (Transactions, EndsNoSession, "closing::sessions_are_seen_and_ended"),
        (Steps, EndsNoSession, "overlap::a_lost_right_is_lost_in_open_sessions"),
        (Transactions, EndsOneSession, "closing::sessions_are_seen_and_ended"),
        (Transactions, FindsByNameOnly, "foreign::a_renamed_account_is_closed_by_its_immutable_id"),
        (Transactions, FoldsNames, "hostile_names::look_alike_names_are_not_confused"),
        (Transactions, ForgetsPreparedTransactions, "closing::prepared_transactions_end_with_the_sessions"),
        (Transactions, ForgetsPreparedTransactions, "resisting::a_grantee_that_resists_is_closed"),
        (Transactions, GivesWiderRoles, "foreign::a_shared_role_that_grew_is_reported_and_not_given"),
        (Transactions, GrantChangesCredential, "overlap::joining_keeps_the_credential"),
        (Transactions, GrantMakesWhatIsMissing, "opening::a_missing_account_cannot_be_opened"),
        (Transactions, GrantOnlyAdds, "opening::grant_converges_to_the_full_set"),
        (Transactions, GrantOnlyAdds, "overlap::ending_one_leaves_the_other"),
        (Transactions, GrantOnlyAdds, "overlap::the_narrow_stays_when_the_wide_ends"),
        (Transactions, HandsOverToAdmin, "owned::owned_objects_are_reported_and_kept_or_handed_over"),
        (Transactions, IdentifiesNobody, "check::the_identity_is_another_elsewhere"),
        (Transactions, IgnoresTheMarksAccount, "foreign::a_mark_of_another_account_of_ours_is_not_believed"),
        (Transactions, LogsNames, "secrecy::nothing_secret_is_in_failures_or_logs"),
        (Transactions, LogsSecrets, "secrecy::nothing_secret_is_in_failures_or_logs"),
        (Steps, LogsSecrets, "secrecy::nothing_secret_is_in_failures_or_logs"),
        (Steps, MarksAfterCreating, "crash::an_opening_torn_anywhere_leaves_nothing_unseen"),
        (Transactions, MissesForgedMarks, "survey::it_sees_what_looks_like_ours"),
        (
            Transactions,
            CallsClaimsAbsent,
            "foreign::what_claims_to_be_ours_is_not_touched_and_not_called_absent",
        ),
        (Transactions, MissesRightsByHand, "closing::rights_added_by_hand_are_seen_and_stripped"),
        (Transactions, MissesSessions, "closing::sessions_are_seen_and_ended"),
        (Transactions, MissesShutAccounts, "survey::it_sees_ours_and_nothing_else"),
        (Transactions, MissesWiderRoles, "foreign::a_shared_role_that_grew_is_reported_and_not_given"),
        (Transactions, NeedsAMarkToClose, "foreign::an_unmarked_account_is_closed_by_its_immutable_id"),
        (Transactions, GivesUpOnTheSlow, "outage::a_slow_target_is_waited_for"),
        (Transactions, NeverGivesUp, "outage::a_half_open_target_is_given_up_in_time"),
        (Transactions, NeverReconnects, "outage::it_connects_again_by_itself"),
        (Steps, PromisesTooMuch, "crash::a_torn_rotation_leaves_one_credential"),
        (Steps, PromisesTooMuch, "crash::a_single_verb_torn_anywhere_opens_nothing"),
        (Transactions, PromisesTooMuch, "crash::an_opening_torn_anywhere_leaves_nothing_unseen"),
        (Transactions, ReadsPatterns, "hostile_names::look_alike_names_are_not_confused"),
        (Transactions, RefusesTheTenth, "many::thirty_two_at_once_on_one_resource"),
        (Transactions, RenewForgetsExpiry, "expiry::renewing_moves_expiry_and_mark"),
        (Transactions, RenewOpens, "opening::renewing_never_opens_a_shut_account"),
        (Transactions, RetireLeavesRoles, "retire::nothing_of_ours_is_left"),
        (Transactions, RotateDoesNothing, "opening::rotating_replaces_the_credential"),
        (Transactions, RotateOpens, "opening::rotating_never_opens_a_shut_account"),
        (Transactions, RungsStumbleOverAbsent, "closing::what_was_never_opened_closes"),
        (Steps, ScramblesNothing, "closing::a_scrambled_credential_stays_void"),
        (Transactions, ScramblesNothing, "closing::each_rung_does_its_own_part"),
        (Steps, SecretInFailure, "secrecy::nothing_secret_is_in_failures_or_logs"),
        (Transactions, SecretInFailure, "secrecy::nothing_secret_is_in_failures_or_logs"),
        (Transactions, SecretInTargetLog, "secrecy::nothing_secret_is_in_the_targets_log"),
        (Transactions, ShutsNothing, "closing::each_rung_does_its_own_part"),
        (Transactions, StripDropsSharedRoles, "overlap::two_grantees_share_a_resource"),
        (Transactions, StripLeavesRightsByHand, "closing::rights_added_by_hand_are_seen_and_stripped"),
        (
            Transactions,
            StumblesOverQuotes,
            "hostile_names::resources_with_hostile_names_are_granted_and_stripped",
        ),
        (Transactions, SurveyIgnoresItsReader, "survey::it_stops_when_its_reader_does"),
        (Transactions, SurveysEverybody, "survey::it_sees_ours_and_nothing_else"),
        (Transactions, TakesUnknownPermissions, "opening::an_unknown_permission_is_refused"),
        (Transactions, TakesVanishedResources, "opening::a_vanished_resource_is_refused"),
        (Transactions, VanishedHoldsUpEndings, "overlap::a_vanished_resource_does_not_hold_up_an_ending"),
        (Transactions, WrongSecretIsUnclear, "check::a_wrong_secret_is_refused_once_and_for_this_version"),
    ]
};

#[tokio::test(start_paused = true)]
async fn every_sabotage_is_found() {
    let mut missed = vec![];
    for (nature, sabotage, case) in TABLE {
        // The search for secrets looks back on everything that was played before it.
        let part = if case.starts_with("secrecy::") { "" } else { case };
        let report = contract::play(&FakeWorld::broken(*nature, *sabotage), part).await;
        if !report.is_broken(case) {
            missed.push(format!("{sabotage:?} ({nature:?}) is not found by {case}: {report}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn every_sabotage_is_in_the_table() {
    for sabotage in Sabotage::ALL {
        assert!(TABLE.iter().any(|(_, tried, _)| tried == sabotage), "{sabotage:?} is not tried");
    }
}
