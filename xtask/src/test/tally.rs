//! Counts tests while their output goes by.

use std::io::{BufRead as _, BufReader, Read, Write};

use anyhow::Context as _;

/// How many tests passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) passed: u64,
    pub(super) failed: u64,
}

/// Passes on what the tests say and counts it.
pub(super) fn pass_on(out: impl Read, mut screen: impl Write) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    let mut lines = BufReader::new(out);
    let mut line = vec![];
    // By bytes: a test may print what is not UTF-8.
    while lines.read_until(b'\n', &mut line).context("read what the tests say")? > 0 {
        screen.write_all(&line).context("pass on what the tests say")?;
        if let Some((passed, failed)) = counts(&String::from_utf8_lossy(&line)) {
            tally.passed += passed;
            tally.failed += failed;
        }
        line.clear();
    }
    Ok(tally)
}

/// Reads `test result: ok. 12 passed; 0 failed; …`.
fn counts(line: &str) -> Option<(u64, u64)> {
    let rest = line.trim().strip_prefix("test result: ")?;
    let mut parts = rest.split_once(". ")?.1.split("; ");
    let mut next = |word: &str| parts.next()?.strip_suffix(word)?.trim().parse().ok();
    Some((next("passed")?, next("failed")?))
}

#[cfg(test)]
mod tests {
    use super::{Tally, counts, pass_on};

    #[test]
    fn only_closing_lines_count() {
        let table = [
            (
                "good",
                "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out",
                Some((12, 0)),
            ),
            (
                "bad",
                "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
                Some((3, 2)),
            ),
            ("a test's name", "test result_is_kept ... ok", None),
            ("torn", "test result: ok. many passed; 0 failed", None),
        ];
        for (name, line, expected) in table {
            assert_eq!(counts(line), expected, "{name}");
        }
    }

    #[test]
    fn closing_lines_add_up() {
        let text = b"test result: ok. 2 passed; 0 failed; 0 ignored\n\xff\ntest result: ok. 3 passed; 0 failed; 0 ignored";
        let mut screen = vec![];
        assert_eq!(pass_on(&text[..], &mut screen).unwrap(), Tally { passed: 5, failed: 0 });
        assert_eq!(screen, text);
    }
}
