//! What the bench measures: the path of a grant, beside a bare client and OpenBao, on one and the same server.
//!
//! Everybody gives a new login with one role on a real PostgreSQL, over TLS, with fsync on, and takes it away. They take
//! turns, several rounds of them, so that what else the machine does meets all; figures are medians of the rounds.

pub mod bare;
pub mod figures;
pub mod openbao;
pub mod ours;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinSet;

use crate::clock::Watch;
use figures::Round;

/// The role that the bare client and OpenBao give; ours makes its own.
pub const ROLE: &str = "bench_reader";

/// Somebody who can give a login and take it away.
pub trait Party: Send + Sync + 'static {
    /// A login that was given.
    type Held: Send + 'static;

    /// Gives the `number`th login. What the target has is read back.
    fn grant(&self, number: usize) -> impl Future<Output = anyhow::Result<Self::Held>> + Send;

    /// Takes a login away. What the target has is read back.
    fn revoke(&self, held: Self::Held) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// Gives `count` logins, `at_a_time` of them, and returns them.
pub async fn give<P: Party>(
    party: &Arc<P>,
    first: usize,
    count: usize,
    at_a_time: usize,
) -> anyhow::Result<(Round, Vec<P::Held>)> {
    let numbers: Vec<usize> = (first..first + count).collect();
    let granting = party.clone();
    crowd(numbers, at_a_time, move |number| {
        let party = granting.clone();
        async move { party.grant(number).await.context("grant") }
    })
    .await
}

/// Gives `count` logins, `at_a_time` of them, then takes all away.
pub async fn play<P: Party>(
    party: &Arc<P>,
    first: usize,
    count: usize,
    at_a_time: usize,
) -> anyhow::Result<(Round, Round)> {
    let (grants, held) = give(party, first, count, at_a_time).await?;
    let revoking = party.clone();
    let (revokes, _) = crowd(held, at_a_time, move |held| {
        let party = revoking.clone();
        async move { party.revoke(held).await.context("revoke") }
    })
    .await?;
    Ok((grants, revokes))
}

/// Does something to each item, so many at a time, and measures it.
pub(crate) async fn crowd<I, O, F, D>(
    items: Vec<I>,
    at_a_time: usize,
    deed: D,
) -> anyhow::Result<(Round, Vec<O>)>
where
    I: Send + 'static,
    O: Send + 'static,
    F: Future<Output = anyhow::Result<O>> + Send,
    D: Fn(I) -> F + Clone + Send + 'static,
{
    let mut shares: Vec<Vec<I>> = (0..at_a_time).map(|_| vec![]).collect();
    for (n, item) in items.into_iter().enumerate() {
        if let Some(share) = shares.get_mut(n % at_a_time) {
            share.push(item);
        }
    }
    let whole = Watch::start();
    let mut workers = JoinSet::new();
    for share in shares {
        let deed = deed.clone();
        workers.spawn(async move {
            let mut done: Vec<(Duration, O)> = vec![];
            for item in share {
                let watch = Watch::start();
                let outcome = deed(item).await?;
                done.push((watch.elapsed(), outcome));
            }
            anyhow::Ok(done)
        });
    }
    let (mut times, mut outcomes) = (vec![], vec![]);
    while let Some(ended) = workers.join_next().await {
        for (took, outcome) in ended.context("a worker broke off")?? {
            times.push(took);
            outcomes.push(outcome);
        }
    }
    Ok((Round::new(whole.elapsed(), times), outcomes))
}
