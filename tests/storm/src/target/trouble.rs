//! What befalls a target for a while.

use std::time::Duration;

use model::{Code, Failure};

use crate::clock;

/// How much longer each exchange with a slow target takes.
pub const SLOWNESS: Duration = Duration::from_millis(50);
/// How long the driver waits for a silent target.
const PATIENCE: Duration = Duration::from_secs(5);

/// Which trouble.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    #[default]
    None,
    /// Each exchange takes [`SLOWNESS`] longer.
    Slow,
    /// Connections are refused at once.
    Down,
    /// Takes what is sent and never answers.
    Silent,
}

impl Kind {
    /// The words of the setting.
    pub const WORDS: [(&str, Self); 4] =
        [("none", Self::None), ("slow", Self::Slow), ("down", Self::Down), ("silent", Self::Silent)];

    /// Returns the word of the setting.
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Slow => "slow",
            Self::Down => "down",
            Self::Silent => "silent",
        }
    }
}

/// A trouble and its window, in milliseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub struct Trouble {
    pub kind: Kind,
    pub from: i64,
    pub until: i64,
}

impl Trouble {
    /// Lets an exchange begin, late or not at all. What does not begin has changed nothing.
    ///
    /// # Errors
    /// [`Code::UNREACHABLE`] from a target that is down, [`Code::TIMED_OUT`] from a silent one.
    pub async fn pass(&self) -> Result<(), Failure> {
        let now = clock::now_ms();
        if now < self.from || now >= self.until {
            return Ok(());
        }
        match self.kind {
            Kind::None => Ok(()),
            Kind::Slow => {
                tokio::time::sleep(SLOWNESS).await;
                Ok(())
            }
            Kind::Down => Err(Failure::not_done(Code::UNREACHABLE, "the target refuses connections")),
            Kind::Silent => {
                tokio::time::sleep(PATIENCE).await;
                // A driver cannot know that nothing was done.
                Err(Failure::unknown(Code::TIMED_OUT, "the target did not answer"))
            }
        }
    }
}
