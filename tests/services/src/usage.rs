//! What the system says of a process: its memory and its processor time. Linux only, as the goals are.

use std::time::Duration;

use anyhow::Context as _;

/// How the kernel counts processor time for others to read: in hundredths of a second, on every machine that we build for.
const TICK: Duration = Duration::from_millis(10);

/// Memory in KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// In use now.
    pub now: u64,
    /// The most in use at once since the process's start.
    pub peak: u64,
}

impl Memory {
    /// Reads the memory of a process.
    pub fn of(process: u32) -> anyhow::Result<Self> {
        let path = format!("/proc/{process}/status");
        Self::parse(&std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?)
    }

    fn parse(status: &str) -> anyhow::Result<Self> {
        let kib = |key: &str| -> anyhow::Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            let text = line.with_context(|| format!("{key} of a process"))?;
            text.trim().trim_end_matches("kB").trim().parse().with_context(|| format!("read {key}"))
        };
        Ok(Self { now: kib("VmRSS:")?, peak: kib("VmHWM:")? })
    }
}

/// Reads how much processor time a process has taken, its own and the kernel's for it.
pub fn processor(process: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{process}/stat");
    ticks(&std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?)
        .with_context(|| format!("the processor time in {path}"))
}

fn ticks(stat: &str) -> Option<Duration> {
    // The name of the program is in brackets, and may hold blanks and brackets.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).take(2).map(str::parse::<u32>);
    let own = times.next()?.ok()?;
    let kernel = times.next()?.ok()?;
    Some(TICK * own.checked_add(kernel)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_is_read() {
        let status = "Name:\tx\nVmPeak:\t 9000 kB\nVmHWM:\t   2048 kB\nVmRSS:\t   1024 kB\n";
        assert_eq!(Memory::parse(status).unwrap(), Memory { now: 1024, peak: 2048 });
        assert!(Memory::parse("VmRSS:\t1 kB\n").is_err());
        let stat = "7 (a) b)) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 4 0 1 2 3";
        assert_eq!(ticks(stat), Some(Duration::from_secs(3)));
        assert_eq!(ticks("7 (x) S 1"), None);
        let own = Memory::of(std::process::id()).unwrap();
        assert!(own.now > 0 && own.peak >= own.now, "{own:?}");
        processor(std::process::id()).unwrap();
    }
}
