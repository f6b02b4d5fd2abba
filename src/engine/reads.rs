//! What only reads a target: checks, discovery, surveys. One at a time for each integration, under one
//! deadline, told to the control plane as it comes; nothing of it is kept, it is told anew.

use std::sync::Arc;

use async_trait::async_trait;
use driver::sink::{Resource, ResourceSink, Unlisted};
use driver::{CheckReport, RetireReport};
use model::{Code, Failure, Integration, IntegrationId, Revision, TargetIdentity, Timestamp};
use rules::drift::Survey;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout};

use super::surveys::{Sightings, Watch};
use super::targets::{Opened, Targets};
use crate::measures;

/// Resources go on the wire in pages of this many.
const PAGE: usize = 500;
/// So many pages may wait for the link, of all integrations together.
pub(super) const PAGES_WAITING: usize = 8;
/// So many parts that could not be looked into are named; the others are counted.
const MOST_UNLISTED: usize = 100;
/// A target with more resources than this is not listed further.
const MOST_RESOURCES: usize = 1_000_000;

/// What is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reading {
    Check,
    Discover,
    Survey,
    /// Not only read: what is ours and shared is removed from a target that is done with.
    Retire,
}

impl Reading {
    /// Returns the word for logs and measures.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Discover => "discover",
            Self::Survey => "survey",
            Self::Retire => "retire",
        }
    }
}

/// Something that was read, for the link: lost when nobody is connected, since it is told anew.
#[derive(Debug)]
pub(crate) enum News {
    Drift(Survey),
    Health {
        integration: IntegrationId,
        /// Of the configuration that was used.
        revision: Revision,
        /// `None` when nothing answered.
        identity: Option<TargetIdentity>,
        outcome: Result<CheckReport, Failure>,
    },
    Resources {
        integration: IntegrationId,
        snapshot: uuid::Uuid,
        page: u32,
        resources: Vec<Resource>,
        /// How the snapshot ends, on its last page.
        end: Option<End>,
        /// Pages wait in a room of their own: however long a list is, other news find a place. `None` for a last
        /// page that does not wait.
        place: Option<OwnedSemaphorePermit>,
    },
}

/// How a snapshot of resources ends.
#[derive(Debug, Clone)]
pub(crate) enum End {
    /// Whole, but for parts that could not be looked into: the first of them, and how many there are.
    Complete { unlisted: Vec<Unlisted>, count: u64 },
    /// It was not brought to its end.
    Broken(Failure),
}

/// What a reading came to.
#[derive(Debug)]
pub(crate) struct Read {
    /// As it was when the reading began.
    pub(crate) integration: Arc<Integration>,
    pub(crate) reading: Reading,
    /// Who answered.
    pub(crate) identity: Option<TargetIdentity>,
    /// What time it is there.
    pub(crate) said: Option<Timestamp>,
    /// What it says of the target's health; `None` when it was not about that and went well.
    pub(crate) health: Option<Result<CheckReport, Failure>>,
    /// What retiring removed and had to leave.
    pub(crate) retired: Option<RetireReport>,
}

