//! What there is in the mesh, for the graph's page: lists of namespaces, applications, workloads, services and
//! configuration, in the shapes of the graph API, and what acts on what. In: the present snapshot and findings, and
//! who knows how well something is. Out: JSON.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use lateen_api::issue::ObjectRef;
use lateen_api::kinds::{KINDS, Source};
use lateen_api::resource::Key;
use lateen_model::Snapshot;
use lateen_model::service::{Labels, Registry, Service};
use lateen_model::workload::{Health as EndpointHealth, Workload};
use lateen_runtime::admin::Page;
use serde::Serialize;
use serde_json::{Value, json};

use crate::acts::Acts;
use crate::debug::Proxies;
use crate::findings::{Count, Facts, Findings};
use crate::known::Known;
use crate::published::Published;
use crate::query::{self, Pairs};
use crate::replicas::Replicas;

/// Rows of one answer; a page that needs more asks for less.
const ROWS: usize = 5000;

/// What the control plane knows at any moment.
#[derive(Clone, Default)]
pub struct Inventory {
    published: Arc<Published>,
    findings: Arc<Findings>,
    proxies: Arc<Proxies>,
    replicas: Arc<Replicas>,
    kept: Arc<Mutex<Option<Kept>>>,
}

/// What was found to act on what, and from what: the versions of the snapshot, the findings and the proxies.
struct Kept {
    of: (u64, u64, u64),
    acts: Arc<Acts>,
}

/// How well a node or a namespace is, by its id, in the shape of the graph API.
pub type Health<'a> = &'a dyn Fn(&str) -> Value;

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

/// A list, as far as there is room for it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Rows<T> {
    items: Vec<T>,
    #[serde(skip_serializing_if = "is_zero")]
    left_out: usize,
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
    kind: Cow<'q, str>,
    acts_on: Option<Cow<'q, str>>,
}

/// Workloads of one owner, or of one application.
#[derive(Default)]
struct Group {
    /// What all of them have.
    labels: Labels,
    kind: String,
    instances: Instances,
    with_sidecar: usize,
}

impl Inventory {
    pub(crate) fn new(
        published: Arc<Published>,
        findings: Arc<Findings>,
        proxies: Arc<Proxies>,
        replicas: Arc<Replicas>,
    ) -> Self {
        Self { published, findings, proxies, replicas, kept: Arc::default() }
    }

    /// What a reader should know of where the traffic comes from, who may look into these namespaces only, if they are
    /// given: to them the control plane's own have no names.
    pub fn notices(&self, only: Option<&Arc<BTreeSet<String>>>) -> Vec<String> {
        let silent = self.replicas.silent().into_iter();
        let said = |name| {
            format!(
                "traffic of proxies that are connected to {name} is not shown: it passes none on"
            )
        };
        let mut notices: Vec<String> = match only {
            None => silent.map(said).collect(),
            Some(_) => silent.take(1).map(|_| said("another control plane".to_owned())).collect(),
        };
        notices.extend(self.proxies.dropped().notices(only.map(|only| &**only), Instant::now()));
        notices
    }

    /// The namespaces of the mesh.
    pub fn namespaces(&self) -> BTreeSet<String> {
        self.published.snapshot().namespaces().map(|(name, _)| name.clone()).collect()
    }

    /// To be asked about names and addresses by a reader who may look into these namespaces only, if they are given.
    pub fn known(&self, only: Option<&Arc<BTreeSet<String>>>) -> Known {
        Known::new(self.published.snapshot(), only.cloned())
    }

    /// What acts on what at this moment.
    pub fn acts(&self) -> Arc<Acts> {
        let (findings, proxies) = (self.findings.changes(), self.proxies.changes());
        let snapshot = self.published.snapshot();
        let of = (snapshot.version(), findings, proxies);
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = kept().as_ref().filter(|kept| kept.of == of) {
            return kept.acts.clone();
        }
        let acts = Arc::new(self.find(&snapshot));
        *kept() = Some(Kept { of, acts: acts.clone() });
        acts
    }

    fn find(&self, snapshot: &Snapshot) -> Acts {
        let verdicts = self.findings.verdicts();
        let issues = |key: &Key| {
            verdicts.get(&key.object_ref()).map(|verdict| verdict.count()).unwrap_or_default()
        };
        Acts::new(snapshot, &self.findings.reaches(), issues, &self.proxies.workloads())
    }

