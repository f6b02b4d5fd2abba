//! `tidegate-control`: takes the command line, starts the log and the runtime, says how it ended.

use std::process::ExitCode;

use clap::Parser as _;
use control::cli::{Cli, run, start_log};

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_log();
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        tracing::error!("Another TLS provider is installed");
        return ExitCode::FAILURE;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(fault) => {
            tracing::error!(error = %fault, "No runtime could be started");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            tracing::error!(error = %format!("{fault:#}"), "Ended");
            ExitCode::FAILURE
        }
    }
}
