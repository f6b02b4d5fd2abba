//! `tidegate journal`: what the agent remembers.
//!
//! Reading is done beside a running agent. Only `reset-clock` writes, and needs the agent stopped.

mod rebuild;

use std::path::{Path, PathBuf};

use clap::{Args as Arguments, Subcommand, ValueEnum};
use journal::lease::{LeaseStore as _, Taking};
use journal::sqlite::Sqlite;
use journal::{Journal, JournalFault, Row};
use journal_postgres::Database;
use model::BatchId;
use model::durable::{Batch, Table, Write};
use rules::book::Meta;
use rules::clock::Persisted;
use serde_json::{Value, json};

use super::export::Export;
use super::fault::Fault;
use super::print::{Lines, many};
use super::shared::{absolute, block_on, database, holds_journal, with_journal};
use super::{Context, Ended};
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Config, JournalKind};
use crate::exit::Exit;
use crate::journals::{Beside, Counted, of_file};

const STOP_IT: &str = "stop it first; accesses outlive the process";
/// Fields that open the door to offline guessing, or are long and say nothing.
const HIDDEN: [&str; 3] = ["verifier", "ciphertext", "encapsulated"];

const EXAMPLES: &str = "\
Examples:
  tidegate journal list
  tidegate journal show account
  tidegate journal show integration orders-db --json
  tidegate journal export --out journal.jsonl
  tidegate journal backup /backup/journal-2026-01-31.db
  tidegate journal rebuild --dry-run
  tidegate journal reset-clock --yes          # the agent is stopped, and the machine's clock is right

All but reset-clock may be run while the agent runs.";

