//! Endpoints per service and port, and workloads by address.

use std::net::IpAddr;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::convert::service::{Slice, SliceMember};
use crate::index::services::{ServiceId, ServiceIndex};
use crate::meta::Meta;
use crate::service::{Labels, Port, Registry, Resolution, Service, TargetPort};
use crate::tables::Tables;
use crate::workload::{Address, Endpoint, Health, Locality, Workload, itself, matches};

/// Endpoints of every service, aligned with [`ServiceIndex::all`].
#[derive(Debug, Default)]
pub struct EndpointIndex {
    by_service: Vec<Arc<ServiceEndpoints>>,
    workloads: FxHashMap<IpAddr, Arc<Workload>>,
    direct: FxHashMap<IpAddr, Vec<ServiceId>>,
}

/// The endpoints of one service, per port, in the order of its ports.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct ServiceEndpoints {
    ports: Vec<(u16, Vec<Endpoint>)>,
}

impl ServiceEndpoints {
    /// The endpoints behind a service's port.
    pub fn port(&self, number: u16) -> &[Endpoint] {
        let found = self.ports.iter().find(|(port, _)| *port == number);
        found.map_or(&[], |(_, endpoints)| endpoints.as_slice())
    }

    /// The endpoints of all ports.
    pub fn all(&self) -> impl Iterator<Item = &Endpoint> {
        self.ports.iter().flat_map(|(_, endpoints)| endpoints)
    }

    /// Whether no port has any.
    pub fn is_empty(&self) -> bool {
        self.ports.iter().all(|(_, endpoints)| endpoints.is_empty())
    }
}

impl EndpointIndex {
    /// Indexes all endpoints.
    pub fn build(tables: &Tables, services: &ServiceIndex) -> Self {
        let sources = Sources::new(tables);
        let mut index = Self { workloads: sources.by_address(), ..Self::default() };
        for (id, service) in services.all().iter().enumerate() {
            let found = sources.endpoints(service);
            if service.is_dialled_directly() {
                index.add_direct(id, &found);
            }
            index.by_service.push(Arc::new(found));
        }
        index
    }

    fn add_direct(&mut self, id: ServiceId, found: &ServiceEndpoints) {
        let all = found.ports.iter().flat_map(|(_, endpoints)| endpoints);
        let ips: FxHashSet<IpAddr> = all.filter_map(|e| e.workload.address.ip()).collect();
        for ip in ips {
            self.direct.entry(ip).or_default().push(id);
        }
    }

    /// The endpoints of a service.
    pub fn of(&self, id: ServiceId) -> &ServiceEndpoints {
        &self.by_service[id]
    }

    /// Who owns an address.
    pub fn workload(&self, address: IpAddr) -> Option<&Arc<Workload>> {
        self.workloads.get(&address)
    }

    /// Every workload with an address.
    pub fn workloads(&self) -> impl Iterator<Item = &Arc<Workload>> {
        self.workloads.values()
    }

    /// Headless services with an endpoint at an address, the oldest first.
    pub fn direct_at(&self, address: IpAddr) -> &[ServiceId] {
        self.direct.get(&address).map_or(&[], Vec::as_slice)
    }
}

