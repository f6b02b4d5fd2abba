//! Where each integration's target was at the first connect.
//!
//! How to connect comes over the control plane and is not sealed. A changed host or port may be a move, or
//! somebody who wants the password sent to them: it is not followed until the person says so.

use std::collections::BTreeMap;

use crate::exit::Exit;
use crate::fault::Fault;
use crate::home::Home;

const FILE: &str = "ctl-targets.toml";

/// Accepts a target: the first one, the same one, or another one that is `meant`.
///
/// # Errors
/// When it is another one, or the file cannot be read or written.
pub(crate) fn accept(
    home: &Home,
    integration: &str,
    host: &str,
    port: u16,
    meant: bool,
) -> Result<(), Fault> {
    let target = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let path = home.path(FILE).display().to_string();
    let mut known: BTreeMap<String, String> = match home.read(FILE)? {
        None => BTreeMap::new(),
        Some(text) => toml::from_str(&text).map_err(|fault| {
            Fault::new(Exit::Usage, format!("read {path}"), fault.message()).or("correct or remove the file")
        })?,
    };
    match known.get(integration) {
        Some(before) if *before == target => return Ok(()),
        Some(before) if !meant => {
            let why = format!("its target was {before} and is now {target}");
            return Err(Fault::new(Exit::Failed, format!("connect to integration {integration}"), why)
                .or("ask an admin whether it moved; if so, add --new-target"));
        }
        _ => {}
    }
    known.insert(integration.to_owned(), target);
    let text = toml::to_string(&known).map_err(|fault| Fault::system(format!("write {path}"), &fault))?;
    home.write(FILE, text.as_bytes())
}
