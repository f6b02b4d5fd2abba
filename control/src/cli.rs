//! The command line: `serve`, `bootstrap`, `new-incarnation`, `openapi`.
//!
//! What a script reads goes to stdout as one line of JSON; everything else is the log, on stderr.

use std::fs::OpenOptions;
use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::{ArgGroup, Args, Parser, Subcommand};
use model::Span;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::app::{App, Config, Tls};
use crate::changes::{logs, people};
use crate::clock::SystemClock;
use crate::office::{Limits, Office};
use crate::store::sqlite::SqliteStore;
use crate::{http, token};

const EXAMPLES: &str = "\
Examples:
  tidegate-control bootstrap --data control --admin you@example.org --out admin.token
  tidegate-control serve --data control --grpc 127.0.0.1:7443 --http 127.0.0.1:8443 --dev
  tidegate-control serve --data /var/lib/tidegate-control --grpc 0.0.0.0:7443 --http 0.0.0.0:8443 \\
      --tls-cert chain.pem --tls-key key.pem
  tidegate-control new-incarnation --data control          # after it was restored from a backup
  tidegate-control openapi > openapi.json";

/// The control plane of Tidegate.
#[derive(Debug, Parser)]
#[command(name = "tidegate-control", version, about, propagate_version = true, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve agents and people until SIGTERM or SIGINT.
    #[command(after_help = EXAMPLES)]
    Serve(Serve),
    /// Write a token for an admin to a file; makes the admin if there is none of that address.
    #[command(after_help = EXAMPLES)]
    Bootstrap(Bootstrap),
    /// Begin another life, after the data folder was restored from a backup.
    #[command(after_help = EXAMPLES)]
    NewIncarnation(Folder),
    /// Print the OpenAPI 3.1 description of the REST API.
    #[command(after_help = EXAMPLES)]
    Openapi,
}

#[derive(Debug, Args)]
struct Folder {
    /// Where the store is; made if it is not there.
    #[arg(long, env = "TIDEGATE_CONTROL_DATA", value_name = "DIR")]
    data: PathBuf,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("certificate").args(["tls_cert", "dev"]).required(true))]
struct Serve {
    #[command(flatten)]
    folder: Folder,
    /// Where agents dial, for example 0.0.0.0:7443; port 0 takes a free one.
    #[arg(long, env = "TIDEGATE_CONTROL_GRPC", value_name = "ADDR")]
    grpc: SocketAddr,
    /// Where the REST API is, for example 0.0.0.0:8443; port 0 takes a free one.
    #[arg(long, env = "TIDEGATE_CONTROL_HTTP", value_name = "ADDR")]
    http: SocketAddr,
    /// The certificate chain, in PEM form.
    #[arg(long, env = "TIDEGATE_CONTROL_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its key, in PEM form, readable by its owner alone.
    #[arg(long, env = "TIDEGATE_CONTROL_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Make a certificate for this machine, signed by an authority that is kept in the data folder.
    #[arg(long, conflicts_with_all = ["tls_cert", "tls_key"])]
    dev: bool,
    /// The longest access that can be asked for.
    #[arg(long, env = "TIDEGATE_CONTROL_MAX_DURATION", value_name = "DURATION", default_value = "24h")]
    max_duration: Span,
}

#[derive(Debug, Args)]
struct Bootstrap {
    #[command(flatten)]
    folder: Folder,
    /// The admin's e-mail address.
    #[arg(long, value_name = "EMAIL")]
    admin: String,
    /// The file that the token is written to; it must not exist and will be readable by its owner alone.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// What went wrong, with the way out.
pub async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Serve(serve) => run_server(serve).await,
        Command::Bootstrap(bootstrap) => run_bootstrap(bootstrap).await,
        Command::NewIncarnation(folder) => {
            let office = open(&folder.data).await?;
            let begun = office
                .write(people::operator(), |deed| Box::pin(async move { logs::new_incarnation(deed).await }))
                .await;
            office.close().await;
            print(&json!({ "event": "new_incarnation", "incarnation": begun? }))
        }
        Command::Openapi => {
            std::io::stdout().write_all(http::openapi_json().as_bytes()).context("cannot write to stdout")
        }
    }
}

/// Sends the log to stderr: for people on a terminal, as JSON elsewhere.
pub fn start_log() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("TIDEGATE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let terminal = std::io::stderr().is_terminal();
    let plain = std::env::var_os("NO_COLOR").is_some();
    if terminal {
        log.with_ansi(!plain).init();
    } else {
        log.json().init();
    }
}

fn print(line: &Value) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).context("cannot write to stdout")
}

async fn open(data: &Path) -> anyhow::Result<Office> {
    let store = SqliteStore::open(data, token::new_incarnation()).await?;
    Ok(Office::new(Arc::new(store), Arc::new(SystemClock), Limits::default()))
}

async fn run_server(serve: Serve) -> anyhow::Result<()> {
    anyhow::ensure!(serve.max_duration > Span::ZERO, "--max-duration is 0: nothing could be asked for");
    let tls = match (serve.tls_cert, serve.tls_key) {
        (Some(chain), Some(key)) => Tls::Files { chain, key },
        _ => Tls::Development,
    };
    let config = Config {
        data: serve.folder.data,
        grpc: serve.grpc,
        http: serve.http,
        tls,
        limits: Limits { longest: serve.max_duration, ..Limits::default() },
    };
    let app = App::build(config, Arc::new(SystemClock)).await?;
    let authority = app.authority();
    if let Some(authority) = authority {
        tracing::warn!(
            ca_file = %authority.file.display(),
            sha256 = authority.fingerprint,
            "Serving with a certificate of an authority of its own: for development only"
        );
    }
    let ready = json!({
        "event": "ready",
        "http": app.http(),
        "grpc": app.grpc(),
        "ca_file": authority.map(|authority| authority.file.clone()),
        "ca_sha256": authority.map(|authority| authority.fingerprint.clone()),
    });
    let stop = CancellationToken::new();
    let mut signals = tokio::task::JoinSet::new();
    signals.spawn(stop_on_signal(stop.clone())?);
    print(&ready)?;
    tracing::info!(http = %app.http(), grpc = %app.grpc(), "Ready");
    app.run(stop).await?;
    tracing::info!("Stopped");
    Ok(())
}

/// The first signal stops in order, the second at once.
fn stop_on_signal(stop: CancellationToken) -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    Ok(async move {
        for again in [false, true] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if again {
                std::process::exit(130);
            }
            tracing::info!("Stopping");
            stop.cancel();
        }
    })
}

async fn run_bootstrap(bootstrap: Bootstrap) -> anyhow::Result<()> {
    let office = open(&bootstrap.folder.data).await?;
    let out = bootstrap.out.display().to_string();
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&bootstrap.out)
        .with_context(|| format!("cannot make `{out}`: name a file that does not exist yet"))?;
    let admin = bootstrap.admin;
    let made = office
        .write(people::operator(), move |deed| Box::pin(async move { people::bootstrap(deed, &admin).await }))
        .await;
    office.close().await;
    let (user, clear) = match made {
        Ok(made) => made,
        Err(refusal) => {
            // An empty file helps nobody.
            std::fs::remove_file(&bootstrap.out).ok();
            return Err(refusal.into());
        }
    };
    let written = file.write_all(clear.expose().as_bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a token helps nobody, and would be in the way of the next try.
        std::fs::remove_file(&bootstrap.out).ok();
    }
    written.with_context(|| format!("cannot write `{out}`: free space and bootstrap again"))?;
    print(&json!({ "event": "bootstrapped", "user": user.id, "email": user.email, "token_file": out }))
}
