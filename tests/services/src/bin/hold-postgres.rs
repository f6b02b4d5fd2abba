//! Holds a private PostgreSQL until its input ends. The tests kill it, to see what is left behind.

use std::io::{Read as _, Write as _};

use anyhow::Context as _;
use services::postgres::{Options, Postgres};

fn main() -> anyhow::Result<()> {
    let server = Postgres::launch(&Options::for_tests())?;
    let pid = server.pid().context("the server runs")?;
    let mut out = std::io::stdout();
    writeln!(out, "{pid} {}", server.folder().display()).context("tell where the server is")?;
    out.flush().context("tell where the server is")?;
    std::io::stdin().read_to_end(&mut vec![]).context("wait for the end of the input")?;
    Ok(())
}
