//! Reading the configuration again while the agent runs: what of it is taken, and what needs a restart.
//!
//! A configuration that is refused changes nothing. Token, secrets and bindings are read at each use anyway: a
//! reload looks at the token, forgets the secrets that are held in memory and the logins that were refused, and
//! lets the link dial at once.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrets::cache::Cache;
use tokio::sync::Notify;

use crate::config::{Config, ConfigFault, Setting, keys, token};
use crate::exit::chain;
use crate::telemetry::Telemetry;

/// A configuration with the texts that it was read from.
#[derive(Debug, Clone)]
pub struct Reading {
    pub config: Config,
    pub settings: Vec<Setting>,
}

/// Why a configuration could not be read again.
#[derive(Debug)]
pub enum RereadFault {
    /// The file cannot be read.
    File(String),
    /// Everything that is wrong with it.
    Refused(Vec<ConfigFault>),
}

type Reread = dyn Fn() -> Result<Reading, RereadFault> + Send + Sync;

/// Reads the configuration from where it was read at the start.
#[derive(Clone)]
pub struct Source(Arc<Reread>);

impl Source {
    /// Takes what reads it. It may wait for the disk.
    pub fn new(reread: impl Fn() -> Result<Reading, RereadFault> + Send + Sync + 'static) -> Self {
        Self(Arc::new(reread))
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}

/// What a reload reaches.
pub(crate) struct Reload {
    source: Source,
    /// What the agent runs with.
    running: Vec<Setting>,
    token_file: PathBuf,
    telemetry: Telemetry,
    secrets: Arc<Cache>,
    dial: Arc<Notify>,
}

impl Reload {
    /// Begins with what the agent runs with.
    pub(crate) fn new(
        source: Source,
        running: &Reading,
        telemetry: Telemetry,
        secrets: Arc<Cache>,
        dial: Arc<Notify>,
    ) -> Self {
        let (settings, token_file) = (running.settings.clone(), running.config.token_file.clone());
        Self { source, running: settings, token_file, telemetry, secrets, dial }
    }

    /// Reads the configuration again, takes what can be taken, and says so in the log. Returns how long an
    /// ordered stop may take from now on, when that was read.
    pub(crate) async fn again(&mut self) -> Option<Duration> {
        let (source, token_file) = (self.source.clone(), self.token_file.clone());
        let read = move || ((source.0)(), token::read(&token_file).err());
        let Ok((reading, token)) = tokio::task::spawn_blocking(read).await else {
            tracing::error!("The configuration could not be read again; the running one stays");
            return None;
        };
        if let Some(fault) = token {
            tracing::error!(fault = chain(&fault), "The token cannot be used at the next connection");
        }
        self.secrets.forget().await;
        self.dial.notify_waiters();
        let Reading { config, settings } = match reading {
            Ok(reading) => reading,
            Err(RereadFault::File(fault)) => {
                tracing::error!(fault, "The configuration could not be read again; the running one stays");
                return None;
            }
            Err(RereadFault::Refused(faults)) => {
                for fault in faults {
                    tracing::error!(%fault, "The configuration is refused; the running one stays");
                }
                return None;
            }
        };
        let (taken, waiting) = changed(&self.running, &settings);
        if self.telemetry.level() != config.log.level
            && let Err(fault) = self.telemetry.set_level(config.log.level)
        {
            tracing::error!(fault = chain(&fault), "The log level could not be changed");
        }
        tracing::info!(
            taken = listed(&taken),
            needs_restart = listed(&waiting),
            log_level = %config.log.level,
            "Configuration read again; secrets are read anew at their next use"
        );
        // What waits for a restart still does at the next reload.
        for setting in settings {
            if keys::find(setting.key).is_some_and(|key| key.live)
                && let Some(held) = self.running.iter_mut().find(|held| held.key == setting.key)
            {
                *held = setting;
            }
        }
        Some(config.shutdown_grace)
    }
}

/// Returns which keys are set to something else: those that a reload takes, and those that need a restart.
fn changed(running: &[Setting], read: &[Setting]) -> (Vec<&'static str>, Vec<&'static str>) {
    let differs = |setting: &&Setting| {
        running.iter().find(|held| held.key == setting.key).is_none_or(|held| held.value != setting.value)
    };
    let differing = read.iter().filter(differs).map(|setting| setting.key);
    differing.partition(|name| keys::find(name).is_some_and(|key| key.live))
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() { "nothing".into() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;

    #[test]
    fn what_is_taken_is_told_apart_from_what_needs_a_restart() {
        let setting = |key: &'static str, value: &str| Setting {
            key,
            value: Some(value.into()),
            refused: false,
            origin: Origin::Default,
        };
        let running =
            [setting("log.level", "info"), setting("journal.dir", "/j"), setting("admin.listen", "[::1]:1")];
        let read =
            [setting("log.level", "debug"), setting("journal.dir", "/k"), setting("admin.listen", "[::1]:1")];
        assert_eq!(changed(&running, &read), (vec!["log.level"], vec!["journal.dir"]));
        assert_eq!(changed(&running, &running), (vec![], vec![]));
        assert_eq!((listed(&[]), listed(&["a", "b"])), ("nothing".into(), "a, b".into()));
    }
}
