//! The compiled objects, per kind, as the indexes read them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::convert::entry::Entry;
use crate::convert::service::Slice;
use crate::meta::Meta;
use crate::routing::{DestinationRule, Gateway, Sidecar, VirtualService};
use crate::service::{Labels, Service};
use crate::telemetry::Telemetry;
use crate::workload::Workload;

/// Namespace and name.
pub type Name = (String, String);

/// Objects of one kind. Clones share it until one of them changes it, which copies this table alone.
pub type Table<T> = Arc<BTreeMap<Name, Arc<T>>>;

/// Everything that translation may need, before it is indexed.
#[derive(Debug, Default, Clone)]
pub struct Tables {
    pub services: Table<Service>,
    pub entries: Table<Entry>,
    pub workloads: Table<Workload>,
    pub pods: Table<Workload>,
    pub slices: Table<Slice>,
    pub virtual_services: Table<VirtualService>,
    pub destination_rules: Table<DestinationRule>,
    pub gateways: Table<Gateway>,
    pub sidecars: Table<Sidecar>,
    pub telemetries: Table<Telemetry>,
    /// Gateways of the Gateway API: that they are there.
    pub api_gateways: Table<Meta>,
    pub namespaces: Arc<BTreeMap<String, Labels>>,
}

impl Tables {
    /// Copies what is shared with a clone.
    pub fn part(&mut self) {
        fn part<K: Clone, V: Clone>(table: &mut Arc<BTreeMap<K, V>>) {
            Arc::make_mut(table);
        }
        part(&mut self.services);
        part(&mut self.entries);
        part(&mut self.workloads);
        part(&mut self.pods);
        part(&mut self.slices);
        part(&mut self.virtual_services);
        part(&mut self.destination_rules);
        part(&mut self.gateways);
        part(&mut self.sidecars);
        part(&mut self.telemetries);
        part(&mut self.api_gateways);
        part(&mut self.namespaces);
    }

    /// What is in these namespaces.
    pub fn only(&self, namespaces: &BTreeSet<String>) -> Self {
        fn only<T>(table: &Table<T>, namespaces: &BTreeSet<String>) -> Table<T> {
            let seen = table.iter().filter(|((namespace, _), _)| namespaces.contains(namespace));
            Arc::new(seen.map(|(name, object)| (name.clone(), Arc::clone(object))).collect())
        }
        let labels = self.namespaces.iter().filter(|(name, _)| namespaces.contains(*name));
        Self {
            services: only(&self.services, namespaces),
            entries: only(&self.entries, namespaces),
            workloads: only(&self.workloads, namespaces),
            pods: only(&self.pods, namespaces),
            slices: only(&self.slices, namespaces),
            virtual_services: only(&self.virtual_services, namespaces),
            destination_rules: only(&self.destination_rules, namespaces),
            gateways: only(&self.gateways, namespaces),
            sidecars: only(&self.sidecars, namespaces),
            telemetries: only(&self.telemetries, namespaces),
            api_gateways: only(&self.api_gateways, namespaces),
            namespaces: Arc::new(
                labels.map(|(name, labels)| (name.clone(), labels.clone())).collect(),
            ),
        }
    }
}
