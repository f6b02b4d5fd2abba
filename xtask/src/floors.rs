//! Checks floors.toml against the workspace: who leans on whom, words that may stand only in some packages, and
//! packages that may be in no build.

mod check;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::Context as _;
use serde::Deserialize;

use crate::workspace::{Workspace, cargo, output};

/// What floors.toml says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plan {
    /// The floor of each package of the workspace.
    floors: BTreeMap<String, u8>,
    /// Words that may stand only in named packages.
    #[serde(default)]
    only: Vec<Only>,
    /// Packages that may be in no build of ours, by any path.
    #[serde(default)]
    never: Vec<Never>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Only {
    text: String,
    packages: BTreeSet<String>,
    why: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Never {
    package: String,
    why: String,
}

/// Checks everything and prints each fault with the way out; true when there is none.
pub(crate) fn command() -> anyhow::Result<bool> {
    let workspace = Workspace::read()?;
    let file = workspace.root.join("floors.toml");
    let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    let plan: Plan = toml::from_str(&text).context("read floors.toml")?;
    let mut faults = check::floors(&plan.floors, &workspace.packages);
    faults.extend(check::names(&plan, &workspace.packages));
    faults.extend(words::standing_elsewhere(&workspace, &plan.only)?);
    faults.extend(check::never(&plan.never, &tree(&workspace)?));
    for fault in &faults {
        println!("floors: {fault}");
    }
    if faults.is_empty() {
        println!("floors: {} packages stand right", workspace.packages.len());
    }
    Ok(faults.is_empty())
}

/// Every package that a build of ours compiles, one a line. The lock file would not do: it also lists what optional
/// features of other platforms and packages would bring.
fn tree(workspace: &Workspace) -> anyhow::Result<String> {
    let words =
        ["tree", "--workspace", "--edges", "normal,build", "--prefix", "none", "--format", "{p}", "--locked"];
    output(cargo().args(words).current_dir(&workspace.root))
}
