//! Debian packages, installed so that they start nothing and make no cluster of their own.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

use super::{PATIENCE, say};
use crate::run;
use crate::runas::is_root;

pub(super) const POSTGRES: &[&str] = &["postgresql-15", "postgresql"];
pub(super) const PSQL: &[&str] = &["postgresql-client-15", "postgresql-client"];

/// Installs a package while a policy keeps every service from starting. The policy is removed again by the shell, which
/// also goes on when we are interrupted: neither it nor a half installed package is left behind. A policy of the
/// machine's own stays as it is; one that we left when the shell was killed is taken over.
const SCRIPT: &str = r#"
policy=/usr/sbin/policy-rc.d
mark='# Made by the private servers of tidegate for one installation. Safe to remove.'
if (set -C; printf '#!/bin/sh\n%s\nexit 101\n' "$mark" >"$policy") 2>/dev/null || grep -qsxF "$mark" "$policy"; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
    chmod 755 "$policy"
fi
apt-get install -q -y --no-install-recommends -o DPkg::Lock::Timeout=600 -o Dpkg::Options::=--force-confold "$1"
"#;

const CLUSTER_CONF: &str = "/etc/postgresql-common/createcluster.conf";
const CLUSTER_TEXT: &str = "# Made before PostgreSQL was installed for private servers: no cluster of the machine.\ncreate_main_cluster = false\n";
const CLUSTERS: &str = "/etc/postgresql";

/// Whether this process may install packages here.
pub(super) fn usable() -> bool {
    Path::new("/etc/debian_version").exists() && run::which("apt-get").is_some() && is_root().unwrap_or(false)
}

/// Installs the first of the packages that the machine's sources know.
pub(super) fn install(packages: &[&str]) -> anyhow::Result<()> {
    if let Err(fault) = apt("apt-get", &["update", "-q"]) {
        // A source that is out of reach does not matter when another one has the package.
        say(&format!("`apt-get update` failed, going on with the lists that are here: {fault}"));
    }
    let known = |package: &&&str| apt("apt-cache", &["show", "--no-all-versions", package]).is_ok();
    let Some(package) = packages.iter().find(known) else {
        bail!("the machine's package sources have none of these: {}", packages.join(", "));
    };
    let clusters = clusters();
    if package.starts_with("postgresql") {
        forbid_main_cluster()?;
    }
    apt("sh", &["-c", SCRIPT, "install", package])?;
    drop_new_clusters(&clusters)
}

fn apt(program: &str, words: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new(program);
    // In a group of its own: Ctrl-C must not tear a package apart.
    command
        .args(words)
        .process_group(0)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("UCF_FORCE_CONFFOLD", "1")
        .env("LC_ALL", "C");
    run::within(PATIENCE, &mut command, "").map(drop)
}

/// Says that no cluster is to be made with the packages, unless the machine has its own word on that.
fn forbid_main_cluster() -> anyhow::Result<()> {
    let conf = Path::new(CLUSTER_CONF);
    if conf.exists() {
        return Ok(());
    }
    if let Some(folder) = conf.parent() {
        fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    }
    fs::write(conf, CLUSTER_TEXT).with_context(|| format!("write {CLUSTER_CONF}"))
}

/// The machine's own clusters, as `version/name`.
fn clusters() -> Vec<(String, String)> {
    let mut found = vec![];
    for version in fs::read_dir(CLUSTERS).into_iter().flatten().flatten() {
        for name in fs::read_dir(version.path()).into_iter().flatten().flatten() {
            let text = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
            found.push((text(&version), text(&name)));
        }
    }
    found
}

/// Removes a cluster that the packages made all the same; it was never started and holds nothing.
fn drop_new_clusters(before: &[(String, String)]) -> anyhow::Result<()> {
    for cluster in clusters() {
        if !before.contains(&cluster) {
            let (version, name) = &cluster;
            say(&format!("removing the empty cluster {version}/{name} that the package made"));
            apt("pg_dropcluster", &[version, name])?;
        }
    }
    Ok(())
}
