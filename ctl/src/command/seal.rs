//! `seal`: seals an admin secret to a connector, for one place, so that only its agent can open it there.
//!
//! With `--key` it needs no server and believes none. Without, the key comes from the control plane, and
//! its fingerprint is to be compared with what `tidegate keys show` says beside the agent.

use std::io::{self, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use ::seal::credential::{Place, seal_reference};
use ::seal::keys::SealingPublic;
use model::{ConnectorId, DriverKind, IntegrationId, Secret};
use secrets::binding::{HostPattern, TlsFloor};
use secrets::value;
use serde_json::json;
use zeroize::Zeroizing;

use super::Desk;
use crate::api::{Call, read};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::shape::Connector;

const EXAMPLES: &str = "\
Examples:
  tidegatectl seal --connector eu-west --integration shop-db --kind postgres --host db.example.com \\
      --tls verified_name --from admin.json --fingerprint 3VQ2M-…
  printf 'username=admin\\npassword=%s\\n' \"$(pass db)\" | tidegatectl seal --key BASE64 --integration shop-db \\
      --kind postgres --host db.example.com --tls verified_name --from -

Put what it prints into the integration's `secret`. It opens only for that integration, kind, host and TLS
floor. The secret is a JSON object or lines of key=value.";

/// Seal an admin secret to a connector
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Whose agent is to open it; its key comes from the control plane
    #[arg(long, value_name = "ID", required_unless_present = "key", conflicts_with = "key")]
    connector: Option<ConnectorId>,
    /// The connector's public sealing key, as `tidegate keys show` prints it
    #[arg(long, value_name = "BASE64")]
    key: Option<String>,
    /// Refuse any other key than the one with this fingerprint
    #[arg(long, value_name = "TEXT")]
    fingerprint: Option<String>,
    /// The integration that is to use it
    #[arg(long, value_name = "ID")]
    integration: IntegrationId,
    /// The integration's driver, for example postgres
    #[arg(long)]
    kind: String,
    /// The target's host, as in the integration's settings
    #[arg(long)]
    host: String,
    /// The least protection of the connection: none, encrypted, verified_chain or verified_name
    #[arg(long, value_name = "FLOOR")]
    tls: TlsFloor,
    /// File that holds the secret; `-` for the standard input
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
}

pub(crate) async fn run(args: Args, desk: &Desk<'_>) -> Result<Exit, Fault> {
    let what = "seal the secret";
    HostPattern::exact(&args.host)
        .map_err(|fault| Fault::usage(what, format!("the host: {fault}"), "give it as in the settings"))?;
    let key = key(&args, desk).await?;
    let clear = clear(&args.from)?;
    let kind = DriverKind(args.kind.clone());
    let place =
        Place { integration: &args.integration, kind: &kind, host: &args.host, tls_floor: args.tls.word() };
    let sealed = seal_reference(&key, &place, &clear).map_err(|fault| Fault::system(what, &fault))?;
    let reference = sealed.to_string();
    let value = json!({ "secret": reference, "key_id": key.id(), "key_fingerprint": key.fingerprint() });
    desk.printer.answer(&value, |text| text.line(&reference))?;
    Ok(Exit::Ok)
}

async fn key(args: &Args, desk: &Desk<'_>) -> Result<SealingPublic, Fault> {
    let what = "find the connector's key";
    let key = match (&args.key, &args.connector) {
        (Some(text), _) => SealingPublic::from_base64(text)
            .map_err(|fault| Fault::usage(what, fault.to_string(), "copy it from `tidegate keys show`"))?,
        (None, Some(connector)) => pinned(desk, connector, args.fingerprint.is_some()).await?,
        (None, None) => return Err(Fault::usage(what, "neither is named", "give --connector or --key")),
    };
    match &args.fingerprint {
        Some(wanted) if *wanted != key.fingerprint() => {
            let why = format!("its fingerprint is {}, not {wanted}", key.fingerprint());
            Err(Fault::new(Exit::Failed, what, why).or(
                "look at `tidegate keys show` beside the agent: whoever made this key could read the secret",
            ))
        }
        _ => Ok(key),
    }
}

async fn pinned(desk: &Desk<'_>, connector: &ConnectorId, compared: bool) -> Result<SealingPublic, Fault> {
    let what = format!("find the key of connector {connector}");
    let (api, _) = desk.api()?;
    let answer = api.call(Call::get(&["connectors", connector.as_str()], &what)).await?;
    let connector: Connector = read(answer, &what)?;
    let current = connector.keys.iter().find(|key| key.purpose == "sealing" && key.current);
    let Some(current) = current else {
        return Err(Fault::new(Exit::NotFound, what, "its agent has told none yet")
            .or("start the agent, or give --key from `tidegate keys show`"));
    };
    let key = SealingPublic::from_base64(&current.public_key)
        .map_err(|fault| Fault::new(Exit::Failed, what, fault.to_string()))?;
    if !compared {
        desk.printer.warn(&format!(
            "the key comes from the control plane: compare its fingerprint {} with `tidegate keys show`",
            key.fingerprint()
        ));
    }
    Ok(key)
}

/// Reads the secret and makes sure that the agent will be able to.
fn clear(path: &Path) -> Result<Secret, Fault> {
    let what = format!("read the secret from {}", path.display());
    let most = u64::try_from(value::LARGEST).unwrap_or(u64::MAX);
    let mut text = Zeroizing::new(String::new());
    let read = if path.as_os_str() == "-" {
        if io::stdin().is_terminal() {
            return Err(Fault::usage(what, "it would show as it is typed", "pipe it in, or name a file"));
        }
        io::stdin().lock().take(most).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(most).read_to_string(&mut text))
    };
    read.map_err(|fault| Fault::new(Exit::Usage, what.clone(), fault.to_string()))?;
    value::parse(text.as_bytes(), None).map_err(|fault| {
        Fault::usage(what, fault.to_string(), "correct it: the agent could not read it either")
    })?;
    Ok(Secret::new(std::mem::take(&mut *text)))
}
