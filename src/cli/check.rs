//! `tidegate check`: can the agent do its work, from the files that it needs and the control plane to each target.
//!
//! Looks and changes nothing, with one exception that it tells of: a secret that was never sent anywhere is
//! pinned to the host that it is sent to now, as it would be by the agent itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::Args as Arguments;
use driver::{CheckReport, Grade};
use journal::identity::{Identity, IdentityStore};
use model::{Failure, Integration, IntegrationId};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use secrets::file::FileStore;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::fault::Fault;
use super::print::Lines;
use super::progress::Progress;
use super::shared::{AT_ONCE, block_on, identity, targets, with_journal};
use super::{Context, Ended};
use crate::config::{Config, token};
use crate::engine::targets::Targets;
use crate::exit::{self, Exit};
use crate::guardrails;
use crate::link;
use crate::socket::examine;

const EXAMPLES: &str = "\
Examples:
  tidegate check
  tidegate check orders-db          # one integration only

It ends with 0 when everything is good or only warned of.";

/// Check files, identity, journal, the control plane, and every integration's target
///
/// Integrations are known once the agent has been connected to the control plane.
#[derive(Debug, Arguments)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Check only these integrations
    integrations: Vec<IntegrationId>,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    name: String,
    grade: &'static str,
    detail: String,
    #[serde(skip)]
    exit: Exit,
}

impl Finding {
    fn good(name: &str, detail: impl Into<String>) -> Self {
        Self { name: name.into(), grade: "good", detail: detail.into(), exit: Exit::Done }
    }

    fn warning(name: &str, detail: impl Into<String>) -> Self {
        Self { name: name.into(), grade: "warning", detail: detail.into(), exit: Exit::Done }
    }

    fn bad(name: &str, detail: impl Into<String>, exit: Exit) -> Self {
        Self { name: name.into(), grade: "bad", detail: detail.into(), exit }
    }

    /// Lets the command that is the way out read the configuration that this one read.
    fn name_file(&mut self, file: &Path) {
        let with = format!("tidegate --config {} bindings approve", quoted(file));
        self.detail = self.detail.replace("tidegate bindings approve", &with);
    }

    fn fault(name: &str, fault: &Fault) -> Self {
        Self::bad(name, exit::chain(fault), fault.exit())
    }
}

/// What was found on one integration.
#[derive(Debug, Serialize)]
struct Visit {
    integration: IntegrationId,
    product: String,
    version: String,
    findings: Vec<Finding>,
}

#[derive(Debug, Default, Serialize)]
struct Found {
    agent: Vec<Finding>,
    integrations: Vec<Visit>,
}

impl Found {
    /// Returns the code of the first thing that is bad.
    fn exit(&self) -> Exit {
        let of_targets = self.integrations.iter().flat_map(|visit| &visit.findings);
        self.agent
            .iter()
            .chain(of_targets)
            .map(|found| found.exit)
            .find(|exit| *exit != Exit::Done)
            .unwrap_or(Exit::Done)
    }
}

/// Returns what is wrong with the files that a configuration names.
pub(super) fn files(config: &Config) -> Vec<Fault> {
    let mut faults = vec![];
    faults.extend(token::read(&config.token_file).err().map(Fault::from));
    let of_plane = |path| certificates("control_plane.ca_file", path);
    faults.extend(config.control_plane.ca_file.as_deref().and_then(of_plane));
    if let Some(proxy) = &config.control_plane.proxy {
        let of_proxy = |path| certificates("control_plane.proxy_ca_file", path);
        let login = proxy.credentials_file.as_deref().map(token::proxy_login);
        faults.extend(login.and_then(Result::err).map(Fault::from));
        faults.extend(proxy.ca_file.as_deref().and_then(of_proxy));
    }
    let root = config.secrets.file_root.as_deref();
    faults.extend(root.and_then(|root| FileStore::below(root).err()).map(Fault::from));
    faults.extend(identity(config).err());
    faults.extend(
        config
            .guardrails
            .as_ref()
            .and_then(|from| guardrails::read(&config.connector, from).err())
            .map(Fault::from),
    );
    faults.extend(examine(&config.admin_socket, config.socket_is_default()).err().map(Fault::from));
    faults
}

fn certificates(key: &'static str, path: &Path) -> Option<Fault> {
    let fault = |detail: String| Some(Fault::Certificates { key, path: path.into(), detail });
    match CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
        Ok(found) if found.is_empty() => fault("there is none in it".into()),
        Ok(_) => None,
        Err(cause) => fault(exit::chain(&cause)),
    }
}

pub(super) fn run(args: &Args, context: &Context) -> Ended {
    let config = context.config()?;
    let mut found = Found::default();
    let faults = files(&config);
    found.agent.extend(faults.iter().map(|fault| Finding::fault("files", fault)));
    if faults.is_empty() {
        found.agent.push(Finding::good("files", "token, certificates, secrets and identity can be read, and the local socket's place is closed to others"));
    }
    block_on(async {
        found.agent.push(journal(context, &config).await);
        found.agent.push(control_plane(&config).await);
        if let Ok((store, identity)) = identity(&config) {
            // The journal's folder is made at the first start: until then its place is looked at.
            let place = config.journal.dir.ancestors().find(|dir| dir.exists());
            if place.is_some_and(|place| store.shares_volume_with(place).is_ok_and(|shares| shares)) {
                found.agent.push(Finding::warning(
                    "volumes",
                    "identity and journal are on one volume: whoever loses it cannot recognise open accounts any more; move one of them",
                ));
            }
            found.integrations = visits(args, context, &config, store, identity).await?;
        }
        Ok(())
    })?;
    context.printer.answer(&found, |lines| tell(&found, lines))?;
    Ok(found.exit())
}

