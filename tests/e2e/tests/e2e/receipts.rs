//! Receipts outside of the product: three verifiers say the same of the same exports.

mod exports;
mod lives;

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use e2e::command::{self, Finished};
use services::install::{self, Need};
use tokio::process::Command;

const A_COMMAND: Duration = Duration::from_secs(60);

/// Takes the verifier out of the page that shows it.
fn shown_verifier() -> anyhow::Result<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/receipts.md");
    let page = std::fs::read_to_string(&page).with_context(|| format!("read {}", page.display()))?;
    let (_, from) = page.split_once("```python\n").context("a program in the page")?;
    let (program, _) = from.split_once("```").context("the program's end")?;
    Ok(program.to_owned())
}

/// Runs the verifier that the page shows over an export, with public keys and heads.
async fn by_the_page(export: &str, arguments: &[&str]) -> anyhow::Result<Finished> {
    let mut python = Command::new(install::here(Need::Python)?);
    python.arg("-I").arg("-c").arg(shown_verifier()?).args(arguments).env_clear();
    command::run(python, export, A_COMMAND).await
}
