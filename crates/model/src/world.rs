//! The one writer. In: [`Change`]s. Out: [`Snapshot`]s; what a change does not touch is shared.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lateen_api::issue::Issue;
use lateen_api::istio::mesh::{Fault, parse_mesh_config};
use lateen_api::kinds::Kind;
use lateen_api::owner::WORKLOAD_NAME;
use lateen_api::resource::{Key, Resource};

use crate::convert::Notes;
use crate::convert::destination_rule::destination_rule;
use crate::convert::entry::{service_entry, workload};
use crate::convert::gateway::gateway;
use crate::convert::mesh::mesh;
use crate::convert::service::{pod, service, slice};
use crate::convert::sidecar::sidecar;
use crate::convert::telemetry::telemetry;
use crate::convert::virtual_service::virtual_service;
use crate::discovery::Discovery;
use crate::host::Domain;
use crate::index::endpoints::EndpointIndex;
use crate::index::routes::RouteIndex;
use crate::index::services::ServiceIndex;
use crate::mesh::Mesh;
use crate::meta::Meta;
use crate::service::Labels;
use crate::snapshot::Snapshot;
use crate::tables::{Name, Tables};
use crate::telemetry::TelemetryIndex;

/// Where MeshConfig is read from, as Istio installs it: namespace and name of a ConfigMap, and the key in it.
const MESH_CONFIG: (&str, &str) = ("istio-system", "istio");
const MESH_KEY: &str = "mesh";
/// Its field that chooses namespaces. With a wrong one what held before holds, which at the start is, as in Istio,
/// every namespace: to see too much costs something, to see nothing would cut off what is there.
const SELECTORS: &str = "discoverySelectors";
const NO_SELECTORS: &str =
    "no selector is in force and every namespace is seen until this is mended";
const LAST_SELECTORS: &str = "the last good selectors stay in force until this is mended";

/// The annotation that Istio's agent puts on a WorkloadEntry that it probes.
const HEALTH_CHECKS: &str = "proxy.istio.io/health-checks-enabled";

/// One event of the watches.
#[derive(Debug, Clone)]
pub enum Change {
    /// An object was created or changed.
    Put(Box<Resource>),
    /// An object is gone.
    Delete(Key),
    /// A relist: these are all objects of the kind, whatever was known before.
    Replace(&'static Kind, Vec<Resource>),
}

/// Everything known, compiled once per object, and the last snapshot built from it. A clone costs next to nothing: it
/// shares every table until one of the two changes that table, or the clone is taken [`World::apart`].
#[derive(Debug, Clone)]
pub struct World {
    /// Namespace and name of the ConfigMap with MeshConfig.
    mesh_config: Name,
    tables: Tables,
    issues: Arc<BTreeMap<Key, Vec<Issue>>>,
    current: Arc<Snapshot>,
    dirty: Dirty,
    mesh: Arc<Mesh>,
    /// The namespaces of which the last snapshot was made; `None` is all.
    seen: Option<BTreeSet<String>>,
}

/// Which indexes the changes since the last snapshot concern.
#[derive(Debug, Default, Clone, Copy)]
struct Dirty {
    any: bool,
    services: bool,
    endpoints: bool,
    routes: bool,
    telemetry: bool,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// An empty world, whose settings are in the ConfigMap `istio` in `istio-system`.
    pub fn new() -> Self {
        Self::with_mesh_config(MESH_CONFIG.0, MESH_CONFIG.1)
    }

    /// An empty world whose settings are in another ConfigMap, as another revision's are.
    pub fn with_mesh_config(namespace: &str, name: &str) -> Self {
        Self {
            mesh_config: (namespace.to_owned(), name.to_owned()),
            tables: Tables::default(),
            issues: Arc::default(),
            current: Arc::default(),
            dirty: Dirty::default(),
            mesh: Arc::default(),
            seen: None,
        }
    }

    /// The same world, still empty, with another DNS domain than `cluster.local`.
    pub fn with_domain(self, domain: Domain) -> Self {
        let current = Snapshot { domain, ..Snapshot::clone(&self.current) };
        Self { current: Arc::new(current), ..self }
    }

    /// The same world with copies of all tables, so that what it was cloned from goes on without a copy of any.
    pub fn apart(mut self) -> Self {
        self.tables.part();
        Arc::make_mut(&mut self.issues);
        self
    }

