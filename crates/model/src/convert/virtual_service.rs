//! VirtualService -> [`VirtualService`]: connection routes with resolved hosts and checked numbers.

use std::sync::Arc;

use lateen_api::istio::networking::{
    L4MatchAttributes, RouteDestination, TlsMatchAttributes, VirtualServiceSpec,
};

use crate::convert::Notes;
use crate::host::{self, Domain};
use crate::meta::Meta;
use crate::routing::{Destination, L4Match, L4Route, VirtualService};
use crate::visibility::ExportTo;

/// Compiles the connection routes of a VirtualService. Wrong parts are left out with an Issue.
pub fn virtual_service(
    meta: &Arc<Meta>,
    spec: &VirtualServiceSpec,
    domain: &Domain,
    notes: &mut Notes<'_>,
) -> VirtualService {
    let ns = &meta.namespace;
    let tcp = spec.tcp.iter().enumerate().filter_map(|(i, route)| {
        let path = format!("spec.tcp[{i}]");
        let matches = matches(&route.r#match, &path, |m, p| tcp_match(m, ns, p, notes))?;
        Some(L4Route {
            matches,
            destinations: destinations(&route.route, ns, domain, &path, notes)?,
        })
    });
    let tcp: Vec<L4Route> = tcp.collect();
    let tls = spec.tls.iter().enumerate().filter_map(|(i, route)| {
        let path = format!("spec.tls[{i}]");
        let matches = matches(&route.r#match, &path, |m, p| tls_match(m, ns, p, notes))?;
        Some(L4Route {
            matches,
            destinations: destinations(&route.route, ns, domain, &path, notes)?,
        })
    });
    let tls: Vec<L4Route> = tls.collect();
    if !spec.http.is_empty() {
        notes.unsupported("spec.http");
    }
    VirtualService {
        meta: Arc::clone(meta),
        hosts: spec.hosts.iter().map(|h| host::shared(&domain.resolve_short(h, ns))).collect(),
        gateways: gateways(&spec.gateways, ns, true),
        export_to: ExportTo::parse(&spec.export_to, ns),
        tcp,
        tls,
    }
}

/// Gateway names made full; an empty list means the mesh when `default_mesh`. A dotted name is an old
/// form that Istio still takes: `NAME.NAMESPACE`, whatever follows.
fn gateways(names: &[String], namespace: &str, default_mesh: bool) -> Vec<Arc<str>> {
    if names.is_empty() && default_mesh {
        return vec![Arc::from("mesh")];
    }
    let full = |name: &String| match (name.as_str(), name.split_once('.')) {
        ("mesh", _) => Arc::from("mesh"),
        (text, _) if text.contains('/') => match text.strip_prefix("./") {
            Some(own) => Arc::from(format!("{namespace}/{own}")),
            None => Arc::from(text),
        },
        (_, Some((name, rest))) => {
            Arc::from(format!("{}/{name}", rest.split('.').next().unwrap_or(rest)))
        }
        (name, None) => Arc::from(format!("{namespace}/{name}")),
    };
    names.iter().map(full).collect()
}

/// All matches that can be used; `None` when there were some and none can be, so that a broken
/// match never turns into one that takes everything.
fn matches<M>(
    list: &[M],
    path: &str,
    mut one: impl FnMut(&M, &str) -> Option<L4Match>,
) -> Option<Vec<L4Match>> {
    let good: Vec<L4Match> = list
        .iter()
        .enumerate()
        .filter_map(|(i, item)| one(item, &format!("{path}.match[{i}]")))
        .collect();
    (list.is_empty() || !good.is_empty()).then_some(good)
}

fn tcp_match(
    spec: &L4MatchAttributes,
    namespace: &str,
    path: &str,
    notes: &mut Notes<'_>,
) -> Option<L4Match> {
    let subnet = match spec.source_subnet.as_str() {
        "" => None,
        text => Some(notes.subnet(text, &format!("{path}.sourceSubnet"))?),
    };
    Some(L4Match {
        port: port(spec.port, path, notes)?,
        destination_subnets: subnets(&spec.destination_subnets, path, notes)?,
        source_subnet: subnet,
        source_labels: spec.source_labels.clone(),
        source_namespace: some(&spec.source_namespace),
        gateways: gateways(&spec.gateways, namespace, false),
        sni_hosts: Vec::new(),
    })
}

fn tls_match(
    spec: &TlsMatchAttributes,
    namespace: &str,
    path: &str,
    notes: &mut Notes<'_>,
) -> Option<L4Match> {
    if spec.sni_hosts.is_empty() {
        notes.bad(&format!("{path}.sniHosts"), "a TLS match must name at least one SNI host");
        return None;
    }
    Some(L4Match {
        port: port(spec.port, path, notes)?,
        destination_subnets: subnets(&spec.destination_subnets, path, notes)?,
        source_subnet: None,
        source_labels: spec.source_labels.clone(),
        source_namespace: some(&spec.source_namespace),
        gateways: gateways(&spec.gateways, namespace, false),
        sni_hosts: spec.sni_hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
    })
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn port(number: Option<u32>, path: &str, notes: &mut Notes<'_>) -> Option<Option<u16>> {
    match number {
        None | Some(0) => Some(None),
        Some(number) => notes.port(number, &format!("{path}.port")).map(Some),
    }
}

fn subnets(list: &[String], path: &str, notes: &mut Notes<'_>) -> Option<Vec<ipnet::IpNet>> {
    let paths = list.iter().enumerate();
    paths.map(|(i, text)| notes.subnet(text, &format!("{path}.destinationSubnets[{i}]"))).collect()
}

/// The weighted destinations; `None` when there is none to use.
fn destinations(
    list: &[RouteDestination],
    namespace: &str,
    domain: &Domain,
    path: &str,
    notes: &mut Notes<'_>,
) -> Option<Vec<Destination>> {
    let single = list.len() == 1;
    let mut out = Vec::new();
    for (i, item) in list.iter().enumerate() {
        let path = format!("{path}.route[{i}]");
        let host = item.destination.as_ref().map(|d| d.host.as_str()).unwrap_or_default();
        let Some(destination) = item.destination.as_ref().filter(|d| !d.host.is_empty()) else {
            notes.bad(&format!("{path}.destination.host"), "a destination needs a host");
            continue;
        };
        let number = destination.port.as_ref().and_then(|port| port.number);
        let port = match number {
            None | Some(0) => None,
            Some(number) => match notes.port(number, &format!("{path}.destination.port.number")) {
                Some(port) => Some(port),
                None => continue,
            },
        };
        let weight = match item.weight {
            None | Some(0) if single => 1,
            other => u32::try_from(other.unwrap_or(0)).unwrap_or(0),
        };
        if weight == 0 {
            continue;
        }
        out.push(Destination {
            written: host.to_owned(),
            hosts: destination_hosts(host, namespace, domain),
            port,
            subset: destination.subset.clone(),
            weight,
            path: format!("{path}.destination.host"),
        });
    }
    if out.is_empty() {
        notes.bad(&format!("{path}.route"), "no destination can be used: the route is ignored");
        return None;
    }
    Some(out)
}

/// A short name means the Service of the namespace first; a dotted name itself first.
fn destination_hosts(host: &str, namespace: &str, domain: &Domain) -> Vec<Arc<str>> {
    let mut names = domain.candidates(host, namespace);
    if !host.contains('.') {
        names.reverse();
    }
    names.iter().map(|name| host::shared(name)).collect()
}
