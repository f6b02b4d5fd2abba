//! Files in memory, and how two sets of them differ.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::Context as _;

/// Files by their path below a place; the path of the place itself, when it is a file, is empty.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// Reads a file, or all files of a folder. A place that does not exist has none.
pub(super) fn read(place: &Path) -> anyhow::Result<Files> {
    let mut files = Files::new();
    if place.is_file() {
        let bytes = fs::read(place).with_context(|| format!("read {}", place.display()))?;
        files.insert(String::new(), bytes);
    } else if place.is_dir() {
        collect(place, "", &mut files)?;
    }
    Ok(files)
}

fn collect(folder: &Path, prefix: &str, files: &mut Files) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("read the folder {}", folder.display()))? {
        let entry = entry.with_context(|| format!("read the folder {}", folder.display()))?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let path = entry.path();
        if path.is_dir() {
            collect(&path, &format!("{name}/"), files)?;
        } else {
            files.insert(name, fs::read(&path).with_context(|| format!("read {}", path.display()))?);
        }
    }
    Ok(())
}

/// What must change so that `there` becomes `fresh`, in words.
pub(super) fn differences(there: &Files, fresh: &Files) -> Vec<String> {
    let paths: BTreeSet<&String> = there.keys().chain(fresh.keys()).collect();
    let named = |path: &str, what: String| if path.is_empty() { what } else { format!("{path} {what}") };
    paths
        .into_iter()
        .filter_map(|path| match (there.get(path), fresh.get(path)) {
            (None, Some(_)) => Some(named(path, "is missing".to_owned())),
            (Some(_), None) => Some(named(path, "is no longer made".to_owned())),
            (Some(old), Some(new)) if old != new => Some(named(path, place_of_difference(old, new))),
            (Some(_), Some(_)) | (None, None) => None,
        })
        .collect()
}

fn place_of_difference(old: &[u8], new: &[u8]) -> String {
    let (Ok(old), Ok(new)) = (std::str::from_utf8(old), std::str::from_utf8(new)) else {
        return format!("differs ({} bytes there, {} made)", old.len(), new.len());
    };
    let same = old.lines().zip(new.lines()).take_while(|(old, new)| old == new).count();
    let line = |text: &str| text.lines().nth(same).unwrap_or("(end)").to_owned();
    format!("differs from line {} on\n  there: {}\n  made:  {}", same + 1, line(old), line(new))
}

#[cfg(test)]
mod tests {
    use super::{Files, differences};

    fn files(list: &[(&str, &str)]) -> Files {
        list.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
    }

    #[test]
    fn every_kind_of_difference_is_told() {
        let table = [
            ("same", files(&[("a", "1")]), files(&[("a", "1")]), ""),
            ("missing", files(&[]), files(&[("a", "1")]), "a is missing"),
            ("missing file place", files(&[]), files(&[("", "1")]), "is missing"),
            ("stray", files(&[("a", "1"), ("b", "2")]), files(&[("a", "1")]), "b is no longer made"),
            ("changed", files(&[("a", "x\ny")]), files(&[("a", "x\nz")]), "a differs from line 2 on"),
            ("longer", files(&[("a", "x\n")]), files(&[("a", "x\ny\n")]), "there: (end)"),
        ];
        for (name, there, fresh, expected) in table {
            let told = differences(&there, &fresh).join("; ");
            assert_eq!(told.is_empty(), expected.is_empty(), "{name}: {told}");
            assert!(told.contains(expected), "{name}: {told}");
        }
        let binary =
            differences(&[(String::new(), vec![0xff])].into(), &[(String::new(), vec![0xfe, 0])].into());
        assert_eq!(binary, ["differs (1 bytes there, 2 made)"]);
    }
}
