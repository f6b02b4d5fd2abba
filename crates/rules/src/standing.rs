//! The canonical form of a standing list, whose digest proves that the list came whole.

use model::{AccessId, Revision};

/// Returns the text whose SHA-256 is the digest of a standing list: for each access, sorted by the bytes of
/// its id, the id, a line feed, the revision in decimal, a line feed. Hashing is the shell's.
pub fn canonical(accesses: &[(AccessId, Revision)]) -> Vec<u8> {
    let mut sorted: Vec<_> = accesses.iter().map(|(id, revision)| (id.as_str(), revision.0)).collect();
    sorted.sort_unstable();
    sorted.iter().flat_map(|(id, revision)| format!("{id}\n{revision}\n").into_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted_by_the_bytes_of_the_id_and_one_line_a_word() {
        let access = |id: &str, revision| (AccessId::parse(id).unwrap(), Revision(revision));
        assert_eq!(canonical(&[access("b", 2), access("a", 10)]), b"a\n10\nb\n2\n");
        assert_eq!(canonical(&[access("b", 1), access("B", 1), access("a-1", 0)]), b"B\n1\na-1\n0\nb\n1\n");
        assert_eq!(canonical(&[]), b"");
    }
}
