//! `integrations apply`: brings the server to what a file says. The file is checked whole before anything
//! is sent.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _};
use std::path::Path;

use model::{ConnectorId, IntegrationId, Policy};
use secrets::Reference;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::{Api, Call, read};
use crate::command::Desk;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::print::Table;
use crate::shape::Integration;

/// Largest file, in bytes.
const LARGEST: u64 = 4 * 1024 * 1024;

/// One integration as a file says it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    id: IntegrationId,
    connector: ConnectorId,
    kind: String,
    #[serde(default)]
    title: Option<String>,
    /// Numbers and words like `yes` are taken as they are written.
    #[serde(default)]
    settings: BTreeMap<String, String>,
    secret: String,
    #[serde(default)]
    policy: Option<PolicyDocument>,
    #[serde(default)]
    approval: Option<Approval>,
    #[serde(default)]
    access_details: Option<String>,
    #[serde(default)]
    max_duration_seconds: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyDocument {
    #[serde(default)]
    credentials_rotation_period_in_days: Option<u32>,
    #[serde(default)]
    credentials_cleanup_period_in_days: Option<u32>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Approval {
    mode: Mode,
    #[serde(default)]
    self_approval: bool,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Auto,
    Approve,
}

impl Document {
    fn body(&self) -> Value {
        let policy = self.policy.as_ref().map(|policy| Policy {
            credentials_rotation_period_in_days: policy.credentials_rotation_period_in_days,
            credentials_cleanup_period_in_days: policy.credentials_cleanup_period_in_days,
        });
        let mut body = json!({
            "connector": self.connector,
            "kind": self.kind,
            "settings": self.settings,
            "secret": self.secret,
        });
        let optional = [
            ("title", json!(self.title)),
            ("policy", json!(policy)),
            ("approval", json!(self.approval)),
            ("access_details", json!(self.access_details)),
            ("max_duration_seconds", json!(self.max_duration_seconds)),
        ];
        if let Some(body) = body.as_object_mut() {
            body.extend(
                optional
                    .into_iter()
                    .filter(|(_, value)| !value.is_null())
                    .map(|(key, value)| (key.into(), value)),
            );
        }
        body
    }
}

pub(super) async fn run(file: &Path, desk: &Desk<'_>) -> Result<Exit, Fault> {
    let documents = documents(file)?;
    let (api, _) = desk.api()?;
    let mut answers = vec![];
    let mut table = Table::new(&["INTEGRATION", "REVISION", "DONE"]);
    let mut fault = None;
    for document in &documents {
        match one(&api, document).await {
            Ok((answer, found, done)) => {
                table.row([found.id, found.revision.to_string(), done.into()]);
                answers.push(answer);
            }
            Err(first) => {
                fault = Some(first);
                break;
            }
        }
    }
    if !answers.is_empty() || fault.is_none() {
        desk.printer.answer(&Value::from(answers), |text| text.table(&table))?;
    }
    fault.map_or(Ok(Exit::Ok), Err)
}

async fn one(api: &Api, document: &Document) -> Result<(Value, Integration, &'static str), Fault> {
    let what = format!("apply the integration {}", document.id);
    let path = ["integrations", document.id.as_str()];
    let before: Option<Integration> = match api.call(Call::get(&path, &what)).await {
        Ok(answer) => Some(read(answer, &what)?),
        Err(fault) if fault.exit == Exit::NotFound => None,
        Err(fault) => return Err(fault),
    };
    let answer = api.call(Call::put(&path, document.body(), &what)).await?;
    let after: Integration = read(answer.clone(), &what)?;
    let done = match before {
        None => "made",
        Some(before) if before.revision == after.revision => "unchanged",
        Some(_) => "changed",
    };
    Ok((answer, after, done))
}

fn documents(path: &Path) -> Result<Vec<Document>, Fault> {
    let what = format!("read {}", path.display());
    let mut text = String::new();
    let read = if path.as_os_str() == "-" {
        io::stdin().lock().take(LARGEST + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_string(&mut text))
    };
    read.map_err(|fault| {
        Fault::new(Exit::Usage, what.clone(), fault.to_string()).or("name a YAML or JSON file")
    })?;
    // A part of it could be read as less than was meant.
    if text.len() as u64 > LARGEST {
        return Err(Fault::usage(what, format!("it has more than {LARGEST} bytes"), "apply it in parts"));
    }
    let documents = parse(&text)
        .map_err(|why| Fault::usage(what.clone(), why, "see tidegatectl integrations --help for the form"))?;
    let mut seen = BTreeSet::new();
    for document in &documents {
        let odd =
            |why: String| Fault::usage(what.clone(), format!("{}: {why}", document.id), "correct the file");
        if !seen.insert(&document.id) {
            return Err(odd("it stands there twice".into()));
        }
        Reference::parse(&document.secret).map_err(|fault| odd(format!("secret: {fault}")))?;
    }
    if documents.is_empty() {
        return Err(Fault::usage(
            what,
            "there is no integration in it",
            "see tidegatectl integrations --help",
        ));
    }
    Ok(documents)
}

/// Reads one or more documents, or one list of them.
fn parse(text: &str) -> Result<Vec<Document>, String> {
    let first = text.lines().map(str::trim_start).find(|line| {
        !line.is_empty() && !line.starts_with('#') && !line.starts_with("---") && !line.starts_with('%')
    });
    let list = first.is_some_and(|line| line.starts_with("- ") || line == "-" || line.starts_with('['));
    if list {
        serde_saphyr::from_str(text).map_err(|fault| fault.to_string())
    } else {
        serde_saphyr::from_multiple(text).map_err(|fault| fault.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "id: shop\nconnector: eu\nkind: postgres\nsecret: file://a\n";

    #[test]
    fn files_are_read_in_every_form() {
        let json = r#"{"id":"shop","connector":"eu","kind":"postgres","secret":"file://a"}"#;
        let table = [
            ("a document", ONE.to_owned(), 1),
            ("documents", format!("---\n{ONE}---\n{}", ONE.replace("shop", "two")), 2),
            ("a list", "# all\n- {id: a, connector: eu, kind: p, secret: 'file://a'}\n- {id: b, connector: eu, kind: p, secret: 'file://a'}\n".into(), 2),
            ("JSON", json.into(), 1),
            ("a JSON list", format!("[{json}]"), 1),
            ("nothing", "# nothing\n".into(), 0),
        ];
        for (name, text, count) in table {
            assert_eq!(parse(&text).map(|all| all.len()), Ok(count), "{name}");
        }
    }

    #[test]
    fn settings_are_text_as_written() {
        let text = format!("{ONE}settings: {{port: 05432, tls: on, country: no, v: 1.50}}\n");
        let all = parse(&text).unwrap();
        let settings = all[0].body()["settings"].clone();
        assert_eq!(settings, json!({"port": "05432", "tls": "on", "country": "no", "v": "1.50"}));
        assert_eq!(all[0].body().get("policy"), None, "what is not said is not sent");
    }

    #[test]
    fn what_is_not_known_is_refused_with_its_line() {
        let fault = parse(&format!("{ONE}sekret: x\n")).unwrap_err();
        assert!(fault.contains("line 5") && fault.contains("sekret"), "{fault}");
        for text in [
            &format!("{ONE}id: again\n"),
            "id: a b\n",
            "- id\n",
            "x",
            &format!("{ONE}approval: {{mode: maybe}}\n"),
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