    /// Takes in one change. Cheap: indexes are rebuilt by [`World::snapshot`].
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Put(resource) => self.put(&resource),
            Change::Delete(key) => self.remove(&key),
            Change::Replace(kind, resources) => {
                self.clear(kind, &resources);
                resources.iter().for_each(|resource| self.put(resource));
            }
        }
    }

    /// The world as it is now; the same `Arc` when nothing changed.
    pub fn snapshot(&mut self) -> Arc<Snapshot> {
        let mut dirty = std::mem::take(&mut self.dirty);
        if !dirty.any {
            return Arc::clone(&self.current);
        }
        let seen = self.seen();
        if seen != self.seen {
            dirty =
                Dirty { any: true, services: true, endpoints: true, routes: true, telemetry: true };
            self.seen = seen;
        }
        let tables = match &self.seen {
            Some(namespaces) => &self.tables.only(namespaces),
            None => &self.tables,
        };
        let mut next = Snapshot::clone(&self.current);
        next.version += 1;
        next.mesh = Arc::clone(&self.mesh);
        if dirty.services {
            next.services = Arc::new(ServiceIndex::build(tables));
        }
        if dirty.services || dirty.endpoints {
            next.endpoints = Arc::new(EndpointIndex::build(tables, &next.services));
        }
        if dirty.routes {
            next.routes = Arc::new(RouteIndex::build(tables));
        }
        if dirty.telemetry {
            next.telemetry = Arc::new(TelemetryIndex::build(tables));
        }
        if next.namespaces != tables.namespaces {
            next.namespaces = Arc::clone(&tables.namespaces);
        }
        let told = self.issues.iter().filter(|(key, _)| next.sees(&key.object_ref()));
        next.issues = Arc::new(told.flat_map(|(_, issues)| issues).cloned().collect());
        self.current = Arc::new(next);
        Arc::clone(&self.current)
    }

    /// The namespaces that `discoverySelectors` choose; `None` is all, with those that nobody created.
    fn seen(&self) -> Option<BTreeSet<String>> {
        let discovery = &self.mesh.discovery;
        let seen = || self.tables.namespaces.iter().filter(|(_, labels)| discovery.selects(labels));
        (!discovery.is_everything()).then(|| seen().map(|(name, _)| name.clone()).collect())
    }

    fn put(&mut self, resource: &Resource) {
        let key = resource.key();
        let object = resource.meta();
        let meta = Arc::new(Meta {
            object: resource.object_ref(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            created: object.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second()),
        });
        let mut notes = Notes::new(&meta);
        self.store(resource, &meta, &mut notes);
        let issues = notes.finish();
        self.touch(&key);
        if issues.is_empty() {
            self.forgive(&key);
        } else {
            Arc::make_mut(&mut self.issues).insert(key, issues);
        }
    }

    fn forgive(&mut self, key: &Key) {
        if self.issues.contains_key(key) {
            Arc::make_mut(&mut self.issues).remove(key);
        }
    }

    /// Compiles an object into its table. Kinds that translation does not read are left alone.
    fn store(&mut self, resource: &Resource, meta: &Arc<Meta>, notes: &mut Notes<'_>) {
        let name: Name = (meta.namespace.clone(), meta.name.clone());
        let object = resource.meta();
        let labels = object.labels.clone().unwrap_or_default();
        let domain = &self.current.domain;
        let tables = &mut self.tables;
        match resource {
            Resource::Namespace(_) => set(&mut tables.namespaces, meta.name.clone(), Some(labels)),
            Resource::Service(item) => {
                let found =
                    item.spec.as_ref().map(|spec| service(meta, object, spec, domain, notes));
                set(&mut tables.services, name, found.map(Arc::new));
            }
            Resource::EndpointSlice(item) => {
                set(&mut tables.slices, name, slice(meta, &labels, item).map(Arc::new));
            }
            Resource::Pod(item) => {
                let (spec, status) = (item.spec.as_ref(), item.status.as_ref());
                let found = pod(meta, object, &labels, spec, status);
                set(&mut tables.pods, name, found.map(Arc::new));
            }
            Resource::ServiceEntry(item) => {
                let given = &item.status.addresses;
                let found = service_entry(meta, &item.spec, labels, given, notes);
                set(&mut tables.entries, name, Some(Arc::new(found)));
            }
            Resource::WorkloadEntry(item) => {
                let found = workload(meta, &item.spec, "spec", notes);
                let found = found.map(|mut found| {
                    merge_labels(&mut found.labels, &labels);
                    let name = found.labels.get(WORKLOAD_NAME).map(String::as_str);
                    found.owner = found.owner.named(name);
                    found.healthy = healthy(item.status.healthy(), &object.annotations);
                    Arc::new(found)
                });
                set(&mut tables.workloads, name, found);
            }
            Resource::VirtualService(item) => {
                let found = virtual_service(meta, &item.spec, domain, notes);
                set(&mut tables.virtual_services, name, Some(Arc::new(found)));
            }
            Resource::DestinationRule(item) => {
                let found = destination_rule(meta, &item.spec, domain, notes).map(Arc::new);
                set(&mut tables.destination_rules, name, found);
            }
            Resource::Gateway(item) => {
                let found = gateway(meta, &item.spec, notes);
                set(&mut tables.gateways, name, Some(Arc::new(found)));
            }
            Resource::Sidecar(item) => {
                let found = sidecar(meta, &item.spec, notes);
                set(&mut tables.sidecars, name, Some(Arc::new(found)));
            }
            Resource::Telemetry(item) => {
                let found = telemetry(meta, &item.spec, notes).map(Arc::new);
                set(&mut tables.telemetries, name, found);
            }
            Resource::GatewayApiGateway(_) => {
                set(&mut tables.api_gateways, name, Some(Arc::clone(meta)));
            }
            Resource::ConfigMap(item) if name == self.mesh_config => {
                let text = item.data.as_ref().and_then(|data| data.get(MESH_KEY));
                self.set_mesh(text.map_or("", String::as_str), notes);
            }
            _ => {}
        }
    }

    /// Reads MeshConfig; when it cannot be read, the last good one stays.
    fn set_mesh(&mut self, text: &str, notes: &mut Notes<'_>) {
        let (config, issues) = parse_mesh_config(text, notes.object());
        match config {
            Some(config) => {
                let wrong = issues.iter().filter(|issue| issue.is_error());
                // Those of the selectors are told below, with what holds in their place.
                for issue in wrong.filter(|issue| !issue.path.starts_with(SELECTORS)) {
                    let message = format!("{}: it has no effect until it is mended", issue.message);
                    notes.bad(&format!("data.{MESH_KEY}.{}", issue.path), &message);
                }
                let discovery = Discovery::compile(SELECTORS, &config.discovery_selectors);
                let discovery = discovery.unwrap_or_else(|faults| {
                    let last = &self.mesh.discovery;
                    let held = if last.is_everything() { NO_SELECTORS } else { LAST_SELECTORS };
                    for Fault { path, message } in faults {
                        notes
                            .bad(&format!("data.{MESH_KEY}.{path}"), &format!("{message}; {held}"));
                    }
                    last.clone()
                });
                self.mesh = Arc::new(mesh(&config, discovery, notes.object()));
            }
            None => {
                let reason = issues.first().map_or("", |issue| issue.message.as_str());
                notes.bad("data.mesh", &format!("{reason}: the last good settings stay in force"));
            }
        }
    }

    fn remove(&mut self, key: &Key) {
        let name: Name = (key.namespace.clone(), key.name.clone());
        let tables = &mut self.tables;
        match (key.kind.group, key.kind.kind) {
            ("", "Namespace") => gone(&mut tables.namespaces, &key.name),
            ("", "Service") => gone(&mut tables.services, &name),
            ("", "Pod") => gone(&mut tables.pods, &name),
            ("", "ConfigMap") if name == self.mesh_config => self.mesh = Arc::default(),
            ("discovery.k8s.io", "EndpointSlice") => gone(&mut tables.slices, &name),
            ("networking.istio.io", kind) => match kind {
                "ServiceEntry" => gone(&mut tables.entries, &name),
                "WorkloadEntry" => gone(&mut tables.workloads, &name),
                "VirtualService" => gone(&mut tables.virtual_services, &name),
                "DestinationRule" => gone(&mut tables.destination_rules, &name),
                "Gateway" => gone(&mut tables.gateways, &name),
                "Sidecar" => gone(&mut tables.sidecars, &name),
                _ => {}
            },
            ("telemetry.istio.io", "Telemetry") => gone(&mut tables.telemetries, &name),
            ("gateway.networking.k8s.io", "Gateway") => gone(&mut tables.api_gateways, &name),
            _ => {}
        }
        self.forgive(key);
        self.touch(key);
    }

    /// Removes the objects of a kind that a relist no longer has. MeshConfig is left to `put`, so
    /// that a relist with a broken one keeps the last good settings too.
    fn clear(&mut self, kind: &'static Kind, resources: &[Resource]) {
        let kept: BTreeSet<Name> = resources
            .iter()
            .map(|resource| resource.key())
            .map(|key| (key.namespace, key.name))
            .collect();
        for name in self.names(kind) {
            if !kept.contains(&name) {
                self.remove(&Key { kind, namespace: name.0, name: name.1 });
            }
        }
    }

    fn names(&self, kind: &Kind) -> Vec<Name> {
        let tables = &self.tables;
        let of = |all: Vec<&Name>| all.into_iter().cloned().collect();
        match (kind.group, kind.kind) {
            ("", "Namespace") => {
                tables.namespaces.keys().map(|name| (String::new(), name.clone())).collect()
            }
            ("", "Service") => of(tables.services.keys().collect()),
            ("", "Pod") => of(tables.pods.keys().collect()),
            ("", "ConfigMap") => vec![self.mesh_config.clone()],
            ("discovery.k8s.io", "EndpointSlice") => of(tables.slices.keys().collect()),
            ("networking.istio.io", kind) => match kind {
                "ServiceEntry" => of(tables.entries.keys().collect()),
                "WorkloadEntry" => of(tables.workloads.keys().collect()),
                "VirtualService" => of(tables.virtual_services.keys().collect()),
                "DestinationRule" => of(tables.destination_rules.keys().collect()),
                "Gateway" => of(tables.gateways.keys().collect()),
                "Sidecar" => of(tables.sidecars.keys().collect()),
                _ => Vec::new(),
            },
            ("telemetry.istio.io", "Telemetry") => of(tables.telemetries.keys().collect()),
            ("gateway.networking.k8s.io", "Gateway") => of(tables.api_gateways.keys().collect()),
            _ => Vec::new(),
        }
    }

    fn touch(&mut self, key: &Key) {
        let (namespace, name) = &self.mesh_config;
        let is_mesh_config = (&key.namespace, &key.name) == (namespace, name);
        let dirty = &mut self.dirty;
        match (key.kind.group, key.kind.kind) {
            ("", "Service") | ("networking.istio.io", "ServiceEntry") => dirty.services = true,
            ("", "Pod")
            | ("discovery.k8s.io", "EndpointSlice")
            | ("networking.istio.io", "WorkloadEntry") => dirty.endpoints = true,
            (
                "networking.istio.io",
                "VirtualService" | "DestinationRule" | "Gateway" | "Sidecar",
            ) => dirty.routes = true,
            ("telemetry.istio.io", "Telemetry") | ("gateway.networking.k8s.io", "Gateway") => {
                dirty.telemetry = true;
            }
            ("", "Namespace") => {}
            ("", "ConfigMap") if is_mesh_config => {}
            _ => return,
        }
        dirty.any = true;
    }
}

