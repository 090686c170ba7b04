//! Whose access logs a workload writes. In: the Telemetry objects that are for it, from the mesh's to its own,
//! and the mesh's defaults. Out: providers and filters.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Provider, Side, Telemetry};
use crate::mesh::Mesh;

/// A log: where it goes, and a CEL expression of what is logged.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    pub provider: Arc<Provider>,
    pub filter: Option<String>,
}

/// The logs of one side; `None` where nobody says anything, so that MeshConfig's `accessLogFile` counts.
pub fn logs(applied: &[&Arc<Telemetry>], mesh: &Mesh, side: Side) -> Option<Vec<Log>> {
    let defaults = &mesh.default_providers.logging;
    let said: Vec<&Arc<Telemetry>> =
        applied.iter().copied().filter(|object| !object.logging.is_empty()).collect();
    if said.is_empty() && defaults.is_empty() {
        return None;
    }
    let (in_scope, filters) = scope(&said, defaults);
    let mut chosen: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    // Where no provider is named, what is said of one side leaves the other as it is by default.
    if said.iter().flat_map(|object| &object.logging).all(|item| item.providers.is_empty()) {
        chosen.extend(defaults.iter().map(|name| (name.as_str(), None)));
    }
    // What names no provider is about those of whom was spoken last.
    let mut spoken_of = defaults;
    for item in said.iter().flat_map(|object| &object.logging) {
        if !item.providers.is_empty() {
            spoken_of = &item.providers;
        }
        let named = spoken_of.iter().map(String::as_str);
        for name in named.filter(|name| in_scope.contains(name) && item.sides.has(side)) {
            match item.disabled {
                true => drop(chosen.remove(name)),
                false => drop(chosen.insert(name, filters.get(name).copied().flatten())),
            }
        }
    }
    let log = |(name, filter): (&str, Option<&str>)| {
        let provider = Arc::clone(mesh.provider(name)?);
        Some(Log { provider, filter: filter.map(str::to_owned) })
    };
    Some(chosen.into_iter().filter_map(log).collect())
}

/// The providers of the innermost object that names any, and each provider's last filter.
fn scope<'a>(
    said: &[&'a Arc<Telemetry>],
    defaults: &'a [String],
) -> (BTreeSet<&'a str>, BTreeMap<&'a str, Option<&'a str>>) {
    let mut names: BTreeSet<&str> = defaults.iter().map(String::as_str).collect();
    let mut filters = BTreeMap::new();
    for object in said {
        let mut own = BTreeSet::new();
        for item in &object.logging {
            for name in &item.providers {
                own.insert(name.as_str());
                filters.insert(name.as_str(), item.filter.as_deref());
            }
            // Istio reads a filter only beside providers; beside none it is for those that are meant.
            if item.providers.is_empty() && item.filter.is_some() {
                let meant = if own.is_empty() { &names } else { &own };
                filters.extend(meant.iter().map(|name| (*name, item.filter.as_deref())));
            }
        }
        if !own.is_empty() {
            names = own;
        }
    }
    (names, filters)
}
