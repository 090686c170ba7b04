//! Services by host, address, port and selector.

use std::net::IpAddr;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::host;
use crate::index::vip;
use crate::service::{Labels, Registry, Service};
use crate::tables::Tables;

/// A service's place in [`ServiceIndex::all`].
pub type ServiceId = usize;

/// Every service, the oldest first, and the ways to find one.
#[derive(Debug, Default)]
pub struct ServiceIndex {
    all: Vec<Arc<Service>>,
    by_host: FxHashMap<Arc<str>, Vec<ServiceId>>,
    by_address: FxHashMap<IpAddr, Vec<ServiceId>>,
    by_port: FxHashMap<u16, Vec<ServiceId>>,
    by_label: FxHashMap<(String, String, String), Vec<ServiceId>>,
    exhausted: Vec<Arc<Service>>,
}

impl ServiceIndex {
    /// Indexes all services.
    pub fn build(tables: &Tables) -> Self {
        let entries = tables.entries.values().flat_map(|entry| entry.services.iter().cloned());
        let mut all: Vec<Arc<Service>> = tables.services.values().cloned().chain(entries).collect();
        all.sort_by(|a, b| (&a.meta, &a.hostname).cmp(&(&b.meta, &b.hostname)));
        let exhausted = vip::allocate(&mut all);
        let mut index = Self { exhausted, ..Self::default() };
        for (id, service) in all.iter().enumerate() {
            index.insert(id, service);
        }
        for ids in index.by_host.values_mut() {
            ids.sort_by_key(|id| (all[*id].registry != Registry::Kubernetes, *id));
        }
        index.all = all;
        index
    }

    fn insert(&mut self, id: ServiceId, service: &Service) {
        self.by_host.entry(Arc::clone(&service.hostname)).or_default().push(id);
        for address in service.addresses.iter().chain(&service.auto_address) {
            self.by_address.entry(*address).or_default().push(id);
        }
        if service.addresses.is_empty() && service.registry == Registry::External {
            for port in &service.ports {
                self.by_port.entry(port.number).or_default().push(id);
            }
        }
        if let Some((key, value)) = service.selector.iter().flatten().next() {
            let key = (service.namespace().to_owned(), key.clone(), value.clone());
            self.by_label.entry(key).or_default().push(id);
        }
    }

    /// Every service, the oldest first.
    pub fn all(&self) -> &[Arc<Service>] {
        &self.all
    }

    /// The service at a place.
    pub fn get(&self, id: ServiceId) -> &Arc<Service> {
        &self.all[id]
    }

    /// Services of exactly this host name (or pattern): Kubernetes first, then the oldest.
    pub fn by_host(&self, host: &str) -> &[ServiceId] {
        self.by_host.get(host).map_or(&[], Vec::as_slice)
    }

    /// Services whose wildcard covers `host`, the most specific first.
    pub fn by_wildcard(&self, host: &str) -> Vec<ServiceId> {
        host::wildcards(host).flat_map(|pattern| self.by_host(&pattern).to_vec()).collect()
    }

    /// Services that answer at an address (their own or an automatic one), the oldest first.
    pub fn by_address(&self, address: IpAddr) -> &[ServiceId] {
        self.by_address.get(&address).map_or(&[], Vec::as_slice)
    }

    /// ServiceEntry hosts on this port that name no address themselves, the oldest first.
    pub fn without_address(&self, port: u16) -> &[ServiceId] {
        self.by_port.get(&port).map_or(&[], Vec::as_slice)
    }

    /// Services of `namespace` whose selector the labels satisfy, the oldest first.
    pub fn selecting(&self, namespace: &str, labels: &Labels) -> Vec<ServiceId> {
        let keys = labels.iter().map(|(k, v)| (namespace.to_owned(), k.clone(), v.clone()));
        let found = keys.filter_map(|key| self.by_label.get(&key)).flatten().copied();
        let fits = |id: &ServiceId| {
            let selector = self.all[*id].selector.as_ref();
            selector.is_some_and(|selector| crate::workload::matches(selector, labels))
        };
        let mut ids: Vec<ServiceId> = found.filter(fits).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Services for which no automatic address was left.
    pub fn exhausted(&self) -> &[Arc<Service>] {
        &self.exhausted
    }
}