fn set<K: Ord + Clone, V: Clone>(table: &mut Arc<BTreeMap<K, V>>, key: K, value: Option<V>) {
    match value {
        Some(value) => drop(Arc::make_mut(table).insert(key, value)),
        None => gone(table, &key),
    }
}

fn gone<K: Ord + Clone, V: Clone>(table: &mut Arc<BTreeMap<K, V>>, key: &K) {
    if table.contains_key(key) {
        Arc::make_mut(table).remove(key);
    }
}

/// Istio's agent probes a workload whose WorkloadGroup has a probe, says so in an annotation, and keeps
/// the condition `Healthy`; until the first result such a workload takes no connections.
fn healthy(condition: Option<bool>, annotations: &Option<BTreeMap<String, String>>) -> bool {
    let probed = || {
        let value = annotations.as_ref().and_then(|all| all.get(HEALTH_CHECKS));
        value.is_some_and(|value| value == "true")
    };
    condition.unwrap_or_else(|| !probed())
}

/// A WorkloadEntry's labels are those of its spec; its metadata's fill the gaps, as in Istio.
fn merge_labels(spec: &mut Labels, metadata: &Labels) {
    for (key, value) in metadata {
        spec.entry(key.clone()).or_insert_with(|| value.clone());
    }
}

#[cfg(test)]
mod tests;
