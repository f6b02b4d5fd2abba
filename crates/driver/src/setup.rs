//! The set-up script: what a target has to be given before the agent can work on it, as text to be read first.
//!
//! Promises: no secret is in a script; what somebody named is quoted in it. Leaves to others: running it, and what is
//! in it, which each driver says in its manifest or writes by itself (`Driver::setup_script`).

use crate::manifest::Manifest;

/// What a script is wanted for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetupWish {
    /// One of the manifest's modes; the first when nobody says.
    pub mode: Option<String>,
    /// The script that takes back what the other gave.
    pub remove: bool,
    /// The target's major version, where scripts differ by it.
    pub server_version: Option<u32>,
    /// What the admin account is called; the script's own default when nobody says.
    pub username: Option<String>,
    /// On whose objects access is to be given, where the mode does not cover all.
    pub owners: Vec<String>,
    /// Roles of the target's owner that accounts may be made members of, where the mode does not cover all.
    pub attachable: Vec<String>,
}

/// Why there is no such script.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetupFault {
    #[error("there is no mode `{asked}`: {known}")]
    UnknownMode { asked: String, known: String },
    #[error("`{option}` {reason}: {way_out}")]
    Unfit { option: &'static str, reason: &'static str, way_out: String },
}

impl SetupFault {
    /// There is no such mode.
    pub fn unknown_mode(asked: &str, manifest: &Manifest) -> Self {
        let names: Vec<_> = manifest.setup.modes.iter().map(|mode| mode.name).collect();
        let known = match names.as_slice() {
            [] => format!("there is one way to prepare {}, leave it out", manifest.product),
            names => format!("give {}", names.join(" or ")),
        };
        Self::UnknownMode { asked: asked.into(), known }
    }

    /// An option that this script has no use for.
    pub fn useless(option: &'static str) -> Self {
        Self::Unfit { option, reason: "changes nothing in this script", way_out: "leave it out".into() }
    }
}

impl SetupWish {
    /// Writes the manifest's own script, for kinds that are prepared in one way only.
    ///
    /// # Errors
    /// When more is wished for than the manifest can say.
    pub fn of_one_kind(&self, manifest: &Manifest) -> Result<String, SetupFault> {
        let Self { mode, remove, server_version, username, owners, attachable } = self;
        if let Some(asked) = mode {
            return Err(SetupFault::unknown_mode(asked, manifest));
        }
        let useless = [
            ("--server-version", server_version.is_some()),
            ("--username", username.is_some()),
            ("--owner", !owners.is_empty()),
            ("--attach", !attachable.is_empty()),
        ];
        if let Some((option, _)) = useless.into_iter().find(|(_, given)| *given) {
            return Err(SetupFault::useless(option));
        }
        Ok(if *remove { manifest.removal_script() } else { manifest.setup_script() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Driver;
    use crate::fake::{Fake, Nature};

    #[test]
    fn a_kind_with_one_way_refuses_what_it_cannot_heed() {
        let fake = Fake::new(Nature::Transactions);
        let manifest = fake.manifest();
        let nothing = SetupWish::default();
        let table = [
            ("nothing", nothing.clone(), Ok(manifest.setup_script())),
            ("to remove", SetupWish { remove: true, ..nothing.clone() }, Ok(manifest.removal_script())),
            (
                "a mode",
                SetupWish { mode: Some("least".into()), ..nothing.clone() },
                Err("there is no mode `least`: there is one way to prepare Made-up system, leave it out"),
            ),
            (
                "a version",
                SetupWish { server_version: Some(8), ..nothing.clone() },
                Err("`--server-version` changes nothing in this script: leave it out"),
            ),
            (
                "an owner",
                SetupWish { owners: vec!["ann".into()], ..nothing },
                Err("`--owner` changes nothing in this script: leave it out"),
            ),
        ];
        for (name, wish, expected) in table {
            let found = fake.setup_script(&wish).map_err(|fault| fault.to_string());
            assert_eq!(found, expected.map_err(str::to_owned), "{name}");
        }
    }
}
