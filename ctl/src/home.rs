//! The folder of one person: where the server is, the login's token, and the key that opens credentials.
//!
//! Token and key lie in files of their own that only their owner may read; a file that others can read is
//! refused, as it may have been read already. Files are replaced whole, never half-written.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::Secret;
use seal::keys::SealingKey;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::cli::{Environment, Global};
use crate::exit::Exit;
use crate::fault::Fault;

const SETTINGS: &str = "ctl.toml";
const TOKEN: &str = "ctl-token";
const KEY: &str = "ctl-key";

/// Longest file that is read here, in bytes.
const LONGEST: u64 = 64 * 1024;

/// Where the server is, and who logged in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The server's address, `https://…`.
    pub(crate) server: String,
    /// The only certificates that are trusted, when the server's is not a public one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<PathBuf>,
    /// The user's id, to which credentials are bound.
    pub(crate) user: String,
    pub(crate) email: String,
}

/// One person's folder.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    directory: PathBuf,
}

impl Home {
    /// Finds the folder: as told, else below the configuration folder of the user.
    ///
    /// # Errors
    /// When there is no such place.
    pub(crate) fn find(global: &Global, environment: &Environment) -> Result<Self, Fault> {
        let below = |base: &PathBuf| base.join("tidegate");
        let directory = global
            .config
            .clone()
            .or_else(|| environment.config_home.as_ref().map(below))
            .or_else(|| environment.home.as_ref().map(|home| below(&home.join(".config"))));
        directory.map(|directory| Self { directory }).ok_or_else(|| {
            Fault::usage("find the settings", "neither XDG_CONFIG_HOME nor HOME is set", "give --config DIR")
        })
    }

    /// Returns a file of the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Returns where the server is and who logged in, or `None` before the first login.
    ///
    /// # Errors
    /// When the file cannot be read or understood.
    pub(crate) fn settings(&self) -> Result<Option<Settings>, Fault> {
        let Some(text) = self.read(SETTINGS)? else { return Ok(None) };
        toml::from_str(&text).map(Some).map_err(|fault| {
            let what = format!("read {}", self.path(SETTINGS).display());
            Fault::new(Exit::Usage, what, fault.message()).or("correct the file, or log in again")
        })
    }

    /// Returns the login's token.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn token(&self) -> Result<Option<Secret>, Fault> {
        let Some(text) = self.read(TOKEN)? else { return Ok(None) };
        let word = text.trim();
        if word.is_empty() || !word.bytes().all(|byte| byte.is_ascii_graphic()) {
            let what = format!("read the token in {}", self.path(TOKEN).display());
            return Err(Fault::new(Exit::Failed, what, "it is not one word").or("log in again"));
        }
        Ok(Some(Secret::new(word.to_owned())))
    }

    /// Returns the key that opens this person's credentials.
    ///
    /// # Errors
    /// When the file cannot be read or holds no key.
    pub(crate) fn key(&self) -> Result<Option<SealingKey>, Fault> {
        let Some(text) = self.read(KEY)? else { return Ok(None) };
        let fault = |why: String| {
            let what = format!("read the key in {}", self.path(KEY).display());
            Fault::new(Exit::Failed, what, why)
                .or("restore the file; without it, `tidegatectl login --replace-key` makes a new key")
        };
        let bytes =
            Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| fault("it is not base64".into()))?);
        SealingKey::from_bytes(&bytes).map(Some).map_err(|cause| fault(cause.to_string()))
    }

    /// Keeps settings and token.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(crate) fn keep_login(&self, settings: &Settings, token: &Secret) -> Result<(), Fault> {
        let text = toml::to_string(settings).map_err(|fault| Fault::system("write the settings", &fault))?;
        self.write(SETTINGS, text.as_bytes())?;
        self.write(TOKEN, format!("{}\n", token.expose()).as_bytes())
    }

    /// Keeps the key.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn keep_key(&self, key: &SealingKey) -> Result<(), Fault> {
        let text = Zeroizing::new(STANDARD.encode(key.to_bytes()) + "\n");
        self.write(KEY, text.as_bytes())
    }

    /// Reads a file that only its owner may read; `None` when there is none.
    ///
    /// # Errors
    /// When it is open to others, too long, or not text.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Zeroizing<String>>, Fault> {
        let path = self.path(name);
        let what = || format!("read {}", path.display());
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(fault) => return Err(Fault::system(what(), &fault)),
        };
        let mode = file.metadata().map_err(|fault| Fault::system(what(), &fault))?.mode() & 0o777;
        if mode & 0o077 != 0 {
            let why = format!("group or others may open it (mode {mode:o})");
            return Err(
                Fault::new(Exit::Failed, what(), why).or(format!("run: chmod 600 {}", path.display()))
            );
        }
        let mut text = Zeroizing::new(String::new());
        file.take(LONGEST + 1).read_to_string(&mut text).map_err(|fault| Fault::system(what(), &fault))?;
        if text.len() as u64 > LONGEST {
            let why = format!("it has more than {LONGEST} bytes");
            return Err(
                Fault::new(Exit::Failed, what(), why).or("restore the file, or remove it and log in again")
            );
        }
        Ok(Some(text))
    }

    /// Replaces a file that only its owner may read, or makes it.
    ///
    /// # Errors
    /// When the folder or the file cannot be written.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Fault> {
        let what = || format!("write {}", self.path(name).display());
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.directory);
        made.map_err(|fault| Fault::system(what(), &fault))?;
        replace(&self.path(name), bytes).map_err(|fault| Fault::system(what(), &fault))
    }
}

/// Writes a file that only its owner may read, whole or not at all.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    fs::File::open(directory)?.sync_all()
}
