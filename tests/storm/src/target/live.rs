//! A live made-up target: the verbs, each one exchange; opening is one exchange, as on a target with transactions.
//!
//! Files are read and written where the call runs: they are in the system's memory, and a call takes microseconds.

use std::io;

use async_trait::async_trait;
use driver::{
    AccountSpec, CheckReport, ConnectionLine, Grade, HeirPolicy, OpenOrder, Probe, Resource, ResourceSink,
    RetireReport, SightingSink, Target, TargetContext, crash,
};
use model::mark::MarkDraft;
use model::observed::Present;
use model::{
    AccountName, AccountRef, Code, EntitlementSet, Failure, ImmutableId, Login, MarkState, NewCredential,
    Observed, Permission, ResourceId, Rung, Sighting, TargetIdentity, Timestamp, Towards,
};

use super::manifest::{READ_ONLY, THING};
use super::shelf::{Number, Row, Shelf};
use super::trouble::Trouble;
use crate::clock;

/// Room for marks.
const MARK_BYTES: usize = 512;
/// How many sightings are told at once.
const PIECE: usize = 100;

pub(super) struct Live {
    identity: TargetIdentity,
    shelf: Shelf,
    trouble: Trouble,
    context: TargetContext,
}

/// A fault of the files: it is not known what was written.
struct Files(Failure);

impl From<io::Error> for Files {
    fn from(fault: io::Error) -> Self {
        Self(Failure::unknown(Code::TARGET_FAULT, format!("the target's files: {fault}")))
    }
}

impl From<Failure> for Files {
    fn from(failure: Failure) -> Self {
        Self(failure)
    }
}

impl Live {
    pub(super) const fn new(
        identity: TargetIdentity,
        shelf: Shelf,
        trouble: Trouble,
        context: TargetContext,
    ) -> Self {
        Self { identity, shelf, trouble, context }
    }

    /// One exchange that only reads.
    async fn look<T: Send>(&self, look: impl FnOnce(&Self) -> Result<T, Files> + Send) -> Result<T, Failure> {
        self.trouble.pass().await?;
        let seen = look(self).map_err(|Files(failure)| failure);
        crash::exchange();
        seen
    }

    /// One exchange that changes the target.
    async fn change<T: Send>(
        &self,
        towards: Towards,
        change: impl FnOnce(&Self) -> Result<T, Files> + Send,
    ) -> Result<T, Failure> {
        self.context.caller.licence.admits(towards)?;
        self.look(change).await
    }

    fn immutable(number: Number) -> ImmutableId {
        ImmutableId(number.0.to_string())
    }

    fn mark_of(&self, number: Number, row: &Row) -> MarkState {
        self.context.marks.read(&row.mark, &self.identity, &Self::immutable(number))
    }

    /// Finds an account by its immutable id, or by a mark that names it.
    fn find(&self, account: &AccountRef) -> Result<Option<(Number, Row)>, Files> {
        let known = account.immutable.as_ref().and_then(|known| known.0.parse().ok()).map(Number);
        if let Some(number) = known
            && let Some(row) = self.shelf.read(number)?
        {
            return Ok(Some((number, row)));
        }
        let Some(number) = self.shelf.find(account.id)? else { return Ok(None) };
        let Some(row) = self.shelf.read(number)? else { return Ok(None) };
        let ours = match self.mark_of(number, &row) {
            MarkState::Valid(mark) => {
                mark.draft.account == account.id && mark.draft.integration == self.context.integration
            }
            MarkState::Missing | MarkState::Copied | MarkState::Forged | MarkState::Foreign => false,
        };
        Ok(ours.then_some((number, row)))
    }

    fn ours(&self, account: &AccountRef) -> Result<(Number, Row), Files> {
        let missing = || Failure::refused(Code::ACCOUNT_MISSING, "there is no such account");
        self.find(account)?.ok_or_else(|| missing().into())
    }

