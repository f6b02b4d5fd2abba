//! The environment: every key has a variable, `TIDEGATE_` and its name in capitals.
//!
//! A variable with the prefix that is no key is a fault, so that a mistyped one does not go unseen. Known
//! strangers are left alone: the secrets' own variables, what other commands of the project read, and what
//! Kubernetes sets for each Service of a namespace. Of all others only those are read in which a machine names
//! its proxy.

use std::collections::BTreeMap;

use secrets::reference::ENV_PREFIX as SECRETS;

use super::keys::KEYS;
use super::{ConfigFault, Given, Origin};

/// What every variable of the agent begins with.
pub const PREFIX: &str = "TIDEGATE_";

/// The variable that names the configuration file.
pub const FILE: &str = "TIDEGATE_CONFIG";

/// Variables in which a machine names its proxy, as other programs read them: the first one that is set counts.
pub(super) const PROXIES: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
/// Variables that say where no proxy is used.
pub(super) const NO_PROXIES: [&str; 2] = ["no_proxy", "NO_PROXY"];
/// All of them.
const OF_PROXIES: [&str; 6] = [PROXIES[0], PROXIES[1], PROXIES[2], PROXIES[3], NO_PROXIES[0], NO_PROXIES[1]];

/// Variables of the developers' commands, which may start an agent.
const STRANGERS: [&str; 2] = ["TIDEGATE_CACHE", "TIDEGATE_POSTGRES_BIN"];
/// What the variables of tests begin with.
const OF_TESTS: &str = "TIDEGATE_TEST_";
/// What the variables of a control plane on the same machine begin with…
const OF_CONTROL: &str = "TIDEGATE_CONTROL_";
/// …and what ours do that look like them.
const OURS_OF_CONTROL: &str = "TIDEGATE_CONTROL_PLANE_";

/// Reads the process's own environment, as far as it concerns the agent. What is not UTF-8 is read with
/// replacement characters, so that it is refused and not overlooked.
pub fn read_process() -> BTreeMap<String, String> {
    std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .filter(|(name, _)| name.starts_with(PREFIX) || OF_PROXIES.contains(&name.as_str()))
        .collect()
}

/// Returns what the environment sets, and what in it is wrong.
pub(super) fn read(environment: &BTreeMap<String, String>) -> (Vec<(&'static str, Given)>, Vec<ConfigFault>) {
    let (mut given, mut faults) = (vec![], vec![]);
    for (name, text) in environment {
        if !name.starts_with(PREFIX) || is_strange(name) {
            continue;
        }
        let origin = Origin::Environment { variable: name.clone() };
        match KEYS.iter().find(|key| key.variable() == *name) {
            Some(key) => given.push((key.name, Given { text: text.clone(), origin })),
            None => {
                let typed = name.trim_start_matches(PREFIX).to_ascii_lowercase();
                faults.push(ConfigFault::unknown(&typed, origin));
            }
        }
    }
    (given, faults)
}

fn is_strange(name: &str) -> bool {
    name == FILE
        || name.starts_with(SECRETS)
        || STRANGERS.contains(&name)
        || name.starts_with(OF_TESTS)
        || (name.starts_with(OF_CONTROL) && !name.starts_with(OURS_OF_CONTROL))
        || is_service_link(name)
}

/// Returns true for the variables that Kubernetes sets for a Service: `…_SERVICE_HOST`, `…_SERVICE_PORT`,
/// `…_SERVICE_PORT_NAME`, `…_PORT`, `…_PORT_8443_TCP`, `…_PORT_8443_TCP_ADDR`.
fn is_service_link(name: &str) -> bool {
    if name.ends_with("_SERVICE_HOST") || name.contains("_SERVICE_PORT") {
        return true;
    }
    let Some((_, after)) = name.rsplit_once("_PORT_") else { return name.ends_with("_PORT") };
    let mut parts = after.split('_');
    let number = parts.next().is_some_and(|part| part.parse::<u16>().is_ok());
    let protocol = parts.next().is_some_and(|part| matches!(part, "TCP" | "UDP" | "SCTP"));
    let rest = parts.next().is_none_or(|part| matches!(part, "PROTO" | "PORT" | "ADDR"));
    number && protocol && rest && parts.next().is_none()
}
