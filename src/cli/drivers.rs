//! `tidegate drivers`: what this build can guard, from the drivers' manifests.

use clap::Args as Arguments;
use driver::Manifest;
use driver::manifest::FieldFormat;
use model::DriverKind;

use super::fault::Fault;
use super::print::Lines;
use super::{Context, Ended};
use crate::drivers;
use crate::exit::Exit;

const EXAMPLES: &str = "\
Examples:
  tidegate drivers
  tidegate drivers postgres          # its settings, secret, permissions and limits
  tidegate drivers --json";

/// Show the kinds of targets that this build can guard
#[derive(Debug, Arguments)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Show all of one kind
    kind: Option<String>,
}

pub(super) fn run(args: &Args, context: &Context) -> Ended {
    match &args.kind {
        None => {
            let manifests: Vec<_> = drivers::all().map(|driver| driver.manifest()).collect();
            context.printer.answer(&manifests, |lines| {
                let mut rows = vec![["KIND", "PRODUCT", "WHAT IT IS"].map(str::to_owned)];
                rows.extend(
                    manifests
                        .iter()
                        .map(|found| [found.kind, found.product, found.summary].map(str::to_owned)),
                );
                lines.table(&rows);
            })?;
        }
        Some(kind) => {
            let found = drivers::find(&DriverKind(kind.clone())).ok_or_else(|| {
                Fault::Usage(format!("this build has no driver `{kind}`: `tidegate drivers` lists them"))
            })?;
            let manifest = found.manifest();
            context.printer.answer(manifest, |lines| tell(manifest, lines))?;
        }
    }
    Ok(Exit::Done)
}

fn tell(manifest: &Manifest, lines: &mut Lines) {
    lines.push(format!("{} ({}): {}", manifest.product, manifest.kind, manifest.summary));
    lines.push("");
    lines.push("Settings:");
    for field in manifest.fields {
        let needed = match (field.required, field.default) {
            (true, _) => "required".to_owned(),
            (false, Some(default)) => format!("default {default}"),
            (false, None) => "optional".to_owned(),
        };
        lines.push(format!("  {} ({}; {needed})", field.key, form(&field.format)));
        lines.push(format!("      {}", field.help));
    }
    lines.push("");
    lines.push("Secret:");
    for key in manifest.secret_keys {
        let needed = if key.required { "required" } else { "optional" };
        lines.push(format!("  {} ({needed})", key.key));
        lines.push(format!("      {}", key.help));
    }
    lines.push("");
    lines.push("Resources and permissions:");
    for resource in manifest.resources {
        lines.push(format!("  {}:{}", resource.kind, resource.path.join("/")));
        for permission in resource.permissions {
            lines.push(format!("      {}: {}", permission.name, permission.sentence));
        }
    }
    lines.push("");
    lines.push("When the agent is dead:");
    lines.push(format!("  logins: {}", manifest.login_expiry.note));
    lines.push(format!("  sessions: {}", manifest.session_expiry.note));
    if !manifest.residuals.is_empty() {
        lines.push("");
        lines.push("What may outlive a close:");
    }
    for vector in manifest.residuals {
        let seen = if vector.observed { "reported in the receipt" } else { "not seen" };
        lines.push(format!("  {} ({seen}): {}", vector.what, vector.remedy));
    }
    lines.push("");
    if !manifest.setup.modes.is_empty() {
        lines.push(format!("Modes of `tidegate setup-script {}`, the usual one first:", manifest.kind));
    }
    for mode in manifest.setup.modes {
        lines.push(format!("  {}: {}", mode.name, mode.sentence));
        for sentence in mode.cannot {
            lines.push(format!("      cannot: {sentence}"));
        }
    }
    lines.push("");
    match manifest.setup.modes {
        [usual, others @ ..] if !others.is_empty() => {
            lines.push(format!("Rights that the admin needs in mode {}:", usual.name));
            rights(manifest, lines);
            for mode in others {
                lines.push(format!(
                    "In mode {} it needs none of these: `tidegate setup-script {} --mode {}` prints what it needs.",
                    mode.name, manifest.kind, mode.name
                ));
            }
        }
        _ => {
            lines.push("Rights that the admin needs:");
            rights(manifest, lines);
        }
    }
}

fn rights(manifest: &Manifest, lines: &mut Lines) {
    for right in manifest.rights {
        let needed = if right.required { "needed" } else { "for some only" };
        lines.push(format!("  {} ({needed}): {}", right.name, right.why));
    }
}

fn form(format: &FieldFormat) -> String {
    match format {
        FieldFormat::Text { max_bytes } => format!("text of at most {max_bytes} bytes"),
        FieldFormat::Host => "host name or IP address".into(),
        FieldFormat::Port => "port".into(),
        FieldFormat::Choice { allowed } => allowed.join(" | "),
        FieldFormat::Whole { least, most } => format!("{least} to {most}"),
        FieldFormat::Flag => "true or false".into(),
        FieldFormat::Duration => "duration, for example 90m".into(),
        FieldFormat::Pem => "certificates in PEM form".into(),
    }
}
