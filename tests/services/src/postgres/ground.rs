//! On what a test plays: which server, and as whom the agent works on it.

use std::fmt;
use std::path::PathBuf;

use anyhow::Context as _;

use super::{Options, Postgres, Tls};
use crate::install::{self, Need};

/// Which server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Server {
    /// The oldest that will do and can be had: 15, unless another is named.
    #[default]
    Usual,
    /// The newest.
    Eighteen,
}

impl Server {
    /// The folder of its programs; none leaves it to the usual search.
    pub fn bin_dir(self) -> anyhow::Result<Option<PathBuf>> {
        match self {
            Self::Usual => Ok(None),
            Self::Eighteen => install::here(Need::Postgres18).map(Some),
        }
    }
}

/// As whom the agent logs in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Admin {
    /// As a superuser.
    #[default]
    Superuser,
    /// As the role that the product's set-up script of mode `least` makes.
    Least,
}

/// A server, and as whom the agent logs in there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ground {
    pub server: Server,
    pub admin: Admin,
}

impl Ground {
    /// Every one that there is; the usual one first.
    pub const ALL: [Self; 4] = [
        Self { server: Server::Usual, admin: Admin::Superuser },
        Self { server: Server::Eighteen, admin: Admin::Least },
        Self { server: Server::Usual, admin: Admin::Least },
        Self { server: Server::Eighteen, admin: Admin::Superuser },
    ];

    /// The one that differs most from the usual one: the newest server, and an admin who may do what it must.
    pub const NARROW: Self = Self { server: Server::Eighteen, admin: Admin::Least };

    /// Starts its server, which differs from the usual one by these options. The newest speaks TLS only if its programs
    /// are built so.
    pub fn launch(self, options: &Options) -> anyhow::Result<Postgres> {
        match self.server {
            Server::Usual => Postgres::launch(options),
            Server::Eighteen => {
                let bin_dir = self.server.bin_dir()?;
                Postgres::launch(&Options { bin_dir, tls: Tls::AsBuilt, ..options.clone() })
            }
        }
    }
}

impl fmt::Display for Ground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = match self.server {
            Server::Usual => "the usual server",
            Server::Eighteen => "PostgreSQL 18",
        };
        let admin = match self.admin {
            Admin::Superuser => "a superuser",
            Admin::Least => "the least privileged admin",
        };
        write!(f, "{server}, as {admin}")
    }
}

impl Postgres {
    /// The major version of the server, as it tells it.
    pub fn major(&self) -> anyhow::Result<u32> {
        let version = self.psql("postgres", "show server_version_num")?;
        let number: u32 =
            version.trim().parse().with_context(|| format!("read the server's version {version:?}"))?;
        Ok(number / 10_000)
    }

    /// Runs a set-up script as its reader would, whom it asks twice for the new role's password.
    pub fn set_up(&self, script: &str, password: &str) -> anyhow::Result<()> {
        self.psql_script("postgres", script, &format!("{password}\n{password}\n")).map(drop)
    }
}
