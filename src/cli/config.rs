//! `tidegate config`: is it right, and where does each value come from.

use clap::{Args as Arguments, Subcommand};
use serde_json::json;

use super::check::files;
use super::fault::{Fault, Faults};
use super::shared::load;
use super::{Context, Ended};
use crate::config::{Config, Setting, settings};
use crate::exit::{self, Exit};

const EXAMPLES: &str = "\
Examples:
  tidegate config check              # all faults at once, and the files that it names
  tidegate config show               # every key, its value, and where that comes from
  tidegate config show --set log.level=debug";

/// The configuration
#[derive(Debug, Arguments)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Check the configuration and the files that it names; tells all faults at once
    #[command(after_help = EXAMPLES)]
    Check,
    /// Show every key with its value and where that comes from
    #[command(after_help = EXAMPLES)]
    Show,
}

pub(super) fn run(args: &Args, context: &Context) -> Ended {
    match args.what {
        What::Check => check(context),
        What::Show => show(context),
    }
}

fn check(context: &Context) -> Ended {
    let faults = match load(&context.sources()?) {
        Ok(config) => files(&config),
        Err(fault) => vec![fault],
    };
    let told: Vec<_> = faults.iter().flat_map(single).collect();
    context.printer.answer(&json!({ "good": told.is_empty(), "faults": told }), |lines| {
        match told.len() {
            0 => lines.push("The configuration and the files that it names are good."),
            1 => lines.push("There is 1 fault:"),
            count => lines.push(format!("There are {count} faults:")),
        }
        told.iter().for_each(|line| lines.push(format!("  {line}")));
    })?;
    Ok(faults.first().map_or(Exit::Done, Fault::exit))
}

/// Returns each fault in a line of its own.
fn single(fault: &Fault) -> Vec<String> {
    if let Fault::Config(Faults(faults)) = fault {
        faults.iter().map(ToString::to_string).collect()
    } else {
        vec![exit::chain(fault)]
    }
}

fn show(context: &Context) -> Ended {
    let sources = context.sources()?;
    let rows = settings(&sources);
    let value = |row: &Setting| match &row.value {
        Some(value) => value.clone(),
        None if row.refused => "(refused: see `tidegate config check`)".into(),
        None => "(not set)".into(),
    };
    let answer: Vec<_> = rows
        .iter()
        .map(|row| {
            json!({
                "key": row.key,
                "value": row.value,
                "refused": row.refused,
                "from": row.origin.to_string(),
            })
        })
        .collect();
    context.printer.answer(&answer, |lines| {
        let mut table = vec![["KEY", "VALUE", "FROM"].map(str::to_owned)];
        table.extend(rows.iter().map(|row| [row.key.to_owned(), value(row), row.origin.to_string()]));
        lines.table(&table);
    })?;
    let refused = Config::load(&sources).is_err();
    Ok(if refused { Exit::Config } else { Exit::Done })
}
