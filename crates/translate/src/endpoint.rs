//! Endpoints: load assignments by locality, with Istio's workload metadata.

use std::collections::{BTreeMap, HashMap};

use envoy_types::pb::envoy::config::core::v3::{
    Address, HealthStatus, Locality as PbLocality, Metadata, Pipe, address,
};
use envoy_types::pb::envoy::config::endpoint::v3::{
    ClusterLoadAssignment, Endpoint as PbEndpoint, LbEndpoint, LocalityLbEndpoints, lb_endpoint,
};
use envoy_types::pb::google::protobuf::Struct;
use lateen_model::index::services::ServiceId;
use lateen_model::routing::Subset;
use lateen_model::service::Resolution;
use lateen_model::workload::{Address as Place, Endpoint, Health, Locality, Workload, matches};

use crate::cluster::{find, over_eds, reachable};
use crate::context::Context;
use crate::policy::Policy;
use crate::tcp::outbound_name;
use crate::wire::{self, text, uint};
use crate::{Named, Want};

/// The assignments of EDS clusters.
pub fn assignments(context: &Context<'_>, want: Want<'_>) -> Vec<Named> {
    match want {
        Want::All => {
            let ids = reachable(context).into_iter();
            ids.flat_map(|id| of_service(context, id)).collect()
        }
        Want::Names(names) => names
            .iter()
            .filter_map(|name| {
                let (id, port, subset) = find(context, name)?;
                eds(context, id, port, &subset)
            })
            .collect(),
    }
}

fn of_service(context: &Context<'_>, id: ServiceId) -> Vec<Named> {
    let service = context.service(id);
    let policy = Policy::find(context, service);
    let mut out = Vec::new();
    for port in service.ports.iter().filter(|port| port.is_tcp()) {
        out.extend(eds(context, id, port.number, ""));
        let subsets = policy.subsets.iter();
        out.extend(subsets.filter_map(|subset| eds(context, id, port.number, &subset.name)));
    }
    out
}

fn eds(context: &Context<'_>, id: ServiceId, port: u16, subset: &str) -> Option<Named> {
    let service = context.service(id);
    let policy = Policy::find(context, service);
    let chosen = if subset.is_empty() { None } else { Some(policy.subset(subset)?) };
    if !over_eds(context, service, chosen, port) {
        return None;
    }
    let name = outbound_name(port, subset, &service.hostname);
    let body = wire::any(&assignment(context, id, port, chosen, &name));
    Some(Named { name, body, origins: vec![service.meta.object.clone()] })
}

/// The endpoints of one port, and of one subset if there is one.
pub fn assignment(
    context: &Context<'_>,
    id: ServiceId,
    port: u16,
    subset: Option<&Subset>,
    name: &str,
) -> ClusterLoadAssignment {
    let mut localities: BTreeMap<&Locality, Vec<&Endpoint>> = BTreeMap::new();
    let resolution = context.service(id).resolution;
    let dns = matches!(resolution, Resolution::Dns | Resolution::DnsRoundRobin);
    for endpoint in context.snapshot.endpoints(id).port(port) {
        let fits = subset.is_none_or(|subset| matches(&subset.labels, &endpoint.workload.labels));
        // Only a DNS cluster resolves names, and it takes no Unix sockets.
        let usable = match endpoint.workload.address {
            Place::Ip(_) => true,
            Place::Host(_) => dns,
            Place::Unix(_) => !dns,
        };
        // A cluster most of whose endpoints are unwell would make Envoy use all of them.
        if fits && usable && endpoint.health == Health::Healthy {
            localities.entry(&endpoint.workload.locality).or_default().push(endpoint);
        }
    }
    let endpoints = localities.into_iter().map(|(locality, list)| LocalityLbEndpoints {
        locality: (*locality != Locality::default()).then(|| place(locality)),
        load_balancing_weight: Some(uint(
            list.iter().fold(0, |sum, e| sum.saturating_add(e.workload.weight)),
        )),
        lb_endpoints: list.into_iter().map(|endpoint| lb_endpoint(context, endpoint)).collect(),
        ..Default::default()
    });
    ClusterLoadAssignment {
        cluster_name: name.to_owned(),
        endpoints: endpoints.collect(),
        ..Default::default()
    }
}

/// One endpoint on the loopback address.
pub fn local(name: &str, port: u16) -> ClusterLoadAssignment {
    let endpoint = LbEndpoint {
        host_identifier: Some(host(wire::address("127.0.0.1", port))),
        ..Default::default()
    };
    let locality = LocalityLbEndpoints { lb_endpoints: vec![endpoint], ..Default::default() };
    ClusterLoadAssignment {
        cluster_name: name.to_owned(),
        endpoints: vec![locality],
        ..Default::default()
    }
}

fn lb_endpoint(context: &Context<'_>, endpoint: &Endpoint) -> LbEndpoint {
    let workload = &endpoint.workload;
    let address = match &workload.address {
        Place::Ip(ip) => wire::address(&ip.to_string(), endpoint.port),
        Place::Host(name) => wire::address(name, endpoint.port),
        Place::Unix(path) => {
            let pipe = Pipe { path: path.clone(), ..Default::default() };
            Address { address: Some(address::Address::Pipe(pipe)) }
        }
    };
    LbEndpoint {
        host_identifier: Some(host(address)),
        health_status: HealthStatus::Healthy.into(),
        load_balancing_weight: Some(uint(workload.weight)),
        metadata: describe(context, workload),
    }
}

fn host(address: Address) -> lb_endpoint::HostIdentifier {
    lb_endpoint::HostIdentifier::Endpoint(PbEndpoint {
        address: Some(address),
        ..Default::default()
    })
}

/// Who it is, in Istio's compact form: `name;namespace;canonical name;canonical revision;cluster`. An endpoint
/// written in a ServiceEntry is no workload: its labels are told, unless a workload has its address.
fn describe(context: &Context<'_>, workload: &Workload) -> Option<Metadata> {
    let (name, revision) = (workload.labelled_name(), workload.labelled_revision());
    let who = match workload.synthetic {
        false => {
            let Workload { owner, meta, .. } = workload;
            format!("{};{};{}", owner.name, meta.namespace, workload.canonical_name())
        }
        true if name.or(revision).is_none() || is_taken(context, workload) => return None,
        true => format!(";;{}", name.unwrap_or_default()),
    };
    let line = format!("{who};{};{}", workload.canonical_revision(), context.proxy.cluster);
    let istio = Struct { fields: HashMap::from([("workload".to_owned(), text(&line))]) };
    let filter_metadata = HashMap::from([("istio".to_owned(), istio)]);
    Some(Metadata { filter_metadata, ..Default::default() })
}

fn is_taken(context: &Context<'_>, endpoint: &Workload) -> bool {
    endpoint.address.ip().is_some_and(|ip| context.snapshot.workload(ip).is_some())
}

fn place(locality: &Locality) -> PbLocality {
    PbLocality {
        region: locality.region.clone(),
        zone: locality.zone.clone(),
        sub_zone: locality.subzone.clone(),
    }
}
