//! The agent's shell in small: the book, the journal and a runner of calls, all in virtual time.

use std::collections::VecDeque;

use model::{
    AccountId, AccountName, AccountRef, Code, Failure, GranteeId, Incarnation, Integration, IntegrationId,
    Observed, Ownership, ReceiptBody,
};
use rules::ladder::{Ladder, Task};
use rules::{Act, Action, Answer, Book, ChainHead, Grantee, Office};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::fault::Fault;
use crate::target::Verb;

/// The office of a made-up connector, for one life of the agent.
pub(crate) struct Desk {
    pub(crate) life: u64,
    pub(crate) fault: Option<Fault>,
}

/// A receipt as the made-up office signs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Signed {
    #[serde(flatten)]
    pub(crate) body: ReceiptBody,
    pub(crate) previous: String,
    pub(crate) hash: String,
}

/// Returns the account of a grantee on an integration.
pub(crate) fn account_id(integration: &IntegrationId, grantee: &GranteeId) -> AccountId {
    let mut bytes = [0_u8; 16];
    for (n, byte) in integration.as_str().bytes().chain([0]).chain(grantee.as_str().bytes()).enumerate() {
        let at = n % 16;
        bytes[at] = bytes[at].wrapping_mul(31).wrapping_add(byte);
    }
    AccountId::from_uuid(Uuid::from_bytes(bytes))
}

/// Returns the name that a grantee's account gets.
pub(crate) fn account_name(grantee: &GranteeId) -> AccountName {
    AccountName(format!("tg_{grantee}"))
}

/// A hash that is good enough among a few receipts.
fn fnv(text: &str) -> String {
    let hash = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    format!("{:016x}", text.bytes().fold(0xcbf2_9ce4_8422_2325, hash))
}

impl Office for Desk {
    fn account(
        &self,
        integration: &Integration,
        grantee: &Grantee,
    ) -> Result<(AccountId, AccountName, Ownership), Code> {
        Ok((account_id(&integration.id, &grantee.id), account_name(&grantee.id), Ownership::Owned))
    }

    fn sign(
        &self,
        _: &IntegrationId,
        head: &ChainHead,
        body: &ReceiptBody,
    ) -> Result<(String, ChainHead), Code> {
        let mut body = body.clone();
        if self.fault == Some(Fault::LivesUnsaid) {
            body.life = None;
        }
        let number = head.number + 1;
        let text = serde_json::to_string(&body).map_err(|_| Code::other("unsigned"))?;
        let hash = fnv(&format!("{number} {} {text}", head.hash));
        let signed = Signed { previous: head.hash.clone(), hash: hash.clone(), body };
        let signed = serde_json::to_string(&signed).map_err(|_| Code::other("unsigned"))?;
        Ok((signed, ChainHead { number, hash, life: Some(self.life()) }))
    }

    fn life(&self) -> Incarnation {
        Incarnation::from_uuid(Uuid::from_u128(self.life.into()))
    }
}

/// One life of the agent.
pub(crate) struct Agent {
    pub(crate) book: Book,
    /// Which life this is: calls of an earlier life are nobody's.
    pub(crate) life: u64,
    /// The journal was found to be old in this life and has been given a new incarnation.
    pub(crate) renewed: bool,
}

/// A call under way.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) life: u64,
    pub(crate) action: Action,
    pub(crate) account: AccountRef,
    verbs: VecDeque<Verb>,
    ladder: Option<Ladder>,
    task: Option<Task>,
    failure: Option<Failure>,
    /// How many verbs were sent: answers to earlier ones are late.
    pub(crate) sent: u64,
}

/// What a call wants next.
pub(crate) enum Next {
    Send(Verb),
    Answer(Answer),
}

