//! Where log lines go: a queue with an end, and one thread that writes them. Whoever tells never waits for whoever
//! reads.
//!
//! A line that finds the queue full is dropped and counted; when lines move again, one of them says how many were
//! dropped. [`Paper::last_words`] waits for what was told so far, but not for ever. What is told is left to others.

use std::fs::File;
use std::io::{self, Write};
use std::mem::ManuallyDrop;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::fmt::MakeWriter;

/// How many lines wait for their reader at most: some megabytes.
pub(super) const MOST_WAITING: usize = 4_096;

/// The queue's end that is written to. Clones are the same.
#[derive(Clone)]
pub(super) struct Paper {
    queue: NonBlocking,
    told: Arc<AtomicU64>,
    progress: Arc<Progress>,
    /// Never dropped: its own end would print, and that could wait for a reader for ever.
    _keeper: Arc<ManuallyDrop<WorkerGuard>>,
}

/// How far the thread has come.
#[derive(Default)]
struct Progress {
    counts: Mutex<Counts>,
    moved: Condvar,
    /// The queue's own count of lines that it had no room for.
    dropped: OnceLock<ErrorCounter>,
}

#[derive(Default)]
struct Counts {
    /// Lines that were taken from the queue, written or not.
    done: u64,
    /// Those of them that could not be written.
    failed: u64,
}

impl Progress {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn dropped(&self) -> u64 {
        self.dropped.get().map_or(0, |dropped| u64::try_from(dropped.dropped_lines()).unwrap_or(u64::MAX))
    }
}

/// What writes the line that says how many were dropped.
type Apology = Box<dyn Fn(u64) -> Vec<u8> + Send>;

impl Paper {
    /// Begins to write to a file, for example the error output.
    pub(super) fn new(to: File, waiting: usize, apology: impl Fn(u64) -> Vec<u8> + Send + 'static) -> Self {
        let progress = Arc::new(Progress::default());
        let press = Press { to, progress: Arc::clone(&progress), apologised: 0, apology: Box::new(apology) };
        let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(waiting);
        let (queue, keeper) = builder.thread_name("log").finish(press);
        progress.dropped.get_or_init(|| queue.error_counter());
        let keeper = Arc::new(ManuallyDrop::new(keeper));
        Self { queue, told: Arc::default(), progress, _keeper: keeper }
    }

    /// Returns how many lines nobody will read.
    pub(super) fn dropped(&self) -> u64 {
        self.progress.dropped().saturating_add(self.progress.counts().failed)
    }

    /// Waits until what was told so far is written, and no longer than that; returns whether it is.
    pub(super) fn last_words(&self, at_most: Duration) -> bool {
        let told = self.told.load(Ordering::Acquire);
        let waits = |counts: &mut Counts| counts.done.saturating_add(self.progress.dropped()) < told;
        let waited = self.progress.moved.wait_timeout_while(self.progress.counts(), at_most, waits);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

impl Write for Paper {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.told.fetch_add(1, Ordering::AcqRel);
        self.queue.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Paper {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// The thread's end: it alone waits for the reader.
struct Press {
    to: File,
    progress: Arc<Progress>,
    apologised: u64,
    apology: Apology,
}

impl Press {
    fn put(&mut self, mut line: &[u8]) -> io::Result<()> {
        while !line.is_empty() {
            match self.to.write(line) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => line = line.get(written..).unwrap_or_default(),
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
                // Somebody who shares the pipe made it so that it refuses instead of waiting.
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => {
                    poll(&mut [PollFd::from_borrowed_fd(self.to.as_fd(), PollFlags::OUT)], None)?;
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }

    fn apologise(&mut self) -> io::Result<()> {
        let dropped = self.progress.dropped();
        let fresh = dropped.saturating_sub(self.apologised);
        if fresh > 0 {
            self.apologised = dropped;
            self.put(&(self.apology)(fresh))?;
        }
        Ok(())
    }
}

impl Write for Press {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let put = self.apologise().and_then(|()| self.put(line));
        let mut counts = self.progress.counts();
        counts.done += 1;
        counts.failed += u64::from(put.is_err());
        drop(counts);
        self.progress.moved.notify_all();
        // A reader who is gone is no reason to stop reading the queue.
        put.map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn paper(to: impl Into<std::os::fd::OwnedFd>, waiting: usize) -> Paper {
        Paper::new(File::from(to.into()), waiting, |dropped| format!("{dropped} dropped\n").into_bytes())
    }

    #[test]
    fn what_was_told_is_written_before_the_last_words_are_over() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut paper = paper(writer, 4_096);
        let reading = std::thread::spawn(move || {
            let mut text = vec![0; 20_000];
            reader.read_exact(&mut text).unwrap();
            String::from_utf8(text).unwrap()
        });
        for n in 0..2_000 {
            paper.write_all(format!("{n:>9}\n").as_bytes()).unwrap();
        }
        assert!(paper.last_words(Duration::from_secs(60)));
        let text = reading.join().unwrap();
        assert!(text.lines().map(|line| line.trim().parse::<u32>().unwrap()).eq(0..2_000), "{text}");
        assert_eq!(paper.dropped(), 0);
    }

    #[test]
    fn nobody_waits_for_a_reader_who_does_not_read_and_what_is_lost_is_counted() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut paper = paper(writer, 8);
        let line = [&[b'x'; 999][..], b"\n"].concat();
        // Until the pipe is full; then more than may wait.
        while paper.last_words(Duration::from_millis(200)) {
            paper.write_all(&line).unwrap();
        }
        (0..100).for_each(|_| paper.write_all(&line).unwrap());
        let dropped = paper.dropped();
        assert!((91..=100).contains(&dropped), "{dropped}");
        let mut text = vec![];
        let reading = std::thread::spawn(move || {
            reader.read_to_end(&mut text).unwrap();
            String::from_utf8(text).unwrap()
        });
        assert!(paper.last_words(Duration::from_secs(60)), "it moves again");
        paper.write_all(b"after\n").unwrap();
        assert!(paper.last_words(Duration::from_secs(60)));
        assert_eq!(paper.dropped(), dropped, "nothing was lost any more");
        // The thread ends with the last who could tell it something.
        let Paper { queue, _keeper: keeper, progress, .. } = paper;
        drop((queue, progress));
        drop(ManuallyDrop::into_inner(Arc::into_inner(keeper).unwrap()));
        let text = reading.join().unwrap();
        let told: u64 =
            text.lines().filter_map(|line| line.strip_suffix(" dropped")?.parse::<u64>().ok()).sum();
        assert_eq!(told, dropped, "each that was lost is told of once");
        assert!(text.ends_with("\nafter\n") && text.lines().all(|line| line.len() < 1_000), "{}", text.len());
    }

    #[test]
    fn a_reader_who_is_gone_stops_nobody() {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut paper = paper(writer, 16);
        for _ in 0..3 {
            paper.write_all(b"to nobody\n").unwrap();
        }
        assert!(paper.last_words(Duration::from_secs(60)));
        assert_eq!(paper.dropped(), 3);
    }
}
