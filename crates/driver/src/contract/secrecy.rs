//! Nothing secret anywhere: not in a failure, not in a log, not in what the target logs; in no form.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use model::Secret;

use super::stage::{Broken, Stage, Told, ensure};
use crate::Target;

/// Returns the forms in which a text could hide: as it is, hex, URL-encoded, and base64 at each of the three
/// places where it may begin within a longer text.
fn forms(secret: &str) -> Vec<String> {
    let hex = |upper: bool| -> String {
        secret.bytes().map(|byte| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") }).collect()
    };
    let url: String = secret
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect();
    let mut forms = vec![secret.to_owned(), hex(false), hex(true), url, secret.escape_debug().to_string()];
    for shift in 0..3 {
        let mut bytes = vec![0; shift];
        bytes.extend_from_slice(secret.as_bytes());
        // The characters at both ends also carry bits of the neighbours: only those between are the secret's.
        let first = [0, 2, 3].get(shift).copied().unwrap_or_default();
        let whole = (bytes.len() / 3) * 4;
        for text in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            forms.push(text.chars().take(whole).skip(first).collect());
        }
    }
    forms.sort();
    forms.dedup();
    forms
}

/// How many bytes of a form are looked up before the rest is compared.
const HEAD: usize = 8;

/// All forms of many secrets, looked for in one pass over a text: there are thousands of forms, and megabytes
/// of text.
struct Hunt {
    by_head: HashMap<[u8; HEAD], Vec<Vec<u8>>>,
}

impl Hunt {
    fn new(secrets: &[String]) -> Self {
        let mut by_head: HashMap<[u8; HEAD], Vec<Vec<u8>>> = HashMap::new();
        for form in secrets.iter().flat_map(|secret| forms(secret)) {
            // A form that is shorter would be found by chance.
            if let Some(head) = form.as_bytes().first_chunk::<HEAD>() {
                by_head.entry(*head).or_default().push(form.into_bytes());
            }
        }
        Self { by_head }
    }

    /// Returns the place and length of the first secret in a text.
    fn find(&self, text: &str) -> Option<(usize, usize)> {
        let text = text.as_bytes();
        text.array_windows::<HEAD>().enumerate().find_map(|(place, head)| {
            let forms = self.by_head.get(head)?;
            let rest = text.get(place..)?;
            forms.iter().find(|form| rest.starts_with(form)).map(|form| (place, form.len()))
        })
    }
}

/// Returns an error when one of the secrets is in one of the texts; it says where, and not which.
fn found_in<'t>(
    secrets: &[String],
    texts: impl IntoIterator<Item = &'t str>,
    what: &str,
) -> Result<(), Broken> {
    let hunt = Hunt::new(secrets);
    for text in texts {
        if let Some((place, length)) = hunt.find(text) {
            let before: String = text.bytes().take(place).map(char::from).collect();
            let before = before.chars().skip(before.chars().count().saturating_sub(200)).collect::<String>();
            let found = format!("a secret is in {what}, {length} bytes behind: {}", before.escape_debug());
            return Err(Broken(found));
        }
    }
    Ok(())
}

/// Returns the admin's secrets; one that is too short to be looked for would pass unseen.
fn of_the_admin(stage: &Stage<'_>) -> Result<Vec<String>, Broken> {
    let secrets = exposed(&stage.world.admin_secrets());
    ensure(!secrets.is_empty(), "the world tells no admin secret")?;
    let shortest = secrets.iter().map(String::len).min().unwrap_or_default();
    ensure(
        shortest >= 2 * HEAD,
        "an admin secret is too short to be looked for: give the admin a longer one",
    )?;
    Ok(secrets)
}

fn exposed(secrets: &[Secret]) -> Vec<String> {
    secrets.iter().map(|secret| secret.expose().to_owned()).collect()
}

pub(super) async fn nothing_secret_is_in_the_targets_log(stage: &Stage<'_>) -> Result<(), Broken> {
    // By now every verb has been used; once more, so that this case can be played alone.
    let target = stage.target().await?;
    let (person, account) = stage.opened(&target, "ann", &[stage.plain(0)?]).await?;
    let renewed = stage.renewed(&person)?;
    target.rotate(&account, &renewed.credential()).await.told("rotate")?;
    stage.put_away(&target, &account).await?;
    let log = stage.world.target_log().await?;
    ensure(
        log.contains(&person.name().0),
        "the target's log does not name the account: is it the right one?",
    )?;
    found_in(&exposed(&stage.run.secrets()), [log.as_str()], "the target's log")?;
    found_in(&of_the_admin(stage)?, [log.as_str()], "the target's log")
}

pub(super) async fn nothing_secret_is_in_failures_or_logs(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let (person, account) = stage.opened(&target, "ann", &[stage.plain(0)?]).await?;
    stage.put_away(&target, &account).await?;

    let mut secrets = exposed(&stage.run.secrets());
    secrets.extend(of_the_admin(stage)?);
    secrets.extend(stage.run.verifiers().into_iter().map(|verifier| verifier.0));
    let failures: Vec<_> =
        stage.run.failures().iter().map(|failure| format!("{failure} {failure:?}")).collect();
    found_in(&secrets, failures.iter().map(String::as_str), "a failure")?;

    let log = stage.world.log();
    ensure(
        log.iter().any(|line| line.text.contains("Playing")),
        "the world's log does not hear this process",
    )?;
    found_in(&secrets, log.iter().map(|line| line.text.as_str()), "the log")?;
    let names = stage.run.names();
    ensure(names.contains(person.name()), "no name was kept")?;
    for line in log.iter().filter(|line| line.level < tracing::Level::DEBUG) {
        let named = names.iter().any(|name| line.text.contains(&name.0));
        ensure(!named, format!("an account is named in the log above DEBUG: {}", line.text))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_every_form() {
        let secret = "aB3_cD4-eFgHiJkLmNoPqRsTuVwX";
        let base64 = |before: &str| STANDARD_NO_PAD.encode(format!("{before}{secret} and more"));
        let table = [
            ("as it is", format!("password={secret};")),
            ("hex", format!("0x{}", secret.bytes().map(|byte| format!("{byte:02x}")).collect::<String>())),
            ("base64", base64("")),
            ("base64 behind one byte", base64("x")),
            ("base64 behind two bytes", base64("xy")),
            ("base64 behind many bytes", base64("{\"password\":\"")),
        ];
        for (name, text) in table {
            assert!(found_in(&[secret.to_owned()], [text.as_str()], "a test").is_err(), "{name}");
        }
        assert!(
            found_in(&["p@ss wörd/+".to_owned()], ["x=p%40ss%20w%C3%B6rd%2F%2B"], "a test").is_err(),
            "URL"
        );
        assert!(found_in(&[secret.to_owned()], ["nothing here"], "a test").is_ok());
        let told = found_in(&[secret.to_owned()], [format!("x {secret} y").as_str()], "a test");
        assert!(!told.unwrap_err().0.contains(secret), "the finding does not repeat it");
    }
}
