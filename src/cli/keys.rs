//! `tidegate keys`: the connector's keys, and making them anew.

use clap::{Args as Arguments, Subcommand, ValueEnum};
use journal::identity::{Identity, KeyUse};
use model::{ConnectorId, KeyId};
use serde::Serialize;
use serde_json::json;

use super::fault::Fault;
use super::print::Lines;
use super::shared::identity;
use super::{Context, Ended};
use crate::exit::Exit;

const EXAMPLES: &str = "\
Examples:
  tidegate keys show
  tidegate keys show --json | jq -r '.receipts[0].public'      # what verifies its receipts elsewhere
  tidegate keys rotate receipts
  tidegate keys retire receipts KEY-ID --yes                   # an older one, which nothing needs any more";

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
    /// Make a new current key; the old one stays beside it for what was made with it
    ///
    /// A running agent goes on with the keys that it began with: restart it, and every standby beside it.
    /// Accesses outlive that.
    #[command(after_help = EXAMPLES)]
    Rotate {
        #[arg(value_name = "USE")]
        key_use: Use,
    },
    /// Drop an older key, which cannot be undone
    ///
    /// For marks: when every account was marked anew or is gone; an account whose mark nobody can check any more is
    /// closed by the journal alone, and is foreign to an agent that lost it. For sealing: when every secret and
    /// reference was sealed anew. For receipts: when its public half is archived, where the receipts are kept. Without
    /// --yes it only says what it would do.
    #[command(after_help = EXAMPLES)]
    Retire {
        #[arg(value_name = "USE")]
        key_use: Use,
        /// As `tidegate keys show` prints it
        id: String,
        /// Do it
        #[arg(long)]
        yes: bool,
    },
}

/// What a key is for.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Use {
    /// What accounts are marked with
    Marks,
    /// What secrets are sealed to
    Sealing,
    /// What signs receipts
    Receipts,
}

impl Use {
    const fn key_use(self) -> KeyUse {
        match self {
            Self::Marks => KeyUse::Marks,
            Self::Sealing => KeyUse::Sealing,
            Self::Receipts => KeyUse::Receipts,
        }
    }

    /// Returns what is to be done after a new key was made, besides the restart.
    const fn next(self) -> &'static str {
        match self {
            Self::Marks => {
                "Accounts are marked with it when they are next changed. What carries an older mark is recognised until \
                 that key is retired."
            }
            Self::Sealing => {
                "An admin of the control plane compares and accepts it. Seal to it from then on; what was sealed to an \
                 older key opens until that one is retired."
            }
            Self::Receipts => {
                "An admin of the control plane compares and accepts it; until then what it signs counts as not verified. \
                 Keep the older public key with the receipts that it verifies."
            }
        }
    }
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
    let (store, identity) = identity(&context.config()?)?;
    match &args.what {
        What::Show => {
            let public = Public::of(&identity);
            context.printer.answer(&public, |lines| {
                lines.push(format!("Connector {}", public.connector));
                public.tell(lines);
            })?;
        }
        What::Rotate { key_use } => {
            let word = key_use.key_use().word();
            let id = store.rotate(key_use.key_use())?;
            context.printer.answer(&json!({ "use": word, "id": id.0 }), |lines| {
                lines.push(format!("The current key of {word} is {} now.", id.0));
                lines.push("A running agent begins to use it when it is restarted; accesses outlive that.");
                lines.push(key_use.next());
            })?;
        }
        What::Retire { key_use, id, yes } => {
            let word = key_use.key_use().word();
            let older = is_older(&Public::of(&identity), *key_use, id)?;
            if *yes {
                store.forget(key_use.key_use(), &older)?;
            }
            context.printer.answer(&json!({ "use": word, "id": id, "done": yes }), |lines| {
                lines.push(if *yes {
                    format!("The key {id} of {word} is gone. A running agent forgets it when it is restarted.")
                } else {
                    format!("Nothing was changed. The key {id} of {word} would be gone for good: run it again with --yes.")
                });
            })?;
        }
    }
    Ok(Exit::Done)
}

/// Returns the key when it is there and is not the current one.
fn is_older(public: &Public, key_use: Use, id: &str) -> Result<KeyId, Fault> {
    let ids: Vec<&str> = match key_use {
        Use::Marks => public.marks.iter().map(String::as_str).collect(),
        Use::Sealing => public.sealing.iter().map(|key| key.id.as_str()).collect(),
        Use::Receipts => public.receipts.iter().map(|key| key.id.as_str()).collect(),
    };
    let word = key_use.key_use().word();
    match ids.iter().position(|known| *known == id) {
        Some(0) => Err(Fault::Usage(format!(
            "{id} is the current key of {word}: make another one first, with `tidegate keys rotate {word}`"
        ))),
        Some(_) => Ok(KeyId(id.to_owned())),
        None => Err(Fault::Usage(format!("there is no key {id} of {word}: `tidegate keys show` lists them"))),
    }
}
