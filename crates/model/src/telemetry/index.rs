//! Telemetry objects by whom they are for.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{Scope, Target, Telemetry};
use crate::meta::Meta;
use crate::service::Labels;
use crate::tables::{Table, Tables};
use crate::workload::matches;

/// The label that says which Gateway of the Gateway API a proxy serves.
pub const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";

/// Objects by namespace, the oldest first.
#[derive(Debug, Default)]
pub struct TelemetryIndex {
    by_namespace: FxHashMap<String, Vec<Arc<Telemetry>>>,
    /// Gateways that they may name.
    gateways: Table<Meta>,
}

impl TelemetryIndex {
    /// Indexes all objects.
    pub fn build(tables: &Tables) -> Self {
        let gateways = Arc::clone(&tables.api_gateways);
        let mut index = Self { gateways, ..Self::default() };
        let mut all: Vec<&Arc<Telemetry>> = tables.telemetries.values().collect();
        all.sort_by(|a, b| a.meta.cmp(&b.meta));
        for object in all {
            let namespace = object.meta.namespace.clone();
            index.by_namespace.entry(namespace).or_default().push(Arc::clone(object));
        }
        index
    }

    /// All objects, in no order.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Telemetry>> {
        self.by_namespace.values().flatten()
    }

    /// What is for a workload: the mesh's object, its namespace's, and its own, of which later ones go before.
    /// Of two in one place the older counts.
    pub fn applied<'a>(
        &'a self,
        namespace: &str,
        root: &str,
        labels: &'a Labels,
    ) -> Vec<&'a Arc<Telemetry>> {
        let mut found: Vec<&Arc<Telemetry>> = self.general(root).take(1).collect();
        if namespace != root {
            found.extend(self.general(namespace).next());
        }
        found.extend(self.selecting(namespace, labels).next());
        found
    }

    /// What selects a workload, the oldest first: only that one counts.
    pub fn selecting<'a>(
        &'a self,
        namespace: &str,
        labels: &'a Labels,
    ) -> impl Iterator<Item = &'a Arc<Telemetry>> {
        self.of(namespace).filter(|object| match &object.scope {
            Scope::All => false,
            Scope::Labels(selector) => matches(selector, labels),
            Scope::Gateways(targets) => {
                targets.iter().any(|target| labels.get(GATEWAY_NAME) == Some(&target.name))
            }
        })
    }

    /// Objects for all of a namespace that an older one leaves without effect, each with that one.
    pub fn shadowed(&self) -> impl Iterator<Item = (&Arc<Telemetry>, &Arc<Telemetry>)> {
        self.by_namespace.keys().flat_map(|namespace| {
            let mut all = self.general(namespace);
            let first = all.next();
            all.filter_map(move |object| Some((object, first?)))
        })
    }

    /// Objects with each Gateway that they name and that is not there.
    pub fn without_gateway(&self) -> impl Iterator<Item = (&Arc<Telemetry>, &Target)> {
        let is_there = |object: &Telemetry, target: &Target| {
            self.gateways.contains_key(&(object.meta.namespace.clone(), target.name.clone()))
        };
        self.all().flat_map(move |object| {
            let targets = match &object.scope {
                Scope::Gateways(targets) => targets.as_slice(),
                Scope::All | Scope::Labels(_) => &[],
            };
            let missing = targets.iter().filter(move |target| !is_there(object, target));
            missing.map(move |target| (object, target))
        })
    }

    fn general(&self, namespace: &str) -> impl Iterator<Item = &Arc<Telemetry>> {
        self.of(namespace).filter(|object| object.scope == Scope::All)
    }

    fn of(&self, namespace: &str) -> impl Iterator<Item = &Arc<Telemetry>> {
        self.by_namespace.get(namespace).into_iter().flatten()
    }
}
