//! `tidegate keys`: the connector's public keys.

use clap::{Args as Arguments, Subcommand};
use journal::identity::Identity;
use model::ConnectorId;
use serde::Serialize;

use super::print::Lines;
use super::shared::identity;
use super::{Context, Ended};
use crate::exit::Exit;

const EXAMPLES: &str = "\
Examples:
  tidegate keys show
  tidegate keys show --json | jq -r '.receipts[0].public'      # what verifies its receipts elsewhere";

/// The connector's keys
#[derive(Debug, Arguments)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show the public keys, by which others recognise this connector
    #[command(after_help = EXAMPLES)]
    Show,
}

/// The public halves of a connector's keys.
#[derive(Debug, Serialize)]
pub(super) struct Public {
    connector: ConnectorId,
    /// To which secrets are sealed, the current one first.
    sealing: Vec<PublicKey>,
    /// Which verify receipts, the current one first.
    receipts: Vec<PublicKey>,
    /// The ids of the keys that marks are made with, the current one first. They have no public half.
    marks: Vec<String>,
}

#[derive(Debug, Serialize)]
struct PublicKey {
    id: String,
    public: String,
    fingerprint: String,
}

impl Public {
    pub(super) fn of(identity: &Identity) -> Self {
        let sealing = identity.sealing.iter().map(|key| key.public());
        Self {
            connector: identity.connector.clone(),
            sealing: sealing
                .map(|key| PublicKey {
                    id: key.id().0,
                    public: key.to_base64(),
                    fingerprint: key.fingerprint(),
                })
                .collect(),
            receipts: identity
                .receipt_publics
                .iter()
                .map(|key| PublicKey {
                    id: key.id().0,
                    public: key.to_base64(),
                    fingerprint: key.fingerprint(),
                })
                .collect(),
            marks: identity.marks.ids().map(|id| id.0.clone()).collect(),
        }
    }

    pub(super) fn tell(&self, lines: &mut Lines) {
        let mut rows = vec![["USE", "ID", "FINGERPRINT", "PUBLIC KEY", ""].map(str::to_owned)];
        for (of, keys) in [("sealing", &self.sealing), ("receipts", &self.receipts)] {
            for (at, key) in keys.iter().enumerate() {
                rows.push([
                    of.into(),
                    key.id.clone(),
                    key.fingerprint.clone(),
                    key.public.clone(),
                    age(at).into(),
                ]);
            }
        }
        for (at, id) in self.marks.iter().enumerate() {
            rows.push(["marks".into(), id.clone(), "-".into(), "-".into(), age(at).into()]);
        }
        lines.table(&rows);
    }
}

const fn age(at: usize) -> &'static str {
    if at == 0 { "current" } else { "older" }
}

pub(super) fn run(args: &Args, context: &Context) -> Ended {
    let What::Show = args.what;
    let (_, identity) = identity(&context.config()?)?;
    let public = Public::of(&identity);
    context.printer.answer(&public, |lines| {
        lines.push(format!("Connector {}", public.connector));
        public.tell(lines);
    })?;
    Ok(Exit::Done)
}
