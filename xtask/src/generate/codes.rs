//! The pages of the failure codes: what each means is in the code, what to do about it in `causes.toml`.
//!
//! Promises: every code that the project gives has a page, and no page is of a code that is not given. The table of
//! causes lies in the folder of the pages and is passed through as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
use model::Code;
use serde::Deserialize;

use super::compare::Files;

/// The folder of the pages, from the workspace's root on.
pub(super) const PLACE: &str = "docs/codes";
const CAUSES: &str = "causes.toml";
const NOTE: &str =
    "<!-- Made by `cargo xtask gen` from crates/model/src/failure.rs and causes.toml: change those. -->";

/// What a person should know about a code.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Advice {
    /// What is known of the target when it is told.
    known: String,
    /// What it usually comes from.
    cause: String,
    /// What to do.
    way_out: String,
}

/// Makes all pages.
pub(super) fn pages(root: &Path) -> anyhow::Result<Files> {
    let place = root.join(PLACE).join(CAUSES);
    let text = fs::read_to_string(&place).with_context(|| format!("read {}", place.display()))?;
    made_from(&text, Code::ALL).with_context(|| format!("read {PLACE}/{CAUSES}"))
}

fn made_from(text: &str, codes: &[Code]) -> anyhow::Result<Files> {
    let table: BTreeMap<String, Advice> = toml::from_str(text)?;
    let given: BTreeSet<&str> = codes.iter().map(Code::as_str).collect();
    let mut faults = vec![];
    faults.extend(table.keys().filter(|code| !given.contains(code.as_str())).map(|code| {
        format!("[{code}] is no code that the project gives: remove it, or give the code in crates/model")
    }));
    let mut files = Files::from([(CAUSES.to_owned(), text.as_bytes().to_vec())]);
    let mut index = format!("{NOTE}\n\n{INTRODUCTION}\n| code | meaning |\n|---|---|\n");
    for code in codes {
        let Some(advice) = table.get(code.as_str()) else {
            faults
                .push(format!("[{code}] is missing: say what is known, what it comes from and the way out"));
            continue;
        };
        let parts = [&advice.known, &advice.cause, &advice.way_out];
        if parts.iter().any(|part| part.trim().is_empty()) {
            faults.push(format!("[{code}] leaves something empty: say it"));
        }
        let Some(meaning) = code.meaning() else {
            faults.push(format!("[{code}] has no meaning: give it one in crates/model"));
            continue;
        };
        writeln!(index, "| [`{code}`]({code}.md) | {meaning} |")?;
        files.insert(format!("{code}.md"), page(code, meaning, advice).into_bytes());
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    files.insert("README.md".to_owned(), index.into_bytes());
    Ok(files)
}

const INTRODUCTION: &str = "\
# Failure codes

Every failure has a stable code, in log lines, reports, the REST API and `tidegatectl`. Beside the code stand two words:

- *certainty*: what is known of the target. **refused**: surely not done, and the same call will not succeed unchanged.
  **not_done**: surely not done, the same call may succeed later. **unknown**: nobody knows; the target is read before
  anything is decided.
- *retry*: when the call is tried again. **never** and **needs_human** still mean a slow try now and then, as nobody may
  remember to say that it was mended. Closing is tried for ever, whatever the word.
";

fn page(code: &Code, meaning: &str, advice: &Advice) -> String {
    let Advice { known, cause, way_out } = advice;
    let (known, cause, way_out) = (known.trim(), cause.trim(), way_out.trim());
    format!(
        "{NOTE}\n\n# `{code}`\n\n{meaning}\n\n## What is known\n\n{known}\n\n## What it comes from\n\n{cause}\n\n## The way out\n\n{way_out}\n\n[All codes](README.md)\n"
    )
}

#[cfg(test)]
mod given;

#[cfg(test)]
mod tests {
    use super::{Code, made_from};

    fn entry(code: &str) -> String {
        format!("[{code}]\nknown = \"k\"\ncause = \"c\"\nway_out = \"w\"\n")
    }

    #[test]
    fn every_code_has_its_page_and_the_table_is_passed_through() {
        let text = entry("busy") + &entry("paused");
        let files = made_from(&text, &[Code::BUSY, Code::PAUSED]).unwrap();
        let names: Vec<_> = files.keys().map(String::as_str).collect();
        assert_eq!(names, ["README.md", "busy.md", "causes.toml", "paused.md"]);
        assert_eq!(files["causes.toml"], text.as_bytes());
        let page = String::from_utf8(files["busy.md"].clone()).unwrap();
        assert!(page.contains("# `busy`\n\nThe target was busy"), "{page}");
        let index = String::from_utf8(files["README.md"].clone()).unwrap();
        assert!(index.contains("| [`paused`](paused.md) | No opening now: paused. |"), "{index}");
    }

    #[test]
    fn code_and_table_must_agree() {
        let table = [
            ("a code without an entry", entry("busy"), "[paused] is missing"),
            (
                "an entry without a code",
                entry("busy") + &entry("paused") + &entry("gone"),
                "[gone] is no code",
            ),
            ("an empty part", entry("busy") + &entry("paused").replace("\"w\"", "\" \""), "[paused] leaves"),
            ("an unknown part", entry("busy") + &entry("paused") + "sigh = \"s\"\n", "sigh"),
            ("a missing part", entry("busy") + "[paused]\nknown = \"k\"\n", "cause"),
        ];
        for (name, text, expected) in table {
            let fault = made_from(&text, &[Code::BUSY, Code::PAUSED]).unwrap_err();
            assert!(format!("{fault:#}").contains(expected), "{name}: {fault:#}");
        }
    }
}