/// Writes a path for a shell.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+".contains(&byte)) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn tell(found: &Found, lines: &mut Lines) {
    lines.push("Agent");
    lines.table(&rows(&found.agent));
    for visit in &found.integrations {
        lines.push("");
        let what = format!("Integration {}: {} {}", visit.integration, visit.product, visit.version);
        lines.push(what.trim_end());
        lines.table(&rows(&visit.findings));
    }
    if found.integrations.is_empty() {
        lines.push("");
        lines.push("No integration is known yet: the control plane gives them once the agent runs.");
    }
}

fn rows(findings: &[Finding]) -> Vec<[String; 3]> {
    findings
        .iter()
        .map(|found| [format!("  {}", found.grade), found.name.clone(), found.detail.clone()])
        .collect()
}

async fn journal(context: &Context, config: &Config) -> Finding {
    let looked = with_journal(context, config, async |journal| {
        let (loaded, counted) = (journal.load().await?, journal.counted().await?);
        Ok(format!(
            "{} rows, {} receipts, {} reports that the control plane has not committed",
            loaded.rows.len(),
            counted.receipts,
            counted.uncommitted_reports
        ))
    });
    match looked.await {
        Ok(Some(detail)) => Finding::good("journal", detail),
        Ok(None) => Finding::good("journal", "there is none yet: it is made at the first start"),
        Err(fault) => Finding::fault("journal", &fault),
    }
}

/// Dials once, within `control_plane.connect_deadline`.
async fn control_plane(config: &Config) -> Finding {
    let settings = &config.control_plane;
    match link::look(settings, &config.token_file, &config.connector).await {
        Ok(()) => Finding::good("control plane", format!("{} takes the token", settings.url)),
        Err(fault) => Finding::bad("control plane", exit::chain(&fault), Exit::NotReady),
    }
}

async fn visits(
    args: &Args,
    context: &Context,
    config: &Config,
    store: IdentityStore,
    identity: Identity,
) -> Result<Vec<Visit>, Fault> {
    let known = wanted(args, store.snapshot()?)?;
    let targets = targets(context, config, store, identity)?;
    let mut visits = each(known, &targets, config, context).await;
    if let Some(file) = &context.global.config {
        visits.iter_mut().flat_map(|visit| &mut visit.findings).for_each(|found| found.name_file(file));
    }
    targets.close().await;
    Ok(visits)
}

/// Visits some targets at a time, and says how far it has come. In the order of the integrations.
async fn each(
    known: Vec<Integration>,
    targets: &Arc<Targets>,
    config: &Config,
    context: &Context,
) -> Vec<Visit> {
    let (total, patience) = (known.len(), config.engine.call_deadline.saturating_mul(2));
    let mut progress = Progress::new(&context.printer);
    let (mut waiting, mut under_way) = (known.into_iter().map(Arc::new), JoinSet::new());
    let (mut asked, mut visits) = (BTreeSet::new(), BTreeMap::new());
    loop {
        while under_way.len() < AT_ONCE
            && let Some(integration) = waiting.next()
        {
            asked.insert(integration.id.clone());
            let targets = Arc::clone(targets);
            under_way.spawn(async move { visit(&targets, &integration, patience).await });
        }
        let names: Vec<_> = asked.iter().map(IntegrationId::as_str).collect();
        progress.show(&format!("{} of {total} targets checked; asking {}", visits.len(), names.join(", ")));
        match under_way.join_next().await {
            None => return visits.into_values().collect(),
            // One that broke off has said so by its panic.
            Some(Err(_)) => {}
            Some(Ok(visit)) => {
                asked.remove(&visit.integration);
                visits.insert(visit.integration.clone(), visit);
            }
        }
    }
}

fn wanted(args: &Args, mut known: BTreeMap<IntegrationId, Integration>) -> Result<Vec<Integration>, Fault> {
    if args.integrations.is_empty() {
        return Ok(known.into_values().collect());
    }
    let unknown = |id: &IntegrationId| {
        Fault::Usage(format!("there is no integration `{id}`: `tidegate check` lists those that are known"))
    };
    args.integrations.iter().map(|id| known.remove(id).ok_or_else(|| unknown(id))).collect()
}

async fn visit(targets: &Targets, integration: &Arc<Integration>, patience: Duration) -> Visit {
    let looked = async {
        let opened = targets.open(integration).await?;
        opened.target.check().await
    };
    let outcome = timeout(patience, looked).await;
    let report = match outcome {
        Ok(Ok(report)) => report,
        Ok(Err(failure)) => return unvisited(integration, &failure),
        Err(_) => {
            let late = Failure::not_done(model::Code::TIMED_OUT, "the target did not answer in time");
            return unvisited(integration, &late);
        }
    };
    let CheckReport { probes, product, version } = report;
    let findings = probes
        .into_iter()
        .map(|probe| match probe.grade {
            Grade::Good => Finding::good(&probe.name, probe.detail),
            Grade::Warning => Finding::warning(&probe.name, probe.detail),
            Grade::Bad => Finding::bad(&probe.name, probe.detail, Exit::NotReady),
        })
        .collect();
    Visit { integration: integration.id.clone(), product, version, findings }
}

fn unvisited(integration: &Integration, failure: &Failure) -> Visit {
    Visit {
        integration: integration.id.clone(),
        product: integration.kind.to_string(),
        version: String::new(),
        findings: vec![Finding::bad("connection", failure.to_string(), Exit::NotReady)],
    }
}
