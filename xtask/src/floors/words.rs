//! Words that may stand only in some packages: looks through the sources.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::Only;
use crate::workspace::{Package, Workspace};

/// Where a package keeps its sources.
const PLACES: [&str; 4] = ["src", "tests", "benches", "examples"];

/// The lines that have a word which their package may not have.
pub(super) fn standing_elsewhere(workspace: &Workspace, rules: &[Only]) -> anyhow::Result<Vec<String>> {
    let mut faults = vec![];
    for package in &workspace.packages {
        let here: Vec<&Only> = rules.iter().filter(|rule| !rule.packages.contains(&package.name)).collect();
        for file in sources(&workspace.root, package)? {
            let text = fs::read_to_string(workspace.root.join(&file))
                .with_context(|| format!("read {}", file.display()))?;
            faults.extend(here.iter().flat_map(|rule| lines_with(rule, &file, &text)));
        }
    }
    Ok(faults)
}

fn lines_with(rule: &Only, file: &Path, text: &str) -> Vec<String> {
    let Only { text: word, packages, why } = rule;
    let allowed = packages.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let found = text.lines().enumerate().filter(|(_, line)| line.contains(word.as_str()));
    found
        .map(|(number, _)| {
            format!(
                "{}:{}: `{word}` may stand only in {allowed}: {why}; move this there, or change the rule in \
                 floors.toml with an ADR",
                file.display(),
                number + 1
            )
        })
        .collect()
}

/// The Rust files of a package, from the workspace's root on.
fn sources(root: &Path, package: &Package) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = vec![];
    let build = package.folder.join("build.rs");
    if root.join(&build).is_file() {
        found.push(build);
    }
    for place in PLACES {
        collect(root, &package.folder.join(place), &mut found)?;
    }
    Ok(found)
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    // A package inside of another one's folder is looked through as itself.
    if !root.join(folder).is_dir() || root.join(folder).join("Cargo.toml").exists() {
        return Ok(());
    }
    let entries =
        fs::read_dir(root.join(folder)).with_context(|| format!("read the folder {}", folder.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("read the folder {}", folder.display()))?;
        let path = folder.join(entry.file_name());
        if root.join(&path).is_dir() {
            collect(root, &path, found)?;
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found.sort();
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Only, lines_with};

    #[test]
    fn the_line_is_named() {
        let rule = Only {
            text: "Proof::make".to_owned(),
            packages: ["low".to_owned()].into(),
            why: "so".to_owned(),
        };
        let faults = lines_with(&rule, Path::new("src/a.rs"), "fn a() {}\n\nlet proof = Proof::make(1);\n");
        assert_eq!(faults.len(), 1);
        assert!(faults[0].starts_with("src/a.rs:3: `Proof::make` may stand only in low: so;"), "{faults:?}");
    }
}