    fn mark_text(&self, draft: &MarkDraft, number: Number) -> Result<String, Failure> {
        let mark = draft.clone().complete(self.identity.clone(), Self::immutable(number));
        let written = self.context.marks.write(&mark, MARK_BYTES);
        written.map_err(|fault| Failure::refused(Code::DRIVER_FAULT, fault.to_string()))
    }

    fn made(&self, spec: &AccountSpec) -> Result<(Number, Row), Files> {
        let expires = spec.expires.map(Timestamp::as_millis);
        if let Some((number, row)) = self.find(&spec.account.to_ref())? {
            let row = Row { mark: self.mark_text(&spec.mark, number)?, expires, ..row };
            self.shelf.write(number, &row)?;
            return Ok((number, row));
        }
        self.shelf.make(|number| {
            Ok(Row {
                id: spec.account.id,
                name: spec.account.name.0.clone(),
                can_log_in: false,
                expires,
                mark: self.mark_text(&spec.mark, number)?,
                held: EntitlementSet::nothing(),
                shut_at: None,
            })
        })
    }

    fn referred(spec: &AccountSpec, number: Number) -> AccountRef {
        AccountRef {
            id: spec.account.id,
            name: spec.account.name.clone(),
            immutable: Some(Self::immutable(number)),
        }
    }

    fn present(&self, number: Number, row: Row) -> Present {
        Present {
            mark: self.mark_of(number, &row),
            name: AccountName(row.name),
            immutable: Self::immutable(number),
            login: if row.can_log_in { Login::Open } else { Login::Shut },
            entitlements: row.held,
            excess: vec![],
            sessions: 0,
            expires: row.expires.map(Timestamp::from_millis),
            residual: vec![],
        }
    }

    /// Refuses what this kind has no word for.
    fn known(wanted: &EntitlementSet) -> Result<(), Failure> {
        let is_known = |one: &model::Entitlement| {
            one.resource.kind.0 == THING && one.resource.path.len() == 1 && one.permission.0 == READ_ONLY
        };
        if wanted.iter().all(is_known) {
            return Ok(());
        }
        Err(Failure::refused(Code::PERMISSION_UNKNOWN, "there is no such permission"))
    }
}

#[async_trait]
impl Target for Live {
    async fn identify(&self) -> Result<TargetIdentity, Failure> {
        self.look(|live| Ok(live.identity.clone())).await
    }

    async fn check(&self) -> Result<CheckReport, Failure> {
        self.look(|live| {
            let accounts = live.shelf.numbers()?.count();
            Ok(CheckReport {
                probes: vec![Probe {
                    name: "accounts".into(),
                    grade: Grade::Good,
                    detail: format!("{accounts} accounts were made here"),
                }],
                product: "Made-up target".into(),
                version: "1.0".into(),
            })
        })
        .await
    }

    async fn discover(&self, out: &mut dyn ResourceSink) -> Result<(), Failure> {
        let found = self
            .look(|_| {
                Ok(Resource {
                    id: ResourceId::new(THING, ["thing"]),
                    permissions: vec![Permission(READ_ONLY.into())],
                    tags: std::collections::BTreeMap::new(),
                })
            })
            .await?;
        out.take(vec![found]).await
    }

    async fn create(&self, spec: &AccountSpec) -> Result<AccountRef, Failure> {
        self.change(Towards::More, |live| {
            let (number, _) = live.made(spec)?;
            Ok(Self::referred(spec, number))
        })
        .await
    }

    async fn grant(&self, account: &AccountRef, wanted: &EntitlementSet) -> Result<(), Failure> {
        self.change(Towards::More, |live| {
            let (number, row) = live.ours(account)?;
            // What is not wanted any more goes first, whatever is refused then.
            let row = Row { held: row.held.both(wanted), ..row };
            live.shelf.write(number, &row)?;
            Self::known(wanted)?;
            Ok(live.shelf.write(number, &Row { held: wanted.clone(), ..row })?)
        })
        .await
    }

