//! Calls and their weather: what is sent to a target, what becomes of it on the way, and what is answered.

use model::observed::Present;
use model::{
    AccountId, AccountRef, Code, Failure, IntegrationId, Login, MarkState, Observed, SealedCredential,
    Verifier,
};
use rules::{Act, Action, Answer, Input, Source, Ticket};

use crate::agent::{Call, Next};
use crate::fault::Fault;
use crate::target::Verb;
use crate::world::{Event, Told, World};

/// A call gives up on an answer after this long.
const TIME_OUT: i64 = 5_000;
/// The server's own deadline: what was given up on lands within this long, or never.
const LANDS_WITHIN: i64 = 5_000;

/// A verb on its way to a target. It lands whether or not anybody still waits for it.
#[derive(Debug, Clone)]
pub(crate) struct Landing {
    pub(crate) call: u64,
    pub(crate) sent: u64,
    pub(crate) verb: Verb,
    pub(crate) account: AccountRef,
    pub(crate) target: usize,
    pub(crate) closing: bool,
    pub(crate) answered_at: Option<i64>,
    pub(crate) twice: bool,
}

impl World {
    pub(crate) fn dispatch(&mut self, action: Action) {
        let Some(life) = self.agent.as_ref().map(|agent| agent.life) else { return };
        self.tickets.insert(action.account, action.ticket);
        self.tell(|| format!("does {} for {}", action.act.word(), action.account));
        if let Act::Mint { generation, access, key, .. } = &action.act {
            self.serial += 1;
            let serial = self.serial;
            self.minted.insert(serial, life);
            self.clear.insert((life, action.account), (*generation, serial));
            let sealed = access.as_ref().map(|access| SealedCredential {
                generation: *generation,
                access: access.clone(),
                key: key.clone(),
                encapsulated: String::new(),
                ciphertext: serial.to_string(),
            });
            let verifier = self.takes_verifier.then(|| Verifier(serial.to_string()));
            let answer = Answer::Minted { sealed, verifier, key_before: None };
            let at = self.now + self.rng.between(1, 5);
            self.at(at, Event::Minted { life, account: action.account, ticket: action.ticket, answer });
            return;
        }
        if let Some((ticket, answer)) = self.answers.get(&(action.account, action.act.word())).cloned()
            && self.rng.chance(150)
        {
            // What an earlier call of this kind was answered comes once more, into this one.
            let at = self.now + self.rng.between(1, 100);
            self.at(at, Event::Late { account: action.account, ticket, answer });
        }
        let serial = self.credential_of(life, &action);
        let closes = action.act.closes() || matches!(action.act, Act::Converge { shrinks: true, .. });
        let mut call = Call::new(life, action, serial, self.weather.fused, self.fault);
        let next = call.begin();
        let id = self.next_call;
        self.next_call += 1;
        self.calls.insert(id, call);
        if closes && self.fault == Some(Fault::ClosingStarves) && self.calls.len() > 1 {
            // Something else is under way: the close waits in a queue.
            let at = self.now + 15 * 60_000;
            self.at(at, Event::Goes { call: id });
            self.held_up.insert(id, next);
            return;
        }
        self.sets_out(id, next);
    }

    /// A call begins, or goes on after it was held up.
    pub(crate) fn sets_out(&mut self, id: u64, next: Next) {
        let early = self.fault == Some(Fault::ReleasesEarly) && self.rng.chance(100);
        if early
            && let Some(call) = self.calls.get(&id)
            && let Act::Open { account, wanted, .. } = &call.action.act
        {
            let found = Present {
                name: account.name.clone(),
                immutable: model::ImmutableId("not-looked".into()),
                login: Login::Open,
                entitlements: wanted.clone(),
                excess: vec![],
                sessions: 0,
                expires: None,
                mark: MarkState::Missing,
                residual: vec![],
            };
            let observed = Observed { target_time: None, account: Some(Box::new(found)) };
            let answer = Answer::Done { observed, lines: vec![], failure: None };
            let (account, ticket) = (call.action.account, call.action.ticket);
            let at = self.now + 1;
            self.at(at, Event::Late { account, ticket, answer });
        }
        if self.go_on(id, next).is_err() {
            self.calls.remove(&id);
        }
    }

