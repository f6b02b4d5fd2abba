//! Accounts as the catalogue shows them, and whether they are ours.

use driver::TargetContext;
use model::{
    AccountId, AccountName, AccountRef, Code, Entitlement, Failure, ImmutableId, Mark, MarkState,
    TargetIdentity, Timestamp,
};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::faults::Fault;
use crate::statements::Attribute;

/// Roles of the system itself have OIDs below this one.
const FIRST_ORDINARY_OID: u32 = 16_384;

/// Whose mark a shared role carries: no account has these ids, so that no mark can be mistaken for the other.
pub(crate) const PERMISSION_ROLE: AccountId = AccountId::from_uuid(Uuid::from_u128(1));
pub(crate) const HEIR: AccountId = AccountId::from_uuid(Uuid::from_u128(2));

/// A role that may be an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Role {
    pub(crate) oid: u32,
    pub(crate) name: String,
    pub(crate) can_log_in: bool,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) comment: Option<String>,
    pub(crate) attributes: Vec<Attribute>,
}

/// Reads a column; what cannot be read is a fault of the driver, not a panic.
pub(crate) fn column<'r, T: tokio_postgres::types::FromSql<'r>>(row: &'r Row, n: usize) -> Result<T, Fault> {
    row.try_get(n).map_err(|error| {
        tracing::debug!(column = n, %error, "Catalogue row cannot be read");
        Failure::refused(Code::DRIVER_FAULT, format!("column {n} of a catalogue row cannot be read")).into()
    })
}

impl Role {
    /// Reads a row of the account questions; `None` when it stands for no role.
    pub(crate) fn of(row: &Row) -> Result<Option<Self>, Fault> {
        let Some(oid) = column::<Option<u32>>(row, 1)? else { return Ok(None) };
        let all = [
            Attribute::Superuser,
            Attribute::CreateRole,
            Attribute::CreateDb,
            Attribute::Replication,
            Attribute::BypassRls,
        ];
        let mut attributes = vec![];
        for (n, attribute) in all.into_iter().enumerate() {
            if column(row, 6 + n)? {
                attributes.push(attribute);
            }
        }
        Ok(Some(Self {
            oid,
            name: column(row, 2)?,
            can_log_in: column(row, 3)?,
            expires: column::<Option<i64>>(row, 4)?.map(Timestamp::from_millis),
            comment: column(row, 5)?,
            attributes,
        }))
    }

    pub(crate) fn immutable(&self) -> ImmutableId {
        ImmutableId(self.oid.to_string())
    }

    pub(crate) fn reference(&self, id: AccountId) -> AccountRef {
        AccountRef { id, name: AccountName(self.name.clone()), immutable: Some(self.immutable()) }
    }

    /// Whether its comment says, believed or not, that it is this account of ours.
    pub(crate) fn claims(&self, account: AccountId, context: &TargetContext) -> bool {
        self.comment.as_deref().is_some_and(|text| context.marks.claims(text, account))
    }

    /// Says what the role's comment is worth as a mark.
    pub(crate) fn mark(&self, context: &TargetContext, target: &TargetIdentity) -> MarkState {
        read_mark(context, target, self.oid, self.comment.as_deref())
    }
}

pub(crate) fn read_mark(
    context: &TargetContext,
    target: &TargetIdentity,
    oid: u32,
    comment: Option<&str>,
) -> MarkState {
    comment.map_or(MarkState::Missing, |text| context.marks.read(text, target, &ImmutableId(oid.to_string())))
}

/// Returns a valid mark that is this integration's.
pub(crate) fn our_mark<'m>(state: &'m MarkState, context: &TargetContext) -> Option<&'m Mark> {
    match state {
        MarkState::Valid(mark) if mark.draft.integration == context.integration => Some(mark),
        MarkState::Valid(_)
        | MarkState::Missing
        | MarkState::Copied
        | MarkState::Forged
        | MarkState::Foreign => None,
    }
}

/// Returns the entitlement that a permission role of ours stands for.
pub(crate) fn permission_of(
    context: &TargetContext,
    target: &TargetIdentity,
    oid: u32,
    comment: Option<&str>,
) -> Option<Entitlement> {
    let state = read_mark(context, target, oid, comment);
    let mark = our_mark(&state, context)?;
    match mark.draft.deadlines.as_slice() {
        [only] if mark.draft.account == PERMISSION_ROLE => Some(only.entitlement.clone()),
        _ => None,
    }
}

/// Which account a reference means on the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    Absent,
    Ours(Role),
    /// A role of that name that is not the account.
    Foreign(Role),
}

/// Returns the OID of an immutable id that is one.
pub(crate) fn known_oid(immutable: Option<&ImmutableId>) -> Option<u32> {
    immutable.and_then(|id| id.0.parse().ok()).filter(|oid| *oid >= FIRST_ORDINARY_OID)
}

/// Finds the account among the roles that have its OID or its name.
///
/// The OID suffices, whatever the role is called and marked now, unless its mark says that it is another
/// account of ours, or it is ourselves. Without the OID, or when that role is gone, only a mark counts.
pub(crate) fn find(
    roles: Vec<Role>,
    account: &AccountRef,
    context: &TargetContext,
    target: &TargetIdentity,
    ourselves: u32,
) -> Found {
    let wanted = known_oid(account.immutable.as_ref());
    let mut foreign = None;
    let mut marked = None;
    for role in roles {
        if role.oid == ourselves {
            foreign = Some(role);
            continue;
        }
        let state = role.mark(context, target);
        let names = our_mark(&state, context).map(|mark| mark.draft.account);
        if Some(role.oid) == wanted && names.is_none_or(|id| id == account.id) {
            return Found::Ours(role);
        }
        if role.name == account.name.0 {
            if names == Some(account.id) && role.oid >= FIRST_ORDINARY_OID {
                marked = Some(role);
            } else {
                foreign = Some(role);
            }
        }
    }
    match (marked, foreign) {
        (Some(role), _) => Found::Ours(role),
        (None, Some(role)) => Found::Foreign(role),
        (None, None) => Found::Absent,
    }
}

/// The account of that name is somebody else's.
pub(crate) fn foreign() -> Failure {
    Failure::refused(
        Code::ACCOUNT_FOREIGN,
        "a role of the account's name exists and is not ours: it was left alone; rename or drop it, or end its use",
    )
    .with_retry(model::Retry::NeedsHuman)
}

/// What has the account's name says that it is it, by a mark that does not verify.
pub(crate) fn estranged() -> Failure {
    Failure::refused(
        Code::ACCOUNT_FOREIGN,
        "a role of the account's name carries a mark of this connector that cannot be believed: its keys were lost, or the mark was forged or copied; it was left alone, and whether it is the account only a person can tell: drop it, or take its comment away once it is closed",
    )
    .with_retry(model::Retry::NeedsHuman)
}

/// There is no such account.
pub(crate) fn missing() -> Failure {
    Failure::refused(Code::ACCOUNT_MISSING, "the account is not on the server: open it anew")
}
