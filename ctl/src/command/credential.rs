//! `credential`: opens the sealed credential of an access, here and nowhere else.
//!
//! The password is printed for a person at a terminal, or where it was asked for in so many words; it does
//! not slip into a log because the output was redirected.

use std::time::Duration;

use model::{AccessId, Span};
use serde_json::{Value, json};

use super::Desk;
use crate::api::{Api, Call};
use crate::confidential::{self, Opened};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::print::Format;
use crate::shape::Credential;

const EXAMPLES: &str = "\
Examples:
  tidegatectl credential acc-0192
  tidegatectl credential acc-0192 -o json | jq -r .password
  tidegatectl credential acc-0192 --rotate     # a new one, sealed to your current key; the old one stops";

/// What is said instead of a page of PEM.
const OF_ITS_OWN: &str = "of an authority of its own: `ca_certificates` with -o json; connect uses them";

/// Pause between two looks for a new credential.
const PAUSE: Duration = Duration::from_millis(500);

/// Open and print the credential of an access
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// As `tidegatectl list` shows it
    access: AccessId,
    /// Print the password also when the output is no terminal
    #[arg(long)]
    show: bool,
    /// First ask for a new credential, sealed to the key that is registered now; the old one stops
    #[arg(long)]
    rotate: bool,
    /// With --rotate, wait for it at most so long
    #[arg(long, value_name = "DURATION", default_value = "2m", requires = "rotate")]
    wait: Span,
}

pub(crate) async fn run(args: Args, desk: &Desk<'_>) -> Result<Exit, Fault> {
    let asked = args.show || desk.printer.format != Format::Table || desk.printer.terminal;
    if !asked {
        return Err(Fault::usage(
            "print the password",
            "the output is no terminal, and it would stay where it goes",
            "add --show or -o json, or use `tidegatectl connect`",
        ));
    }
    let (api, settings) = desk.api()?;
    let credential = if args.rotate {
        rotated(&args, &api).await?
    } else {
        confidential::sealed(&api, &args.access).await?.0
    };
    let opened = confidential::open(&desk.home, &settings, &args.access, credential)?;
    desk.printer.answer(&value(&opened), |text| {
        let Opened { credential, clear } = &opened;
        text.pairs([
            ("account", Some(credential.account_name.clone())),
            ("password", Some(clear.expose().to_owned())),
            ("integration", Some(credential.integration.clone())),
            ("generation", Some(credential.sealed.generation.0.to_string())),
            ("details", credential.access_details.clone()),
            ("certificates", credential.ca_certificates.as_ref().map(|_| OF_ITS_OWN.to_owned())),
        ]);
        if !credential.lines.is_empty() {
            text.heading("How to connect");
            text.pairs(credential.lines.iter().map(|line| (line.label.as_str(), Some(line.text.clone()))));
        }
    })?;
    Ok(Exit::Ok)
}

fn value(opened: &Opened) -> Value {
    let Opened { credential, clear } = opened;
    let lines: Vec<_> =
        credential.lines.iter().map(|line| json!({ "label": line.label, "text": line.text })).collect();
    json!({
        "account": credential.account,
        "account_name": credential.account_name,
        "password": clear.expose(),
        "integration": credential.integration,
        "generation": credential.sealed.generation,
        "lines": lines,
        "ca_certificates": credential.ca_certificates,
        "access_details": credential.access_details,
    })
}

/// Asks for a new credential and waits until it is there.
async fn rotated(args: &Args, api: &Api) -> Result<Credential, Fault> {
    let what = format!("get a new credential for {}", args.access);
    let before = match confidential::sealed(api, &args.access).await {
        Ok((credential, _)) => Some(credential.sealed.generation),
        Err(fault) if fault.exit == Exit::Denied => return Err(fault),
        Err(_) => None,
    };
    let path = ["requests", args.access.as_str(), "credential", "rotate"];
    api.call(Call::post(&path, json!({}), &what)).await?;
    let newer = async {
        loop {
            match confidential::sealed(api, &args.access).await {
                Ok((credential, _)) if Some(credential.sealed.generation) > before => return Ok(credential),
                Err(fault) if fault.exit == Exit::Denied => return Err(fault),
                Ok(_) | Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    };
    match tokio::time::timeout(args.wait.as_std(), newer).await {
        Ok(found) => found,
        Err(_) => Err(Fault::new(Exit::TimedOut, what, format!("it did not come within {}", args.wait))
            .or(format!("is the agent connected? look later with tidegatectl credential {}", args.access))),
    }
}
