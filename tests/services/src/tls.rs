//! A certificate authority and a server certificate for one private server, made with the `openssl` command.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;

use crate::folder::{Folder, set_mode};
use crate::install::{self, Need};
use crate::run;
use crate::runas::RunAs;

const CONFIG: &str = "\
[req]
distinguished_name = name
prompt = no
[name]
CN = tidegate private server
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = DNS:localhost, IP:127.0.0.1, IP:::1
";

const A_CALL: Duration = Duration::from_secs(30);

/// The files of a server's TLS identity.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) authority: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// Makes an authority and with it a certificate for localhost, 127.0.0.1 and ::1. The authority's key does not outlive
/// the call.
pub(crate) fn make(folder: &Folder, owner: RunAs) -> anyhow::Result<Identity> {
    let openssl = install::here(Need::Openssl)?;
    let scratch = Folder::fresh("tls", RunAs::Caller)?;
    set_mode(scratch.path(), 0o700)?;
    scratch.write_private("openssl.cnf", CONFIG)?;
    let call = |words: &str| -> anyhow::Result<()> {
        let mut command = Command::new(&openssl);
        command.args(words.split(' ')).current_dir(scratch.path());
        run::within(A_CALL, &mut command, "").map(drop)
    };
    call("ecparam -name prime256v1 -genkey -noout -out ca.key")?;
    call(
        "req -new -x509 -config openssl.cnf -extensions authority -subj /CN=tidegate-private-authority -key ca.key -days 3650 -sha256 -out ca.pem",
    )?;
    call("ecparam -name prime256v1 -genkey -noout -out server.key")?;
    call("req -new -config openssl.cnf -subj /CN=localhost -key server.key -sha256 -out server.csr")?;
    call(
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 825 -sha256 -extfile openssl.cnf -extensions server -out server.pem",
    )?;
    let text = |name: &str| {
        std::fs::read_to_string(scratch.path().join(name))
            .with_context(|| format!("read {name} that openssl made"))
    };
    let place = |name: &str, text: String, mode: u32| -> anyhow::Result<PathBuf> {
        let path = folder.write_private(name, &text)?;
        set_mode(Path::new(&path), mode)?;
        owner.own(&path)?;
        Ok(path)
    };
    Ok(Identity {
        authority: place("ca.pem", text("ca.pem")?, 0o644)?,
        certificate: place("server.pem", text("server.pem")?, 0o644)?,
        key: place("server.key", text("server.key")?, 0o600)?,
    })
}
