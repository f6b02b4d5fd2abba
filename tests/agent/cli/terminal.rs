//! What a person sees who sits at a terminal: questions before what cannot be undone, and how far a command has come.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::world::World;

/// A command at a terminal.
struct Sitting {
    screen: File,
    child: Child,
}

impl Sitting {
    /// Begins a command whose input, output and error output are one terminal.
    fn at(mut command: Command) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, vec![]).unwrap().into_string().unwrap();
        let end = || Stdio::from(File::options().read(true).write(true).open(&name).unwrap());
        command.stdin(end()).stdout(end()).stderr(end());
        let child = command.spawn().unwrap();
        // What the command holds open is the only other end.
        drop(command);
        Self { screen: File::from(master), child }
    }

    /// Reads what is shown until a text comes.
    fn until(&mut self, text: &str) -> String {
        let mut shown = String::new();
        let mut bytes = [0; 1024];
        while !shown.contains(text) {
            let read = self.screen.read(&mut bytes).unwrap_or(0);
            assert!(read > 0, "it ended before it showed {text:?}: {shown:?}");
            shown.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
        shown
    }

    fn types(&mut self, line: &str) {
        writeln!(self.screen, "{line}").unwrap();
    }

    /// Reads to the end, and gives the exit code.
    fn code(mut self) -> (i32, String) {
        let mut rest = vec![];
        // A terminal whose other end is gone is an error on some systems.
        self.screen.read_to_end(&mut rest).ok();
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        (code, String::from_utf8_lossy(&rest).into_owned())
    }
}

#[test]
fn breaking_the_glass_asks_a_person_first() {
    let world = World::start(&[]);
    world.open("a-1", "ann", "orders");
    let close = ["close", "--all", "--reason", "a drill"];
    for (typed, code, logins) in [("no", 2, 1), ("", 2, 1), ("yes", 0, 0)] {
        let mut sitting = Sitting::at(world.bench.command(&close));
        let asked = sitting.until("Type yes to go on: ");
        assert!(asked.contains("This ends 1 access on 1 integration now and for good"), "{asked:?}");
        assert_eq!(world.logins().len(), 1, "nothing is done before the answer");
        sitting.types(typed);
        let (ended, told) = sitting.code();
        assert_eq!((ended, world.logins().len()), (code, logins), "{typed:?}: {told}");
    }
}

#[test]
fn check_says_how_far_it_has_come_at_a_terminal_and_nowhere_else() {
    let world = World::start(&[]);
    let root = format!("secrets.file_root={}", world.bench.path("secrets").display());
    let url = format!("control_plane.url={}", world.plane.url());
    let check = ["check", "--set", &root, "--set", &url];
    let sitting = Sitting::at(world.bench.command(&check));
    let (code, shown) = sitting.code();
    assert!(code == 0 && shown.contains("0 of 1 targets checked; asking orders-db"), "{code}: {shown:?}");
    let (_, after) = shown.rsplit_once("\r\u{1b}[K").unwrap();
    assert!(after.contains("Integration orders-db: PostgreSQL"), "{shown:?}");
    let said = world.run(&check).ended(0);
    assert_eq!(said.err, "", "{said:?}");
    assert!(!said.out.contains('\u{1b}'), "{said:?}");
    let quiet = Sitting::at(world.bench.command(&[&check[..], &["--quiet"]].concat()));
    assert!(!quiet.code().1.contains("targets checked"));
}
