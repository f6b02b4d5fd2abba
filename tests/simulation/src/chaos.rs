//! What happens to a world: a script drawn from its seed before it begins.

use crate::rng::Rng;

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Happening {
    Request,
    EndAccess,
    Extend,
    Rotate,
    DeleteAccount,
    Crash,
    Restart,
    LinkDown,
    LinkUp,
    TargetDown,
    TargetUp,
    ClockStep,
    ClockMended,
    JournalBreaks,
    JournalMended,
    JournalLosesOne,
    JournalCopied,
    JournalRestored,
    PlaneCopied,
    PlaneRestored,
    GranteeLogsIn,
    GranteeResists,
    GranteeRenames,
    DbaShuts,
    DbaStrips,
    DbaAdds,
    DbaDrops,
    ResourceGone,
    Retire,
    Survey,
    Standing,
    Cancel,
}

/// How unkind a world is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    /// Calls out of a thousand that go wrong somehow.
    pub(crate) bad_calls: u64,
    pub(crate) fused: bool,
    pub(crate) cleanup_days: Option<u32>,
    pub(crate) rotation_days: Option<u32>,
    pub(crate) foreign: bool,
    pub(crate) horizon_ms: i64,
}

/// Draws a world's weather and its script.
pub(crate) fn draw(rng: &mut Rng) -> (Weather, Vec<(i64, Happening)>) {
    use Happening as H;
    // Drawn apart: a seed means the same weather and script as before worlds rotated.
    let mut apart = Rng::new(!rng.clone().next());
    let horizon_ms = rng.between(30, 180) * 60_000;
    let weather = Weather {
        bad_calls: [0, 30, 150, 400][rng.index(4)],
        fused: rng.chance(500),
        cleanup_days: [None, Some(0), Some(0), Some(1)][rng.index(4)],
        rotation_days: [None, None, Some(1)][apart.index(3)],
        foreign: rng.chance(150),
        horizon_ms,
    };
    let mut script = vec![];
    for _ in 0..rng.between(2, 7) {
        script.push((rng.between(0, horizon_ms * 2 / 3), H::Request));
    }
    let kinds: &[(u64, H, Option<H>)] = &[
        (500, H::EndAccess, None),
        (300, H::Extend, None),
        (150, H::Rotate, None),
        (100, H::DeleteAccount, None),
        (600, H::Crash, Some(H::Restart)),
        (300, H::Crash, Some(H::Restart)),
        (400, H::LinkDown, Some(H::LinkUp)),
        (400, H::TargetDown, Some(H::TargetUp)),
        (150, H::ClockStep, Some(H::ClockMended)),
        (200, H::JournalBreaks, Some(H::JournalMended)),
        (200, H::JournalLosesOne, None),
        (150, H::JournalCopied, Some(H::JournalRestored)),
        (150, H::PlaneCopied, Some(H::PlaneRestored)),
        (700, H::GranteeLogsIn, None),
        (700, H::GranteeLogsIn, None),
        (300, H::GranteeResists, None),
        (150, H::GranteeRenames, None),
        (120, H::DbaShuts, None),
        (120, H::DbaStrips, None),
        (150, H::DbaAdds, None),
        (80, H::DbaDrops, None),
        (100, H::ResourceGone, None),
        (60, H::Retire, None),
        (300, H::Survey, None),
        (300, H::Standing, None),
        (150, H::Cancel, None),
    ];
    for (chance, first, second) in kinds {
        if rng.chance(*chance) {
            let at = rng.between(0, horizon_ms);
            script.push((at, *first));
            if let Some(second) = second {
                let long = if rng.chance(200) { 90 * 60_000 } else { 5 * 60_000 };
                script.push((at + rng.between(1, long), *second));
            }
        }
    }
    (weather, script)
}