/// Reads one integration. Failures are told as health.
pub(crate) async fn read(
    targets: Arc<Targets>,
    integration: Arc<Integration>,
    reading: Reading,
    news: mpsc::Sender<News>,
    room: Arc<Semaphore>,
    seen: mpsc::Sender<Sightings>,
) -> Read {
    let (deadline, begun) = (targets.shop.listing_deadline, Instant::now());
    let mut pages = Pages::new(&integration.id, &news, room);
    let (mut identity, mut said, mut surveyed) = (None, None, None);
    let work = async {
        let mut opened = targets.open(&integration).await?;
        identity = Some(opened.identity.clone());
        match reading {
            Reading::Check => {
                let mut report = check(&opened, &integration, &news).await;
                // A connection logs in anew with the secret that it was made with: the store may have another one by now.
                if let Err(failure) = &report
                    && failure.code == Code::LOGIN_REFUSED
                {
                    targets.failed(&integration.id, failure).await;
                    opened = targets.open(&integration).await?;
                    report = check(&opened, &integration, &news).await;
                }
                let report = report?;
                said = opened.target.time().await?;
                Ok((Some(report), None))
            }
            Reading::Discover => discover(&opened, &integration, &mut pages).await.map(|()| (None, None)),
            Reading::Survey => {
                let (integration, identity) = (&integration, &opened.identity);
                Watch { integration, identity, seen: &seen }.survey(&*opened.target).await?;
                surveyed = Some(opened);
                Ok((None, None))
            }
            Reading::Retire => {
                retire(&targets, &opened, &integration).await.map(|report| (None, Some(report)))
            }
        }
    };
    let done = timeout(deadline, work).await;
    let came_to = |health, retired| Read {
        integration: Arc::clone(&integration),
        reading,
        health,
        identity,
        said,
        retired,
    };
    measures::read(reading, matches!(done, Ok(Ok(_))), begun.elapsed());
    if let Some(opened) = surveyed {
        let (integration, identity) = (&integration, &opened.identity);
        Watch { integration, identity, seen: &seen }.look_at_roles(&*opened.target).await;
    }
    let failure = match done {
        Ok(Ok((report, retired))) => return came_to(report.map(Ok), retired),
        Ok(Err(failure)) => failure,
        Err(_) => Failure::unknown(
            Code::TIMED_OUT,
            format!("{} did not come to an end in {deadline:?}", reading.word()),
        ),
    };
    targets.failed(&integration.id, &failure).await;
    pages.break_off(&failure);
    let (id, revision) = (integration.id.clone(), integration.revision);
    tell(&news, News::Health { integration: id, revision, identity: None, outcome: Err(failure.clone()) });
    came_to(Some(Err(failure)), None)
}

/// News are told to who listens; when the listener is slow or absent they are dropped, and come again.
pub(super) fn tell(news: &mpsc::Sender<News>, one: News) {
    if let Err(fault) = news.try_send(one) {
        tracing::debug!(%fault, "News of a target were dropped; they come again with the next reading");
    }
}

async fn check(
    opened: &Opened,
    integration: &Arc<Integration>,
    news: &mpsc::Sender<News>,
) -> Result<CheckReport, Failure> {
    let report = opened.target.check().await?;
    let (id, revision) = (integration.id.clone(), integration.revision);
    let identity = Some(opened.identity.clone());
    tell(news, News::Health { integration: id, revision, identity, outcome: Ok(report.clone()) });
    Ok(report)
}

/// Cuts what discovery finds into pages and hands them on, waiting when the link is slow.
struct Pages<'n> {
    integration: IntegrationId,
    snapshot: uuid::Uuid,
    page: u32,
    held: Vec<Resource>,
    total: usize,
    unlisted: Vec<Unlisted>,
    unlisted_count: u64,
    news: &'n mpsc::Sender<News>,
    room: Arc<Semaphore>,
}

impl<'n> Pages<'n> {
    fn new(integration: &IntegrationId, news: &'n mpsc::Sender<News>, room: Arc<Semaphore>) -> Self {
        Self {
            integration: integration.clone(),
            snapshot: uuid::Uuid::now_v7(),
            page: 0,
            held: vec![],
            total: 0,
            unlisted: vec![],
            unlisted_count: 0,
            news,
            room,
        }
    }

    fn next(&mut self, end: Option<End>, place: Option<OwnedSemaphorePermit>) -> News {
        self.page += 1;
        News::Resources {
            integration: self.integration.clone(),
            snapshot: self.snapshot,
            page: self.page,
            resources: std::mem::take(&mut self.held),
            end,
            place,
        }
    }

    async fn send(&mut self, end: Option<End>) -> Result<(), Failure> {
        let gone = || Failure::not_done(Code::UNREACHABLE, "nobody listens to the resources any more");
        let place = Arc::clone(&self.room).acquire_owned().await.map_err(|_| gone())?;
        let one = self.next(end, Some(place));
        self.news.send(one).await.map_err(|_| gone())
    }

    async fn complete(&mut self) -> Result<(), Failure> {
        let unlisted = std::mem::take(&mut self.unlisted);
        self.send(Some(End::Complete { unlisted, count: self.unlisted_count })).await
    }

