//! The connector's keys are made anew, and older ones are dropped.

use rules::clock::Persisted;

use crate::bench::Bench;
use crate::keeping::fill;

/// The ids of the keys of one use, the current one first.
fn ids(bench: &Bench, of: &str) -> Vec<String> {
    let keys = bench.run(&["keys", "show", "--json"]).ended(0).json();
    let id = |key: &serde_json::Value| key.as_str().or(key["id"].as_str()).unwrap().to_owned();
    keys[of].as_array().unwrap().iter().map(id).collect()
}

#[test]
fn each_key_is_rotated_and_retired_by_itself() {
    let bench = Bench::ready();
    const USES: [&str; 3] = ["marks", "sealing", "receipts"];
    for of in USES {
        let others =
            || USES.iter().filter(|other| **other != of).map(|of| ids(&bench, of)).collect::<Vec<_>>();
        let untouched = others();
        let old = ids(&bench, of).remove(0);
        let said = bench.run(&["keys", "rotate", of, "--json"]).ended(0).json();
        let new = said["id"].as_str().unwrap().to_owned();
        assert_eq!(ids(&bench, of), [new.clone(), old.clone()], "{of}");

        let current = bench.run(&["keys", "retire", of, &new, "--yes"]).ended(2);
        assert!(current.err.contains(&format!("tidegate keys rotate {of}")), "{current:?}");
        let unknown = bench.run(&["keys", "retire", of, "nobody", "--yes"]).ended(2);
        assert!(unknown.err.contains("tidegate keys show"), "{unknown:?}");
        let unsure = bench.run(&["keys", "retire", of, &old]).ended(0);
        assert!(unsure.out.contains("--yes"), "{unsure:?}");
        assert_eq!(ids(&bench, of), [new.clone(), old.clone()], "{of}");
        bench.run(&["keys", "retire", of, &old, "--yes"]).ended(0);
        assert_eq!(ids(&bench, of), [new], "{of}");
        assert_eq!(others(), untouched, "{of}");
    }
    // What the identity guards with a mark key is guarded by the new one.
    bench.run(&["bindings", "list"]).ended(0);
}

#[test]
fn receipts_verify_by_an_older_key_until_it_is_retired() {
    let bench = Bench::ready();
    fill(&bench, 3, Persisted::default());
    let old = ids(&bench, "receipts").remove(0);
    bench.run(&["keys", "rotate", "receipts"]).ended(0);
    bench.run(&["receipts", "verify"]).ended(0);
    bench.run(&["keys", "retire", "receipts", &old, "--yes"]).ended(0);
    bench.run(&["receipts", "verify"]).ended(7);
}
