//! A census of processes: arguments and environment of everything that this process starts, and of what that starts.
//!
//! It looks again and again while it runs, so that it sees what lives a hundredth of a second or longer. Linux only.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;

/// How long it rests between two looks.
const REST: Duration = Duration::from_millis(5);

/// What a process is seen by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    Arguments,
    Environment,
}

type Seen = BTreeMap<(Side, Vec<u8>), u32>;

/// A census under way. It ends when it is dropped.
#[derive(Debug)]
pub struct Census {
    seen: Arc<Mutex<Seen>>,
    ended: Arc<AtomicBool>,
    looking: Option<JoinHandle<()>>,
}

impl Census {
    /// Begins to look.
    pub fn start() -> anyhow::Result<Self> {
        let (seen, ended) = (Arc::<Mutex<Seen>>::default(), Arc::new(AtomicBool::new(false)));
        let (sight, end) = (seen.clone(), ended.clone());
        let looking = std::thread::Builder::new()
            .name("census".into())
            .spawn(move || {
                while !end.load(Ordering::Relaxed) {
                    look(&sight);
                    std::thread::sleep(REST);
                }
            })
            .context("start the census")?;
        Ok(Self { seen, ended, looking: Some(looking) })
    }

    /// All arguments or environments seen so far, each once.
    pub fn all(&self, side: Side) -> Vec<Vec<u8>> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.keys().filter(|(of, _)| *of == side).map(|(_, bytes)| bytes.clone()).collect()
    }

    /// Whether a process was seen whose program has this name.
    pub fn has_seen(&self, program: &str) -> bool {
        self.all(Side::Arguments).iter().any(|words| {
            let first = words.split(|byte| *byte == 0).next().unwrap_or_default();
            Path::new(&*String::from_utf8_lossy(first)).file_name().is_some_and(|name| name == program)
        })
    }
}

impl Drop for Census {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(looking) = self.looking.take() {
            // A look that panicked has nothing to clean up.
            let _ended = looking.join();
        }
    }
}

/// Looks once at all descendants of this process.
fn look(seen: &Mutex<Seen>) {
    let mut family = vec![std::process::id()];
    let mut at = 0;
    while let Some(&process) = family.get(at) {
        at += 1;
        let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else { continue };
        for thread in threads.flatten() {
            let children = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            family.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
        }
    }
    for &process in family.iter().skip(1) {
        for (side, file) in [(Side::Arguments, "cmdline"), (Side::Environment, "environ")] {
            // A process may be gone, or closed to others: what cannot be read is seen by nobody else either.
            if let Ok(bytes) = std::fs::read(format!("/proc/{process}/{file}"))
                && !bytes.is_empty()
            {
                seen.lock().unwrap_or_else(PoisonError::into_inner).entry((side, bytes)).or_insert(process);
            }
        }
    }
}
