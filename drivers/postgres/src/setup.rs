//! The set-up script for `psql`, by mode and version: pure text, for a person to read and run.
//!
//! Promises: no password is in it nor on a command line, `psql` asks for it and sends a verifier; whoever is named is
//! quoted; a script for one family of versions refuses to run on another.

use driver::{SetupFault, SetupWish};

use crate::manifest::{LEAST, LEFT, LEFT_ARE, MANIFEST, STILL_OPEN, SUPERUSER};
use crate::quote::{Ident, Literal, shown};
use crate::rights::Right;
use crate::statements::MANAGED;
use crate::version::Version;

/// What the admin is called when nobody says.
const USERNAME: &str = "tidegate_connector";

/// The admin, as the script names it.
const ADMIN: &str = ":\"username\"";

/// The first version on which `CREATEROLE` reaches no further than what was made with it.
const NARROW: Version = Version(160_000);

/// Writes the script that is wished for.
pub(crate) fn script(wish: &SetupWish) -> Result<String, SetupFault> {
    let mode = wish.mode.as_deref().unwrap_or(SUPERUSER);
    match mode {
        SUPERUSER => superuser(wish),
        LEAST => least(wish),
        asked => Err(SetupFault::unknown_mode(asked, &MANIFEST)),
    }
}

/// Names the admin on top of the manifest's own script, which leaves room for that.
fn superuser(wish: &SetupWish) -> Result<String, SetupFault> {
    let named = [("--owner", &wish.owners), ("--attach", &wish.attachable)];
    if let Some((option, _)) = named.into_iter().find(|(_, names)| !names.is_empty()) {
        return Err(SetupFault::Unfit {
            option,
            reason: "changes nothing: a superuser may do everything",
            way_out: format!("leave it out, or add --mode {LEAST}"),
        });
    }
    version_of(wish)?;
    let text = if wish.remove { MANIFEST.removal_script() } else { MANIFEST.setup_script() };
    Ok(match &wish.username {
        Some(name) => format!("{}\n{text}", set_username(name)?),
        None => text,
    })
}

fn least(wish: &SetupWish) -> Result<String, SetupFault> {
    let version = version_of(wish)?.ok_or_else(|| SetupFault::Unfit {
        option: "--server-version",
        reason: "is needed for this mode, rights differ by it",
        way_out: "ask the server with `SHOW server_version`, and give for example --server-version 18".into(),
    })?;
    let mut rights = vec![];
    for owner in &wish.owners {
        rights.push(Right::Owner(name(owner, "--owner")?));
    }
    for role in &wish.attachable {
        let attach = Right::Attach(name(role, "--attach")?);
        // Before 16 CREATEROLE gives membership in every role that is no superuser.
        rights.extend(Some(attach).filter(|_| version >= NARROW));
    }
    let mut lines = Lines::default();
    lines.head(wish.remove, version);
    lines.push(&set_username(wish.username.as_deref().unwrap_or(USERNAME))?);
    lines.only_on(version);
    if wish.remove {
        lines.take_all(&rights);
    } else {
        lines.give_all(&rights, !wish.owners.is_empty(), version);
    }
    Ok(lines.0)
}

fn version_of(wish: &SetupWish) -> Result<Option<Version>, SetupFault> {
    let Some(major) = wish.server_version else { return Ok(None) };
    let version = Version(major.saturating_mul(10_000));
    if version < Version::OLDEST {
        return Err(SetupFault::Unfit {
            option: "--server-version",
            reason: "is older than 10, on which the driver does not work",
            way_out: "upgrade the server".into(),
        });
    }
    Ok(Some(version))
}

/// Takes a name that a server can have and that stays on its line.
fn name(text: &str, option: &'static str) -> Result<Ident, SetupFault> {
    let unfit = || SetupFault::Unfit {
        option,
        reason: "is no name that a role can have here",
        way_out: format!("give one of 1 to 63 bytes without control characters, and not {}", shown(text)),
    };
    if text.chars().any(char::is_control) {
        return Err(unfit());
    }
    Ident::asked(text).map_err(|_| unfit())
}

/// Lets `psql` know the admin's name, unless who runs it gave another.
fn set_username(text: &str) -> Result<String, SetupFault> {
    name(text, "--username")?;
    let quoted = text.replace('\\', "\\\\").replace('\'', "''");
    Ok(format!("\\if :{{?username}}\n\\else\n    \\set username '{quoted}'\n\\endif"))
}