    /// The credential that an action sets: the one of the verifier, else the clear text that this life made.
    fn credential_of(&mut self, life: u64, action: &Action) -> Option<u64> {
        let (generation, verifier) = match &action.act {
            Act::Open { generation, verifier, .. } | Act::Rotate { generation, verifier, .. } => {
                (*generation, verifier)
            }
            Act::Mint { .. }
            | Act::Converge { .. }
            | Act::Close { .. }
            | Act::Delete { .. }
            | Act::Observe { .. } => return None,
        };
        let serial = match verifier {
            Some(verifier) => verifier.0.parse().ok(),
            None => {
                let kept = self.clear.get(&(life, action.account));
                kept.filter(|(kept, _)| *kept == generation).map(|(_, serial)| *serial)
            }
        };
        let elsewhere = serial.is_some_and(|serial| self.minted.get(&serial) != Some(&life));
        if self.fault == Some(Fault::ForgetsCredential) && elsewhere {
            self.serial += 1;
            return Some(self.serial);
        }
        serial
    }

    /// An answer reaches the agent, whoever waits for it.
    pub(crate) fn deliver(&mut self, account: AccountId, ticket: Ticket, answer: Answer) -> Told {
        let ticket = match self.fault {
            Some(Fault::AnyAnswer) => self.tickets.get(&account).copied().unwrap_or(ticket),
            _ => ticket,
        };
        self.input(Input::Answered { account, ticket, answer, by: None })
    }

    fn go_on(&mut self, id: u64, next: Next) -> Told {
        match next {
            Next::Send(verb) => {
                self.send(id, verb);
                Ok(())
            }
            Next::Answer(answer) => {
                let Some(call) = self.calls.remove(&id) else { return Ok(()) };
                let heard = match &answer {
                    Answer::Done { observed, .. }
                    | Answer::Deleted { observed }
                    | Answer::Observed(observed) => observed.target_time,
                    Answer::Closed(climb) => {
                        climb.observed.as_ref().ok().and_then(|observed| observed.target_time)
                    }
                    Answer::Failed(_) | Answer::Minted { .. } => None,
                };
                if let Some(said) = heard {
                    self.input(Input::Heard { source: Source::Target, said })?;
                }
                let (account, ticket) = (call.action.account, call.action.ticket);
                self.answers.insert((account, call.action.act.word()), (ticket, answer.clone()));
                self.input(Input::Answered { account, ticket, answer: answer.clone(), by: None })?;
                if self.rng.chance(50) {
                    self.deliver(account, ticket, answer.clone())?;
                }
                // It may turn up once more, when it is true no longer.
                if self.rng.chance(150) {
                    let long = [200, 20_000, 600_000, 3_600_000][self.rng.index(4)];
                    let at = self.now + self.rng.between(1, long);
                    self.at(at, Event::Late { account, ticket, answer });
                }
                Ok(())
            }
        }
    }

    /// Sends a verb into the weather.
    fn send(&mut self, id: u64, verb: Verb) {
        let Some(call) = self.calls.get(&id) else { return };
        let sent = call.sent;
        let index = self.target_index(&call.action.integration);
        let quick = self.now + self.rng.between(2, 200);
        if !self.targets[index].up {
            let outcome = Err(Failure::not_done(Code::UNREACHABLE, "the target is down"));
            self.at(quick, Event::Answers { call: id, sent, outcome });
            return;
        }
        let bad = !self.calm && self.rng.chance(self.weather.bad_calls);
        let gives_up = self.now + TIME_OUT;
        let timed_out = match self.fault {
            Some(Fault::TimeOutIsDone) if verb != Verb::Observe => Ok(None),
            Some(Fault::TimeOutIsNotDone) => Err(Failure::not_done(Code::TIMED_OUT, "no answer in time")),
            _ => Err(Failure::unknown(Code::TIMED_OUT, "no answer in time")),
        };
        let landing = Landing {
            call: id,
            sent,
            verb,
            account: call.account.clone(),
            target: index,
            closing: matches!(call.action.act, Act::Close { .. }),
            answered_at: Some(quick),
            twice: false,
        };
        if !bad {
            self.at(quick, Event::Lands(landing));
            return;
        }
        match self.rng.index(7) {
            0 => {
                let outcome = Err(Failure::refused(Code::RIGHT_MISSING, "refused"));
                self.at(quick, Event::Answers { call: id, sent, outcome });
            }
            1 => {
                let outcome = Err(Failure::not_done(Code::BUSY, "busy"));
                self.at(quick, Event::Answers { call: id, sent, outcome });
            }
            2 => {
                self.at(quick, Event::Lands(Landing { answered_at: None, ..landing }));
                self.at(gives_up, Event::Answers { call: id, sent, outcome: timed_out });
            }
            3 => self.at(gives_up, Event::Answers { call: id, sent, outcome: timed_out }),
            4 => {
                // It lands after we gave up, within the server's own deadline.
                let within = if self.fault == Some(Fault::LandsUnseen) { 180_000 } else { LANDS_WITHIN };
                let late = gives_up + self.rng.between(1, within);
                self.at(gives_up, Event::Answers { call: id, sent, outcome: timed_out });
                self.at(late, Event::Lands(Landing { answered_at: None, ..landing }));
            }
            5 => {
                self.at(quick, Event::Lands(Landing { answered_at: Some(quick + 3), twice: true, ..landing }))
            }
            _ => {
                let slow = self.now + self.rng.between(1_000, TIME_OUT - 100);
                self.at(slow, Event::Lands(Landing { answered_at: Some(slow), ..landing }));
            }
        }
    }

