//! `tidegate init`: a new identity and a configuration file with every key.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use clap::Args as Arguments;
use journal::identity::{Identity, IdentityFault, IdentityStore};
use model::ConnectorId;
use serde_json::json;

use super::fault::{Fault, Faults};
use super::print::Lines;
use super::shared::absolute;
use super::{CONFIG_FILE, Context, Ended, keys};
use crate::config::{Config, Sources, render, token};
use crate::exit::Exit;

/// Where identity and journal are when nobody says.
const STATE: &str = "/var/lib/tidegate";

const EXAMPLES: &str = "\
Examples:
  tidegate init --connector prod-eu-1 --url https://tidegate.example.com:8443
  tidegate init --connector trial --url http://127.0.0.1:8080 --set control_plane.allow_plain_http=true \\
      --state ./state --config ./tidegate.toml

Run it as the user that the agent will run as. Nothing that is there is overwritten.";

/// Make an identity and a configuration
///
/// Makes the identity's folder with new keys, writes a configuration in which every key stands with its effect,
/// default and limits, and prints the public keys.
#[derive(Debug, Arguments)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The connector's id, as the control plane gave it
    #[arg(long, value_name = "ID")]
    connector: ConnectorId,
    /// Where the control plane's service for connectors is
    #[arg(long, value_name = "URL")]
    url: String,
    /// Folder in which the identity and the journal get folders of their own [default: /var/lib/tidegate]; the
    /// configuration gets there, too, when it is given and --config is not
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Where the connector's token will be [default: `token` beside the configuration]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

pub(super) fn run(args: &Args, context: &Context) -> Ended {
    let state = absolute(args.state.as_deref().unwrap_or(Path::new(STATE)))?;
    let file = match (&context.global.config, &args.state) {
        (Some(file), _) => absolute(file)?,
        (None, Some(_)) => state.join("tidegate.toml"),
        (None, None) => absolute(Path::new(CONFIG_FILE))?,
    };
    let token_file = match &args.token_file {
        Some(path) => absolute(path)?,
        None => file.with_file_name("token"),
    };
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let mut values = BTreeMap::from([
        ("connector", args.connector.to_string()),
        ("token_file", text(&token_file)),
        ("control_plane.url", args.url.clone()),
        ("identity.dir", text(&state.join("identity"))),
        ("journal.dir", text(&state.join("journal"))),
    ]);
    values.extend(context.global.set.iter().map(|(key, value)| (key.as_str(), value.clone())));
    let rendered = render(&values);
    // Unknown keys of `--set` are in no file: they are refused here.
    let sources = Sources {
        file: Some((file.clone(), rendered.clone())),
        flags: context.global.set.clone(),
        ..Sources::default()
    };
    let config = Config::load(&sources).map_err(|faults| Fault::Config(Faults(faults)))?;
    if file.try_exists().is_ok_and(|there| there) {
        return Err(Fault::FileThere { path: file });
    }
    let (identity, is_new) = identity(&config)?;
    write(&file, &rendered)?;
    let public = keys::Public::of(&identity);
    let answer = json!({
        "config": file,
        "identity": config.identity_dir,
        "identity_is_new": is_new,
        "token_file": token_file,
        "keys": public,
    });
    context.printer.answer(&answer, |lines| {
        let made = if is_new { "Made" } else { "Kept" };
        let (of, dir) = (&identity.connector, config.identity_dir.display());
        lines.push(format!("{made} the identity of connector {of} in {dir}: back this folder up."));
        lines.push(format!("Wrote {} with every key.", file.display()));
        lines.push("");
        public.tell(lines);
        if context.printer.tells_notes() {
            lines.push("");
            next(&config, &file, lines);
        }
    })?;
    Ok(Exit::Done)
}

/// Tells what is still missing before the agent can run.
fn next(config: &Config, file: &Path, lines: &mut Lines) {
    lines.push("Next:");
    let token = config.token_file.display();
    match token::read(&config.token_file) {
        Ok(_) => lines.push(format!("  the connector's token is in {token} already")),
        Err(token::TokenFault::Unreadable { .. }) => {
            lines.push(format!("  put the connector's token into {token} and run: chmod 600 {token}"));
        }
        Err(fault) => lines.push(format!("  {fault}")),
    }
    match &config.control_plane.ca_file {
        Some(path) if path.exists() => {}
        Some(path) => lines.push(format!(
            "  put the authority of the control plane's certificate (PEM) into {}",
            path.display()
        )),
        None if config.control_plane.url.scheme_str() == Some("https") => lines.push(
            "  if this system does not trust the control plane's certificate, name its authority (PEM) in `control_plane.ca_file`",
        ),
        None => {}
    }
    match &config.secrets.file_root {
        Some(path) if path.exists() => {}
        Some(path) => {
            lines.push(format!("  make the folder of the admin secrets: mkdir -m 700 {}", path.display()))
        }
        None => {
            lines.push("  if admin secrets are files, name their folder (mode 0700) in `secrets.file_root`")
        }
    }
    lines.push(format!("  tidegate --config {} check", file.display()));
    lines.push(format!("  tidegate --config {} run", file.display()));
}

/// Makes the identity, or takes the one that an earlier try of the same connector left.
fn identity(config: &Config) -> Result<(Identity, bool), Fault> {
    let dir = &config.identity_dir;
    if let Some(parent) = dir.parent() {
        make(parent)?;
    }
    match IdentityStore::create(dir, config.connector.clone()) {
        Ok(store) => Ok((store.load()?, true)),
        Err(IdentityFault::AlreadyThere { .. }) => Ok((super::shared::identity(config)?.1, false)),
        Err(fault) => Err(fault.into()),
    }
}

fn make(dir: &Path) -> Result<(), Fault> {
    let fault = |cause| Fault::File { doing: "make the folder", path: dir.into(), cause };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(fault)
}

fn write(file: &Path, text: &str) -> Result<(), Fault> {
    if let Some(parent) = file.parent() {
        make(parent)?;
    }
    let fault = |cause| Fault::of_new_file(file, "write the configuration", cause);
    let mut open = OpenOptions::new();
    let mut written = open.write(true).create_new(true).mode(0o600).open(file).map_err(fault)?;
    written.write_all(text.as_bytes()).and_then(|()| written.sync_all()).map_err(fault)
}
