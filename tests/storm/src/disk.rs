//! On what kind of filesystem a folder lies: a journal in memory says nothing.

use std::path::Path;

use anyhow::Context as _;

/// Filesystems that keep nothing on a disk.
const IN_MEMORY: [&str; 2] = ["tmpfs", "ramfs"];

/// Names the filesystem of a folder.
pub fn kind(folder: &Path) -> anyhow::Result<String> {
    let folder = folder.canonicalize().with_context(|| format!("find {}", folder.display()))?;
    let mounts = std::fs::read_to_string("/proc/self/mounts").context("read /proc/self/mounts")?;
    Ok(of(&mounts, &folder).unwrap_or("unknown").to_owned())
}

/// Whether a filesystem of that name is in memory.
pub fn is_in_memory(kind: &str) -> bool {
    IN_MEMORY.contains(&kind)
}

/// The kind of the innermost mount; of several at one place the last one is seen.
fn of<'m>(mounts: &'m str, folder: &Path) -> Option<&'m str> {
    let mut found: Option<(usize, &str)> = None;
    for line in mounts.lines() {
        let mut words = line.split(' ').skip(1);
        let (Some(place), Some(kind)) = (words.next(), words.next()) else { continue };
        let depth = Path::new(place).components().count();
        if folder.starts_with(place) && found.is_none_or(|(deepest, _)| depth >= deepest) {
            found = Some((depth, kind));
        }
    }
    found.map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_mount_says() {
        let mounts = "overlay / overlay rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/x /tmp/disk ext4 rw 0 0\n";
        let table = [
            ("below the root", "/home/me", Some("overlay")),
            ("in memory", "/tmp/storm", Some("tmpfs")),
            ("a disk within", "/tmp/disk/storm", Some("ext4")),
            ("alike by name only", "/tmpfs", Some("overlay")),
        ];
        for (name, folder, expected) in table {
            assert_eq!(of(mounts, Path::new(folder)), expected, "{name}");
        }
        assert!(is_in_memory("tmpfs") && !is_in_memory("ext4"));
    }
}