impl Call {
    pub(crate) fn new(
        life: u64,
        action: Action,
        serial: Option<u64>,
        fused: bool,
        fault: Option<Fault>,
    ) -> Self {
        let mut verbs = VecDeque::new();
        let mut ladder = None;
        let account = match &action.act {
            Act::Open { account, mark, expires, wanted, .. } => {
                let (mark, expires) = (mark.clone(), *expires);
                if fused {
                    verbs.push_back(Verb::OpenAll { mark, expires, wanted: wanted.clone(), serial });
                } else {
                    verbs.extend([
                        Verb::Create { mark, expires },
                        Verb::Grant(wanted.clone()),
                        Verb::SetCredential(serial),
                        Verb::Enable,
                    ]);
                }
                verbs.push_back(Verb::Observe);
                account.to_ref()
            }
            Act::Converge { account, mark, expires, wanted, shrinks } => {
                verbs.push_back(Verb::Grant(wanted.clone()));
                if fault == Some(Fault::JoinRotates) {
                    verbs.push_back(Verb::SetCredential(Some(u64::MAX)));
                }
                verbs.push_back(Verb::Renew { mark: mark.clone(), expires: *expires });
                if *shrinks {
                    verbs.push_back(Verb::Rung(model::Rung::EndSessions));
                }
                verbs.push_back(Verb::Observe);
                account.to_ref()
            }
            Act::Rotate { account, mark, .. } => {
                verbs.push_back(Verb::SetCredential(serial));
                verbs.push_back(Verb::Renew { mark: mark.clone(), expires: None });
                verbs.push_back(Verb::Observe);
                account.to_ref()
            }
            Act::Close { account, .. } => {
                ladder = Some(Ladder::new(account.ownership, false));
                account.to_ref()
            }
            Act::Delete { account } => {
                verbs.extend([Verb::Delete, Verb::Observe]);
                account.to_ref()
            }
            Act::Observe { account } => {
                verbs.push_back(Verb::Observe);
                account.to_ref()
            }
            Act::Mint { .. } => {
                AccountRef { id: action.account, name: AccountName(String::new()), immutable: None }
            }
        };
        Self { life, action, account, verbs, ladder, task: None, failure: None, sent: 0 }
    }

    /// Returns the first thing to do.
    pub(crate) fn begin(&mut self) -> Next {
        self.advance()
    }

    fn advance(&mut self) -> Next {
        if let Some(ladder) = self.ladder.as_mut() {
            self.task = ladder.next_task();
            let verb = match self.task {
                Some(Task::Rung(rung)) => Verb::Rung(rung),
                Some(Task::Renew) => {
                    let Act::Close { mark, .. } = &self.action.act else { return self.lost() };
                    Verb::Renew { mark: mark.clone(), expires: None }
                }
                Some(Task::Observe) | None => Verb::Observe,
            };
            self.sent += 1;
            return Next::Send(verb);
        }
        match self.verbs.pop_front() {
            Some(verb) => {
                self.sent += 1;
                Next::Send(verb)
            }
            None => self.lost(),
        }
    }

    fn lost(&self) -> Next {
        Next::Answer(Answer::Failed(Failure::unknown(
            Code::DRIVER_FAULT,
            "the call ended without a read-back",
        )))
    }

    /// Takes what a verb came to.
    pub(crate) fn took(&mut self, outcome: Result<Option<Observed>, Failure>) -> Next {
        if let Some(mut ladder) = self.ladder.take() {
            return match (self.task, outcome) {
                (Some(Task::Observe), Ok(Some(observed))) => {
                    Next::Answer(Answer::Closed(ladder.finish(Ok(observed))))
                }
                (Some(Task::Observe), Ok(None)) => self.lost(),
                (Some(Task::Observe), Err(failure)) => {
                    Next::Answer(Answer::Closed(ladder.finish(Err(failure))))
                }
                (Some(task), outcome) => {
                    ladder.done(task, outcome.map(|_| ()));
                    self.ladder = Some(ladder);
                    self.advance()
                }
                (None, _) => self.lost(),
            };
        }
        match outcome {
            Ok(Some(observed)) => Next::Answer(match &self.action.act {
                Act::Delete { .. } => Answer::Deleted { observed },
                Act::Observe { .. } => Answer::Observed(observed),
                _ => Answer::Done { observed, lines: vec![], failure: self.failure.take() },
            }),
            Ok(None) => self.advance(),
            // A convergence is read back whatever it could do.
            Err(failure) if matches!(self.action.act, Act::Converge { .. }) && self.verbs.len() > 1 => {
                self.failure.get_or_insert(failure);
                while self.verbs.len() > 1 {
                    self.verbs.pop_front();
                }
                self.advance()
            }
            Err(failure) => Next::Answer(Answer::Failed(self.failure.take().unwrap_or(failure))),
        }
    }
}
