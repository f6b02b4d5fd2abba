//! Discovery: roles, databases, and in each database its schemas and tables, page by page through a cursor.

use std::collections::BTreeMap;

use driver::ResourceSink;
use driver::sink::Resource;
use model::{Permission, ResourceId};
use tokio_postgres::Row;

use crate::account::column;
use crate::catalogue::{DATABASES, MORE_TABLES, ROLES, SCHEMAS, TABLES};
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
                databases.push((database, owner));
            }
        }
        self.tell_roles(out).await?;
        for (database, owner) in databases {
            out.take(vec![resource(DATABASE, [database.as_str()], &on_data(), [("owner", owner)])]).await?;
            let session = match self.pool.session(&database, Purpose::Read).await {
                Ok(session) => session,
                // Dropped meanwhile, or closed to us: what is in it cannot be had anyway. `check` tells.
                Err(fault) if fault.state.is_some() => {
                    tracing::debug!(code = %fault.failure.code, "A database was left out of discovery");
                    continue;
                }
                Err(fault) => return Err(fault),
            };
            let outcome = tell_database(&session, &database, out).await;
            session.settle(outcome).await?;
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

async fn tell_database(session: &Session, database: &str, out: &mut dyn ResourceSink) -> Result<(), Fault> {
    let begin = statements::script(&[statements::READ_BEGIN, statements::LONG_READ, TABLES]);
    session.run(&begin, Stage::Harmless).await?;
    let schemas: Vec<Resource> = session
        .rows(SCHEMAS, &[])
        .await?
        .iter()
        .filter_map(|row| Some((name(row, 0)?, name(row, 1)?)))
        .map(|(schema, owner)| resource(SCHEMA, [database, &schema], &on_data(), [("owner", owner)]))
        .collect();
    if !schemas.is_empty() {
        out.take(schemas).await?;
    }
    loop {
        let rows = session.rows(MORE_TABLES, &[]).await?;
        if rows.is_empty() {
            break;
        }
        let tables: Vec<Resource> = rows
            .iter()
            .filter_map(|row| Some((name(row, 0)?, name(row, 1)?, name(row, 2)?, name(row, 3)?)))
            .map(|(schema, table, kind, owner)| {
                let tags = [("kind", kind_word(&kind).to_owned()), ("owner", owner)];
                resource(TABLE, [database, &schema, &table], &on_data(), tags)
            })
            .collect();
        if !tables.is_empty() {
            out.take(tables).await?;
        }
    }
    session.run(statements::COMMIT, Stage::Harmless).await
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