    fn target_index(&self, integration: &IntegrationId) -> usize {
        self.integrations.iter().position(|known| known == integration).unwrap_or(0)
    }

    pub(crate) fn land(&mut self, landing: Landing) -> Told {
        let Landing { call: id, sent, verb, account, target, closing, answered_at, twice } = landing;
        if !self.targets[target].up {
            // It went down under the call: whether it was done, nobody can say.
            if let Some(at) = answered_at {
                let outcome = Err(Failure::unknown(Code::UNREACHABLE, "the connection broke"));
                self.at(at, Event::Answers { call: id, sent, outcome });
            }
            return Ok(());
        }
        let verb = match (self.fault, verb) {
            (Some(Fault::RightsSurvive), Verb::Rung(model::Rung::EndSessions)) if !closing => None,
            (Some(Fault::RotatesNothing), Verb::SetCredential(_)) if self.sets_a_shut_one(id) => None,
            (Some(Fault::RetireLeaves), Verb::Delete) => {
                self.pretended.insert(account.id);
                None
            }
            (Some(Fault::SessionsLive), Verb::Rung(model::Rung::EndSessions))
            | (Some(Fault::LoginStaysOpen), Verb::Rung(model::Rung::ShutLogin)) => None,
            (_, verb) => Some(verb),
        };
        let now = self.true_time();
        let takes = matches!(verb, Some(Verb::Rung(_) | Verb::Delete));
        let by_name =
            self.fault == Some(Fault::ByNameAlone) || (self.fault == Some(Fault::ShutsForeign) && takes);
        let adds = self.fault == Some(Fault::OnlyAdds);
        let mut outcome = match &verb {
            Some(verb) => self.targets[target].act(&account, verb, now, by_name, adds),
            None => Ok(None),
        };
        self.tell(|| format!("    {verb:?} lands: {}", if outcome.is_ok() { "done" } else { "refused" }));
        let pretended = self.pretended.contains(&account.id);
        if ((self.fault == Some(Fault::StaleReadBack) && closing) || pretended)
            && let Ok(Some(observed)) = &mut outcome
        {
            *observed = Observed::absent(Some(now));
        }
        if let Ok(None) = &outcome {
            self.checks.landed(&self.targets, now)?;
        }
        if let Some(at) = answered_at {
            if twice {
                self.at(at + 1, Event::Answers { call: id, sent, outcome: outcome.clone() });
            }
            self.at(at, Event::Answers { call: id, sent, outcome });
        }
        Ok(())
    }

    /// Whether a call gives another credential to an account that nobody uses.
    fn sets_a_shut_one(&self, call: u64) -> bool {
        let Some(call) = self.calls.get(&call) else { return false };
        let record = self.agent.as_ref().and_then(|agent| agent.book.account(call.account.id));
        matches!(call.action.act, Act::Rotate { .. })
            && record.is_some_and(|record| record.phase == model::Phase::Suspended)
    }

    pub(crate) fn answered(
        &mut self,
        id: u64,
        sent: u64,
        outcome: Result<Option<Observed>, Failure>,
    ) -> Told {
        let alive = self.agent.as_ref().map(|agent| agent.life);
        let Some(call) = self.calls.get_mut(&id) else { return Ok(()) };
        if call.sent != sent {
            return Ok(());
        }
        if alive != Some(call.life) {
            self.calls.remove(&id);
            return Ok(());
        }
        let next = call.took(outcome);
        self.go_on(id, next)
    }
}
