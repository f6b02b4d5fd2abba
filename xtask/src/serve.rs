//! `services`: a private server in the foreground, and the installation of what the tests need.

use anyhow::{anyhow, bail};
use clap::Args;
use services::install::{self, Need};
use services::openbao::OpenBao;
use services::postgres::{Options, Postgres, Tls};

#[derive(Args)]
pub(crate) struct Services {
    /// postgres, postgres18, postgres18-tls or openbao; with --install also psql, openssl, buf, cargo-deny, strace, prlimit
    /// or python.
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
            Need::Postgres15 => postgres(&Options::default()),
            Need::Postgres18 => {
                let bin_dir = Some(install::here(Need::Postgres18)?);
                postgres(&Options { bin_dir, tls: Tls::AsBuilt, ..Options::default() })
            }
            Need::Postgres18Tls => {
                let bin_dir = Some(install::here(Need::Postgres18Tls)?);
                postgres(&Options { bin_dir, ..Options::default() })
            }
            Need::OpenBao => openbao(),
            tool @ (Need::Psql
            | Need::Openssl
            | Need::Buf
            | Need::CargoDeny
            | Need::Strace
            | Need::Prlimit
            | Need::Python) => {
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

fn postgres(options: &Options) -> anyhow::Result<bool> {
    let server = Postgres::launch(options)?;
    let (host, port) = (server.host(), server.port());
    println!("PostgreSQL runs at {host}:{port}; its folder goes with it: {}", server.folder().display());
    println!("  log   {}", server.log_file().display());
    println!(
        "  psql  PGPASSFILE={} psql \"{} dbname=postgres\"",
        server.pass_file().display(),
        server.conninfo()
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
