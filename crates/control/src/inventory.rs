//! What there is in the mesh, for the graph's page: lists of namespaces, applications, workloads, services and
//! configuration, in the shapes of the graph API. In: the present snapshot and findings. Out: JSON.
//!
//! Health is the traffic's matter, which this part knows nothing of.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lateen_api::issue::{ObjectRef, Severity};
use lateen_api::resource::Key;
use lateen_model::Snapshot;
use lateen_model::service::{Labels, Registry, Service};
use lateen_model::workload::Workload;
use lateen_runtime::admin::{Handler, Page};
use serde::Serialize;
use serde_json::{Value, json};

use crate::debug::Proxies;
use crate::findings::{Facts, Findings, Verdict};
use crate::published::Published;

/// Rows of one answer; a page that needs more asks for less.
const ROWS: usize = 5000;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Count {
    errors: usize,
    warnings: usize,
}

/// A row of the lists of applications, workloads and services.
#[derive(Debug, Serialize)]
struct Item {
    id: String,
    kind: &'static str,
    namespace: String,
    name: String,
    labels: Labels,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instances: Option<Instances>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sidecars: Option<&'static str>,
    health: Value,
    issues: Count,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Instances {
    all: usize,
    ready: usize,
}

/// What a list is asked for.
struct Wanted<'q> {
    namespaces: Option<BTreeSet<Cow<'q, str>>>,
    search: String,
    kind: String,
}

/// Workloads of one owner, or of one application.
#[derive(Default)]
struct Group {
    labels: Labels,
    kind: String,
    instances: Instances,
    with_sidecar: usize,
}

/// The pages under `/api/v1/`.
pub(crate) fn handler(
    published: Arc<Published>,
    findings: Arc<Findings>,
    proxies: Arc<Proxies>,
) -> Handler {
    Arc::new(move |path, query| {
        let path = path.strip_prefix("/api/v1/")?;
        let snapshot = published.snapshot();
        let wanted = Wanted::read(query);
        Some(Page::json(&match path {
            "namespaces" => json!({ "namespaces": namespaces(&snapshot) }),
            "services" => json!({ "items": services(&snapshot, &findings, &wanted) }),
            "workloads" | "applications" => {
                let is_workload = path == "workloads";
                json!({ "items": workloads(&snapshot, &proxies, &wanted, is_workload) })
            }
            "config" => json!({ "items": config(&findings, &wanted) }),
            _ => return None,
        }))
    })
}

impl<'q> Wanted<'q> {
    fn read(query: &'q str) -> Self {
        let get = |name: &str| {
            let mut all = form_urlencoded::parse(query.as_bytes());
            all.find(|(key, _)| key == name).map(|(_, value)| value).filter(|v| !v.is_empty())
        };
        let split = |text: Cow<'q, str>| -> BTreeSet<Cow<'q, str>> {
            text.split(',').map(|name| Cow::Owned(name.trim().to_owned())).collect()
        };
        Self {
            namespaces: get("namespaces").map(split),
            search: get("search").unwrap_or_default().to_lowercase(),
            kind: get("kind").unwrap_or_default().to_lowercase(),
        }
    }

    fn fits(&self, namespace: &str, name: &str) -> bool {
        self.namespaces.as_ref().is_none_or(|all| all.contains(namespace))
            && (name.to_lowercase().contains(&self.search) || namespace.contains(&self.search))
    }
}

fn namespaces(snapshot: &Snapshot) -> Vec<Value> {
    let row = |(name, labels): (&String, &Labels)| {
        let injection = match labels.get("istio-injection").map(String::as_str) {
            Some("enabled") => "enabled",
            Some("disabled") => "disabled",
            _ => "unset",
        };
        let revision = labels.get("istio.io/rev");
        json!({ "name": name, "injection": injection, "revision": revision, "health": unknown() })
    };
    snapshot.namespaces().map(row).collect()
}

/// Nothing is known of its traffic here.
fn unknown() -> Value {
    json!({ "state": "idle", "reasons": [] })
}

