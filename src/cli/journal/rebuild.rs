//! `tidegate journal rebuild --dry-run`: what an agent takes on that has lost its journal.
//!
//! The same rules as in the agent look at the same marks; nothing is written, and no target is changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use driver::SightingSink;
use model::mark::MarkState;
use model::{
    Failure, Incarnation, Integration, IntegrationId, Position, Sighting, TargetIdentity, Timestamp,
};
use rules::{AccountRecord, Book, Input};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::timeout;
use uuid::Uuid;

use super::super::print::Lines;
use super::super::progress::Progress;
use super::super::shared::{AT_ONCE, identity, targets, with_journal};
use super::super::{Context, Ended};
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::engine::targets::Targets;
use crate::exit::Exit;
use crate::office::Office;

/// What would be taken on.
#[derive(Debug, Default, Serialize)]
struct Found {
    /// Accounts that the journal has.
    remembered: usize,
    duties: Vec<Duty>,
    not_ours: Vec<Stranger>,
    unreached: Vec<Unreached>,
}

/// An account that carries our mark and that the journal does not have.
#[derive(Debug, Serialize)]
struct Duty {
    integration: IntegrationId,
    account: String,
    immutable: String,
    /// When it is closed; none when it is closed at once, or is to be seen closed.
    open_until: Option<Timestamp>,
}

/// An account that looks like one of ours, and that is not touched.
#[derive(Debug, Serialize)]
struct Stranger {
    integration: IntegrationId,
    account: String,
    immutable: String,
    mark: &'static str,
}

#[derive(Debug, Serialize)]
struct Unreached {
    integration: IntegrationId,
    reason: String,
}

pub(super) async fn run(context: &Context, config: &Config) -> Ended {
    let (store, keys) = identity(config)?;
    let known = store.snapshot()?;
    // Nothing is signed; the rules want to know who would.
    let office = Office::new(config.connector.clone(), identity(config)?.1.receipt);
    let office = office.of_memory(Incarnation::from_uuid(Uuid::new_v4()));
    let looked = with_journal(context, config, async |journal| {
        let loaded = journal.load().await?;
        Ok((loaded.rows, loaded.last_report))
    });
    let (rows, last_report) = looked.await?.unwrap_or((vec![], Position(0)));
    let reading = SystemClock.read();
    let rows = rows.iter().map(|row| (row.table, row.key.as_str(), row.body.as_str()));
    let connector = config.connector.clone();
    let mut book = Book::restore(connector, Box::new(office), rows, last_report, 0, reading)?;
    book.handle(Input::Remembered(known.into_values().collect()), reading);

    let remembered: BTreeSet<_> = book.accounts().map(|record| record.account.id).collect();
    let live = book.integrations().filter(|record| !record.retired).map(|record| record.integration.clone());
    let targets = targets(context, config, store, keys)?;
    let surveyed = surveys(live.collect(), &targets, config, context).await;
    targets.close().await;

    let mut found = Found { remembered: remembered.len(), ..Found::default() };
    for (integration, outcome) in surveyed {
        match outcome {
            Ok((identity, sightings)) => {
                found.not_ours.extend(strangers(&book, &integration, &sightings));
                book.handle(Input::Identified { integration: integration.clone(), identity }, reading);
                book.handle(Input::Surveyed { integration, sightings, complete: true }, reading);
            }
            Err(failure) => found.unreached.push(Unreached { integration, reason: failure.to_string() }),
        }
    }
    let new = book.accounts().filter(|record| !remembered.contains(&record.account.id));
    found.duties = new.map(duty).collect();
    context.printer.answer(&found, |lines| tell(&found, lines))?;
    Ok(if found.unreached.is_empty() { Exit::Done } else { Exit::NotReady })
}

fn duty(record: &AccountRecord) -> Duty {
    Duty {
        integration: record.account.integration.clone(),
        account: record.account.name.to_string(),
        immutable: record.account.immutable.as_ref().map(|id| id.0.clone()).unwrap_or_default(),
        open_until: record.accesses.values().map(|access| access.until).max(),
    }
}

