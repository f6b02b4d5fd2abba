//! The workspace as cargo sees it, and calls of cargo.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use serde::Deserialize;

/// A package of the workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Its folder, from the workspace's root on; empty for the root package.
    pub(crate) folder: PathBuf,
    /// The packages of the workspace that it leans on, with the kind of the dependency.
    pub(crate) leans_on: BTreeSet<(String, Kind)>,
}

/// What a dependency is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Normal,
    Dev,
    Build,
}

impl Kind {
    pub(crate) fn table(self) -> &'static str {
        match self {
            Self::Normal => "dependencies",
            Self::Dev => "dev-dependencies",
            Self::Build => "build-dependencies",
        }
    }
}

/// The workspace.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) packages: Vec<Package>,
}

impl Workspace {
    /// Asks cargo.
    pub(crate) fn read() -> anyhow::Result<Self> {
        let text = output(cargo().args(["metadata", "--format-version", "1", "--no-deps"]))?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let told: Told = serde_json::from_str(text).context("read the answer of `cargo metadata`")?;
        let home = |manifest: &Path| manifest.parent().map(Path::to_path_buf).unwrap_or_default();
        let mut packages = vec![];
        for package in &told.packages {
            let folder = home(&package.manifest_path);
            let inside = folder.strip_prefix(&told.workspace_root).with_context(|| {
                format!("package {} stands outside of the workspace's folder: move it in", package.name)
            })?;
            let mut leans_on = BTreeSet::new();
            for dependency in &package.dependencies {
                // By place, not by name: a package of the registry may have the same name as one of ours.
                let ours = dependency.path.as_ref().and_then(|path| {
                    told.packages
                        .iter()
                        .find(|other| home(&other.manifest_path) == *path)
                        .map(|other| &other.name)
                });
                let kind = match dependency.kind.as_deref() {
                    None => Kind::Normal,
                    Some("dev") => Kind::Dev,
                    Some("build") => Kind::Build,
                    Some(other) => {
                        bail!("package {} has a dependency of the unknown kind {other}", package.name)
                    }
                };
                leans_on.extend(ours.map(|name| (name.clone(), kind)));
            }
            packages.push(Package { name: package.name.clone(), folder: inside.to_path_buf(), leans_on });
        }
        packages.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(Self { root: told.workspace_root, target: told.target_directory, packages })
    }

    /// Where the program of a profile is after a build.
    pub(crate) fn program(&self, profile: &str, name: &str) -> PathBuf {
        self.target.join(profile).join(name)
    }
}

#[derive(Deserialize)]
struct Told {
    packages: Vec<ToldPackage>,
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct ToldPackage {
    name: String,
    manifest_path: PathBuf,
    dependencies: Vec<ToldDependency>,
}

#[derive(Deserialize)]
struct ToldDependency {
    kind: Option<String>,
    path: Option<PathBuf>,
}

/// The cargo that called us, without input.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.stdin(Stdio::null());
    command
}

/// Builds every program of the workspace. Always with this one selection of packages: another one would choose other
/// features of the dependencies and build them again.
pub(crate) fn build_programs() -> anyhow::Result<()> {
    call(cargo().args(["build", "--quiet", "--workspace", "--bins"]))
}

/// Runs a command whose output people see; a failure is an error.
pub(crate) fn call(command: &mut Command) -> anyhow::Result<()> {
    let words = words(command);
    let status = command.status().with_context(|| format!("start `{words}`"))?;
    if !status.success() {
        bail!("`{words}` failed with {status}");
    }
    Ok(())
}

/// Runs a command and gives its standard output; what it says besides is seen.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let words = words(command);
    let bytes = output_bytes(command)?;
    String::from_utf8(bytes).with_context(|| format!("read the output of `{words}`"))
}

pub(crate) fn output_bytes(command: &mut Command) -> anyhow::Result<Vec<u8>> {
    let words = words(command);
    let done = command.stderr(Stdio::inherit()).output().with_context(|| format!("start `{words}`"))?;
    if !done.status.success() {
        bail!("`{words}` failed with {}", done.status);
    }
    Ok(done.stdout)
}

/// A command as one would type it.
pub(crate) fn words(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let all = std::iter::once(program).chain(command.get_args());
    all.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{Kind, Workspace};

    #[test]
    fn dependencies_are_known_by_their_place() {
        let told = r#"{
            "workspace_root": "/w", "target_directory": "/t",
            "packages": [
                {"name": "root", "manifest_path": "/w/Cargo.toml", "dependencies": [
                    {"kind": null, "path": "/w/crates/low"}, {"kind": "dev", "path": "/w/crates/low"},
                    {"kind": "build", "path": null}]},
                {"name": "low", "manifest_path": "/w/crates/low/Cargo.toml", "dependencies": [
                    {"kind": null, "path": null}]}
            ]}"#;
        let workspace = Workspace::parse(told).unwrap();
        let seen: Vec<_> = workspace
            .packages
            .iter()
            .map(|package| (&*package.name, package.folder.to_str().unwrap()))
            .collect();
        assert_eq!(seen, [("low", "crates/low"), ("root", "")]);
        let leans: Vec<_> = workspace.packages[1].leans_on.iter().cloned().collect();
        assert_eq!(leans, [("low".to_owned(), Kind::Normal), ("low".to_owned(), Kind::Dev)]);
    }

    #[test]
    fn a_package_outside_is_refused() {
        let told = r#"{"workspace_root": "/w", "target_directory": "/t",
            "packages": [{"name": "stray", "manifest_path": "/x/Cargo.toml", "dependencies": []}]}"#;
        let fault = Workspace::parse(told).unwrap_err().to_string();
        assert!(fault.contains("stray"), "{fault}");
    }
}
