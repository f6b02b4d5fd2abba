//! The agent of a storm: `tidegate` as it is, linked with made-up targets beside PostgreSQL.

use std::process::ExitCode;

use driver::Driver;
use storm::target::MadeUp;

static DRIVERS: &[&dyn Driver] = &[&MadeUp, &driver_postgres::Postgres];

fn main() -> ExitCode {
    // Fails only when one was chosen before, and nothing ran before.
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    // Fails only when somebody has asked for the drivers, and nobody has.
    if tidegate::drivers::link(DRIVERS).is_err() {
        return ExitCode::FAILURE;
    }
    tidegate::cli::main()
}
