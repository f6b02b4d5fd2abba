//! Planted faults: each is a mistake that somebody could make, with one switch. The checks must catch every
//! one of them within a few thousand worlds, or they are not worth having.

use std::fmt;
use std::str::FromStr;

macro_rules! faults {
    ($( $(#[$doc:meta])* $name:ident = $word:literal; )*) => {
        /// One planted mistake.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Fault { $( $(#[$doc])* $name, )* }

        impl Fault {
            /// Every planted mistake.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Returns the switch's word.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word),* }
            }
        }
    };
}

faults! {
    /// Actions go out before their intent is on disk.
    ActsFirst = "acts-first";
    /// The journal says that a batch is on disk, and sometimes it is not.
    LyingDisk = "lying-disk";
    /// What a close is believed by is what was seen before it.
    StaleReadBack = "stale-read-back";
    /// The ladder leaves sessions alone.
    SessionsLive = "sessions-live";
    /// The ladder leaves the login open.
    LoginStaysOpen = "login-stays-open";
    /// Converging only ever adds.
    OnlyAdds = "only-adds";
    /// Deadlines are not woken up for.
    NoWakeUp = "no-wake-up";
    /// A passed time-out is taken for done.
    TimeOutIsDone = "time-out-is-done";
    /// Answers are taken by account, whichever call they belong to.
    AnyAnswer = "any-answer";
    /// The wall clock is believed, also backwards.
    WallClockOnly = "wall-clock-only";
    /// Joining sets a new credential.
    JoinRotates = "join-rotates";
    /// A restored control plane is believed about what is absent.
    BelievesRestored = "believes-restored";
    /// Nobody looks for what an old journal forgot.
    NoSurvey = "no-survey";
    /// Accounts are found by name alone.
    ByNameAlone = "by-name-alone";
    /// After a crash a new credential is set instead of the one that was sealed.
    ForgetsCredential = "forgets-credential";
    /// Calls land long after they were given up on, later than anybody waits for.
    LandsUnseen = "lands-unseen";
    /// A passed time-out is taken for surely not done.
    TimeOutIsNotDone = "time-out-is-not-done";
    /// Taking away leaves the sessions in which the rights live on.
    RightsSurvive = "rights-survive";
    /// Closing finds accounts by name alone, and so shuts those of others.
    ShutsForeign = "shuts-foreign";
    /// Receipts are not kept.
    ReceiptsSkipped = "receipts-skipped";
    /// The first receipt of a memory does not say so.
    LivesUnsaid = "lives-unsaid";
    /// A crash loses reports that nobody has committed.
    ReportLost = "report-lost";
    /// The credential is released before the account was read back.
    ReleasesEarly = "releases-early";
    /// Closing waits behind whatever else is under way.
    ClosingStarves = "closing-starves";
    /// A deletion is believed without being looked at, and an integration retired over it.
    RetireLeaves = "retire-leaves";
    /// A survey that broke off half-way passes for a whole one.
    HalfSurvey = "half-survey";
    /// A shut account's rotation sets nothing.
    RotatesNothing = "rotates-nothing";
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Fault {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|fault| fault.word() == text).ok_or_else(|| {
            let words: Vec<_> = Self::ALL.iter().map(|fault| fault.word()).collect();
            format!("there is no planted fault `{text}`; there are {}", words.join(", "))
        })
    }
}
