//! Nothing secret anywhere: not in a failure, not in a log, not in what the target logs; in no form.

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

/// Returns where one of the secrets is found, without saying which.
fn found_in<'t>(
    secrets: &[String],
    texts: impl IntoIterator<Item = &'t str>,
    what: &str,
) -> Result<(), Broken> {
    let forms: Vec<_> =
        secrets.iter().flat_map(|secret| forms(secret)).filter(|form| form.len() >= 6).collect();
    for text in texts {
        if let Some(form) = forms.iter().find(|form| text.contains(form.as_str())) {
            let around = text.replace(form.as_str(), "<the secret>");
            return Err(Broken(format!(
                "a secret is in {what}: {}",
                around.chars().take(300).collect::<String>()
            )));
        }
    }
    Ok(())
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
    found_in(&exposed(&stage.world.admin_secrets()), [log.as_str()], "the target's log")
}

pub(super) async fn nothing_secret_is_in_failures_or_logs(stage: &Stage<'_>) -> Result<(), Broken> {
    let target = stage.target().await?;
    let (person, account) = stage.opened(&target, "ann", &[stage.plain(0)?]).await?;
    stage.put_away(&target, &account).await?;

    let mut secrets = exposed(&stage.run.secrets());
    secrets.extend(exposed(&stage.world.admin_secrets()));
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
