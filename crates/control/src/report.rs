//! Issues to people. In: all findings. Out: a log line when an issue appears or goes, and the `status`
//! of the Istio objects that they are about. ServiceEntries get their automatic addresses there too.
//!
//! An object that never had an issue is left without conditions, as Istio leaves it.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use lateen_api::issue::{Issue, ObjectRef, Severity};
use lateen_kube::status::StatusWriter;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::ads::REFUSED;
use crate::condition::{condition, covers};
use crate::findings::{Facts, Findings, Verdict};

/// Findings come in bursts, one per resource: they are gathered for this long.
const GATHER: Duration = Duration::from_millis(50);
/// The conditions that this module owns; all others are kept as they are.
const PASSED: &str = "PassedValidation";
const RECONCILED: &str = "Reconciled";

/// An issue is logged when it has stood for this long: a file is applied object by object, and what
/// one refers to may come with the next.
const STANDS: Duration = Duration::from_secs(1);

/// Reports until dropped.
pub async fn run(findings: Arc<Findings>, statuses: StatusWriter) -> anyhow::Result<()> {
    let mut journal = Journal::default();
    loop {
        tokio::select! {
            () = findings.changed() => {
                tokio::time::sleep(GATHER).await;
                let verdicts = findings.verdicts();
                write_statuses(&findings, &verdicts, &statuses);
                journal.take(&verdicts, Instant::now());
            }
            () = journal.due() => journal.log_due(Instant::now()),
        }
    }
}

fn write_statuses(
    findings: &Findings,
    verdicts: &BTreeMap<ObjectRef, Verdict>,
    statuses: &StatusWriter,
) {
    let addresses = findings.addresses();
    let now = lateen_kube::events::now();
    for (key, facts) in findings.objects() {
        let verdict = verdicts.get(&key.object_ref()).cloned().unwrap_or_default();
        let given = addresses.get(&key.object_ref()).map(Vec::as_slice).unwrap_or_default();
        match with_addresses(&facts, status(&facts, &verdict, &now), given) {
            Some(status) => statuses.write(key, status),
            None => statuses.forget(&key),
        }
    }
}

/// What was said of the issues, and what is to be said.
#[derive(Default)]
struct Journal {
    logged: BTreeSet<Issue>,
    /// Not logged yet, with the time at which they will have stood for long enough.
    fresh: BTreeMap<Issue, Instant>,
}

impl Journal {
    fn take(&mut self, verdicts: &BTreeMap<ObjectRef, Verdict>, now: Instant) {
        let present = flat(verdicts);
        self.fresh.retain(|issue, _| present.contains(issue));
        self.logged.retain(|issue| {
            let stands = present.contains(issue);
            if !stands {
                tracing::info!("no longer: {}", line(issue));
            }
            stands
        });
        for issue in present.into_iter().filter(|issue| !self.logged.contains(*issue)) {
            self.fresh.entry(issue.clone()).or_insert(now + STANDS);
        }
    }

    /// Resolves when an issue has stood for long enough.
    async fn due(&self) {
        match self.fresh.values().min() {
            Some(at) => tokio::time::sleep_until(*at).await,
            None => std::future::pending().await,
        }
    }

    fn log_due(&mut self, now: Instant) {
        for (issue, _) in self.fresh.extract_if(.., |_, at| *at <= now) {
            match issue.severity {
                Severity::Error => tracing::error!("{}", line(&issue)),
                Severity::Warning => tracing::warn!("{}", line(&issue)),
                Severity::Info => tracing::info!("{}", line(&issue)),
            }
            self.logged.insert(issue);
        }
    }
}

/// One line, as in `IST0106 Gateway default/g: spec.servers[0].hosts: …`: the level says the severity.
fn line(issue: &Issue) -> String {
    let path = match issue.path.as_str() {
        "" => String::new(),
        path => format!(" {path}:"),
    };
    let line = format!("{} {}:{path} {}", issue.code, issue.object, issue.message);
    line.replace(['\n', '\r'], " ")
}

/// All issues, without what a proxy said of a resource: its session has logged that, once for all resources.
fn flat(verdicts: &BTreeMap<ObjectRef, Verdict>) -> BTreeSet<&Issue> {
    verdicts.values().flat_map(Verdict::issues).filter(|issue| issue.code != REFUSED).collect()
}

/// The status to write, or `None` when the present one is right: the merge patch of an IstioStatus.
pub fn status(facts: &Facts, verdict: &Verdict, now: &str) -> Option<Value> {
    let present = facts.status["conditions"].as_array().cloned().unwrap_or_default();
    let ours = |condition: &Value| matches!(condition["type"].as_str(), Some(PASSED | RECONCILED));
    let spotless = verdict.validation.is_empty() && verdict.refusals.is_empty();
    if spotless && !present.iter().any(ours) {
        return None;
    }
    let (passed, reconciled) = (&verdict.validation, &verdict.refusals);
    let valid = told(PASSED, passed, "ValidationErrors", facts, now);
    let accepted = told(RECONCILED, reconciled, "RefusedByProxy", facts, now);
    let mut conditions: Vec<Value> = present.into_iter().filter(|c| !ours(c)).collect();
    conditions.extend([valid, accepted]);
    let messages: Vec<Value> = passed.iter().chain(reconciled).map(message).collect();
    let mut status = json!({ "conditions": conditions, "validationMessages": messages });
    if let Some(generation) = facts.generation {
        status["observedGeneration"] = json!(generation);
    }
    (!covers(&facts.status, &status)).then_some(status)
}

/// The same with the automatic addresses of a ServiceEntry's hosts, in Istio's form.
fn with_addresses(
    facts: &Facts,
    patch: Option<Value>,
    given: &[(Arc<str>, IpAddr)],
) -> Option<Value> {
    let item = |(host, ip): &(Arc<str>, IpAddr)| json!({ "value": ip, "host": &**host });
    let wanted = json!({ "addresses": given.iter().map(item).collect::<Vec<Value>>() });
    if given.is_empty() || covers(&facts.status, &wanted) {
        return patch;
    }
    let mut patch = patch.unwrap_or_else(|| json!({}));
    patch["addresses"] = wanted["addresses"].clone();
    Some(patch)
}

fn told(name: &str, issues: &BTreeSet<Issue>, reason: &str, facts: &Facts, now: &str) -> Value {
    let failed = issues.iter().any(Issue::is_error);
    let truth = if failed { "False" } else { "True" };
    let texts: Vec<String> = issues.iter().map(text).collect();
    let reason = match (failed, issues.is_empty()) {
        (true, _) => reason,
        (false, false) => "Warnings",
        (false, true) => "NoIssues",
    };
    condition(&facts.status, name, truth, reason, &texts.join("; "), now)
}

fn text(issue: &Issue) -> String {
    match issue.path.as_str() {
        "" => format!("[{}] {}", issue.code, issue.message),
        path => format!("[{}] {path}: {}", issue.code, issue.message),
    }
}

/// Istio's AnalysisMessageBase.
fn message(issue: &Issue) -> Value {
    let level = match issue.severity {
        Severity::Error => "ERROR",
        Severity::Warning => "WARNING",
        Severity::Info => "INFO",
    };
    let code = issue.code.0;
    let mut message = json!({ "type": { "code": code }, "level": level });
    if code.starts_with("IST") {
        let page = code.to_ascii_lowercase();
        let url = format!("https://istio.io/latest/docs/reference/config/analysis/{page}/");
        message["documentationUrl"] = json!(url);
    }
    message
}
