//! Whether codes, their pages and those who give them agree, as they lie in the repository.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::PLACE;
use model::Code;

/// What the agent is made of; what only tests are made of is left out.
const AGENT: [&str; 3] = ["src", "crates", "drivers"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// The sources of the agent, without their tests.
fn sources() -> Vec<(PathBuf, String)> {
    let (mut folders, mut found) = (AGENT.map(|folder| root().join(folder)).to_vec(), vec![]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let only_tests =
                ["tests", "tests.rs", "contract", "contract.rs", "fake", "fake.rs"].contains(&name.as_str());
            if only_tests {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".rs") {
                let text = fs::read_to_string(&path).unwrap();
                let product = text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
                found.push((path, product));
            }
        }
    }
    found
}

#[test]
fn codes_have_each_a_page_with_what_is_known_the_cause_and_the_way_out() {
    let place = root().join(PLACE);
    let names = fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let pages: BTreeSet<_> = names
        .filter_map(|name| name.strip_suffix(".md").map(str::to_owned))
        .filter(|name| name != "README")
        .collect();
    let given: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str().to_owned()).collect();
    assert_eq!(pages, given, "a page without a code, or a code without a page: run `cargo xtask gen`");
    let index = fs::read_to_string(place.join("README.md")).unwrap();
    for code in Code::ALL {
        let page = fs::read_to_string(place.join(format!("{code}.md"))).unwrap();
        assert!(page.contains(&format!("# `{code}`\n\n{}\n", code.meaning().unwrap())), "{code}: {page}");
        assert!(index.contains(&format!("| [`{code}`]({code}.md) |")), "{code} is not in the index");
        for heading in ["What is known", "What it comes from", "The way out"] {
            let (_, after) =
                page.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("{code}: {heading}"));
            let text = after.split("\n## ").next().unwrap_or_default().replace("[All codes](README.md)", "");
            let text = text.trim();
            assert!(text.len() > 10 && text.ends_with(['.', ':', ';']), "{code}: {heading}: {text:?}");
        }
    }
}

#[test]
fn codes_are_given_by_somebody_and_nobody_makes_one_up() {
    let sources = sources();
    assert!(sources.len() > 150, "only {} files were looked at", sources.len());
    for (path, text) in &sources {
        if !path.ends_with("crates/model/src/failure.rs") {
            assert!(!text.contains("Code::other("), "{} makes up a code: give it a page", path.display());
        }
    }
    let giver = |code: &Code| {
        let name = format!("Code::{}", code.as_str().to_uppercase());
        let uses = |text: &str| {
            let is_longer = |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
            text.split(&name).skip(1).any(|rest| !is_longer(rest))
        };
        // Who sorts failures gives none.
        let only_sorts =
            |path: &Path| path.ends_with("src/status.rs") || path.ends_with("crates/model/src/failure.rs");
        sources.iter().find(|(path, text)| !only_sorts(path) && uses(text)).map(|(path, _)| path.clone())
    };
    for code in Code::ALL {
        assert!(giver(code).is_some(), "{code}: given by nobody");
    }
}