    /// A list: `namespaces`, `services`, `workloads` or `applications`; `None` for other names.
    pub fn list(&self, name: &str, query: &str, health: Health<'_>) -> Option<Page> {
        let names: &[&str] = match name {
            "namespaces" => &[],
            "services" | "workloads" | "applications" => &["namespaces", "search"],
            _ => return None,
        };
        let wanted = match query::of_page(query, names) {
            Ok(given) => Wanted::of(given),
            Err(why) => return Some(Page::problem(400, why)),
        };
        let snapshot = self.published.snapshot();
        Some(Page::json(&match name {
            "namespaces" => json!({ "namespaces": namespaces(&snapshot, health) }),
            "services" => json!(self.services(&snapshot, &wanted, health)),
            "workloads" => json!(self.workloads(&snapshot, &wanted, true, health)),
            "applications" => json!(self.workloads(&snapshot, &wanted, false, health)),
            _ => return None,
        }))
    }

    /// The list of configuration: of a selection what acts on it, and which objects `also` names for its id.
    ///
    /// # Errors
    /// If a parameter is wrong, or as `also` says.
    pub fn config<E: From<String>>(
        &self,
        query: &str,
        also: impl FnOnce(&str) -> Result<BTreeSet<ObjectRef>, E>,
    ) -> Result<Page, E> {
        let names = ["namespaces", "search", "kind", "actsOn"];
        let wanted = Wanted::of(query::of_page(query, &names)?);
        let kind = Some(&*wanted.kind).filter(|kind| !kind.is_empty()).map(listed).transpose()?;
        let also = wanted.acts_on.as_deref().map(also).transpose()?;
        Ok(Page::json(&self.objects(&wanted, kind, &also.unwrap_or_default())))
    }

    fn services(&self, snapshot: &Snapshot, wanted: &Wanted<'_>, health: Health<'_>) -> Rows<Item> {
        let acts = self.acts();
        let all = snapshot.services().all().iter().enumerate();
        let shown = all.filter(|(_, service)| wanted.fits(service.namespace(), &service.hostname));
        let row = |(id, service): (usize, &Arc<Service>)| {
            // One with several ports is ready when all of them are.
            let mut endpoints = BTreeMap::new();
            for one in snapshot.endpoints(id).all() {
                let ready = endpoints.entry(&one.workload.address).or_insert(true);
                *ready &= one.health == EndpointHealth::Healthy;
            }
            let ready = endpoints.values().filter(|ready| **ready).count();
            let (kind, r#type) = match service.registry {
                Registry::Kubernetes => ("service", "Service"),
                Registry::External => ("serviceEntry", "ServiceEntry"),
            };
            let namespace = service.namespace();
            let id = format!("{kind}/{namespace}/{}", service.name);
            Item {
                kind: "service",
                namespace: namespace.to_owned(),
                name: service.name.to_string(),
                labels: Labels::clone(&service.labels),
                r#type: Some(r#type.to_owned()),
                instances: Some(Instances { all: endpoints.len(), ready }),
                sidecars: None,
                health: health(&id),
                issues: issues(&acts, &id),
                id,
            }
        };
        let mut rows: Vec<Item> = shown.map(row).collect();
        rows.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        let left_out = rows.len().saturating_sub(ROWS);
        rows.truncate(ROWS);
        Rows { items: rows, left_out }
    }

    fn workloads(
        &self,
        snapshot: &Snapshot,
        wanted: &Wanted<'_>,
        by_owner: bool,
        health: Health<'_>,
    ) -> Rows<Item> {
        let connected = self.proxies.workloads();
        let mut groups: BTreeMap<(String, String), Group> = BTreeMap::new();
        for workload in snapshot.endpoint_index().workloads().filter(|one| !one.synthetic) {
            let name = if by_owner { &workload.owner.name } else { workload.canonical_name() };
            let namespace = &workload.meta.namespace;
            if wanted.fits(namespace, name) {
                let own = (namespace.clone(), workload.meta.name.clone());
                let group = groups.entry((namespace.clone(), name.to_owned())).or_default();
                group.add(workload, connected.contains_key(&own));
            }
        }
        let acts = self.acts();
        Rows::of(groups.into_iter(), |((namespace, name), group)| {
            let item = group.item(namespace, name, by_owner);
            Item { health: health(&item.id), issues: issues(&acts, &item.id), ..item }
        })
    }

