//! How a workload's requests are traced. In: the Telemetry objects that are for it, from the mesh's to its own,
//! and the mesh's defaults. Out: the provider and what it gets; HTTP's listeners are where it takes effect.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Provider, Side, TagSource, Telemetry};
use crate::mesh::Mesh;

/// Istio's share of requests that are sampled, where nobody says one (`defaultConfig.tracing.sampling`).
const SAMPLING: f64 = 1.0;

/// The tracing of one side.
#[derive(Debug, Clone, PartialEq)]
pub struct Traced {
    /// Nothing is reported without one.
    pub provider: Option<Arc<Provider>>,
    pub disabled: bool,
    /// Percent of the requests.
    pub sampling: f64,
    pub tags: BTreeMap<String, TagSource>,
    pub request_id: bool,
}

/// The tracing of one side; `None` where nobody says anything, so that `enableTracing` and `defaultConfig`
/// count.
pub fn traces(applied: &[&Arc<Telemetry>], mesh: &Mesh, side: Side) -> Option<Traced> {
    let default = mesh.default_providers.tracing.first();
    let mut all = applied.iter().flat_map(|object| &object.tracing).peekable();
    if all.peek().is_none() && default.is_none() {
        return None;
    }
    let find = |name: &String| mesh.provider(name).filter(|found| found.takes_traces()).cloned();
    let mut traced = Traced {
        provider: default.and_then(find),
        disabled: false,
        sampling: mesh.sampling.unwrap_or(SAMPLING),
        tags: BTreeMap::new(),
        request_id: true,
    };
    for item in all.filter(|item| item.sides.has(side)) {
        if let Some(name) = item.providers.first() {
            traced.provider = find(name);
        }
        traced.disabled = item.disabled.unwrap_or(traced.disabled);
        traced.sampling = item.sampling.unwrap_or(traced.sampling);
        traced.request_id = item.request_id.unwrap_or(traced.request_id);
        // Istio's merge of tags is shallow: the innermost object that has any has all.
        if !item.tags.is_empty() {
            traced.tags.clone_from(&item.tags);
        }
    }
    traced.disabled |= traced.provider.is_none();
    Some(traced)
}
