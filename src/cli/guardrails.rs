//! `tidegate guardrails`: are the operator's policies right, and what can they speak of.

use std::path::PathBuf;

use clap::{Args as Arguments, Subcommand};
use serde_json::json;

use super::fault::Fault;
use super::{Context, Ended};
use crate::config;
use crate::exit::Exit;
use crate::guardrails;

const EXAMPLES: &str = "\
Examples:
  tidegate guardrails check                       # the file that the configuration names
  tidegate guardrails check new.cedar             # another one, before it is put in place
  tidegate guardrails words                       # everything that a policy can speak of";

/// The operator's own policies, which the control plane cannot override
#[derive(Debug, Arguments)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Read the policies, say what is wrong with them and where, and list them
    #[command(
        after_help = "Examples:\n  tidegate guardrails check\n  tidegate guardrails check new.cedar --json"
    )]
    Check {
        /// The file; the configured one when it is left out
        file: Option<PathBuf>,
    },
    /// Print the schema: what a policy can speak of
    #[command(after_help = "Examples:\n  tidegate guardrails words > guardrails.cedarschema")]
    Words,
}

pub(super) fn run(args: &Args, context: &Context) -> Ended {
    match &args.what {
        What::Check { file } => check(file.clone(), context),
        What::Words => {
            context.printer.answer(&json!({ "schema": ::guardrails::WORDS }), |lines| {
                lines.push(::guardrails::WORDS.trim_end());
            })?;
            Ok(Exit::Done)
        }
    }
}

fn check(file: Option<PathBuf>, context: &Context) -> Ended {
    let config = context.config()?;
    let from = match (file, config.guardrails) {
        (None, None) => {
            let way_out = "the configuration names no guardrails: name a file here, or set `guardrails.file`";
            return Err(Fault::Usage(way_out.into()));
        }
        (None, Some(configured)) => configured,
        (Some(file), Some(configured)) => config::Guardrails { file, ..configured },
        (Some(file), None) => {
            config::Guardrails { file, time_zone: "UTC".into(), living: rules::Living::default() }
        }
    };
    let policies = guardrails::read(&config.connector, &from)?;
    let listed = policies.list();
    let answer: Vec<_> = listed
        .iter()
        .map(|one| json!({ "id": one.id, "permits": one.permits, "reason": one.reason, "by_moment": one.by_moment }))
        .collect();
    let answer = json!({ "file": from.file, "time_zone": from.time_zone, "policies": answer });
    context.printer.answer(&answer, |lines| {
        lines.push(format!("{} can be used, with times in {}:", from.file.display(), from.time_zone));
        let mut table = vec![["POLICY", "EFFECT", "BY TIME", "REASON"].map(str::to_owned)];
        table.extend(listed.iter().map(|one| {
            [
                one.id.clone(),
                if one.permits { "permit" } else { "forbid" }.to_owned(),
                if one.by_moment { "yes" } else { "no" }.to_owned(),
                one.reason.clone().unwrap_or_default(),
            ]
        }));
        lines.table(&table);
        if !listed.iter().any(|one| one.permits) {
            lines.push("No policy permits anything, so everything is forbidden.");
        }
    })?;
    Ok(Exit::Done)
}
