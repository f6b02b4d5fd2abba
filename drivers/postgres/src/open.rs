//! Towards more: create, grant, rotate, enable, renew, and all of them at once.
//!
//! One transaction in two exchanges. The first begins, makes the account or locks it, and reads what is
//! there; between the two the mark is written, for which the account's OID is needed; the second brings
//! the account to what is wanted and commits: before, nobody sees that its login is open. Verifying is in the
//! same transaction as acting, so nothing can come between.

use driver::AccountSpec;
use driver::credential::{ITERATIONS, ScramSha256};
use model::mark::MarkDraft;
use model::{
    AccountRef, Code, EntitlementSet, Failure, ImmutableId, NewCredential, Retry, TargetIdentity, Timestamp,
    Verifier,
};
use tokio_postgres::error::SqlState;

use crate::account::{self, Found, Role, column, find, known_oid};
use crate::catalogue::{ACCOUNT, ATTACHABLE, DEPENDING, MEMBERSHIPS, UNCHANGED};
use crate::close::is_in_the_way;
use crate::connect::Facts;
use crate::faults::{ASSERTION, Fault, Stage};
use crate::memberships::{Membership, Wanted};
use crate::quote::{Ident, Literal};
use crate::roles::Shared;
use crate::session::{Parameter, Purpose, Session};
use crate::statements::{self, Until};
use crate::target::PostgresTarget;

/// What is to be changed on an account; all of it in one transaction.
#[derive(Default)]
pub(crate) struct Change<'a> {
    /// Make it, if it is not there, and bring mark and expiry to this.
    pub(crate) spec: Option<&'a AccountSpec>,
    pub(crate) wanted: Option<&'a EntitlementSet>,
    pub(crate) credential: Option<&'a NewCredential>,
    pub(crate) enable: bool,
    pub(crate) renew: Option<(&'a MarkDraft, Option<Timestamp>)>,
}

impl Change<'_> {
    /// Returns true when it is the mark of a closed account that is brought up to date, and nothing else.
    fn only_closes(&self) -> bool {
        let Self { spec, wanted, credential, enable, renew } = self;
        let closed = renew.is_some_and(|(mark, expires)| mark.until.is_none() && expires.is_none());
        closed && spec.is_none() && wanted.is_none() && credential.is_none() && !enable
    }
}

impl PostgresTarget {
    /// Changes an account, and returns how it is found from now on.
    pub(crate) async fn change(
        &self,
        account: &AccountRef,
        change: &Change<'_>,
    ) -> Result<AccountRef, Fault> {
        let verifier = change.credential.map(verifier_of).transpose()?;
        let mut tries = 0;
        loop {
            tries += 1;
            let wanted = match change.wanted {
                Some(wanted) => match self.memberships_for(wanted).await {
                    Ok(memberships) => Some(memberships),
                    Err(fault) => {
                        // What has ended ends, also when what goes on cannot be had.
                        self.take_away(account, wanted).await?;
                        return Err(fault);
                    }
                },
                None => None,
            };
            let managed = match change.spec {
                Some(_) => Some(self.managed_role().await?),
                None => None,
            };
            let order = Order { account, change, verifier: verifier.as_ref(), wanted, managed };
            let purpose = if change.only_closes() { Purpose::Close } else { Purpose::Open };
            let session = self.pool.session(&self.home, purpose).await?;
            let outcome = order.carry_out(self, &session).await;
            match session.settle(outcome).await {
                Ok((role, direct)) => {
                    if direct {
                        self.strip_direct(role.oid, Purpose::Open).await?;
                    }
                    return Ok(role.reference(account.id));
                }
                // A shared role was dropped or changed after it was looked at, or somebody was faster.
                Err(fault) if tries < 3 && may_be_outdated(&fault) => self.book.forget().await,
                // The account's own transaction may hold its row: what has ended must not wait for it.
                Err(fault) if tries < 3 && is_in_the_way(&fault) && change.wanted.is_some() => {
                    if let Some(wanted) = change.wanted {
                        self.take_away(account, wanted).await?;
                    }
                }
                Err(fault) => return Err(fault),
            }
        }
    }
}

