//! How a workload's metrics differ from Istio's standard. In: the Telemetry objects that are for it, from the
//! mesh's to its own, and the mesh's defaults. Out: what changes, by metric.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lateen_telemetry::standard::Metric;

use super::{Metrics, Override, Side, Tag, Telemetry, Which};
use crate::mesh::Mesh;

/// What is shown of a workload's traffic.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counted {
    /// By name, without `istio_`. What is not here is as usual.
    pub changes: BTreeMap<String, Change>,
    pub interval: Option<Duration>,
}

/// What is different about one metric.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Change {
    pub disabled: bool,
    pub tags: BTreeMap<String, Tag>,
}

/// The metrics of one side; `None` if they go nowhere.
pub fn metrics(applied: &[&Arc<Telemetry>], mesh: &Mesh, side: Side) -> Option<Counted> {
    let defaults = &mesh.default_providers.metrics;
    let all: Vec<&Metrics> = applied.iter().flat_map(|object| &object.metrics).collect();
    // The innermost list of providers is the list; it is no deep merge.
    let last = all.iter().rev().find(|item| !item.providers.is_empty());
    let names = last.map_or(defaults, |item| &item.providers);
    let taken: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    let takes = |name: &&str| mesh.provider(name).is_some_and(|found| found.takes_metrics());
    let provider = taken.into_iter().find(takes)?;
    let interval = all.iter().rev().find_map(|item| item.interval);
    let mut counted = Counted { interval, ..Counted::default() };
    let mut spoken_of = defaults;
    let mut nothing = false;
    for item in all {
        if !item.providers.is_empty() {
            spoken_of = &item.providers;
        }
        if !spoken_of.iter().any(|name| name == provider) {
            continue;
        }
        for change in item.overrides.iter().filter(|change| change.sides.has(side)) {
            // All that was disabled comes back with the next word about any of it, as in Istio.
            nothing = change.of == Which::All && change.disabled == Some(true);
            if !nothing {
                counted.apply(change);
            }
        }
    }
    (!nothing).then_some(counted)
}

impl Counted {
    fn apply(&mut self, change: &Override) {
        let names: Vec<&str> = match &change.of {
            Which::All | Which::Unsaid => Metric::ALL.iter().map(|about| about.short()).collect(),
            Which::One(name) => vec![name],
        };
        for name in names {
            let known = self.changes.entry(name.to_owned()).or_default();
            if let Some(disabled) = change.disabled {
                known.disabled = disabled;
            }
            known.tags.extend(change.tags.iter().map(|(name, tag)| (name.clone(), tag.clone())));
        }
    }
}
