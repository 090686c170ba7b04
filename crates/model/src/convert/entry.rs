//! ServiceEntry and WorkloadEntry -> services, workloads and inline endpoints.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use lateen_api::istio::networking as api;
use lateen_api::resource::GivenAddress;

use crate::convert::Notes;
use crate::host;
use crate::index::vip;
use crate::meta::Meta;
use crate::service::{Labels, Location, Port, Protocol, Registry, Resolution, Service, TargetPort};
use crate::visibility::ExportTo;
use crate::workload::{Address, Locality, Workload, itself};

/// A compiled ServiceEntry: one service per host, and the endpoints it writes itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub services: Vec<Arc<Service>>,
    pub endpoints: Vec<Arc<Workload>>,
}

/// Compiles a ServiceEntry with its labels; `given`: the automatic addresses that its hosts have already.
pub fn service_entry(
    meta: &Arc<Meta>,
    spec: &api::ServiceEntrySpec,
    labels: Labels,
    given: &[GivenAddress],
    notes: &mut Notes<'_>,
) -> Entry {
    let automatic = labels.get("networking.istio.io/enable-autoallocate-ip");
    let automatic = automatic.is_none_or(|value| value != "false");
    let labels = Arc::new(labels);
    let (addresses, ranges) = addresses(&spec.addresses, notes);
    let ports = ports(&spec.ports, notes);
    let resolution = resolution(spec, notes);
    let location = match spec.location.unwrap_or_default() {
        api::ServiceLocation::MeshExternal => Location::External,
        api::ServiceLocation::MeshInternal => Location::Internal,
    };
    if spec.hosts.is_empty() {
        notes.bad("spec.hosts", "a service entry needs at least one host");
    }
    let selector: Option<Labels> = spec.workload_selector.as_ref().map(|s| s.labels.clone());
    let mut hostnames: Vec<Arc<str>> = spec.hosts.iter().map(|name| host::shared(name)).collect();
    // A host may be written twice.
    let mut seen = HashSet::new();
    hostnames.retain(|hostname| seen.insert(Arc::clone(hostname)));
    let services = hostnames.into_iter().map(|hostname| {
        let wild = host::is_wildcard(&hostname);
        let may = automatic && !wild && resolution != Resolution::Passthrough;
        let none = addresses.is_empty() && ranges.is_empty();
        Arc::new(Service {
            auto_address: given_to(&hostname, given).filter(|_| may && none),
            name: Arc::clone(&hostname),
            meta: Arc::clone(meta),
            labels: Arc::clone(&labels),
            ports: ports.clone(),
            addresses: addresses.clone(),
            ranges: ranges.clone(),
            resolution,
            location,
            registry: Registry::External,
            export_to: ExportTo::parse(&spec.export_to, &meta.namespace),
            headless: false,
            external_name: None,
            selector: selector.clone(),
            auto_allocate: may,
            hostname,
        })
    });
    let services = services.collect();
    let endpoints = endpoints(meta, spec, resolution, notes);
    Entry { services, endpoints }
}

/// The automatic address that a host has already.
fn given_to(hostname: &str, given: &[GivenAddress]) -> Option<IpAddr> {
    let own = given.iter().find(|address| address.host.eq_ignore_ascii_case(hostname))?;
    own.value.parse().ok().filter(vip::is_automatic)
}

fn addresses(list: &[String], notes: &mut Notes<'_>) -> (Vec<IpAddr>, Vec<IpNet>) {
    let (mut single, mut ranges) = (Vec::new(), Vec::new());
    for (i, text) in list.iter().enumerate() {
        if let Ok(ip) = text.parse::<IpAddr>() {
            single.push(ip);
        } else if let Some(net) = notes.subnet(text, &format!("spec.addresses[{i}]")) {
            if net.prefix_len() == net.max_prefix_len() {
                single.push(net.addr());
            } else {
                ranges.push(net);
            }
        }
    }
    (single, ranges)
}