    async fn rotate(&self, account: &AccountRef, _: &NewCredential) -> Result<(), Failure> {
        self.change(Towards::More, |live| live.ours(account).map(drop)).await
    }

    async fn enable(&self, account: &AccountRef) -> Result<(), Failure> {
        self.change(Towards::More, |live| {
            let (number, row) = live.ours(account)?;
            Ok(live.shelf.write(number, &Row { can_log_in: true, ..row })?)
        })
        .await
    }

    async fn renew(
        &self,
        account: &AccountRef,
        mark: &MarkDraft,
        expires: Option<Timestamp>,
    ) -> Result<(), Failure> {
        // The mark of an account that is being closed says less than before.
        let towards = if mark.until.is_some() { Towards::More } else { Towards::Less };
        self.change(towards, |live| {
            let (number, row) = live.ours(account)?;
            let mark = live.mark_text(mark, number)?;
            let expires = expires.map(Timestamp::as_millis);
            Ok(live.shelf.write(number, &Row { mark, expires, ..row })?)
        })
        .await
    }

    async fn open(&self, order: &OpenOrder) -> Result<AccountRef, Failure> {
        self.change(Towards::More, |live| {
            Self::known(&order.wanted)?;
            let (number, row) = live.made(&order.spec)?;
            let open = Row { can_log_in: true, held: order.wanted.clone(), ..row };
            live.shelf.write(number, &open)?;
            Ok(Self::referred(&order.spec, number))
        })
        .await
    }

    async fn revoke(&self, account: &AccountRef, rung: Rung) -> Result<(), Failure> {
        self.change(Towards::Less, |live| {
            let Some((number, row)) = live.find(account)? else { return Ok(()) };
            let row = match rung {
                Rung::ShutLogin => {
                    let shut_at = if row.can_log_in { Some(clock::now_ms()) } else { row.shut_at };
                    Row { can_log_in: false, expires: None, shut_at, ..row }
                }
                Rung::Strip => Row { held: EntitlementSet::nothing(), ..row },
                // There are no sessions, and nobody logs in with a credential.
                Rung::EndSessions | Rung::Scramble => return Ok(()),
            };
            Ok(live.shelf.write(number, &row)?)
        })
        .await
    }

    async fn delete(&self, account: &AccountRef, _: HeirPolicy) -> Result<(), Failure> {
        self.change(Towards::Less, |live| match live.find(account)? {
            Some((number, _)) => Ok(live.shelf.remove(number)?),
            None => Ok(()),
        })
        .await
    }

    async fn observe(&self, account: &AccountRef) -> Result<Observed, Failure> {
        self.look(|live| {
            let found = live.find(account)?;
            let account = found.map(|(number, row)| Box::new(live.present(number, row)));
            Ok(Observed { target_time: Some(Timestamp::from_millis(clock::now_ms())), account })
        })
        .await
    }

    async fn survey(&self, out: &mut dyn SightingSink) -> Result<(), Failure> {
        let numbers: Vec<_> = self.look(|live| Ok(live.shelf.numbers()?.collect())).await?;
        for some in numbers.chunks(PIECE) {
            let seen = self
                .look(|live| {
                    let mut seen = vec![];
                    for number in some {
                        if let Some(row) = live.shelf.read(*number)? {
                            seen.push(Sighting { found: live.present(*number, row) });
                        }
                    }
                    Ok(seen)
                })
                .await?;
            out.take(seen).await?;
        }
        Ok(())
    }

    async fn retire(&self) -> Result<RetireReport, Failure> {
        self.look(|_| Ok(RetireReport::default())).await
    }

    fn connection_lines(&self, account: &AccountRef, _: &EntitlementSet) -> Vec<ConnectionLine> {
        let text = format!("made-up://{}", account.name.0);
        vec![ConnectionLine { label: "uri".into(), text }]
    }

    async fn close(&self) {}
}
