//! ServiceEntries whose host is somebody else's already.

use std::collections::BTreeSet;
use std::sync::Arc;

use lateen_api::issue::Issue;
use lateen_model::Snapshot;
use lateen_model::convert::CONFLICT;
use lateen_model::service::{Registry, Service};

/// A Kubernetes Service answers for its name before any ServiceEntry, and of two ServiceEntries of one
/// namespace the older does. Entries of two namespaces may each serve the clients of its own.
pub fn same_host(snapshot: &Snapshot, found: &mut BTreeSet<Issue>) {
    let services = snapshot.services();
    let entries = services.all().iter().filter(|service| service.registry == Registry::External);
    for entry in entries {
        let before = services.by_host(&entry.hostname).iter().map(|id| services.get(*id));
        let mut before = before.take_while(|older| !Arc::ptr_eq(older, entry));
        if let Some(winner) = before.find(|older| replaces(snapshot, older, entry)) {
            let object = entry.meta.object.clone();
            let message = message(winner, entry);
            found.insert(Issue::warning(object, "spec.hosts", CONFLICT, message));
        }
    }
}

/// Whether no client that sees `entry` would get it.
fn replaces(snapshot: &Snapshot, older: &Service, entry: &Service) -> bool {
    let same_namespace = older.namespace() == entry.namespace();
    let everywhere = older.export_to.is_none() && snapshot.mesh().service_export.is_empty();
    older.meta != entry.meta
        && (same_namespace || (older.registry == Registry::Kubernetes && everywhere))
}

fn message(winner: &Service, entry: &Service) -> String {
    let missing: Vec<String> = entry
        .ports
        .iter()
        .filter(|port| winner.port(port.number).is_none())
        .map(|port| port.number.to_string())
        .collect();
    let ports = match missing.as_slice() {
        [] => String::new(),
        list => format!(", port {} among it", list.join(" and ")),
    };
    format!(
        "{} declares {} already: what this object says of the host has no effect{ports}; merge the two",
        winner.meta.object, entry.hostname
    )
}
