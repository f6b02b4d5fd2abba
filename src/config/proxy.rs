//! Which proxy a configuration or a machine's environment names for the control plane.
//!
//! The environment's variables mean what they mean to other programs; whether `NO_PROXY` leaves a host out is for
//! the library to say that those use. A login in the address is refused: it would stand where others read it.

use std::collections::BTreeMap;

use hyper_util::client::proxy::matcher::Matcher;
use tonic::transport::Uri;

use super::env::{NO_PROXIES, PROXIES};

/// A proxy, and the variable that named it.
pub(super) struct Named<'e> {
    pub(super) url: Result<Uri, Unfit>,
    pub(super) variable: Option<&'e str>,
}

/// Why an address is none of a proxy.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unfit {
    pub(super) reason: &'static str,
    pub(super) way_out: &'static str,
}

/// Returns the proxy that a setting names for the way to `to`; `None` when there is none.
pub(super) fn named<'e>(
    setting: &str,
    to: &Uri,
    environment: &'e BTreeMap<String, String>,
) -> Option<Named<'e>> {
    let is_plain = to.scheme_str() == Some("http");
    match setting {
        "none" => None,
        // What goes to this machine without TLS is nobody else's to see.
        "environment" if is_plain => None,
        "environment" => {
            let (variable, text) = first(&PROXIES, environment)?;
            let (_, left_out) = first(&NO_PROXIES, environment).unwrap_or_default();
            let rule = Matcher::builder().https("http://proxy").no(left_out).build();
            rule.intercept(to)?;
            // As other programs read it: without a scheme it is http.
            let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
            Some(Named { url: read(&text), variable: Some(variable) })
        }
        _ if is_plain => Some(Named {
            url: Err(Unfit {
                reason: "is for https:// alone, and `control_plane.url` is without TLS",
                way_out: "leave it out",
            }),
            variable: None,
        }),
        given => Some(Named { url: read(given), variable: None }),
    }
}

fn first<'e>(names: &[&str], environment: &'e BTreeMap<String, String>) -> Option<(&'e str, &'e str)> {
    let set = names.iter().filter_map(|name| environment.get_key_value(*name));
    set.map(|(name, text)| (name.as_str(), text.trim())).find(|(_, text)| !text.is_empty())
}

fn read(text: &str) -> Result<Uri, Unfit> {
    let unfit = |reason| {
        Err(Unfit { reason, way_out: "give http://host:port, https://host:port, `environment` or `none`" })
    };
    let Ok(url) = text.parse::<Uri>() else { return unfit("is not the address of a proxy") };
    let Some(authority) = url.authority() else { return unfit("is not the address of a proxy") };
    if authority.as_str().contains('@') {
        return Err(Unfit {
            reason: "has a user in it",
            way_out: "leave it out: `user:password` is in the file that `control_plane.proxy_credentials_file` names",
        });
    }
    if !matches!(url.scheme_str(), Some("http" | "https")) {
        return unfit("is of a kind of proxy that is not supported");
    }
    let after_host = authority.as_str().rsplit_once(']').map_or(authority.as_str(), |(_, after)| after);
    let has_bad_port = after_host.contains(':') && authority.port_u16().is_none_or(|port| port == 0);
    if authority.host().is_empty() || has_bad_port {
        return unfit("has no host, or a port that is none");
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() {
        return unfit("has a path or a query");
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TO: &str = "https://cp.example.com:8443";

    #[test]
    fn a_setting_or_the_environment_names_the_proxy() {
        type Row<'r> = (&'r str, &'r str, &'r str, &'r [(&'r str, &'r str)], Option<&'r str>);
        let plain = "http://127.0.0.1:8080";
        let set = ("HTTPS_PROXY", "http://proxy:3128");
        let table: [Row<'_>; 17] = [
            ("nothing is set", TO, "environment", &[], None),
            ("given", TO, "http://proxy:3128", &[], Some("http://proxy:3128/")),
            ("given, with TLS", TO, "https://proxy", &[], Some("https://proxy/")),
            ("given, IPv6", TO, "http://[::1]:3128", &[], Some("http://[::1]:3128/")),
            ("given, the environment says another", TO, "http://own:1", &[set], Some("http://own:1/")),
            ("none, the environment says another", TO, "none", &[set], None),
            ("the environment's", TO, "environment", &[set], Some("http://proxy:3128/")),
            (
                "without a scheme",
                TO,
                "environment",
                &[("https_proxy", "proxy:3128")],
                Some("http://proxy:3128/"),
            ),
            ("for all", TO, "environment", &[("ALL_PROXY", "http://all:1")], Some("http://all:1/")),
            ("blank is not set", TO, "environment", &[("https_proxy", " "), set], Some("http://proxy:3128/")),
            ("left out by name", TO, "environment", &[set, ("NO_PROXY", "x,cp.example.com")], None),
            ("left out by domain", TO, "environment", &[set, ("no_proxy", ".example.com")], None),
            (
                "another domain",
                TO,
                "environment",
                &[set, ("NO_PROXY", "ple.com")],
                Some("http://proxy:3128/"),
            ),
            ("left out altogether", TO, "environment", &[set, ("NO_PROXY", "*")], None),
            (
                "left out by network",
                "https://10.1.2.3",
                "environment",
                &[set, ("NO_PROXY", "10.0.0.0/8")],
                None,
            ),
            ("left out, IPv6", "https://[::1]:8443", "environment", &[set, ("NO_PROXY", "::1")], None),
            ("this machine, without TLS", plain, "environment", &[set], None),
        ];
        for (name, to, setting, environment, expected) in table {
            let environment: BTreeMap<String, String> =
                environment.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
            let found = named(setting, &to.parse().unwrap(), &environment);
            let found = found.map(|named| named.url.unwrap().to_string());
            assert_eq!(found.as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn what_is_no_proxy_is_refused_and_never_taken_for_none() {
        let table = [
            ("socks5://proxy:1080", "kind"),
            ("http://ann:hunter2@proxy:3128", "has a user in it"),
            ("http://proxy:99999", "port"),
            ("http://proxy:0", "port"),
            ("http://proxy:", "port"),
            ("http://proxy/path", "path"),
            ("http://", "address"),
            ("proxy with spaces", "address"),
        ];
        let (to, nothing) = (TO.parse().unwrap(), BTreeMap::new());
        for (text, reason) in table {
            let given = named(text, &to, &nothing).unwrap();
            let fault = given.url.unwrap_err();
            assert!(fault.reason.contains(reason), "{text}: {fault:?}");
            let environment = BTreeMap::from([("HTTPS_PROXY".into(), text.into())]);
            let found = named("environment", &to, &environment).unwrap();
            assert!(found.url.is_err() && found.variable == Some("HTTPS_PROXY"), "{text}");
        }
        let plain = "http://127.0.0.1:1".parse().unwrap();
        assert!(named("http://proxy:1", &plain, &nothing).unwrap().url.is_err());
    }
}
