//! A sidecar's way out: the catch-all listener, one listener per address and port, one per port of
//! services without an address.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::TrafficDirection;
use envoy_types::pb::envoy::config::listener::v3::{FilterChain, FilterChainMatch, Listener};
use lateen_api::issue::{Code, ObjectRef};
use lateen_model::index::services::ServiceId;
use lateen_model::routing::{L4Match, OutboundMode};
use lateen_model::service::Service;
use lateen_model::telemetry::Side;

use crate::chains::Chains;
use crate::context::Context;
use crate::listener::{
    VIRTUAL_INBOUND, VIRTUAL_OUTBOUND, name, server_names, some_match, transparent, unbound,
};
use crate::origin::Origin;
use crate::tcp::{BLACK_HOLE, PASSTHROUGH, REASON, Target, chain, ranges};
use crate::{Named, wire};

/// Why a connection to nowhere known is closed.
const NOT_REGISTERED: &str = "outboundTrafficPolicy is REGISTRY_ONLY, and no Service or ServiceEntry \
                              that this workload sees has the address and port";

/// The names of all listeners of a sidecar.
pub fn names(context: &Context<'_>) -> BTreeSet<String> {
    let mut names = BTreeSet::from([VIRTUAL_OUTBOUND.to_owned(), VIRTUAL_INBOUND.to_owned()]);
    for id in context.seen() {
        let service = context.service(id);
        let mut addresses = context.dialled(service);
        if service.is_dialled_directly() {
            let endpoints = context.snapshot.endpoints(id);
            let own = service.ports.iter().flat_map(|port| endpoints.port(port.number));
            addresses.extend(own.filter_map(|endpoint| endpoint.workload.address.ip()));
        }
        if context.by_port_only(service) {
            addresses.push(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        }
        for port in service.ports.iter().filter(|port| port.is_tcp()) {
            names.extend(addresses.iter().map(|ip| name(*ip, port.number)));
        }
    }
    names
}

/// `virtualOutbound`: hands over to the listener of the original destination, and takes the rest.
pub fn catch_all(context: &Context<'_>) -> Named {
    let port = context.snapshot.mesh().outbound_port;
    let loops = FilterChainMatch {
        destination_port: Some(wire::uint(u32::from(port))),
        ..Default::default()
    };
    // Nothing may be meant for the capture port itself: it would go round for ever.
    let hole = FilterChain {
        name: "virtualOutbound-blackhole".to_owned(),
        ..chain(context, Side::Client, &Target::cluster(BLACK_HOLE), Some(loops), Origin::default())
    };
    let rest = FilterChain { name: "virtualOutbound-catchall-tcp".to_owned(), ..rest(context) };
    let listener = Listener {
        name: VIRTUAL_OUTBOUND.to_owned(),
        address: Some(wire::any_address(context.proxy.has_ipv6(), port)),
        filter_chains: vec![hole, rest],
        use_original_dst: Some(wire::flag(true)),
        transparent: transparent(context),
        traffic_direction: TrafficDirection::Outbound.into(),
        ..Default::default()
    };
    let origins = context.sidecar.iter().map(|sidecar| sidecar.meta.object.clone()).collect();
    Named { name: VIRTUAL_OUTBOUND.to_owned(), body: wire::listener(listener), origins }
}

/// What happens to connections to nowhere known.
fn rest(context: &Context<'_>) -> FilterChain {
    let cluster = match context.outbound_mode() {
        OutboundMode::AllowAny => PASSTHROUGH,
        OutboundMode::RegistryOnly => BLACK_HOLE,
    };
    let origin = match context.sidecar.filter(|sidecar| sidecar.outbound.is_some()) {
        Some(sidecar) => Origin::default().config(&sidecar.meta),
        None => Origin::default(),
    };
    let origin = match context.outbound_mode() {
        OutboundMode::AllowAny => origin,
        OutboundMode::RegistryOnly => origin.text(REASON, NOT_REGISTERED),
    };
    chain(context, Side::Client, &Target::cluster(cluster), None, origin)
}

/// The listener of one address and port.
pub fn by_address(context: &mut Context<'_>, ip: IpAddr, port: u16) -> Option<Named> {
    let index = context.snapshot.services();
    let owners = index.by_address(ip).iter().copied().filter(|id| {
        context.chosen(*id, port) && context.dialled(context.service(*id)).contains(&ip)
    });
    let mut ids: Vec<ServiceId> = owners.collect();
    if ids.is_empty() {
        let direct = context.snapshot.endpoint_index().direct_at(ip).iter().copied();
        let own = context.proxy.addresses.contains(&ip);
        ids = direct.filter(|id| !own && context.chosen(*id, port)).collect();
    } else {
        shared_address(context, &ids, port, &format!("address {ip}, port {port}"));
    }
    let service = context.service(*ids.first()?);
    let mut origins = vec![service.meta.object.clone()];
    let chains = service_chains(context, service, port, &[], &mut origins);
    Some(unbound(name(ip, port), &ip.to_string(), port, chains, origins))
}

/// The listener of one port on any address, for services that have none of their own.
pub fn by_port(context: &mut Context<'_>, port: u16) -> Option<Named> {
    let all = context.snapshot.services().without_address(port).iter().copied();
    let ids: Vec<ServiceId> = all
        .filter(|id| context.chosen(*id, port) && context.by_port_only(context.service(*id)))
        .collect();
    let (anywhere, ranged): (Vec<ServiceId>, Vec<ServiceId>) =
        ids.into_iter().partition(|id| context.service(*id).ranges.is_empty());
    let mut origins = Vec::new();
    let mut chains = Chains::default();
    for (at, id) in ranged.iter().enumerate() {
        let service = context.service(*id);
        origins.push(service.meta.object.clone());
        for chain in service_chains(context, service, port, &service.ranges, &mut origins) {
            let matching = chain.filter_chain_match.clone().unwrap_or_default();
            if !chains.taken(&matching) {
                chains.push(chain);
            } else if !ranged[..at].iter().any(|one| lead_to_one(context, *one, *id, port)) {
                let message = format!(
                    "an older object or host has the same addresses on port {port} as {}",
                    service.hostname
                );
                context.issue(&service.meta, "spec.addresses", conflict(), message);
            }
        }
    }
    shared_address(context, &anywhere, port, &format!("any address, port {port}"));
    match anywhere.first() {
        Some(id) => {
            let service = context.service(*id);
            origins.push(service.meta.object.clone());
            // Its own leave each other free.
            for chain in service_chains(context, service, port, &[], &mut origins) {
                if !chains.taken(&chain.filter_chain_match.clone().unwrap_or_default()) {
                    chains.push(chain);
                }
            }
        }
        None if chains.is_empty() => return None,
        None => chains.push(rest(context)),
    }
    let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    Some(unbound(name(any, port), "0.0.0.0", port, chains.into_vec(), origins))
}

fn conflict() -> Code {
    lateen_model::convert::CONFLICT
}

/// The oldest service has a shared address; the others hear of it, but for hosts of its own object that lead to
/// the same place.
fn shared_address(context: &mut Context<'_>, ids: &[ServiceId], port: u16, place: &str) {
    let Some((first, rest)) = ids.split_first() else { return };
    let winner = Arc::clone(context.service(*first));
    for id in rest {
        if lead_to_one(context, *first, *id, port) {
            continue;
        }
        let loser = context.service(*id);
        let (who, remedy) = if winner.meta.object == loser.meta.object {
            (format!("its host {} alone", winner.hostname), "an object with ")
        } else {
            (format!("{} instead, which is older", winner.meta.object), "")
        };
        let message = format!(
            "{place} is served by {who}: give {} {remedy}an address or port of its own",
            loser.hostname
        );
        context.issue(&loser.meta, "", conflict(), message);
    }
}

/// Whether two hosts are of one object, with the same endpoints and the same routes.
fn lead_to_one(context: &Context<'_>, first: ServiceId, other: ServiceId, port: u16) -> bool {
    let endpoints = |id| context.snapshot.endpoints(id).port(port);
    let routes = |id| {
        let service = context.service(id);
        let tls = service.port(port).and_then(|port| context.tls_routes(&service.hostname, port));
        (tls, context.tcp_routes(&service.hostname, port))
    };
    context.service(first).meta.object == context.service(other).meta.object
        && endpoints(first) == endpoints(other)
        && routes(first) == routes(other)
}

/// The chains of a service's port: its VirtualServices' TLS and TCP routes, else its own cluster.
fn service_chains(
    context: &mut Context<'_>,
    service: &'_ Service,
    port: u16,
    ranged: &[ipnet::IpNet],
    origins: &mut Vec<ObjectRef>,
) -> Vec<FilterChain> {
    let mut chains = Chains::default();
    let base = FilterChainMatch { prefix_ranges: ranges(ranged), ..Default::default() };
    let hostname = Arc::clone(&service.hostname);
    let (tls, tcp) = {
        let declared = service.port(port);
        let tls = declared.and_then(|port| context.tls_routes(&hostname, port)).cloned();
        (tls, context.tcp_routes(&hostname, port).cloned())
    };
    let tls = tls.iter().flat_map(|vs| vs.tls.iter().map(move |route| (vs, route)));
    let tcp = tcp.iter().flat_map(|vs| vs.tcp.iter().map(move |route| (vs, route)));
    let routes = tls.chain(tcp);
    for (vs, route, item) in
        routes.flat_map(|(vs, route)| matches_of(&route.matches).map(move |m| (vs, route, m)))
    {
        if !context.applies(&item, port) {
            continue;
        }
        let mut matching =
            FilterChainMatch { server_names: server_names(&item.sni_hosts), ..base.clone() };
        if !item.destination_subnets.is_empty() {
            matching.prefix_ranges = ranges(&item.destination_subnets);
        }
        if chains.taken(&matching) {
            continue;
        }
        let target = Target::route(context, &vs.meta, route, port);
        let origin = Origin::default().config(&vs.meta).services([service]);
        if !origins.contains(&vs.meta.object) {
            origins.push(vs.meta.object.clone());
        }
        chains.push(chain(context, Side::Client, &target, some_match(matching), origin));
    }
    if !chains.taken(&base) {
        let target = Target::service(context, service, port);
        let origin = Origin::default().services([service]);
        chains.push(chain(context, Side::Client, &target, some_match(base), origin));
    }
    chains.into_vec()
}

/// A route without matches matches everything.
pub fn matches_of(matches: &[L4Match]) -> impl Iterator<Item = L4Match> {
    let list = if matches.is_empty() { vec![L4Match::default()] } else { matches.to_vec() };
    list.into_iter()
}