/// Returns what looks like ours and is neither so by its mark nor remembered by its immutable id.
fn strangers(book: &Book, integration: &IntegrationId, sightings: &[Sighting]) -> Vec<Stranger> {
    let ours: BTreeSet<_> = book
        .accounts()
        .filter(|record| record.account.integration == *integration)
        .filter_map(|record| record.account.immutable.clone())
        .collect();
    let strange = sightings.iter().filter(|sighting| !ours.contains(&sighting.found.immutable));
    strange
        .filter_map(|Sighting { found }| {
            Some(Stranger {
                integration: integration.clone(),
                account: found.name.to_string(),
                immutable: found.immutable.0.clone(),
                mark: match found.mark {
                    MarkState::Valid(_) => return None,
                    MarkState::Missing => "missing",
                    MarkState::Copied => "of another account or target",
                    MarkState::Forged => "does not verify",
                    MarkState::Foreign => "another connector's, or by a key that this identity never had",
                },
            })
        })
        .collect()
}

type Surveyed = Result<(TargetIdentity, Vec<Sighting>), Failure>;

async fn surveys(
    live: Vec<Integration>,
    targets: &Arc<Targets>,
    config: &Config,
    context: &Context,
) -> BTreeMap<IntegrationId, Surveyed> {
    let (total, patience) = (live.len(), config.engine.listing_deadline);
    let mut progress = Progress::new(&context.printer);
    let (mut waiting, mut under_way) = (live.into_iter().map(Arc::new), JoinSet::new());
    let mut done = BTreeMap::new();
    loop {
        while under_way.len() < AT_ONCE
            && let Some(integration) = waiting.next()
        {
            let targets = Arc::clone(targets);
            under_way.spawn(async move {
                let late = |_| Err(Failure::not_done(model::Code::TIMED_OUT, "the survey came to no end"));
                let surveyed = timeout(patience, survey(&targets, &integration)).await;
                (integration.id.clone(), surveyed.unwrap_or_else(late))
            });
        }
        progress.show(&format!("{} of {total} targets looked over", done.len()));
        match under_way.join_next().await {
            None => return done,
            // One that broke off has said so by its panic.
            Some(Err(_)) => {}
            Some(Ok((integration, surveyed))) => {
                done.insert(integration, surveyed);
            }
        }
    }
}

struct All(Vec<Sighting>);

#[async_trait]
impl SightingSink for All {
    async fn take(&mut self, sightings: Vec<Sighting>) -> Result<(), Failure> {
        self.0.extend(sightings);
        Ok(())
    }
}

async fn survey(targets: &Targets, integration: &Arc<Integration>) -> Surveyed {
    let opened = targets.open(integration).await?;
    let mut all = All(vec![]);
    opened.target.survey(&mut all).await?;
    Ok((opened.identity, all.0))
}

fn tell(found: &Found, lines: &mut Lines) {
    lines.push(format!("The journal has {} accounts.", found.remembered));
    if found.duties.is_empty() {
        lines.push("No other account carries our mark.");
    } else {
        lines.push("");
        lines.push("Carries our mark and is not in the journal; the agent closes it by itself:");
        let rows = found.duties.iter().map(|duty| {
            let until = duty.open_until.map_or_else(|| "at once".to_owned(), |until| format!("at {until}"));
            [format!("  {}", duty.integration), duty.account.clone(), duty.immutable.clone(), until]
        });
        lines.table(&rows.collect::<Vec<_>>());
    }
    if !found.not_ours.is_empty() {
        lines.push("");
        lines
            .push("Looks like ours and is not by its mark; the agent does not touch it, a person must look:");
        let rows = found.not_ours.iter().map(|one| {
            [
                format!("  {}", one.integration),
                one.account.clone(),
                one.immutable.clone(),
                one.mark.to_owned(),
            ]
        });
        lines.table(&rows.collect::<Vec<_>>());
    }
    for one in &found.unreached {
        lines.push("");
        lines.push(format!("{} could not be looked over: {}", one.integration, one.reason));
    }
}