    /// Says that what was told so far will not come to its end.
    fn break_off(&mut self, failure: &Failure) {
        if self.page > 0 {
            self.held.clear();
            let last = self.next(Some(End::Broken(failure.clone())), None);
            tell(self.news, last);
        }
    }
}

#[async_trait]
impl ResourceSink for Pages<'_> {
    async fn take(&mut self, resources: Vec<Resource>) -> Result<(), Failure> {
        for resource in resources {
            self.total += 1;
            if self.total > MOST_RESOURCES {
                let detail = format!("more than {MOST_RESOURCES} resources: narrow the integration");
                return Err(Failure::refused(Code::BUDGET_EXCEEDED, detail));
            }
            self.held.push(resource);
            if self.held.len() >= PAGE {
                self.send(None).await?;
            }
        }
        Ok(())
    }

    async fn miss(&mut self, unlisted: Unlisted) -> Result<(), Failure> {
        self.unlisted_count += 1;
        if self.unlisted.len() < MOST_UNLISTED {
            self.unlisted.push(unlisted);
        }
        Ok(())
    }
}

async fn discover(
    opened: &Opened,
    integration: &Arc<Integration>,
    pages: &mut Pages<'_>,
) -> Result<(), Failure> {
    opened.target.discover(pages).await?;
    let (resources, unlisted) = (pages.total, pages.unlisted_count);
    tracing::info!(integration = %integration.id, resources, unlisted, "Discovered the target's resources");
    for part in &pages.unlisted {
        let Unlisted { under, failure } = part;
        tracing::debug!(integration = %integration.id, %under, code = %failure.code, detail = %failure.detail, "A part of the target could not be looked into");
    }
    pages.complete().await
}

async fn retire(
    targets: &Targets,
    opened: &Opened,
    integration: &Arc<Integration>,
) -> Result<RetireReport, Failure> {
    let report = opened.target.retire().await?;
    tracing::info!(integration = %integration.id, removed = report.removed.len(), left = report.left.len(), "Removed what was ours and shared from the target");
    targets.forget(&integration.id).await;
    Ok(report)
}

#[cfg(test)]
mod tests {
    use model::ResourceId;

    use super::*;

    fn tables(count: usize) -> Vec<Resource> {
        let table = |n: usize| Resource {
            id: ResourceId::new("postgresql-table", ["shop", &format!("t{n}")]),
            permissions: vec![],
            tags: Default::default(),
        };
        (0..count).map(table).collect()
    }

    #[tokio::test]
    async fn few_pages_wait_and_only_the_last_one_says_that_the_list_is_whole() {
        const WHOLE: usize = 3 * PAGES_WAITING;
        let shop = IntegrationId::parse("shop").unwrap();
        // The room bounds what waits, not this.
        let (news, mut listener) = mpsc::channel(10 * WHOLE);
        let room = Arc::new(Semaphore::new(PAGES_WAITING));
        let telling = async {
            let mut pages = Pages::new(&shop, &news, Arc::clone(&room));
            pages.take(tables(WHOLE * PAGE + 1)).await.unwrap();
            pages.complete().await.unwrap();
        };
        let mut telling = std::pin::pin!(telling);
        tokio::select! {
            biased;
            () = &mut telling => panic!("nobody listens, and all is told"),
            () = tokio::task::yield_now() => {}
        }
        assert_eq!(listener.len(), PAGES_WAITING);
        let listening = async {
            let mut seen = vec![];
            for _ in 0..=WHOLE {
                let Some(News::Resources { page, resources, end, place, .. }) = listener.recv().await else {
                    panic!("a page")
                };
                assert!(place.is_some(), "page {page} waits nowhere");
                seen.push((page, resources.len(), end));
            }
            seen
        };
        let ((), seen) = tokio::join!(telling, listening);
        let last = seen.len() - 1;
        for (n, (page, count, end)) in seen.iter().enumerate() {
            assert_eq!(usize::try_from(*page), Ok(n + 1));
            assert_eq!(*count, if n == last { 1 } else { PAGE }, "page {page}");
            assert_eq!(matches!(end, Some(End::Complete { .. })), n == last, "page {page}: {end:?}");
        }
        assert!(listener.is_empty() && room.available_permits() == PAGES_WAITING);
    }
}
