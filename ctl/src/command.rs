//! The commands, one file each, and what they share.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::api::{Api, Server};
use crate::cli::{Cli, Command, Environment};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::home::{Home, Settings};
use crate::print::Printer;

pub(crate) mod approve;
pub(crate) mod audit;
pub(crate) mod cancel;
pub(crate) mod completions;
pub(crate) mod connect;
pub(crate) mod connectors;
pub(crate) mod credential;
pub(crate) mod integrations;
mod issued;
pub(crate) mod list;
pub(crate) mod login;
pub(crate) mod panic;
pub(crate) mod receipts;
pub(crate) mod reject;
pub(crate) mod request;
pub(crate) mod resources;
pub(crate) mod retire;
pub(crate) mod revoke;
pub(crate) mod seal;
pub(crate) mod show;
pub(crate) mod tokens;
pub(crate) mod users;
pub(crate) mod whoami;

/// What a command works with.
pub(crate) struct Desk<'d> {
    pub(crate) printer: &'d Printer,
    pub(crate) environment: &'d Environment,
    pub(crate) home: Home,
    pub(crate) patience: Duration,
}

impl Desk<'_> {
    /// Returns the server of the login, ready to be called.
    ///
    /// # Errors
    /// When nobody is logged in here.
    pub(crate) fn api(&self) -> Result<(Api, Settings), Fault> {
        let out = || {
            Fault::new(Exit::Denied, "call the server", "nobody is logged in here")
                .or("run: tidegatectl login --server URL --token-file FILE")
        };
        let settings = self.home.settings()?.ok_or_else(out)?;
        let token = self.home.token()?.ok_or_else(out)?;
        let server = Server::parse(&settings.server)?;
        let api = Api::new(server, settings.ca.as_deref(), &token, self.patience)?;
        Ok((api, settings))
    }
}

/// How much of a list to read.
#[derive(Debug, Args)]
pub(crate) struct Paging {
    /// Print at most so many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Print all
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

impl Paging {
    fn most(&self) -> Option<usize> {
        if self.all { None } else { usize::try_from(self.limit).ok() }
    }

    fn note(printer: &Printer, more: bool) {
        if more {
            printer.note("there are more: add --all, or --limit N");
        }
    }
}

/// Returns the path in absolute form.
fn absolute(path: &PathBuf) -> Result<PathBuf, Fault> {
    std::path::absolute(path).map_err(|fault| Fault::system(format!("find {}", path.display()), &fault))
}

/// Runs the command.
///
/// # Errors
/// Why it did not succeed.
pub(crate) async fn run(cli: Cli, environment: &Environment, printer: &Printer) -> Result<Exit, Fault> {
    if let Command::Completions(args) = cli.command {
        return completions::run(args, printer);
    }
    let home = Home::find(&cli.global, environment)?;
    let desk = Desk { printer, environment, home, patience: cli.global.timeout.as_std() };
    match cli.command {
        Command::Login(args) => login::run(args, &desk).await,
        Command::Whoami(args) => whoami::run(args, &desk).await,
        Command::Integrations(args) => integrations::run(args, &desk).await,
        Command::Resources(args) => resources::run(args, &desk).await,
        Command::Request(args) => request::run(args, &desk).await,
        Command::Approve(args) => approve::run(args, &desk).await,
        Command::Reject(args) => reject::run(args, &desk).await,
        Command::List(args) => list::run(args, &desk).await,
        Command::Show(args) => show::run(args, &desk).await,
        Command::Credential(args) => credential::run(args, &desk).await,
        Command::Connect(args) => connect::run(args, &desk).await,
        Command::Revoke(args) => revoke::run(args, &desk).await,
        Command::Cancel(args) => cancel::run(args, &desk).await,
        Command::Retire(args) => retire::run(args, &desk).await,
        Command::Panic(args) => panic::run(args, &desk).await,
        Command::Seal(args) => seal::run(args, &desk).await,
        Command::Connectors(args) => connectors::run(args, &desk).await,
        Command::Users(args) => users::run(args, &desk).await,
        Command::Tokens(args) => tokens::run(args, &desk).await,
        Command::Receipts(args) => receipts::run(args, &desk).await,
        Command::Audit(args) => audit::run(args, &desk).await,
        Command::Completions(args) => completions::run(args, printer),
    }
}
