//! Findings that do not depend on a proxy: what was wrong with objects when they were read, and what
//! they refer to that does not exist.

mod entries;
mod rules;
mod telemetry;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use lateen_api::issue::{Code, Issue};
use lateen_model::Snapshot;
use lateen_model::convert::{CONFLICT, NOT_SUPPORTED};
use lateen_model::routing::{Destination, L4Route, VirtualService};
use lateen_model::service::{Port, Service};

use crate::gateway;

/// All findings, sorted.
pub fn mesh_issues(snapshot: &Snapshot) -> Vec<Issue> {
    let mut found: BTreeSet<Issue> = snapshot.issues().iter().cloned().collect();
    let there = snapshot.routes().gateways().iter();
    let there = there.map(|it| (it.meta.namespace.as_str(), it.meta.name.as_str())).collect();
    for vs in snapshot.routes().virtual_services() {
        destinations(snapshot, vs, &mut found);
        gateways(&there, vs, &mut found);
    }
    servers(snapshot, &mut found);
    same_host(snapshot, &mut found);
    rules::rules(snapshot, &mut found);
    entries::same_host(snapshot, &mut found);
    telemetry::telemetry(snapshot, &mut found);
    for service in snapshot.services().exhausted() {
        let message = "no automatic address is left: write one in spec.addresses";
        let object = service.meta.object.clone();
        let code = Code::SERVICE_ENTRY_ADDRESSES_REQUIRED;
        found.insert(Issue::error(object, "spec.addresses", code, message));
    }
    found.into_iter().collect()
}

/// The message about a destination that does not exist; the same wherever it is found.
pub fn unknown_host(written: &str) -> String {
    format!(
        "no service is called {written:?} or it is not exported to its clients: connections to it \
         are closed; check the name, its namespace and exportTo"
    )
}

/// The message about a subset that no rule defines; the same wherever it is found.
pub fn unknown_subset(subset: &str, host: &str) -> String {
    format!("no destination rule defines subset {subset:?} of {host}: add it")
}

/// The message about a port that no service of the name has, and what to do; the same wherever it is found.
pub fn unknown_port(port: u16, host: &str, fix: &str) -> String {
    format!("{host} has no TCP port {port}: {fix}")
}

/// What to do about a port that a route names.
pub const ANOTHER_PORT: &str = "use one of its ports";

fn destinations(snapshot: &Snapshot, vs: &VirtualService, found: &mut BTreeSet<Issue>) {
    let routes = vs.tcp.iter().chain(&vs.tls);
    for destination in routes.flat_map(|route: &L4Route| &route.destinations) {
        rules::subset(snapshot, vs, destination, found);
        port(snapshot, vs, destination, found);
        let known = |host: &Arc<str>| !snapshot.services().by_host(host).is_empty();
        if !destination.hosts.iter().any(known) {
            let message = unknown_host(&destination.written);
            let code = Code::REFERENCED_RESOURCE_NOT_FOUND;
            let object = vs.meta.object.clone();
            found.insert(Issue::error(object, &destination.path, code, message));
        }
    }
}

/// A destination's port, if no service of that name has it for TCP.
fn port(
    snapshot: &Snapshot,
    vs: &VirtualService,
    destination: &Destination,
    found: &mut BTreeSet<Issue>,
) {
    let services = snapshot.services();
    let named = destination.hosts.iter().map(|host| services.by_host(host));
    let Some(ids) = named.into_iter().find(|ids| !ids.is_empty()) else { return };
    let Some(number) = destination.port else { return };
    let mut all = ids.iter().map(|id| services.get(*id));
    // What an alias stands for may differ between clients.
    let may_have = |service: &Arc<Service>| {
        service.external_name.is_some() || service.port(number).is_some_and(Port::is_tcp)
    };
    if let Some(first) = all.clone().next().filter(|_| !all.any(may_have)) {
        let message = unknown_port(number, &first.hostname, ANOTHER_PORT);
        let code = Code::REFERENCED_RESOURCE_NOT_FOUND;
        found.insert(Issue::error(vs.meta.object.clone(), &destination.path, code, message));
    }
}

/// `there` are namespaces and names of Gateways.
fn gateways(there: &HashSet<(&str, &str)>, vs: &VirtualService, found: &mut BTreeSet<Issue>) {
    for (i, name) in vs.gateways.iter().enumerate().filter(|(_, name)| &***name != "mesh") {
        if !name.split_once('/').is_some_and(|name| there.contains(&name)) {
            let path = format!("spec.gateways[{i}]");
            let message = format!("there is no Gateway {name}: check the name and the namespace");
            let code = Code::REFERENCED_RESOURCE_NOT_FOUND;
            found.insert(Issue::error(vs.meta.object.clone(), path, code, message));
        }
    }
}

/// Gateways' servers that no proxy serves.
fn servers(snapshot: &Snapshot, found: &mut BTreeSet<Issue>) {
    for gateway in snapshot.routes().gateways() {
        for (i, server) in gateway.servers.iter().enumerate() {
            if let Some((field, message)) = gateway::unserved(server) {
                let path = format!("spec.servers[{i}].{field}");
                found.insert(Issue::error(
                    gateway.meta.object.clone(),
                    path,
                    NOT_SUPPORTED,
                    message,
                ));
            }
        }
    }
}

/// Two VirtualServices for one host in the mesh: the oldest that a client sees is used.
fn same_host(snapshot: &Snapshot, found: &mut BTreeSet<Issue>) {
    let mut first: BTreeMap<(&str, &str), &VirtualService> = BTreeMap::new();
    for vs in snapshot.routes().on_gateway("mesh") {
        for (i, host) in vs.hosts.iter().enumerate() {
            // VirtualServices of two namespaces may each be seen by clients of its own only.
            let key = (vs.meta.namespace.as_str(), &**host);
            let Some(older) = first.get(&key).filter(|older| older.meta != vs.meta) else {
                first.insert(key, vs);
                continue;
            };
            let message = format!(
                "{} is older and routes {host} in the mesh already: merge the two",
                older.meta.object
            );
            let path = format!("spec.hosts[{i}]");
            found.insert(Issue::warning(vs.meta.object.clone(), path, CONFLICT, message));
        }
    }
}