/// Returns true for failures that a fresh look at the shared roles may cure.
fn may_be_outdated(fault: &Fault) -> bool {
    fault.is(ASSERTION)
        || fault.is(&SqlState::UNDEFINED_OBJECT)
        || fault.is(&SqlState::DUPLICATE_OBJECT)
        || fault.is(&SqlState::UNIQUE_VIOLATION)
}

/// Returns the verifier of a credential; clear text is turned into one here and never sent.
fn verifier_of(credential: &NewCredential) -> Result<Literal, Failure> {
    let verifier = match credential {
        NewCredential::Verifier { verifier, .. } => verifier.clone(),
        NewCredential::Clear { secret, .. } => ScramSha256::of(secret, ITERATIONS)?.in_postgres_form(),
    };
    // PostgreSQL takes what does not look like a verifier as a password in clear text.
    match ScramSha256::from_postgres_form(&verifier) {
        Some(parts) => {
            let Verifier(text) = parts.in_postgres_form();
            Ok(Literal::of(&text))
        }
        None => Err(Failure::refused(Code::DRIVER_FAULT, "the verifier is not a SCRAM-SHA-256 verifier")),
    }
}

/// One change with everything that has to be known before its transaction.
struct Order<'a> {
    account: &'a AccountRef,
    change: &'a Change<'a>,
    verifier: Option<&'a Literal>,
    wanted: Option<Wanted>,
    managed: Option<Shared>,
}

