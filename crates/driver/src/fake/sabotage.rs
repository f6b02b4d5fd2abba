//! Faults of a driver, one switch each: what the contract suite has to find.

macro_rules! sabotages {
    ($($name:ident,)*) => {
        /// One way in which the made-up driver breaks the contract.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Sabotage {
            $($name,)*
        }

        impl Sabotage {
            /// Every sabotage.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

sabotages! {
    AdoptsForeignAccounts,
    BelievesAnyMark,
    CallsClaimsAbsent,
    CheckLeavesItsProbe,
    ClosesByName,
    CloseStumblesOverVanished,
    ConnectionLineForgetsAccount,
    CreateForgetsExpiry,
    CreateForgetsMark,
    CreateLeavesOpen,
    CreateShutsWhatIsOpen,
    CutsNames,
    DeletesByName,
    DeletesOwnersAnyway,
    DeletesWhatIsOwned,
    DeleteStumblesOverAbsent,
    DiscoversOwnAccounts,
    EnablesBeforeGranting,
    EndsEverybodysSessions,
    EndsNoSession,
    EndsOneSession,
    FindsByNameOnly,
    FoldsNames,
    ForgetsPreparedTransactions,
    GivesUpOnTheSlow,
    GivesWiderRoles,
    GrantChangesCredential,
    GrantMakesWhatIsMissing,
    GrantOnlyAdds,
    HandsOverToAdmin,
    IdentifiesNobody,
    IgnoresTheMarksAccount,
    LogsNames,
    LogsSecrets,
    MarksAfterCreating,
    MissesForgedMarks,
    MissesRightsByHand,
    MissesSessions,
    MissesShutAccounts,
    MissesWiderRoles,
    NeedsAMarkToClose,
    NeverGivesUp,
    NeverReconnects,
    PromisesTooMuch,
    ReadsPatterns,
    RefusesTheTenth,
    RenewForgetsExpiry,
    RenewOpens,
    RetireLeavesRoles,
    RotateDoesNothing,
    RotateOpens,
    RungsStumbleOverAbsent,
    ScramblesNothing,
    SecretInFailure,
    SecretInTargetLog,
    ShutsNothing,
    StripDropsSharedRoles,
    StripLeavesRightsByHand,
    StumblesOverQuotes,
    SurveyIgnoresItsReader,
    SurveysEverybody,
    TakesUnknownPermissions,
    TakesVanishedResources,
    VanishedHoldsUpEndings,
    WrongSecretIsUnclear,
}