/// What the agent remembers
#[derive(Debug, Arguments)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Count what is in it
    #[command(after_help = EXAMPLES)]
    List,
    /// Show rows; verifiers and ciphertexts are left out
    #[command(after_help = EXAMPLES)]
    Show { table: Rows, key: Option<String> },
    /// Write all rows as JSON lines, to read elsewhere; verifiers and ciphertexts are left out
    ///
    /// The first line says whose journal it is, in which life, and when it was read. Each other line is a row, as `show`
    /// prints it. It cannot be put back: `backup` makes what can. Receipts have an export of their own.
    #[command(after_help = EXAMPLES)]
    Export {
        /// Where to [default: the standard output]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Write a copy of it to a new file
    #[command(after_help = EXAMPLES)]
    Backup { file: PathBuf },
    /// Show what an agent without its journal takes on: accounts that carry our mark
    ///
    /// The agent does it by itself at its start, from the integrations that its identity remembers, with or without
    /// a control plane. Nothing is changed by looking.
    #[command(after_help = EXAMPLES)]
    Rebuild {
        /// Only show it
        #[arg(long, required = true)]
        dry_run: bool,
    },
    /// State that the machine's clock is right, after it had jumped into the future
    ///
    /// Deadlines that were crossed meanwhile are then judged by the clock again. Without --yes it only says what
    /// it would do.
    #[command(after_help = EXAMPLES)]
    ResetClock {
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Rows {
    Account,
    Integration,
    Tombstone,
    Meta,
}

impl Rows {
    const fn table(self) -> Table {
        match self {
            Self::Account => Table::Account,
            Self::Integration => Table::Integration,
            Self::Tombstone => Table::Tombstone,
            Self::Meta => Table::Meta,
        }
    }
}

pub(super) fn run(args: &Args, context: &Context) -> Ended {
    let config = context.config()?;
    block_on(async {
        match &args.what {
            What::List => list(context, &config).await,
            What::Show { table, key } => show(context, &config, table.table(), key.as_deref()).await,
            What::Export { out } => export(context, &config, out.as_deref()).await,
            What::Backup { file } => backup(context, &config, file.clone()).await,
            What::Rebuild { dry_run: _ } => rebuild::run(context, &config).await,
            What::ResetClock { yes } => reset_clock(context, &config, *yes).await,
        }
    })
}

fn none_yet(config: &Config) -> Fault {
    let what = match &config.journal.kind {
        JournalKind::Sqlite { .. } => {
            format!("file in {}: the agent never ran", config.journal.dir.display())
        }
        JournalKind::Postgres(shared) => {
            format!("tables in the schema `{}` on {}: no agent ever ran", shared.schema, shared.host)
        }
    };
    Fault::NoSuchRow { what }
}

async fn list(context: &Context, config: &Config) -> Ended {
    let looked = with_journal(context, config, async |journal| {
        Ok((journal.load().await?.incarnation, journal.counted().await?))
    });
    let (incarnation, counted) = looked.await?.ok_or_else(|| none_yet(config))?;
    let Counted { rows: by_name, receipts, last_report, uncommitted_reports, bytes } = counted;
    let mut rest = vec![
        ("receipts", receipts),
        ("last report", last_report),
        ("reports not committed", uncommitted_reports),
    ];
    rest.extend(bytes.iter().map(|(_, label, count)| (*label, *count)));
    let mut answer = json!({
        "incarnation": incarnation,
        "rows": by_name.iter().map(|(name, count)| ((*name).to_owned(), json!(count))).collect::<serde_json::Map<_, _>>(),
        "receipts": receipts,
        "last_report": last_report,
        "uncommitted_reports": uncommitted_reports,
    });
    if let Value::Object(fields) = &mut answer {
        fields.extend(bytes.iter().map(|(name, _, count)| ((*name).to_owned(), json!(count))));
    }
    context.printer.answer(&answer, |lines| {
        let mut table = vec![["incarnation".to_owned(), incarnation.to_string()]];
        table.extend(by_name.iter().map(|(name, count)| [format!("rows of {name}"), count.to_string()]));
        table.extend(rest.iter().map(|(name, count)| [(*name).to_owned(), count.to_string()]));
        lines.table(&table);
    })?;
    Ok(Exit::Done)
}

async fn show(context: &Context, config: &Config, table: Table, key: Option<&str>) -> Ended {
    let looked = with_journal(context, config, async |journal| Ok(journal.load().await?.rows));
    let rows = looked.await?.ok_or_else(|| none_yet(config))?;
    let wanted = |row: &Row| row.table == table && key.is_none_or(|key| row.key == key);
    let shown = rows.iter().filter(|row| wanted(row)).map(body).collect::<Result<Vec<_>, _>>()?;
    let shown: Vec<_> = shown.into_iter().map(|(key, body)| json!({ "key": key, "body": body })).collect();
    if let Some(key) = key.filter(|_| shown.is_empty()) {
        return Err(Fault::NoSuchRow { what: format!("row `{key}` of `{}`", table.word()) });
    }
    context.printer.answer(&shown, |lines| {
        shown.iter().for_each(|row| tell(row, lines));
        if shown.is_empty() {
            lines.push(format!("There are no rows of {}.", table.word()));
        }
    })?;
    Ok(Exit::Done)
}

/// Returns a row's key and what may be shown of it.
fn body(row: &Row) -> Result<(&str, Value), Fault> {
    let mut body: Value = serde_json::from_str(&row.body).map_err(|fault| Fault::Row {
        key: format!("`{}` of `{}`", row.key, row.table.word()),
        detail: fault.to_string(),
    })?;
    hide(&mut body);
    Ok((&row.key, body))
}

async fn export(context: &Context, config: &Config, out: Option<&Path>) -> Ended {
    let looked = with_journal(context, config, async |journal| Ok(journal.load().await?));
    let loaded = looked.await?.ok_or_else(|| none_yet(config))?;
    let head = json!({
        "connector": config.connector,
        "incarnation": loaded.incarnation,
        "at": SystemClock.wall(),
        "last_report": loaded.last_report,
        "receipts": loaded.receipts,
    });
    let mut to = Export::to(out)?;
    to.line(&head.to_string())?;
    for row in &loaded.rows {
        let (key, body) = body(row)?;
        to.line(&json!({ "table": row.table.word(), "key": key, "body": body }).to_string())?;
    }
    to.finish()?;
    context.printer.note(&format!("{}.", many(loaded.rows.len(), "row", "rows")));
    Ok(Exit::Done)
}

fn tell(row: &Value, lines: &mut Lines) {
    match serde_json::to_string_pretty(row) {
        Ok(text) => text.lines().for_each(|line| lines.push(line)),
        Err(fault) => lines.push(fault.to_string()),
    }
}

/// Takes the values of hidden fields out, however deep they lie.
fn hide(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if HIDDEN.contains(&name.as_str()) && !field.is_null() {
                    *field = "(not shown)".into();
                } else {
                    hide(field);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

async fn backup(context: &Context, config: &Config, file: PathBuf) -> Ended {
    let file = absolute(&file)?;
    let copied = with_journal(context, config, async |journal| Ok(journal.backup(&file).await?));
    if !copied.await?.ok_or_else(|| none_yet(config))? {
        return Err(Fault::Usage(
            "the journal is in PostgreSQL: make a copy there, with `pg_dump --schema` or as the server is backed up".into(),
        ));
    }
    context.printer.answer(&json!({ "file": file }), |lines| {
        lines.push(format!("Wrote {}.", file.display()));
        lines.push("Put back in place it is an old journal: nothing opens until the control plane agrees.");
    })?;
    Ok(Exit::Done)
}

async fn reset_clock(context: &Context, config: &Config, sure: bool) -> Ended {
    let now = SystemClock.wall();
    if sure
        && let Some(options) = of_file(&config.journal)
        && holds_journal(&config.journal.dir)
        && let Err(JournalFault::InUse { .. }) = Sqlite::open_close_only(options).await
    {
        return Err(Fault::Running { way_out: STOP_IT });
    }
    let looked = with_journal(context, config, async |journal| meta(journal).await);
    let (key, mut meta) = looked.await?.ok_or_else(|| none_yet(config))?;
    let before = meta.clock;
    let reached = model::Timestamp::from_millis(before.high_water_ms);
    meta.clock = Persisted { high_water_ms: now.as_millis(), jumped: false };
    if sure {
        write(context, config, key, &meta).await?;
    }
    let answer = json!({ "wall": now, "reached": reached, "jumped": before.jumped, "done": sure });
    context.printer.answer(&answer, |lines| {
        lines.push(format!("The machine's clock says {now}."));
        lines.push(format!("The agent had reached {reached}."));
        lines.push(if sure {
            "The agent begins from the machine's clock at its next start."
        } else {
            "Nothing was changed. If the machine's clock is right, run it again with --yes."
        });
    })?;
    Ok(Exit::Done)
}

/// Returns the connector's single row and its key.
async fn meta(journal: &Beside) -> Result<(String, Meta), Fault> {
    let rows = journal.load().await?.rows;
    let row = rows.into_iter().find(|row| row.table == Table::Meta);
    let Row { key, body, .. } =
        row.ok_or_else(|| Fault::NoSuchRow { what: "clock: the agent never ran".into() })?;
    match serde_json::from_str(&body) {
        Ok(meta) => Ok((key, meta)),
        Err(fault) => Err(Fault::Row { key: format!("`{key}`"), detail: fault.to_string() }),
    }
}

async fn write(context: &Context, config: &Config, key: String, meta: &Meta) -> Result<(), Fault> {
    let body = serde_json::to_string(meta)
        .map_err(|fault| Fault::Row { key: format!("`{key}`"), detail: fault.to_string() })?;
    let batch = Batch { id: BatchId(1), writes: vec![Write::Put { table: Table::Meta, key, body }] };
    if let Some(options) = database(context, config)? {
        let database = Database::open(options).await?;
        let Taking::Taken { epoch } = database.take().await? else {
            return Err(Fault::Running {
                way_out: "stop every instance first; accesses outlive the processes",
            });
        };
        let written = write_to(&database.journal(epoch), &batch).await;
        database.release(epoch).await?;
        return written;
    }
    let Some(options) = of_file(&config.journal) else { return Ok(()) };
    let journal = match Sqlite::open(options).await {
        Err(JournalFault::InUse { .. }) => return Err(Fault::Running { way_out: STOP_IT }),
        other => other?,
    };
    write_to(&journal, &batch).await
}

async fn write_to(journal: &dyn Journal, batch: &Batch) -> Result<(), Fault> {
    let written = journal.append(batch).await;
    journal.close().await?;
    written?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_opens_the_door_to_guessing_is_not_shown() {
        let mut body = json!({
            "credential": { "verifier": "SCRAM-SHA-256$4096:x", "generation": 2, "sealed": { "ciphertext": "c" } },
            "list": [{ "verifier": "y" }, { "verifier": null }],
        });
        hide(&mut body);
        let text = body.to_string();
        assert!(!text.contains("SCRAM") && !text.contains("\"c\"") && !text.contains("\"y\""), "{text}");
        assert_eq!(body["credential"]["generation"], 2);
        assert_eq!(body["list"][1]["verifier"], Value::Null);
    }
}
