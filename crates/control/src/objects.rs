//! Single objects for the graph's page: read, checked and written by the reader's own rights. In: requests of the
//! graph API below `/api/v1/config/`. Out: the object as YAML with what is wrong with it and what it acts on.
//!
//! A version of an object here is one of what a writer can change: the status, which the mesh writes after every
//! change, makes no other one.

#[cfg(test)]
mod contract;
mod foreseen;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::BoxFuture;
use http::Method;
use lateen_api::issue::{Code, Issue, Severity};
use lateen_api::kinds::{Source, by_kind};
use lateen_api::resource::Key;
use lateen_kube::{Client, DryRun, Error};
use lateen_runtime::admin::Page;
use lateen_runtime::pages::{Ask, Pages, Reader, Refusal, only};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::findings::{Findings, Verdict};
use crate::inventory::{Inventory, item};
use crate::query;
use crate::reading::reading;
use crate::whatif::WhatIf;
use foreseen::Foreseen;

/// How often a write is tried again that the status came before.
const ATTEMPTS: usize = 4;

/// What a reader may do with objects, and by whose hand.
pub trait Rights: Send + Sync {
    /// The API as the reader has it: what they may not do, it refuses.
    fn client(&self, reader: &Reader) -> Result<Client, Refusal>;

    /// Whether the reader may update an object.
    fn may_update<'a>(&'a self, reader: &'a Reader, key: &'a Key) -> BoxFuture<'a, bool>;
}

/// The owner of a mesh on one machine may do everything there, and nobody else may do anything.
pub struct Owner(pub Client);

impl Rights for Owner {
    fn client(&self, reader: &Reader) -> Result<Client, Refusal> {
        match reader {
            Reader::Owner => Ok(self.0.clone()),
            Reader::User(user) => Err(Refusal::Forbidden(format!(
                "this mesh belongs to the user who started it, and not to {}",
                user.name
            ))),
        }
    }

    fn may_update<'a>(&'a self, reader: &'a Reader, _key: &'a Key) -> BoxFuture<'a, bool> {
        Box::pin(std::future::ready(*reader == Reader::Owner))
    }
}

/// The pages.
pub struct Objects {
    inventory: Inventory,
    findings: Arc<Findings>,
    rights: Arc<dyn Rights>,
    whatif: WhatIf,
}

/// What a reader wrote.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Update {
    yaml: String,
    /// The version that it was made from; empty: there is none, and the object is created.
    resource_version: String,
}

impl Pages for Objects {
    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Option<Page>> {
        Box::pin(async move {
            let path = ask.path.strip_prefix("/api/v1/config/")?;
            Some(self.page(ask, path).await.unwrap_or_else(|problem| problem))
        })
    }
}

impl Objects {
    pub fn new(
        inventory: Inventory,
        findings: Arc<Findings>,
        rights: Arc<dyn Rights>,
        whatif: WhatIf,
    ) -> Self {
        Self { inventory, findings, rights, whatif }
    }

    async fn page(&self, ask: &Ask, path: &str) -> Result<Page, Page> {
        let key = key(path)?;
        let client = self.rights.client(&ask.reader).map_err(|refusal| refusal.page())?;
        let seen = match ask.method {
            Method::GET | Method::HEAD => {
                let object = current(&client, &key).await?;
                let verdict = self.findings.verdicts().remove(&key.object_ref());
                Seen { object, verdict: verdict.unwrap_or_default(), foreseen: None }
            }
            Method::POST => {
                let update: Update = ask.json()?;
                let dry_run = dry_run(&ask.query)?;
                if !self.rights.may_update(&ask.reader, &key).await {
                    let text = format!("your account lacks the right to update {key}");
                    return Err(Page::problem(403, text));
                }
                let mut written = written(&client, &key, &update, dry_run).await?;
                match dry_run {
                    DryRun::No => {
                        let user = ask.reader.user().unwrap_or("the owner");
                        tracing::info!(object = %key, user, "changed by the graph's page");
                    }
                    // What would be refused anyway would change nothing.
                    DryRun::Yes if written.verdict.count().errors > 0 => {}
                    DryRun::Yes => {
                        let object = written.object.clone();
                        let outlook = self.whatif.ask(&ask.reader, key.kind, object).await;
                        let known = &written.verdict.validation;
                        written.foreseen = Some(Foreseen::new(outlook, known, &ask.reader));
                    }
                }
                written
            }
            _ => return Err(only("GET and POST")),
        };
        let editable = self.rights.may_update(&ask.reader, &key).await;
        self.shown(&key, seen, editable)
    }

    fn shown(&self, key: &Key, seen: Seen, editable: bool) -> Result<Page, Page> {
        let Seen { object, verdict, foreseen } = seen;
        let created = object["metadata"]["creationTimestamp"].as_str();
        let created = created.and_then(|time| time.parse::<jiff::Timestamp>().ok());
        let created = created.map_or(0, jiff::Timestamp::as_millisecond);
        let mut shown = item(key, &key.object_ref(), created, verdict.count());
        let content = text::content(key.kind, object);
        let more = json!({
            "yaml": text::write(&content).map_err(|error| Page::problem(500, error))?,
            "resourceVersion": text::version(&content),
            "validation": verdict.issues().map(issue).collect::<Vec<_>>(),
            "editable": editable,
            "actsOn": self.inventory.acts().nodes(key),
        });
        let fields = shown.as_object_mut().into_iter().zip(more.as_object());
        fields.for_each(|(shown, more)| shown.extend(more.clone()));
        if let Some(foreseen) = foreseen {
            shown["foreseen"] = foreseen.shown(key);
        }
        Ok(Page::json(&shown))
    }
}

