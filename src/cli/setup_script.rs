//! `tidegate setup-script`: what a target has to be given before the agent can work on it, as a script to read first.
//!
//! The text is the driver's; this only asks for it and prints it.

use clap::Args as Arguments;
use driver::SetupWish;
use model::DriverKind;
use serde_json::json;

use super::fault::Fault;
use super::{Context, Ended};
use crate::drivers;
use crate::exit::Exit;

const EXAMPLES: &str = "\
Examples:
  tidegate setup-script postgres > setup.sql       # the admin is a superuser
  tidegate setup-script postgres --mode least --server-version 18 --owner app_owner
  tidegate setup-script postgres --mode least --server-version 18 --owner app_owner --remove";

/// Print the script that prepares a target for the agent, or that takes it back
///
/// Read it, then run it as its first lines say. No secret is in it.
#[derive(Debug, Arguments)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Kind of the target: `tidegate drivers` lists them
    kind: String,
    /// How much the agent may do, for example superuser or least: `tidegate drivers KIND` lists the modes
    #[arg(long)]
    mode: Option<String>,
    /// The target's version, for example 15.4 or 18; needed where rights differ by it
    #[arg(long, value_name = "VERSION", value_parser = major)]
    server_version: Option<u32>,
    /// What the agent's account on the target is called
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// On whose objects access is to be given; may be repeated
    #[arg(long = "owner", value_name = "NAME")]
    owners: Vec<String>,
    /// A role that accounts may be made members of; may be repeated
    #[arg(long = "attach", value_name = "NAME")]
    attachable: Vec<String>,
    /// The script that takes back what the other gave
    #[arg(long)]
    remove: bool,
}

/// Reads the major version, also out of `15.4 (Debian 15.4-1)`.
fn major(text: &str) -> Result<u32, &'static str> {
    let digits = text.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().map_err(|_| "begin with the major version, for example 18")
}

pub(super) fn run(args: &Args, context: &Context) -> Ended {
    let kind = &args.kind;
    let found = drivers::find(&DriverKind(kind.clone())).ok_or_else(|| {
        Fault::Usage(format!("this build has no driver `{kind}`: `tidegate drivers` lists them"))
    })?;
    let wish = SetupWish {
        mode: args.mode.clone(),
        remove: args.remove,
        server_version: args.server_version,
        username: args.username.clone(),
        owners: args.owners.clone(),
        attachable: args.attachable.clone(),
    };
    let script = found.setup_script(&wish).map_err(|fault| Fault::Usage(fault.to_string()))?;
    let language = found.manifest().setup.language;
    context.printer.answer(&json!({ "kind": kind, "language": language, "script": script }), |lines| {
        script.lines().for_each(|line| lines.push(line));
    })?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::major;

    #[test]
    fn versions_are_read_as_servers_tell_them() {
        let table = [
            ("18", Some(18)),
            ("15.4", Some(15)),
            ("15.4 (Debian 15.4-1)", Some(15)),
            ("17beta1", Some(17)),
            ("v18", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(major(text).ok(), expected, "{text}");
        }
    }
}