impl Order<'_> {
    /// Runs the transaction; returns the account, and whether it holds rights directly.
    async fn carry_out(&self, target: &PostgresTarget, session: &Session) -> Result<(Role, bool), Fault> {
        let facts = session.facts()?.clone();
        session.prepare(&[ACCOUNT, MEMBERSHIPS, UNCHANGED, DEPENDING]).await?;
        let oid = known_oid(self.account.immutable.as_ref());
        if let (Some(spec), None) = (self.change.spec, oid) {
            match self.fresh(target, session, &facts, spec).await {
                Err(fault) if fault.is(&SqlState::DUPLICATE_OBJECT) => {
                    session.run("ROLLBACK", Stage::Harmless).await?;
                }
                outcome => return outcome.map(|role| (role, false)),
            }
        }
        self.existing(target, session, &facts, oid).await
    }

    /// Makes the account; fails with a duplicate when there is a role of its name.
    async fn fresh(
        &self,
        target: &PostgresTarget,
        session: &Session,
        facts: &Facts,
        spec: &AccountSpec,
    ) -> Result<Role, Fault> {
        let name = Ident::asked(&self.account.name.0)?;
        // Nobody sees it before the commit, so that it needs not be opened by a statement of its own: where the admin is
        // no superuser, each statement after a membership changed costs the more the more accounts there are.
        let sessions = self.sessions(target);
        let create = statements::create_account(&name, Until::from(spec.expires), self.verifier, sessions);
        let begin = statements::script(&[statements::BEGIN, &create]);
        let by_name: [Parameter<'_>; 2] = [&0_u32, &self.account.name.0];
        let (made, found, unchanged) = tokio::join!(
            session.run(&begin, Stage::Harmless),
            session.rows(ACCOUNT, &by_name),
            self.unchanged(session),
        );
        made?;
        unchanged?;
        self.attachable(session).await?;
        let role = found?.first().map(Role::of).transpose()?.flatten().ok_or_else(account::missing)?;
        let mut script = self.mark(target, facts, &role, &spec.mark)?;
        self.join(&mut script, &name, facts, &[]);
        self.finish(&mut script, facts, &role);
        session.run(&statements::script(&script), Stage::Lasting).await?;
        Ok(role)
    }

    /// Brings an account that is there to what is wanted.
    async fn existing(
        &self,
        target: &PostgresTarget,
        session: &Session,
        facts: &Facts,
        oid: Option<u32>,
    ) -> Result<(Role, bool), Fault> {
        let name = self.account.name.0.as_str();
        let number = oid.unwrap_or_default();
        let mut begin = vec![statements::BEGIN.to_owned()];
        if facts.superuser {
            begin.push(statements::lock_account(number, name));
        }
        let begin = statements::script(&begin);
        let by_both: [Parameter<'_>; 2] = [&number, &name];
        let (begun, found, unchanged) = tokio::join!(
            session.run(&begin, Stage::Harmless),
            session.rows(ACCOUNT, &by_both),
            self.unchanged(session),
        );
        begun?;
        unchanged?;
        self.attachable(session).await?;
        let mut roles = vec![];
        for row in found? {
            roles.extend(Role::of(&row)?);
        }
        let role = match (
            find(roles, self.account, &target.context, &facts.identity, facts.ourselves),
            self.change.spec,
        ) {
            (Found::Ours(role), _) => role,
            (Found::Foreign(_), _) => return Err(account::foreign().into()),
            (Found::Absent, None) => return Err(account::missing().into()),
            (Found::Absent, Some(spec)) => {
                session.run("ROLLBACK", Stage::Harmless).await?;
                return self.fresh(target, session, facts, spec).await.map(|role| (role, false));
            }
        };
        let oids = vec![role.oid];
        let by_oids: [Parameter<'_>; 1] = [&oids];
        let (memberships, depending) =
            tokio::join!(session.rows(MEMBERSHIPS, &by_oids), session.rows(DEPENDING, &by_oids));
        let memberships: Vec<Membership> =
            memberships?.iter().map(Membership::of).collect::<Result<_, _>>()?;
        let mut direct = false;
        for row in depending? {
            direct |= self.wanted.is_some() && column::<String>(&row, 4)? == "a";
        }
        let mut ident = Ident::found(&role.name);
        let comment = role.comment.as_deref().filter(|_| oid.is_none());
        let mut script = vec![statements::verify(role.oid, &role.name, comment, facts.superuser)];
        if self.change.spec.is_some() && role.name != name {
            let own = Ident::asked(name)?;
            script.push(statements::rename(&ident, &own));
            ident = own;
        }
        if !role.attributes.is_empty() {
            script.push(statements::strip_attributes(&ident, &role.attributes));
        }
        let renewal = self.change.spec.map(|spec| (&spec.mark, spec.expires)).or(self.change.renew);
        if let Some((mark, expires)) = renewal {
            script.extend(self.mark(target, facts, &role, mark)?);
            script.push(statements::expire(&ident, Until::from(expires)));
        }
        self.join(&mut script, &ident, facts, &memberships);
        if let Some(verifier) = self.verifier {
            script.push(statements::credential(&ident, verifier));
        }
        if let Some(sessions) = self.sessions(target) {
            script.push(statements::open_login(&ident, sessions));
        }
        self.finish(&mut script, facts, &role);
        session.run(&statements::script(&script), Stage::Lasting).await?;
        let name = if self.change.spec.is_some() { name.to_owned() } else { role.name };
        Ok((Role { name, ..role }, direct))
    }

    /// Fails unless the shared roles are still what they were when they were looked at.
    async fn unchanged(&self, session: &Session) -> Result<(), Fault> {
        let roles: Vec<&Shared> =
            self.managed.iter().chain(self.wanted.iter().flat_map(|wanted| &wanted.shared)).collect();
        if roles.is_empty() {
            return Ok(());
        }
        let oids: Vec<u32> = roles.iter().map(|role| role.oid).collect();
        let names: Vec<&str> = roles.iter().map(|role| role.name.as_str()).collect();
        let comments: Vec<&str> = roles.iter().map(|role| role.comment.as_str()).collect();
        let rows = session.rows(UNCHANGED, &[&oids, &names, &comments]).await?;
        let count: i64 = rows.first().map(|row| column(row, 0)).transpose()?.unwrap_or_default();
        if usize::try_from(count) == Ok(roles.len()) {
            return Ok(());
        }
        let failure = Failure::refused(
            Code::PERMISSION_ROLE_WIDER,
            "a shared role was dropped, renamed, unmarked or given an attribute or membership: `check` says which",
        );
        // With the assertion's state, so that one fresh look decides whether it stands.
        Err(Fault {
            failure: failure.with_retry(Retry::NeedsHuman),
            state: Some(ASSERTION.clone()),
            lost: false,
        })
    }

    /// Fails unless every role of the target's owner that is wanted may be given.
    async fn attachable(&self, session: &Session) -> Result<(), Fault> {
        for role in self.wanted.iter().flat_map(|wanted| &wanted.attached) {
            let rows = session.rows(ATTACHABLE, &[role]).await?;
            let Some(row) = rows.first() else { continue };
            if column::<i64>(row, 0)? == 0 {
                return Err(Failure::refused(Code::RESOURCE_MISSING, "there is no such role").into());
            }
            for n in 1..=3 {
                if column::<Option<bool>>(row, n)?.unwrap_or(true) {
                    return Err(Failure::refused(
                        Code::PERMISSION_REFUSED,
                        "the role manages accounts or the server, is the system's, or is ours: it is not attached",
                    )
                    .into());
                }
            }
        }
        Ok(())
    }

    fn mark(
        &self,
        target: &PostgresTarget,
        facts: &Facts,
        role: &Role,
        draft: &MarkDraft,
    ) -> Result<Vec<String>, Failure> {
        let TargetIdentity(identity) = facts.identity.clone();
        let mark = draft.clone().complete(TargetIdentity(identity), ImmutableId(role.oid.to_string()));
        let text = target
            .context
            .marks
            .write(&mark, seal::mark::LONGEST)
            .map_err(|fault| Failure::refused(Code::DRIVER_FAULT, fault.to_string()))?;
        // Renaming goes first, so the account has its own name by now.
        let name = if self.change.spec.is_some() { &self.account.name.0 } else { &role.name };
        Ok(vec![statements::comment(&Ident::found(name), Some(&Literal::of(&text)))])
    }

    /// Ends memberships that are not wanted, then gives those that are missing.
    fn join(&self, script: &mut Vec<String>, account: &Ident, facts: &Facts, held: &[Membership]) {
        let managed = |membership: &Membership| membership.name == statements::MANAGED;
        if self.managed.is_some() && !held.iter().any(managed) {
            script.push(statements::join_managed(account, facts.version));
        }
        let Some(wanted) = &self.wanted else { return };
        let names: Vec<&str> = wanted
            .shared
            .iter()
            .map(|role| role.name.as_str())
            .chain(wanted.attached.iter().map(String::as_str))
            .collect();
        let as_given = |membership: &Membership| {
            let options =
                !facts.version.memberships_have_options() || membership.inherits && !membership.sets;
            !membership.admin && options
        };
        let mut kept: Vec<&str> = vec![];
        for membership in held.iter().filter(|membership| !managed(membership)) {
            let name = membership.name.as_str();
            if names.contains(&name) && as_given(membership) && !kept.contains(&name) {
                kept.push(name);
            } else {
                script.push(membership.leave(account, facts));
                kept.retain(|other| *other != name);
            }
        }
        for name in names.into_iter().filter(|name| !kept.contains(name)) {
            script.push(statements::join(&Ident::found(name), account, facts.version));
        }
    }

    /// Returns how many sessions the account may have, if its login is to be open.
    fn sessions(&self, target: &PostgresTarget) -> Option<u32> {
        self.change.enable.then(|| target.pool.connector().config().sessions_per_account)
    }

    /// Verifies once more where nothing was locked, and commits in time.
    fn finish(&self, script: &mut Vec<String>, facts: &Facts, role: &Role) {
        if !facts.superuser {
            let name = if self.change.spec.is_some() { &self.account.name.0 } else { &role.name };
            script.push(statements::verify(role.oid, name, None, false));
        }
        script.push(statements::IN_TIME.to_owned());
        script.push(statements::COMMIT.to_owned());
    }
}