/// A script in the making.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn push(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn say(&mut self, text: &str) {
        self.push(format!("-- {text}").trim_end());
    }

    fn head(&mut self, remove: bool, version: Version) {
        let family = if version < NARROW { "10 to 15" } else { "16 and later" };
        if remove {
            self.say(&format!("Removes the admin role of Tidegate from PostgreSQL {family}, mode {LEAST}."));
            self.say(
                "Retire the integrations first: the accounts go with them. While one can log in, nothing is removed.",
            );
        } else {
            self.say(&format!("Prepares PostgreSQL {family} for Tidegate, mode {LEAST}."));
        }
        self.say("Run it with psql 11 or later as a superuser, in any database of the server:");
        self.say("    psql -X -d postgres -f THIS_FILE");
        if remove {
            return;
        }
        self.say("It asks twice for the new role's password; only a verifier goes to the server.");
        self.say("");
        if version < NARROW {
            self.say("Up to 15 this is close to SUPERUSER, and nothing narrower can make roles: whoever has CREATEROLE");
            self.say("sets the password of every role that is no superuser, and joins every such role, also");
            self.say("pg_execute_server_program and pg_write_server_files, by which the server's own user is at hand.");
            self.say("From 16 on CREATEROLE reaches only the roles that were made with it.");
        } else {
            self.say("CREATEROLE reaches only the roles that were made with it (16 and later); everything else that the");
            self.say("role may do stands below.");
        }
        self.say("");
        self.say("What Tidegate cannot do with it:");
        for mode in MANIFEST.setup.modes.iter().filter(|mode| mode.name == LEAST) {
            for sentence in mode.cannot {
                self.say(&format!("* {sentence}"));
            }
        }
        self.say("`check` names each right that is missing, with the statement that gives it.");
    }

    /// Stops at the first fault, and at once on a server of the other family.
    fn only_on(&mut self, version: Version) {
        let (unfit, other) = if version < NARROW { (">=", "16 or later") } else { ("<", "15 or earlier") };
        let least = NARROW.0;
        self.push("\\set ON_ERROR_STOP on");
        let words =
            Literal::of(&format!("this server is {other}: make the script again with its --server-version"));
        self.push(&format!(
            "DO $tidegate$ BEGIN IF current_setting('server_version_num')::int {unfit} {least} THEN \
             RAISE EXCEPTION USING MESSAGE = {words}; END IF; END $tidegate$;"
        ));
        self.push("BEGIN;");
    }

    fn give_all(&mut self, rights: &[Right], owners: bool, version: Version) {
        self.say(&format!("CREATEROLE: {}", Right::CreateRole.why()));
        self.push(&format!("CREATE ROLE {ADMIN} LOGIN INHERIT CREATEROLE NOSUPERUSER;"));
        self.say(&format!("{}: {}", crate::rights::SIGNAL, Right::Signal.why()));
        self.push(&format!("{};", Right::Signal.give(&ADMIN, version)));
        if version >= NARROW {
            self.say(&format!("{MANAGED}: {}", Right::Common.why()));
            self.when_common(&Right::Common.give(&"%I", version));
        }
        if !owners {
            self.say("No owner was named (--owner), so nothing can be given yet. This tells who owns what in a database:");
            self.say(
                "    SELECT pg_get_userbyid(relowner), count(*) FROM pg_class WHERE oid >= 16384 GROUP BY 1;",
            );
            self.say(
                "The owner of the database is needed, too: it lets accounts connect. The statement for each:",
            );
            let owner = Right::Owner(Ident::found("OWNER"));
            self.say(&format!("    {};", owner.give(&ADMIN, version)));
        }
        for right in rights {
            if let Right::Owner(role) | Right::Attach(role) = right {
                self.no_superuser(role);
            }
            self.say(right.why());
            self.push(&format!("{};", right.give(&ADMIN, version)));
        }
        self.push("SET LOCAL password_encryption = 'scram-sha-256';");
        self.push(&format!("\\password {ADMIN}"));
        self.push("COMMIT;");
    }

    /// Stops where membership would be all of a superuser's power.
    fn no_superuser(&mut self, role: &Ident) {
        let (name, words) = (
            Literal::of(&role.to_string()),
            Literal::of(&format!(
                "{role} is a superuser, or a member of one: membership would be all of its power"
            )),
        );
        let hint = Literal::of(&format!(
            "give what it owns to a role that is none (ALTER ... OWNER TO, REASSIGN OWNED) and name that one, or take --mode {SUPERUSER}"
        ));
        self.push(&format!(
            "DO $tidegate$ BEGIN IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolsuper AND \
             pg_catalog.pg_has_role({name}::pg_catalog.regrole, oid, 'MEMBER')) THEN RAISE EXCEPTION USING MESSAGE = {words}, \
             HINT = {hint}; END IF; END $tidegate$;"
        ));
    }

    fn take_all(&mut self, rights: &[Right]) {
        STILL_OPEN.iter().for_each(|line| self.push(line));
        for right in rights {
            self.take(right);
        }
        self.take(&Right::Signal);
        if let Some(statement) = Right::Common.take(&"%I") {
            self.when_common(&statement);
        }
        self.push(LEFT_ARE);
        self.push(LEFT);
        self.push(&format!("DROP ROLE {ADMIN};"));
        self.push("COMMIT;");
    }

    fn take(&mut self, right: &Right) {
        if let Some(statement) = right.take(&ADMIN) {
            self.push(&format!("{statement};"));
        }
    }

    /// Runs a statement on the common role if there is one; `%I` in it is the admin.
    fn when_common(&mut self, statement: &str) {
        let (statement, common) = (Literal::of(statement), Literal::of(MANAGED));
        self.push(&format!(
            "SELECT format({statement}, :'username') WHERE EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {common})\n\\gexec"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(mode: &str, major: Option<u32>) -> SetupWish {
        SetupWish { mode: Some(mode.into()), server_version: major, ..SetupWish::default() }
    }

    /// Compares with the file of that name; `GOLDEN=write` writes it, for a person to read the difference.
    fn golden(file: &str, found: &str) {
        let path: std::path::PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "golden", file].iter().collect();
        if std::env::var_os("GOLDEN").is_some_and(|word| word == "write") {
            std::fs::write(&path, found).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            found,
            expected,
            "{} differs: run with GOLDEN=write and read the difference",
            path.display()
        );
    }

    #[test]
    fn scripts_of_every_mode_and_family() {
        let owned = |wish: SetupWish| SetupWish {
            owners: vec!["app_owner".into(), "o\"w;n'er".into()],
            attachable: vec!["analysts".into()],
            ..wish
        };
        let removed = |wish: SetupWish| SetupWish { remove: true, ..wish };
        let named = |wish: SetupWish| SetupWish { username: Some("it's \\ me".into()), ..wish };
        let table = [
            ("setup-superuser.sql", SetupWish::default()),
            ("setup-superuser-remove.sql", removed(wish(SUPERUSER, Some(15)))),
            ("setup-least-15.sql", owned(wish(LEAST, Some(15)))),
            ("setup-least-16.sql", owned(wish(LEAST, Some(16)))),
            ("setup-least-18-nobody.sql", named(wish(LEAST, Some(18)))),
            ("setup-least-18-remove.sql", removed(owned(wish(LEAST, Some(18))))),
        ];
        for (file, wish) in table {
            golden(file, &script(&wish).unwrap());
        }
        assert_eq!(
            script(&SetupWish::default()),
            Ok(MANIFEST.setup_script()),
            "the manifest's own is the usual one"
        );
    }

    #[test]
    fn a_wish_that_cannot_be_heeded_is_told() {
        let named = |name: &str| SetupWish { username: Some(name.into()), ..SetupWish::default() };
        let owner = |name: &str| SetupWish { owners: vec![name.into()], ..wish(LEAST, Some(18)) };
        let table = [
            ("another mode", wish("most", None), "there is no mode `most`: give superuser or least"),
            ("least of what", wish(LEAST, None), "`--server-version` is needed"),
            ("old", wish(LEAST, Some(9)), "older than 10"),
            (
                "an owner for a superuser",
                SetupWish { mode: None, ..owner("ann") },
                "`--owner` changes nothing",
            ),
            ("a name of two lines", named("a\n\\! reboot"), "`--username` is no name"),
            ("a long owner", owner(&"x".repeat(64)), "`--owner` is no name"),
            ("an empty owner", owner(""), "`--owner` is no name"),
        ];
        for (name, wish, part) in table {
            let fault = script(&wish).unwrap_err().to_string();
            assert!(fault.contains(part), "{name}: {fault}");
        }
    }
}
