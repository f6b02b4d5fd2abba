//! Writes pages about the agent from its code, its configuration and its metrics: `agent-pages DIR`. `cargo xtask gen`
//! calls it; it is no part of the agent.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use tidegate::config::keys::KEYS;
use tidegate::measures::MEASURES;

const NOTE: &str = "<!-- Made by `cargo xtask gen` from the code: change that. -->";

fn main() -> io::Result<()> {
    let mut args = std::env::args_os().skip(1);
    match (args.next(), args.next()) {
        (Some(dir), None) => reference(Path::new(&dir)),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "call it as `agent-pages DIR`")),
    }
}

fn reference(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    fs::write(dir.join("README.md"), index())?;
    fs::write(dir.join("config.md"), config())?;
    fs::write(dir.join("metrics.md"), metrics())
}

fn index() -> String {
    format!(
        "{NOTE}\n\n# Reference of the agent\n\n- [Configuration](config.md): every key\n- [Metrics](metrics.md): everything that `/metrics` shows\n- [Failure codes](../codes/README.md)\n- Manual pages of all programs: [docs/man](../man), for `man -l docs/man/tidegate.1`\n"
    )
}

fn config() -> String {
    let mut page = format!(
        "{NOTE}\n\n# Configuration of the agent\n\nDefaults, then the file, then the environment, then `--set KEY=VALUE`: the later one wins. `tidegate config show` says\nwhere each value comes from. A change needs a restart, but for the keys that a reload (SIGHUP) takes.\n"
    );
    for key in KEYS {
        let default = match (key.required, key.default) {
            (true, _) => "required".to_owned(),
            (false, Some(default)) => format!("default `{default}`"),
            (false, None) => "optional".to_owned(),
        };
        let live = if key.live { "; a reload takes a change" } else { "" };
        // Writing to a String does not fail.
        write!(
            page,
            "\n## `{}`\n\n{}\n\nValue: {}; {default}; variable `{}`{live}.\n",
            key.name,
            key.effect,
            key.limits(),
            key.variable()
        )
        .ok();
    }
    page
}

fn metrics() -> String {
    let mut page = format!(
        "{NOTE}\n\n# Metrics of the agent\n\nOn `admin.listen`, path `/metrics`, as Prometheus reads them. Names, kinds and labels are only added to. A gauge of an\nintegration that is gone is dropped after a minute.\n\n| name | kind | labels | meaning |\n|---|---|---|---|\n"
    );
    for measure in MEASURES {
        let labels: Vec<_> = measure.labels.iter().map(|label| format!("`{label}`")).collect();
        // Writing to a String does not fail.
        writeln!(
            page,
            "| `{}` | {} | {} | {} |",
            measure.name,
            measure.kind.word(),
            labels.join(", "),
            measure.meaning
        )
        .ok();
    }
    page.push_str(ALERTS);
    page
}

const ALERTS: &str = "
## What to watch

| alert when | because |
|---|---|
| `tidegate_longest_overdue_seconds > 300` | something that should be closed is not: look at `tidegate status` |
| `tidegate_journal_up == 0` | only closing goes on: free space, or mend the volume |
| `tidegate_link_up == 0` for longer than a deploy takes | nothing new is ordered or reported; closing goes on |
| `tidegate_can_open == 0` for longer than a start takes | nothing new is opened: `tidegate health` says why |
| `tidegate_integration_breaker_open == 1` | a target does not answer |
| `increase(tidegate_alarms_total[10m]) > 0` | a person should look: the code has a page in `docs/codes` |
| `absent(tidegate_info)` | the agent does not run, and nothing closes by it until it does |
";
