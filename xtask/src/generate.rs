//! Makes what is generated from the code, or checks that it is as the code says.

mod codes;
mod compare;
mod table;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use clap::Args;

use crate::workspace::{Workspace, build_programs, output_bytes};
use compare::{Files, differences, read};
use table::{GENERATORS, Generator, Maker, Output};

#[derive(Args)]
pub(crate) struct Gen {
    /// Changes nothing; fails when something would change.
    #[arg(long)]
    pub(crate) check: bool,
}

/// Runs all generators; true when nothing is left to be done.
pub(crate) fn command(wanted: &Gen) -> anyhow::Result<bool> {
    build_programs()?;
    let workspace = Workspace::read()?;
    let mut good = true;
    for generator in GENERATORS {
        let fresh = run(&workspace, generator).with_context(|| format!("generate {}", generator.place()))?;
        let place = workspace.root.join(generator.place());
        let differ = differences(&read(&place)?, &fresh);
        for difference in &differ {
            println!("gen: {}: {difference}", generator.place());
        }
        if differ.is_empty() {
            continue;
        }
        if wanted.check {
            good = false;
        } else {
            write(&place, &fresh)?;
        }
    }
    match (good, wanted.check) {
        (true, true) => println!("gen: {} outputs are as the code says", GENERATORS.len()),
        (true, false) => println!("gen: {} outputs written", GENERATORS.len()),
        (false, _) => println!("gen: run `cargo xtask gen` and commit what it writes"),
    }
    Ok(good)
}

/// The files that a generator makes, by path; one with an empty path is the place itself.
fn run(workspace: &Workspace, generator: &Generator) -> anyhow::Result<Files> {
    let (program, args) = match generator.maker {
        Maker::Here(make) => return make(&workspace.root),
        Maker::Program(program, args) => (program, args),
    };
    let mut command = Command::new(workspace.program("debug", program));
    command.args(args).current_dir(&workspace.root).stdin(Stdio::null());
    match generator.output {
        Output::File(_) => Ok([(String::new(), output_bytes(&mut command)?)].into()),
        Output::Folder(_) => {
            let scratch = workspace.target.join("gen").join(generator.place());
            if scratch.exists() {
                fs::remove_dir_all(&scratch).with_context(|| format!("clear {}", scratch.display()))?;
            }
            fs::create_dir_all(&scratch).with_context(|| format!("make {}", scratch.display()))?;
            output_bytes(command.arg(&scratch))?;
            let files = read(&scratch)?;
            if files.is_empty() {
                bail!("`{program}` wrote nothing into the folder that it was given");
            }
            Ok(files)
        }
    }
}

/// Puts the files in their place and removes what is no longer made.
fn write(place: &Path, fresh: &Files) -> anyhow::Result<()> {
    let at = |path: &str| if path.is_empty() { place.to_path_buf() } else { place.join(path) };
    for path in read(place)?.keys().filter(|path| !fresh.contains_key(*path)) {
        fs::remove_file(at(path)).with_context(|| format!("remove {}", at(path).display()))?;
    }
    for (path, bytes) in fresh {
        let file = at(path);
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        }
        fs::write(&file, bytes).with_context(|| format!("write {}", file.display()))?;
    }
    Ok(())
}