/// An object as the API has it, and what is wrong with it.
struct Seen {
    object: Value,
    verdict: Verdict,
    /// What the mesh would say of it, if it was asked.
    foreseen: Option<Foreseen>,
}

/// The object that a path names: `KIND.GROUP/NAMESPACE/NAME`, with `_` for no namespace. Objects that are not of the
/// mesh, such as Secrets, are not here.
fn key(path: &str) -> Result<Key, Page> {
    let missing = |text: String| Page::problem(404, text);
    let parts: Vec<&str> = path.split('/').collect();
    let [kind, namespace, name] = parts[..] else {
        return Err(missing(format!("{path} is not KIND.GROUP/NAMESPACE/NAME")));
    };
    let (kind, group) = kind.split_once('.').unwrap_or((kind, ""));
    let found = by_kind(group, kind).filter(|found| {
        found.source != Source::Kubernetes || (found.group, found.kind) == ("", "Service")
    });
    let kind = found.ok_or_else(|| {
        missing(format!(
            "there is no kind {kind} of {group:?} here: Istio's, the Gateway API's and Services are"
        ))
    })?;
    let namespace = if namespace == "_" { "" } else { namespace };
    match (kind.namespaced, namespace.is_empty(), name.is_empty()) {
        (true, false, false) | (false, true, false) => {
            Ok(Key { kind, namespace: namespace.to_owned(), name: name.to_owned() })
        }
        _ => Err(missing(format!("{path} names no {}", kind.kind))),
    }
}

fn dry_run(query: &str) -> Result<DryRun, Page> {
    let given = query::of_page(query, &["dryRun"]).map_err(|why| Page::problem(400, why))?;
    match given.get("dryRun").map(|value| &**value) {
        None | Some("" | "false") => Ok(DryRun::No),
        Some("true") => Ok(DryRun::Yes),
        Some(other) => {
            Err(Page::problem(400, format!("dryRun {other:?} is neither true nor false")))
        }
    }
}

async fn current(client: &Client, key: &Key) -> Result<Value, Page> {
    let namespace = Some(&*key.namespace).filter(|namespace| !namespace.is_empty());
    let found = client.get(key.kind, namespace, &key.name).await;
    found.map_err(trouble)?.ok_or_else(|| Page::problem(404, format!("there is no {key}")))
}

/// What becomes of an update, or would become of it.
async fn written(
    client: &Client,
    key: &Key,
    update: &Update,
    dry_run: DryRun,
) -> Result<Seen, Page> {
    let wanted = text::read(key, &update.yaml).map_err(|issue| not_valid(&[*issue]))?;
    let found = reading(key.kind, wanted.clone()).issues;
    let has_errors = found.iter().any(|issue| issue.severity == Severity::Error);
    if has_errors && dry_run == DryRun::No {
        return Err(not_valid(&found.into_iter().collect::<Vec<_>>()));
    }
    let creates = update.resource_version.is_empty();
    for _ in 0..ATTEMPTS {
        let next = if creates {
            wanted.clone()
        } else {
            let present = current(client, key).await?;
            let made_from = text::version(&text::content(key.kind, present.clone()));
            if dry_run == DryRun::No && update.resource_version != made_from {
                break;
            }
            text::complete(wanted.clone(), &present)
        };
        let verdict = Verdict { validation: found.clone(), refusals: BTreeSet::new() };
        if has_errors {
            return Ok(Seen { object: next, verdict, foreseen: None });
        }
        let outcome = if creates {
            client.create_or_try(key.kind, next.clone(), dry_run).await
        } else {
            client.update(key.kind, next.clone(), dry_run).await
        };
        match outcome {
            Ok(object) => return Ok(Seen { object, verdict, foreseen: None }),
            Err(error) if error.is_conflict() => {}
            Err(error) => match refusal(key, &error) {
                None => return Err(trouble(error)),
                Some(issue) if dry_run == DryRun::No => return Err(not_valid(&[issue])),
                Some(issue) => {
                    let refusals = BTreeSet::from([issue]);
                    let verdict = Verdict { refusals, ..verdict };
                    return Ok(Seen { object: next, verdict, foreseen: None });
                }
            },
        }
    }
    Err(Page::problem(409, format!("{key} has changed since it was read")))
}

/// The API's word against an object, if it is the object that is wrong.
fn refusal(key: &Key, error: &Error) -> Option<Issue> {
    let Error::Refused { code: 400 | 422, message, .. } = error else { return None };
    Some(Issue::error(key.object_ref(), "", Code::SCHEMA_VALIDATION_ERROR, message))
}

fn not_valid(issues: &[Issue]) -> Page {
    let said: Vec<&str> = issues
        .iter()
        .filter(|issue| issue.severity == Severity::Error)
        .map(|issue| &*issue.message)
        .collect();
    let text = format!("the object is not valid: {}", said.join("; "));
    Page::problem_of(422, text, issues.iter().map(issue).collect())
}

/// What else the API said, or that it said nothing.
fn trouble(error: Error) -> Page {
    match error {
        Error::Refused { code: code @ (401 | 403 | 404 | 409 | 429), message, .. } => {
            Page::problem(code, message)
        }
        Error::Refused { code: 400 | 422, message, .. } => Page::problem(422, message),
        Error::Refused { .. } => Page::problem(502, error.to_string()),
        _ => Page::problem(503, error.to_string()),
    }
}

fn issue(issue: &Issue) -> Value {
    json!({
        "code": issue.code.0,
        "severity": issue.severity.to_string(),
        "message": issue.message,
        "path": issue.path,
    })
}
