//! `services`: a private server in the foreground, and the installation of what the tests need.

use anyhow::{anyhow, bail};
use clap::Args;
use services::install::{self, Need};
use services::openbao::OpenBao;
use services::postgres::{Options, Postgres};

#[derive(Args)]
pub(crate) struct Services {
    /// postgres or openbao; with --install also psql, openssl, buf, cargo-deny or strace.
    #[arg(value_parser = need)]
    name: Need,
    /// Installs it if it is missing, says where it is, and starts nothing.
    #[arg(long)]
    install: bool,
}

impl Services {
    pub(crate) fn command(&self) -> anyhow::Result<bool> {
        if self.install {
            let place = install::ensure(self.name, true)?;
            println!("{} is here: {}", self.name.name(), place.display());
            return Ok(true);
        }
        match self.name {
            Need::Postgres15 => postgres(),
            Need::OpenBao => openbao(),
            tool @ (Need::Psql | Need::Openssl | Need::Buf | Need::CargoDeny | Need::Strace) => {
                bail!("{} is no server: add --install to install it", tool.name())
            }
        }
    }
}

fn need(name: &str) -> anyhow::Result<Need> {
    let names = || Need::ALL.map(Need::name).join(", ");
    Need::ALL
        .into_iter()
        .find(|need| need.name() == name)
        .ok_or_else(|| anyhow!("is none of these: {}", names()))
}

fn postgres() -> anyhow::Result<bool> {
    let server = Postgres::launch(&Options::default())?;
    let (host, port, user) = (server.host(), server.port(), server.superuser());
    let (ca, passfile) = (server.ca_file(), server.pass_file());
    println!("PostgreSQL runs at {host}:{port}; its folder goes with it: {}", server.folder().display());
    println!("  log   {}", server.log_file().display());
    println!(
        "  psql  PGPASSFILE={} psql 'host={host} port={port} user={user} dbname=postgres sslmode=verify-full sslrootcert={}'",
        passfile.display(),
        ca.display()
    );
    stay()
}

fn openbao() -> anyhow::Result<bool> {
    let server = OpenBao::launch()?;
    println!("OpenBao runs; its folder goes with it: {}", server.folder().display());
    println!("  log  {}", server.log_file().display());
    println!(
        "  bao  BAO_ADDR={} BAO_TOKEN={} {}",
        server.address(),
        server.token(),
        server.program().display()
    );
    stay()
}

/// Until Ctrl-C. The server's keeper notices the end of this process and cleans up.
fn stay() -> anyhow::Result<bool> {
    println!("Ctrl-C ends it.");
    loop {
        std::thread::park();
    }
}