fn services(snapshot: &Snapshot, findings: &Findings, wanted: &Wanted<'_>) -> Vec<Item> {
    let verdicts = findings.verdicts();
    let all = snapshot.services().all().iter().enumerate();
    let shown = all.filter(|(_, service)| wanted.fits(service.namespace(), &service.hostname));
    let row = |(id, service): (usize, &Arc<Service>)| {
        let endpoints: BTreeSet<_> =
            snapshot.endpoints(id).all().map(|one| &one.workload.address).collect();
        let (kind, r#type) = match service.registry {
            Registry::Kubernetes => ("service", "Service"),
            _ => ("serviceEntry", "ServiceEntry"),
        };
        let namespace = service.namespace();
        Item {
            id: format!("{kind}/{namespace}/{}", service.name),
            kind: "service",
            namespace: namespace.to_owned(),
            name: service.name.to_string(),
            labels: service.selector.clone().unwrap_or_default(),
            r#type: Some(r#type.to_owned()),
            instances: Some(Instances { all: endpoints.len(), ready: endpoints.len() }),
            sidecars: None,
            health: unknown(),
            issues: verdicts.get(&service.meta.object).map(count).unwrap_or_default(),
        }
    };
    let mut rows: Vec<Item> = shown.map(row).collect();
    rows.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    rows.truncate(ROWS);
    rows
}

fn workloads(
    snapshot: &Snapshot,
    proxies: &Proxies,
    wanted: &Wanted<'_>,
    by_owner: bool,
) -> Vec<Item> {
    let connected: BTreeSet<(String, String)> =
        proxies.list().into_iter().map(|proxy| (proxy.namespace, proxy.name)).collect();
    let mut groups: BTreeMap<(String, String), Group> = BTreeMap::new();
    for workload in snapshot.endpoint_index().workloads().filter(|one| !one.synthetic) {
        let name = if by_owner { &workload.owner.name } else { workload.canonical_name() };
        let namespace = &workload.meta.namespace;
        if wanted.fits(namespace, name) {
            let own = (namespace.clone(), workload.meta.name.clone());
            let group = groups.entry((namespace.clone(), name.to_owned())).or_default();
            group.add(workload, connected.contains(&own));
        }
    }
    let rows = groups.into_iter().take(ROWS);
    rows.map(|((namespace, name), group)| group.item(namespace, name, by_owner)).collect()
}

impl Group {
    fn add(&mut self, workload: &Workload, has_sidecar: bool) {
        if self.instances.all == 0 {
            self.labels.clone_from(&workload.labels);
            self.kind.clone_from(&workload.owner.kind);
        }
        self.instances.all += 1;
        self.instances.ready += usize::from(workload.healthy);
        self.with_sidecar += usize::from(has_sidecar);
    }

    fn item(self, namespace: String, name: String, is_workload: bool) -> Item {
        let kind = if is_workload { "workload" } else { "app" };
        Item {
            id: format!("{kind}/{namespace}/{name}"),
            kind,
            namespace,
            name,
            labels: self.labels,
            r#type: Some(self.kind).filter(|_| is_workload),
            instances: Some(self.instances),
            sidecars: Some(match self.with_sidecar {
                0 => "none",
                some if some < self.instances.all => "some",
                _ => "all",
            }),
            health: unknown(),
            issues: Count::default(),
        }
    }
}

fn config(findings: &Findings, wanted: &Wanted<'_>) -> Vec<Value> {
    let verdicts = findings.verdicts();
    let shown = findings.objects().into_iter().filter(|(key, _)| {
        let kind = key.kind.kind.to_lowercase();
        wanted.fits(&key.namespace, &key.name) && (wanted.kind.is_empty() || kind == wanted.kind)
    });
    let row = |(key, facts): (Key, Facts)| {
        let object: ObjectRef = key.object_ref();
        json!({
            "kind": object.kind,
            "group": object.group,
            "namespace": object.namespace,
            "name": object.name,
            "version": key.kind.storage_version(),
            "created": facts.created,
            "issues": verdicts.get(&object).map(count).unwrap_or_default(),
        })
    };
    shown.take(ROWS).map(row).collect()
}

fn count(verdict: &Verdict) -> Count {
    let all = || verdict.validation.iter().chain(&verdict.refusals);
    let of = |severity| all().filter(|issue| issue.severity == severity).count();
    Count { errors: of(Severity::Error), warnings: of(Severity::Warning) }
}

#[cfg(test)]
mod tests;
