//! Which Istio objects act on what. In: a snapshot, the objects with their reach, and the proxies that are there.
//! Out: for every node that the graph may have, what acts on it and what it is.
//!
//! Nodes are named as the graph API names them: `workload/NAMESPACE/NAME`, `app/NAMESPACE/APP[/VERSION]`,
//! `service/NAMESPACE/NAME`, `serviceEntry/NAMESPACE/HOST`; besides those there are `appbox/NAMESPACE/APP` and
//! `namespace/NAME`.

mod choice;
mod reach;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use lateen_api::resource::Key;
use lateen_model::Snapshot;
use lateen_model::host::{covers, is_wildcard};
use lateen_model::service::{Labels, Registry, Service};
use lateen_model::workload::Workload;
use lateen_translate::Role;

use crate::findings::Count;
use choice::Choice;
pub use reach::{Reach, Traffic};

/// What acts on what.
#[derive(Debug, Default)]
pub struct Acts {
    objects: Vec<Acting>,
    places: BTreeMap<String, Place>,
}

/// An object, as far as it is shown on what it acts on.
#[derive(Debug)]
struct Acting {
    key: Key,
    reach: Arc<Reach>,
    issues: Count,
}

/// A node, or a group of them.
#[derive(Debug, Default)]
pub struct Place {
    /// Objects that choose it.
    own: BTreeSet<usize>,
    /// Objects that act on the services that it is behind.
    through: BTreeSet<usize>,
    pub gateway: Option<&'static str>,
    /// Instances, and of those the ones whose proxy is connected.
    instances: usize,
    proxies: usize,
    /// Whether its namespace asks for sidecars.
    injected: bool,
}

/// The proxies that are connected, by namespace and name of their workloads.
pub type Connected = HashMap<(String, String), Role>;

impl Place {
    /// Whether nothing of it has a proxy.
    pub fn is_out_of_mesh(&self) -> bool {
        self.instances > 0 && self.proxies == 0
    }
}

impl Acts {
    /// `issues` counts what is wrong with an object.
    pub fn new(
        snapshot: &Snapshot,
        reaches: &[(Key, Arc<Reach>)],
        issues: impl Fn(&Key) -> Count,
        connected: &Connected,
    ) -> Self {
        let acting = |(key, reach): &(Key, Arc<Reach>)| Acting {
            key: key.clone(),
            reach: reach.clone(),
            issues: issues(key),
        };
        let objects = reaches.iter().map(acting).collect();
        let mut acts = Self { objects, places: BTreeMap::new() };
        let of_services = acts.add_services(snapshot, reaches);
        acts.add_workloads(snapshot, reaches, &of_services, connected);
        acts
    }

    pub fn place(&self, id: &str) -> Option<&Place> {
        self.places.get(id)
    }

    /// What acts on a selection of the graph API; `mesh` is acted on by everything, an edge by what acts on an end.
    pub fn on(&self, id: &str) -> BTreeSet<&Key> {
        if id == "mesh" {
            return self.objects.iter().map(|object| &object.key).collect();
        }
        let ends = id.split_once('#').map_or(id, |(ends, _)| ends).split('>');
        let places = ends.filter_map(|end| self.places.get(end));
        let all = places.flat_map(|place| place.own.union(&place.through));
        all.map(|index| &self.objects[*index].key).collect()
    }

    /// The nodes of the workload graph that an object chooses.
    pub fn nodes(&self, key: &Key) -> Vec<&str> {
        let Some(index) = self.objects.iter().position(|object| object.key == *key) else {
            return Vec::new();
        };
        let is_node = |id: &str| match id.split_once('/') {
            Some(("workload" | "serviceEntry", _)) => true,
            Some(("service", name)) => !self.places.contains_key(&format!("serviceEntry/{name}")),
            _ => false,
        };
        let chosen =
            self.places.iter().filter(|(id, place)| is_node(id) && place.own.contains(&index));
        chosen.map(|(id, _)| id.as_str()).collect()
    }

    /// The badges of a place, and how much is wrong with what acts on it; `through` counts its services' objects too.
    pub fn marks(&self, place: &Place, through: bool) -> (Vec<&'static str>, Count) {
        let (mut badges, mut issues) = (BTreeSet::new(), Count::default());
        for object in self.acting(place, through) {
            badges.extend(object.reach.badges.iter().copied());
            issues.errors += object.issues.errors;
            issues.warnings += object.issues.warnings;
        }
        if place.injected && place.is_out_of_mesh() {
            badges.insert("missingSidecar");
        }
        (badges.into_iter().collect(), issues)
    }

    /// What they say of its traffic.
    pub fn traffic(&self, place: &Place, through: bool) -> Traffic {
        let mut traffic = Traffic::default();
        self.acting(place, through).for_each(|object| traffic.add(&object.reach.traffic));
        traffic
    }