    fn objects(
        &self,
        wanted: &Wanted<'_>,
        kind: Option<&str>,
        also: &BTreeSet<ObjectRef>,
    ) -> Rows<Value> {
        let verdicts = self.findings.verdicts();
        let acts = wanted.acts_on.as_ref().map(|_| self.acts());
        let acting = wanted.acts_on.as_ref().zip(acts.as_ref()).map(|(id, acts)| acts.on(id));
        let shown = self.findings.objects().into_iter().filter(|(key, _)| {
            wanted.fits(&key.namespace, &key.name)
                && kind.is_none_or(|kind| kind == key.kind.kind)
                && acting
                    .as_ref()
                    .is_none_or(|acting| acting.contains(key) || also.contains(&key.object_ref()))
        });
        let row = |(key, facts): (Key, Facts)| {
            let object = key.object_ref();
            let issues = verdicts.get(&object).map(|verdict| verdict.count());
            item(&key, &object, facts.created, issues.unwrap_or_default())
        };
        Rows::of(shown, row)
    }
}

impl<T> Rows<T> {
    fn of<S>(mut all: impl Iterator<Item = S>, row: impl FnMut(S) -> T) -> Self {
        let items = all.by_ref().take(ROWS).map(row).collect();
        Self { items, left_out: all.count() }
    }
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// The kind of this name, in whatever case, of which the list of configuration may have objects.
fn listed(name: &str) -> Result<&'static str, String> {
    let all = || KINDS.iter().filter(|kind| kind.source == Source::Istio).map(|kind| kind.kind);
    all().find(|kind| kind.eq_ignore_ascii_case(name)).ok_or_else(|| {
        let known = all().collect::<Vec<_>>().join(", ");
        format!("kind {} is not known: use {known}", query::short(name))
    })
}

/// A row of the list of configuration.
pub(crate) fn item(key: &Key, object: &ObjectRef, created: i64, issues: Count) -> Value {
    json!({
        "kind": object.kind,
        "group": object.group,
        "namespace": object.namespace,
        "name": object.name,
        "version": key.kind.preferred_version(),
        "created": created,
        "issues": issues,
    })
}

/// How much is wrong with what acts on something.
fn issues(acts: &Acts, id: &str) -> Count {
    acts.place(id).map(|place| acts.marks(place, true).1).unwrap_or_default()
}

impl<'q> Wanted<'q> {
    fn of(mut given: Pairs<'q>) -> Self {
        let mut get = |name: &str| given.remove(name).filter(|value| !value.is_empty());
        let split = |text: Cow<'q, str>| -> BTreeSet<Cow<'q, str>> {
            text.split(',').map(|name| Cow::Owned(name.trim().to_owned())).collect()
        };
        Self {
            namespaces: get("namespaces").map(split),
            search: get("search").unwrap_or_default().to_lowercase(),
            kind: get("kind").unwrap_or_default(),
            acts_on: get("actsOn"),
        }
    }

    fn fits(&self, namespace: &str, name: &str) -> bool {
        self.namespaces.as_ref().is_none_or(|all| all.contains(namespace))
            && (name.to_lowercase().contains(&self.search) || namespace.contains(&self.search))
    }
}

fn namespaces(snapshot: &Snapshot, health: Health<'_>) -> Vec<Value> {
    let row = |(name, labels): (&String, &Labels)| {
        let injection = match labels.get("istio-injection").map(String::as_str) {
            Some("enabled") => "enabled",
            Some("disabled") => "disabled",
            _ => "unset",
        };
        let mut row = json!({ "name": name, "injection": injection });
        if let Some(revision) = labels.get("istio.io/rev") {
            row["revision"] = json!(revision);
        }
        row["health"] = health(&format!("namespace/{name}"));
        row
    };
    snapshot.namespaces().map(row).collect()
}

impl Group {
    fn add(&mut self, workload: &Workload, has_sidecar: bool) {
        if self.instances.all == 0 {
            self.labels.clone_from(&workload.labels);
            self.kind.clone_from(&workload.owner.kind);
        } else {
            self.labels.retain(|name, value| workload.labels.get(name) == Some(value));
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
            health: Value::Null,
            issues: Count::default(),
        }
    }
}

/// A list that leaves something out.
#[cfg(test)]
pub(crate) fn short_list() -> Value {
    json!(Rows::<Value> { items: Vec::new(), left_out: 1 })
}

#[cfg(test)]
mod tests;
