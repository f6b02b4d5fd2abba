//! Break-glass: an operator on the spot ends accesses, whatever the control plane says.

use std::fmt;

use model::{AccessId, AccessState, Code, EndReason, IntegrationId, Timestamp};
use serde::{Deserialize, Serialize};

use super::Book;
use crate::effects::Effects;

/// Which accesses an operator means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    All,
    Integration(IntegrationId),
    Access(AccessId),
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all integrations"),
            Self::Integration(id) => write!(f, "integration `{id}`"),
            Self::Access(id) => write!(f, "access `{id}`"),
        }
    }
}

impl Book {
    /// Returns which of these accesses are not being ended yet. Walks every access.
    pub fn endable(&self, which: &Which) -> Vec<AccessId> {
        let meant = |id: &AccessId, integration: &IntegrationId| match which {
            Which::All => true,
            Which::Integration(wanted) => wanted == integration,
            Which::Access(wanted) => wanted == id,
        };
        self.accounts
            .values()
            .flat_map(|record| {
                record.accesses.values().map(move |access| (access, &record.account.integration))
            })
            .filter(|(access, integration)| meant(&access.id, integration))
            .filter(|(access, _)| {
                !access.state.is_terminal() && !matches!(access.state, AccessState::Ending { .. })
            })
            .map(|(access, _)| access.id.clone())
            .collect()
    }

    pub(super) fn break_glass(&mut self, which: &Which, note: &str, now: Timestamp) {
        let ids = self.endable(which);
        if ids.is_empty() {
            return;
        }
        let about = match which {
            Which::Integration(id) => Some(id),
            Which::All | Which::Access(_) => None,
        };
        let mut effects = Effects::default();
        let detail = format!("an operator beside the agent ends {which} ({} accesses): {note}", ids.len());
        effects.alarm(about, Code::BREAK_GLASS, detail, now);
        self.staged.tell(effects);
        for id in ids {
            self.end_access(&id, EndReason::BreakGlass { note: note.to_owned() }, now);
        }
    }
}
