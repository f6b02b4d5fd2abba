//! Calls that may be repeated: with an idempotency key, the second answers as the first did.
//!
//! Key and answer are written in the transaction of the change itself. An answer with a new token in it is
//! not kept: the repeated call is told that it was done.

use futures_util::future::BoxFuture;
use model::Span;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::caller::{Caller, Once};
use crate::changes::Deed;
use crate::office::Office;
use crate::record::Remembered;
use crate::refusal::Refusal;
use crate::store::StoreFault;

/// How long an answer is remembered.
const REMEMBERED: Span = Span::from_hours(24);

/// Whether an answer may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Plain,
    /// It has a token in it.
    Secret,
}

/// Does a deed once for each key.
pub(super) async fn once<B, T, F>(
    office: &Office,
    caller: &Caller,
    once: Once,
    body: &B,
    kind: Answer,
    work: F,
) -> Result<T, Refusal>
where
    B: Serialize,
    T: Serialize + DeserializeOwned + Send + 'static,
    F: for<'a, 'r> FnOnce(&'a mut Deed<'r>) -> BoxFuture<'a, Result<T, Refusal>> + Send + 'static,
{
    let asked = once.asked(body);
    let Some(key) = once.key else { return office.write(caller.who(), work).await };
    let holder = caller.user.id.clone();
    office
        .write(caller.who(), move |deed| {
            Box::pin(async move {
                let before = deed.rows.remembered(&holder, &key).await?;
                if let Some(before) = before.filter(|before| deed.now.since(before.at) < REMEMBERED) {
                    return repeated(before, &asked);
                }
                let answer = work(deed).await?;
                let kept = match kind {
                    Answer::Plain => Some(json(&answer)?),
                    Answer::Secret => None,
                };
                let remembered = Remembered { asked, at: deed.now, answer: kept };
                deed.rows.forget(deed.now.minus(REMEMBERED)).await?;
                deed.rows.remember(&holder, &key, &remembered).await?;
                Ok(answer)
            })
        })
        .await
}

fn json<T: Serialize>(answer: &T) -> Result<serde_json::Value, Refusal> {
    serde_json::to_value(answer)
        .map_err(|fault| Refusal::Store(StoreFault::Unavailable { detail: fault.to_string() }))
}

fn repeated<T: DeserializeOwned>(before: Remembered, asked: &str) -> Result<T, Refusal> {
    if before.asked != asked {
        let detail = "the idempotency key was used for another call: choose a new one for a new call";
        return Err(Refusal::conflict("idempotency_key_reused", detail));
    }
    let Some(answer) = before.answer else {
        let detail =
            "this was done before, and its token was shown then: revoke that and make another with a new key";
        return Err(Refusal::conflict("already_done", detail));
    };
    serde_json::from_value(answer)
        .map_err(|fault| Refusal::Store(StoreFault::Damaged { detail: fault.to_string() }))
}
