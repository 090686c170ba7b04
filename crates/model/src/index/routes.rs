//! Gateways, VirtualServices, DestinationRules and Sidecars, by what asks for them.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::host;
use crate::routing::{DestinationRule, Gateway, Sidecar, VirtualService};
use crate::service::Labels;
use crate::tables::{Table, Tables};
use crate::workload::matches;

/// Routing objects; every list is in Istio's order of precedence, the oldest first.
#[derive(Debug, Default)]
pub struct RouteIndex {
    gateways: Vec<Arc<Gateway>>,
    virtual_services: Vec<Arc<VirtualService>>,
    by_gateway: FxHashMap<Arc<str>, Vec<Arc<VirtualService>>>,
    mesh_by_host: FxHashMap<Arc<str>, Vec<Arc<VirtualService>>>,
    rules: FxHashMap<Arc<str>, Vec<Arc<DestinationRule>>>,
    sidecars: FxHashMap<String, Vec<Arc<Sidecar>>>,
}

impl RouteIndex {
    /// Indexes all routing objects.
    pub fn build(tables: &Tables) -> Self {
        let mut index = Self {
            gateways: sorted(&tables.gateways, |gateway| &gateway.meta),
            virtual_services: sorted(&tables.virtual_services, |vs| &vs.meta),
            ..Self::default()
        };
        for vs in &index.virtual_services {
            for gateway in &vs.gateways {
                index.by_gateway.entry(Arc::clone(gateway)).or_default().push(Arc::clone(vs));
            }
            if vs.on_gateway("mesh") {
                for host in &vs.hosts {
                    index.mesh_by_host.entry(Arc::clone(host)).or_default().push(Arc::clone(vs));
                }
            }
        }
        for rule in sorted(&tables.destination_rules, |rule| &rule.meta) {
            index.rules.entry(Arc::clone(&rule.host)).or_default().push(rule);
        }
        for sidecar in sorted(&tables.sidecars, |sidecar| &sidecar.meta) {
            let namespace = sidecar.meta.namespace.clone();
            index.sidecars.entry(namespace).or_default().push(sidecar);
        }
        index
    }

    /// All Gateways.
    pub fn gateways(&self) -> &[Arc<Gateway>] {
        &self.gateways
    }

    /// All VirtualServices.
    pub fn virtual_services(&self) -> &[Arc<VirtualService>] {
        &self.virtual_services
    }

    /// Gateways whose selector the labels satisfy. An empty selector selects every gateway.
    pub fn gateways_for<'a>(
        &'a self,
        labels: &'a Labels,
    ) -> impl Iterator<Item = &'a Arc<Gateway>> {
        self.gateways.iter().filter(|gateway| matches(&gateway.selector, labels))
    }

    /// VirtualServices bound to a gateway (`namespace/name`) or to `mesh`.
    pub fn on_gateway(&self, gateway: &str) -> &[Arc<VirtualService>] {
        self.by_gateway.get(gateway).map_or(&[], Vec::as_slice)
    }

    /// The mesh's VirtualServices for a host: exact names first, then the most specific wildcard.
    pub fn for_host<'a>(&'a self, host: &'a str) -> impl Iterator<Item = &'a Arc<VirtualService>> {
        let exact = self.mesh_by_host.get(host).into_iter().flatten();
        let wild = host::wildcards(host).filter(move |pattern| pattern != host);
        let wild = wild.filter_map(|pattern| self.mesh_by_host.get(pattern.as_str())).flatten();
        exact.chain(wild)
    }

    /// All DestinationRules, in no order.
    pub fn destination_rules(&self) -> impl Iterator<Item = &Arc<DestinationRule>> {
        self.rules.values().flatten()
    }

    /// DestinationRules for a host: exact ones first, then the most specific wildcard.
    pub fn rules_for<'a>(
        &'a self,
        host: &'a str,
    ) -> impl Iterator<Item = &'a [Arc<DestinationRule>]> {
        let exact = self.rules.get(host).map(Vec::as_slice);
        let wild = host::wildcards(host).filter(move |pattern| pattern != host);
        let wild = wild.filter_map(|pattern| self.rules.get(pattern.as_str()).map(Vec::as_slice));
        exact.into_iter().chain(wild)
    }

    /// The Sidecar of a proxy: one that selects it, its namespace's, or the root namespace's.
    pub fn sidecar(&self, namespace: &str, root: &str, labels: &Labels) -> Option<&Arc<Sidecar>> {
        let own = self.sidecars.get(namespace).map(Vec::as_slice).unwrap_or_default();
        let selected =
            own.iter().find(|s| s.selector.as_ref().is_some_and(|sel| matches(sel, labels)));
        let default = || own.iter().find(|sidecar| sidecar.selector.is_none());
        let root = || {
            let all = self.sidecars.get(root)?;
            all.iter().find(|sidecar| sidecar.selector.is_none())
        };
        selected.or_else(default).or_else(root)
    }
}

fn sorted<T>(table: &Table<T>, meta: impl Fn(&T) -> &Arc<crate::meta::Meta>) -> Vec<Arc<T>> {
    let mut all: Vec<Arc<T>> = table.values().cloned().collect();
    all.sort_by(|a, b| meta(a).cmp(meta(b)));
    all
}