/// Where endpoints come from, found by what selects them.
struct Sources<'a> {
    tables: &'a Tables,
    /// (namespace, label, value) -> WorkloadEntries; pods only matter to ServiceEntries, because
    /// Kubernetes itself writes EndpointSlices for Services.
    by_label: FxHashMap<(&'a str, &'a str, &'a str), Vec<&'a Arc<Workload>>>,
    pods_by_label: FxHashMap<(&'a str, &'a str, &'a str), Vec<&'a Arc<Workload>>>,
    slices: FxHashMap<(&'a str, &'a str), Vec<&'a Slice>>,
}

impl<'a> Sources<'a> {
    fn new(tables: &'a Tables) -> Self {
        let mut slices: FxHashMap<(&str, &str), Vec<&Slice>> = FxHashMap::default();
        for slice in tables.slices.values() {
            let key = (slice.meta.namespace.as_str(), slice.service.as_str());
            slices.entry(key).or_default().push(slice);
        }
        let by_label = labelled(tables.workloads.values());
        let pods_by_label = labelled(tables.pods.values());
        Self { tables, by_label, pods_by_label, slices }
    }

    /// WorkloadEntries win over Pods, as the more explicit object.
    fn by_address(&self) -> FxHashMap<IpAddr, Arc<Workload>> {
        let all = self.tables.pods.values().chain(self.tables.workloads.values());
        all.filter_map(|workload| Some((workload.address.ip()?, Arc::clone(workload)))).collect()
    }

    fn endpoints(&self, service: &Service) -> ServiceEndpoints {
        let mut seen = FxHashSet::default();
        let ports = service.ports.iter().map(|port| {
            seen.clear();
            let mut endpoints = Vec::new();
            self.collect(service, port, &mut endpoints);
            endpoints.retain(|e: &Endpoint| seen.insert((e.workload.address.clone(), e.port)));
            (port.number, endpoints)
        });
        ServiceEndpoints { ports: ports.collect() }
    }

    fn collect(&self, service: &Service, port: &Port, out: &mut Vec<Endpoint>) {
        match service.registry {
            Registry::Kubernetes => {
                let key = (service.namespace(), &*service.name);
                for slice in self.slices.get(&key).into_iter().flatten() {
                    self.slice(slice, port, out);
                }
            }
            Registry::External => {
                let key = (service.meta.namespace.clone(), service.meta.name.clone());
                let inline = self.tables.entries.get(&key).map(|entry| entry.endpoints.as_slice());
                for workload in inline.unwrap_or_default() {
                    let own_host = matches!(&workload.address, Address::Host(host)
                        if host.eq_ignore_ascii_case(&service.hostname));
                    let other = !own_host && default_endpoint(service, workload);
                    if !other {
                        push(workload, port, out);
                    }
                }
            }
        }
        if let Some(name) = &service.external_name {
            push(&Arc::new(alias(service, name)), port, out);
        }
        let Some(selector) = &service.selector else { return };
        let pods = (service.registry == Registry::External).then_some(&self.pods_by_label);
        for map in std::iter::once(&self.by_label).chain(pods) {
            for workload in select(map, service.namespace(), selector) {
                push(workload, port, out);
            }
        }
    }

    fn slice(&self, slice: &Slice, port: &Port, out: &mut Vec<Endpoint>) {
        let named = slice.ports.iter().find(|(name, _)| *name == port.name);
        let Some(number) = named.and_then(|(_, number)| number.or(port.target_number())) else {
            return;
        };
        for member in &slice.endpoints {
            let workload = self.member(slice, member);
            out.push(Endpoint { workload, port: number, health: member.health });
        }
    }

    /// The pod behind a slice's address, or a workload that knows no more than the slice.
    fn member(&self, slice: &Slice, member: &SliceMember) -> Arc<Workload> {
        let pod = member
            .pod
            .as_ref()
            .and_then(|name| self.tables.pods.get(&(slice.meta.namespace.clone(), name.clone())));
        pod.cloned().unwrap_or_else(|| {
            let locality = Locality { zone: member.zone.clone(), ..Locality::default() };
            Arc::new(bare(&slice.meta, Address::Ip(member.address), locality))
        })
    }
}

/// What an `ExternalName` Service stands for.
fn alias(service: &Service, name: &str) -> Workload {
    bare(&service.meta, Address::Host(name.to_owned()), Locality::default())
}

/// A workload of which only the address is known.
fn bare(meta: &Arc<Meta>, address: Address, locality: Locality) -> Workload {
    Workload {
        meta: Arc::clone(meta),
        owner: itself(meta),
        address,
        labels: Labels::new(),
        ports: Vec::new(),
        weight: 1,
        locality,
        service_account: String::new(),
        network: String::new(),
        healthy: true,
        synthetic: true,
        implied: false,
    }
}

/// A DNS entry of several hosts without endpoints has one default endpoint per host; each host
/// resolves only its own.
fn default_endpoint(service: &Service, workload: &Workload) -> bool {
    matches!(service.resolution, Resolution::Dns | Resolution::DnsRoundRobin)
        && matches!(workload.address, Address::Host(_))
        && workload.implied
}

fn labelled<'a>(
    all: impl Iterator<Item = &'a Arc<Workload>>,
) -> FxHashMap<(&'a str, &'a str, &'a str), Vec<&'a Arc<Workload>>> {
    let mut map: FxHashMap<_, Vec<_>> = FxHashMap::default();
    for workload in all {
        for (key, value) in &workload.labels {
            let key = (workload.meta.namespace.as_str(), key.as_str(), value.as_str());
            map.entry(key).or_default().push(workload);
        }
    }
    map
}

fn select<'m>(
    map: &'m FxHashMap<(&'m str, &'m str, &'m str), Vec<&'m Arc<Workload>>>,
    namespace: &'m str,
    selector: &'m Labels,
) -> impl Iterator<Item = &'m Arc<Workload>> {
    let first = selector.iter().next();
    let found = first.and_then(|(key, value)| map.get(&(namespace, key.as_str(), value.as_str())));
    found.into_iter().flatten().copied().filter(move |w| matches(selector, &w.labels))
}

fn push(workload: &Arc<Workload>, port: &Port, out: &mut Vec<Endpoint>) {
    let Some(number) = target(workload, port) else { return };
    let health = if workload.healthy { Health::Healthy } else { Health::Unhealthy };
    out.push(Endpoint { workload: Arc::clone(workload), port: number, health });
}

/// The number a workload listens on for a service's port: what it says itself for the target's or
/// the port's name, else the target's number.
pub fn target(workload: &Workload, port: &Port) -> Option<u16> {
    let named = match &port.target {
        TargetPort::Named(name) => workload.named_port(name),
        _ => None,
    };
    named.or_else(|| workload.named_port(&port.name)).or_else(|| match port.target {
        // Istio falls back to the service's own number for a name that the workload does not know.
        TargetPort::Named(_) if !workload.synthetic => Some(port.number),
        _ => port.target_number(),
    })
}
