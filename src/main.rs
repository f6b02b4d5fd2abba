//! The `tidegate` binary: chooses the one provider of cryptography, then does what the command line says.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Fails only when one was chosen before, and nothing ran before.
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    tidegate::cli::main()
}
