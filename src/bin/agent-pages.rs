//! Writes pages about the agent from its code: `agent-pages man DIR` its manual, `agent-pages reference DIR` its
//! configuration and its metrics. `cargo xtask gen` calls it; it is no part of the agent.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use tidegate::config::keys::KEYS;
use tidegate::measures::MEASURES;

const NOTE: &str = "<!-- Made by `cargo xtask gen` from the code: change that. -->";

fn main() -> io::Result<()> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["man", dir] => manual(Path::new(dir)),
        ["reference", dir] => reference(Path::new(dir)),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "call it as `agent-pages man|reference DIR`")),
    }
}

fn manual(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let mut whole = tidegate::cli::command_line();
    whole.build();
    pages(&whole, "tidegate", dir)
}

/// Writes the page of a command and of each that is below it.
fn pages(command: &clap::Command, name: &str, dir: &Path) -> io::Result<()> {
    let page = clap_mangen::Man::new(command.clone())
        .title(name)
        .section("1")
        .source(concat!("tidegate ", env!("CARGO_PKG_VERSION")))
        .manual("Tidegate");
    let mut bytes = vec![];
    page.render(&mut bytes)?;
    let text = String::from_utf8(bytes).map_err(io::Error::other)?;
    fs::write(dir.join(format!("{name}.1")), laid_out(&text))?;
    command
        .get_subcommands()
        .filter(|below| below.get_name() != "help" && !below.is_hide_set())
        .try_for_each(|below| pages(below, &format!("{name}-{}", below.get_name()), dir))
}

/// Gives what stands after a command's options its name, and keeps its lines as they are.
fn laid_out(page: &str) -> String {
    let page: String = page
        .chars()
        .map(|c| if c.is_ascii() { c.into() } else { format!("\\[u{:04X}]", u32::from(c)) })
        .collect();
    let Some((before, rest)) = page.split_once(".SH EXTRA\n") else { return page };
    let end = rest.find("\n.SH ").map_or(rest.len(), |at| at + 1);
    let (notes, after) = rest.split_at(end);
    format!("{before}.SH EXAMPLES AND NOTES\n.nf\n{}\n.fi\n{after}", notes.trim_end())
}

fn reference(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    fs::write(dir.join("README.md"), index())?;
    fs::write(dir.join("config.md"), config())?;
    fs::write(dir.join("metrics.md"), metrics())
}

fn index() -> String {
    format!(
        "{NOTE}\n\n# Reference of the agent\n\n- [Configuration](config.md): every key\n- [Metrics](metrics.md): everything that `/metrics` shows\n- [Failure codes](../codes/README.md)\n- Manual pages: [docs/man](../man), for `man -l docs/man/tidegate.1`\n"
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