fn ports(list: &[api::ServicePort], notes: &mut Notes<'_>) -> Vec<Port> {
    let mut out: Vec<Port> = Vec::new();
    let mut taken = HashSet::new();
    for (i, port) in list.iter().enumerate() {
        let path = format!("spec.ports[{i}]");
        let Some(number) = notes.port(port.number.unwrap_or(0), &format!("{path}.number")) else {
            continue;
        };
        if taken.contains(&number) {
            notes.bad(&format!("{path}.number"), "this port number is already taken: line ignored");
            continue;
        }
        let protocol = Protocol::from_word(&port.protocol)
            .unwrap_or_else(|| Protocol::select("TCP", None, &port.name, number));
        let target = match port.target_port {
            None | Some(0) => TargetPort::Same,
            Some(target) => match notes.port(target, &format!("{path}.targetPort")) {
                Some(target) => TargetPort::Number(target),
                None => continue,
            },
        };
        taken.insert(number);
        out.push(Port { number, name: port.name.clone(), protocol, target });
    }
    out
}

fn resolution(spec: &api::ServiceEntrySpec, notes: &mut Notes<'_>) -> Resolution {
    match spec.resolution.unwrap_or_default() {
        api::ServiceResolution::None => Resolution::Passthrough,
        api::ServiceResolution::Static => Resolution::Static,
        api::ServiceResolution::Dns => Resolution::Dns,
        api::ServiceResolution::DnsRoundRobin => Resolution::DnsRoundRobin,
        api::ServiceResolution::DynamicDns => {
            notes.unsupported("spec.resolution");
            Resolution::Passthrough
        }
    }
}

/// The endpoints written inline; a DNS entry without any resolves its own hosts, as Istio does.
fn endpoints(
    meta: &Arc<Meta>,
    spec: &api::ServiceEntrySpec,
    resolution: Resolution,
    notes: &mut Notes<'_>,
) -> Vec<Arc<Workload>> {
    let mut out: Vec<Arc<Workload>> = Vec::new();
    for (i, item) in spec.endpoints.iter().enumerate() {
        let path = format!("spec.endpoints[{i}]");
        let found = workload(meta, item, &path, notes).filter(|found| {
            let fits =
                resolution != Resolution::Static || !matches!(found.address, Address::Host(_));
            if !fits {
                notes.bad(&format!("{path}.address"), "STATIC resolution needs an IP address");
            }
            fits
        });
        out.extend(found.map(|found| Arc::new(Workload { synthetic: true, ..found })));
    }
    let dns = matches!(resolution, Resolution::Dns | Resolution::DnsRoundRobin);
    if dns && spec.endpoints.is_empty() && spec.workload_selector.is_none() {
        let hosts = spec.hosts.iter().filter(|host| !host::is_wildcard(host));
        out.extend(hosts.map(|host| {
            let item = api::WorkloadEntrySpec { address: host.clone(), ..Default::default() };
            Arc::new(Workload {
                synthetic: true,
                implied: true,
                ..plain(meta, &item, Address::Host(host.clone()))
            })
        }));
    }
    out
}

/// Compiles a WorkloadEntry, or an endpoint of a ServiceEntry, which has the same shape.
pub fn workload(
    meta: &Arc<Meta>,
    spec: &api::WorkloadEntrySpec,
    path: &str,
    notes: &mut Notes<'_>,
) -> Option<Workload> {
    let Some(address) = Address::parse(&spec.address) else {
        notes.bad(
            &format!("{path}.address"),
            "an IP address, a host name or unix:///path is needed",
        );
        return None;
    };
    let mut out = plain(meta, spec, address);
    for (name, number) in &spec.ports {
        if let Some(number) = notes.port(*number, &format!("{path}.ports.{name}")) {
            out.ports.push((name.clone(), number));
        }
    }
    Some(out)
}

fn plain(meta: &Arc<Meta>, spec: &api::WorkloadEntrySpec, address: Address) -> Workload {
    Workload {
        meta: Arc::clone(meta),
        owner: itself(meta),
        address,
        labels: spec.labels.clone(),
        ports: Vec::new(),
        weight: spec.weight.filter(|weight| *weight > 0).unwrap_or(1),
        locality: Locality::parse(&spec.locality),
        service_account: spec.service_account.clone(),
        network: spec.network.clone(),
        healthy: true,
        synthetic: false,
        implied: false,
    }
}