    fn acting(&self, place: &Place, through: bool) -> impl Iterator<Item = &Acting> {
        let behind = place.through.difference(&place.own).filter(move |_| through);
        place.own.iter().chain(behind).map(|index| &self.objects[*index])
    }

    /// The objects of every service, aligned with the snapshot's.
    fn add_services(
        &mut self,
        snapshot: &Snapshot,
        reaches: &[(Key, Arc<Reach>)],
    ) -> Vec<BTreeSet<usize>> {
        let mut exact: HashMap<&str, Vec<usize>> = HashMap::new();
        let mut patterns = Vec::new();
        for (index, (_, reach)) in reaches.iter().enumerate() {
            for host in &reach.hosts {
                match is_wildcard(host) {
                    true => patterns.push((host, index)),
                    false => exact.entry(host).or_default().push(index),
                }
            }
        }
        let acting = |service: &Arc<Service>| {
            let host = &*service.hostname;
            let by_pattern = patterns.iter().filter(|(pattern, _)| covers(pattern, host));
            let by_name = exact.get(host).into_iter().flatten().copied();
            by_name.chain(by_pattern.map(|(_, index)| *index)).collect()
        };
        let all: Vec<BTreeSet<usize>> = snapshot.services().all().iter().map(acting).collect();
        for (service, objects) in snapshot.services().all().iter().zip(&all) {
            for id in service_ids(service) {
                self.places.entry(id).or_default().own.extend(objects);
            }
            let namespace = format!("namespace/{}", service.namespace());
            self.places.entry(namespace).or_default().own.extend(objects);
        }
        all
    }

    fn add_workloads(
        &mut self,
        snapshot: &Snapshot,
        reaches: &[(Key, Arc<Reach>)],
        of_services: &[BTreeSet<usize>],
        connected: &Connected,
    ) {
        let mut behind: HashMap<(&str, &str), BTreeSet<usize>> = HashMap::new();
        for (id, objects) in of_services.iter().enumerate() {
            for endpoint in snapshot.endpoints(id).all() {
                let meta = &endpoint.workload.meta;
                behind.entry((&meta.namespace, &meta.name)).or_default().extend(objects);
            }
        }
        let choice = Choice::new(reaches, snapshot.root_namespace());
        for workload in snapshot.endpoint_index().workloads().filter(|one| !one.synthetic) {
            let meta = &workload.meta;
            let proxy = connected.get(&(meta.namespace.clone(), meta.name.clone())).copied();
            let gateway = gateway(&workload.labels, proxy);
            let own = choice.of(snapshot, workload, gateway.is_some());
            let through = behind.get(&(&*meta.namespace, &*meta.name));
            for id in workload_ids(workload) {
                let place = self.places.entry(id).or_default();
                place.own.extend(&own);
                place.through.extend(through.into_iter().flatten());
                place.gateway = place.gateway.or(gateway);
                place.instances += 1;
                place.proxies += usize::from(proxy.is_some());
                place.injected |= injected(snapshot, &meta.namespace);
            }
        }
    }
}

/// What kind of gateway a workload is: by Istio's label, or by its proxy.
fn gateway(labels: &Labels, proxy: Option<Role>) -> Option<&'static str> {
    match labels.get("istio").map(String::as_str) {
        Some("ingressgateway") => Some("ingress"),
        Some("egressgateway") => Some("egress"),
        _ => (proxy == Some(Role::Gateway)).then_some("ingress"),
    }
}

fn injected(snapshot: &Snapshot, namespace: &str) -> bool {
    snapshot.namespace(namespace).is_some_and(|labels| {
        let is_on = |key: &str| labels.get(key).is_some_and(|value| value == "enabled");
        is_on("istio-injection") || labels.contains_key("istio.io/rev")
    })
}

fn workload_ids(workload: &Workload) -> [String; 5] {
    let namespace = &workload.meta.namespace;
    let (app, version) = (workload.canonical_name(), workload.canonical_revision());
    [
        format!("workload/{namespace}/{}", workload.owner.name),
        format!("app/{namespace}/{app}"),
        format!("app/{namespace}/{app}/{version}"),
        format!("appbox/{namespace}/{app}"),
        format!("namespace/{namespace}"),
    ]
}

/// A host of a ServiceEntry is a service where its endpoints are in the mesh.
pub(crate) fn service_ids(service: &Service) -> Vec<String> {
    let (namespace, name) = (service.namespace(), &service.name);
    let inside = format!("service/{namespace}/{name}");
    match service.registry {
        Registry::Kubernetes => vec![inside],
        Registry::External => vec![format!("serviceEntry/{namespace}/{name}"), inside],
    }
}
