//! The survey: every account with our mark, or what looks like one, page by page.

use driver::SightingSink;
use model::Sighting;

use crate::account::{HEIR, PERMISSION_ROLE, column, our_mark};
use crate::catalogue::SURVEY;
use crate::faults::Fault;
use crate::session::Purpose;
use crate::target::PostgresTarget;

/// How many accounts are read and told at once.
const PAGE: i64 = 200;

impl PostgresTarget {
    pub(crate) async fn survey_all(&self, out: &mut dyn SightingSink) -> Result<(), Fault> {
        let mut last = 0_u32;
        loop {
            let session = self.pool.session(&self.home, Purpose::Read).await?;
            let outcome = session.rows(SURVEY, &[&last, &PAGE]).await;
            let rows = session.settle(outcome).await?;
            let oids: Vec<u32> = rows.iter().map(|row| column(row, 0)).collect::<Result<_, _>>()?;
            let Some(end) = oids.last().copied() else { return Ok(()) };
            last = end;
            let found = self.sight(&oids).await?;
            let is_account = |found: &model::observed::Present| {
                our_mark(&found.mark, &self.context)
                    .is_none_or(|mark| mark.draft.account != PERMISSION_ROLE && mark.draft.account != HEIR)
            };
            let sightings: Vec<Sighting> =
                found.into_iter().filter(is_account).map(|found| Sighting { found }).collect();
            if !sightings.is_empty() {
                out.take(sightings).await?;
            }
        }
    }
}
