//! Writes the manual pages of the three programs from their command lines: `manuals DIR`. `cargo xtask gen` calls it.

use std::fs;
use std::io;
use std::path::Path;

use clap::CommandFactory as _;

fn main() -> io::Result<()> {
    let mut args = std::env::args_os().skip(1);
    let (Some(dir), None) = (args.next(), args.next()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "call it as `manuals DIR`"));
    };
    let dir = Path::new(&dir);
    fs::create_dir_all(dir)?;
    let programs = [tidegate::cli::command_line(), ctl::command_line(), control::cli::Cli::command()];
    for mut program in programs {
        program.build();
        let name = program.get_name().to_owned();
        pages(&program, &name, dir)?;
    }
    Ok(())
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
