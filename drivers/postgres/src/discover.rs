//! Discovery: roles, databases, and in each database its schemas and tables, page by page through cursors. A
//! database that cannot be looked into is told as such, and the others are listed all the same.

use std::collections::BTreeMap;

use driver::{Resource, ResourceSink, Unlisted};
use model::{Code, Permission, ResourceId};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

use crate::account::column;
use crate::catalogue::{DATABASES, MORE_SCHEMAS, MORE_TABLES, ROLES, SCHEMAS, TABLES};
use crate::faults::{Fault, Stage};
use crate::scope::{ATTACH, DATABASE, Level, ROLE, SCHEMA, TABLE};
use crate::session::{Purpose, Session};
use crate::statements;
use crate::target::PostgresTarget;

/// How many roles are read and told at once.
const PAGE: i64 = 500;

fn resource<'p>(
    kind: &str,
    path: impl IntoIterator<Item = &'p str>,
    permissions: &[&str],
    tags: impl IntoIterator<Item = (&'static str, String)>,
) -> Resource {
    Resource {
        id: ResourceId::new(kind, path),
        permissions: permissions.iter().map(|name| Permission((*name).to_owned())).collect(),
        tags: tags.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<BTreeMap<_, _>>(),
    }
}

fn on_data() -> [&'static str; 3] {
    Level::ALL.map(Level::permission)
}

/// Reads a name; one that the database's encoding lets through and UTF-8 does not cannot be asked for.
fn name(row: &Row, n: usize) -> Option<String> {
    column(row, n).ok()
}

impl PostgresTarget {
    pub(crate) async fn discover_all(&self, out: &mut dyn ResourceSink) -> Result<(), Fault> {
        let session = self.pool.session(&self.home, Purpose::Read).await?;
        let outcome = session.rows(DATABASES, &[]).await;
        let rows = session.settle(outcome).await?;
        let mut databases = vec![];
        for row in &rows {
            if let (Some(database), Some(owner)) = (name(row, 0), name(row, 1)) {
                databases.push((database, owner, column::<bool>(row, 2)?));
            }
        }
        self.tell_roles(out).await?;
        for (database, owner, open) in databases {
            let told = resource(DATABASE, [database.as_str()], &on_data(), [("owner", owner)]);
            let under = told.id.clone();
            let session = match self.pool.session(&database, Purpose::Read).await {
                Ok(session) => session,
                // Dropped meanwhile: it is not there.
                Err(fault) if fault.is(&SqlState::UNDEFINED_DATABASE) => continue,
                Err(fault) if is_of_one_database(&fault) => {
                    if open {
                        out.take(vec![told]).await?;
                    }
                    miss(under, fault, out).await?;
                    continue;
                }
                Err(fault) => return Err(fault),
            };
            out.take(vec![told]).await?;
            let outcome = tell_database(&session, &database, out).await;
            match session.settle(outcome).await {
                Err(fault) if is_of_one_database(&fault) => miss(under, fault, out).await?,
                outcome => outcome?,
            }
        }
        Ok(())
    }

    async fn tell_roles(&self, out: &mut dyn ResourceSink) -> Result<(), Fault> {
        let mut last = String::new();
        loop {
            let session = self.pool.session(&self.home, Purpose::Read).await?;
            let facts = session.facts()?;
            let any = facts.superuser || !facts.version.memberships_have_options();
            let outcome = session.rows(ROLES, &[&last, &PAGE, &any]).await;
            let rows = session.settle(outcome).await?;
            let names: Vec<String> = rows.iter().filter_map(|row| name(row, 0)).collect();
            let Some(end) = names.last() else { return Ok(()) };
            last.clone_from(end);
            out.take(names.iter().map(|role| resource(ROLE, [role.as_str()], &[ATTACH], [])).collect())
                .await?;
        }
    }
}

/// Returns true when the server itself refused to go on in one database, and may go on in others. A password
/// that is refused is tried nowhere else: many tries would lock the admin out.
fn is_of_one_database(fault: &Fault) -> bool {
    fault.state.is_some() && fault.failure.code != Code::UNREACHABLE && !fault.is(&SqlState::INVALID_PASSWORD)
}

async fn miss(under: ResourceId, fault: Fault, out: &mut dyn ResourceSink) -> Result<(), Fault> {
    let Fault { failure, .. } = fault;
    tracing::debug!(code = %failure.code, "A database could not be listed");
    Ok(out.miss(Unlisted { under, failure }).await?)
}

async fn tell_database(session: &Session, database: &str, out: &mut dyn ResourceSink) -> Result<(), Fault> {
    let begin = statements::script(&[statements::READ_BEGIN, statements::LONG_READ, SCHEMAS, TABLES]);
    session.run(&begin, Stage::Harmless).await?;
    let schema = |row: &Row| {
        let (schema, owner) = (name(row, 0)?, name(row, 1)?);
        Some(resource(SCHEMA, [database, &schema], &on_data(), [("owner", owner)]))
    };
    let table = |row: &Row| {
        let (schema, table, kind, owner) = (name(row, 0)?, name(row, 1)?, name(row, 2)?, name(row, 3)?);
        let tags = [("kind", kind_word(&kind).to_owned()), ("owner", owner)];
        Some(resource(TABLE, [database, &schema, &table], &on_data(), tags))
    };
    tell_pages(session, MORE_SCHEMAS, &schema, out).await?;
    tell_pages(session, MORE_TABLES, &table, out).await?;
    session.run(statements::COMMIT, Stage::Harmless).await
}

/// Tells what a cursor gives, a page at a time.
async fn tell_pages(
    session: &Session,
    more: &'static str,
    told: &(dyn Fn(&Row) -> Option<Resource> + Sync),
    out: &mut dyn ResourceSink,
) -> Result<(), Fault> {
    loop {
        let rows = session.rows(more, &[]).await?;
        if rows.is_empty() {
            return Ok(());
        }
        let page: Vec<Resource> = rows.iter().filter_map(told).collect();
        if !page.is_empty() {
            out.take(page).await?;
        }
    }
}

fn kind_word(relkind: &str) -> &'static str {
    match relkind {
        "p" => "partitioned table",
        "v" => "view",
        "m" => "materialized view",
        "f" => "foreign table",
        _ => "table",
    }
}
