//! The command line: what stands for every command, and the list of commands.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use model::Span;

use crate::command;
use crate::exit;
use crate::print::Format;

const EXAMPLES: &str = "\
Examples:
  tidegatectl login --server https://tidegate.example.com --token-file token.txt
  tidegatectl resources --search orders
  tidegatectl request postgresql-table:shop/public/orders --permission READ_ONLY --for 90m \\
      --reason 'ticket 4711' --wait
  tidegatectl connect acc-0192 -- -c 'select count(*) from orders'";

/// Ask for access, approve it, use it, and see it end.
#[derive(Debug, Parser)]
#[command(name = "tidegatectl", version, about, after_help = EXAMPLES, after_long_help = long_help())]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

fn long_help() -> String {
    format!("{EXAMPLES}\n\n{}", exit::HELP)
}

/// What stands for every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// How to print: for people, or for machines
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT", conflicts_with = "json")]
    pub(crate) output: Option<Format>,
    /// The same as `-o json`
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print no notes, only the answer
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Folder of the login, the key and the settings [default: ~/.config/tidegate]
    #[arg(long, global = true, env = "TIDEGATECTL_CONFIG", value_name = "DIR", hide_env_values = true)]
    pub(crate) config: Option<PathBuf>,
    /// Give up on a single call to the server after so long
    #[arg(long, global = true, default_value = "30s", value_name = "DURATION")]
    pub(crate) timeout: Span,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Login(command::login::Args),
    Whoami(command::whoami::Args),
    Integrations(command::integrations::Args),
    Resources(command::resources::Args),
    Request(command::request::Args),
    Approve(command::approve::Args),
    Reject(command::reject::Args),
    List(command::list::Args),
    Show(command::show::Args),
    Credential(command::credential::Args),
    Connect(command::connect::Args),
    Revoke(command::revoke::Args),
    Cancel(command::cancel::Args),
    Retire(command::retire::Args),
    Panic(command::panic::Args),
    Seal(command::seal::Args),
    Connectors(command::connectors::Args),
    Users(command::users::Args),
    Tokens(command::tokens::Args),
    Receipts(command::receipts::Args),
    Audit(command::audit::Args),
    Completions(command::completions::Args),
}

/// What the process's environment says, read once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    pub(crate) home: Option<PathBuf>,
    pub(crate) config_home: Option<PathBuf>,
    pub(crate) runtime_dir: Option<PathBuf>,
    pub(crate) no_color: bool,
    /// Set by a grantee who knows that the target asks for another kind of proof than SCRAM.
    pub(crate) require_auth: Option<OsString>,
    /// Set by a grantee who says themselves whose certificates are to be believed.
    pub(crate) root_certificates: Option<OsString>,
}

impl Environment {
    pub(crate) fn of_process() -> Self {
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            home: absolute("HOME"),
            config_home: absolute("XDG_CONFIG_HOME"),
            runtime_dir: absolute("XDG_RUNTIME_DIR"),
            no_color: dumb || std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty()),
            require_auth: std::env::var_os("PGREQUIREAUTH"),
            root_certificates: std::env::var_os("PGSSLROOTCERT").filter(|set| !set.is_empty()),
        }
    }
}
