//! A sidecar's way in: one chain per port that a service declares, and the rest passed through.
//!
//! As in Istio since 1.10 the application is reached at the address that was dialled (`ORIGINAL_DST`)
//! from 127.0.0.6, which the capture rules leave alone; with `inboundTrafficPolicy: LOCALHOST` at
//! 127.0.0.1. With `interceptionMode: TPROXY` the client's own address takes the place of 127.0.0.6, and
//! a mark says to the capture rules whose connection it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::TrafficDirection;
use envoy_types::pb::envoy::config::listener::v3::{
    FilterChain, FilterChainMatch, Listener, ListenerFilter,
};
use envoy_types::pb::envoy::extensions::filters::listener::original_dst::v3::OriginalDst;
use envoy_types::pb::envoy::extensions::filters::listener::original_src::v3::OriginalSrc;
use lateen_model::index::endpoints::target;
use lateen_model::service::Service;
use lateen_model::telemetry::Side;

use crate::context::Context;
use crate::listener::{VIRTUAL_INBOUND, listener_filter, transparent};
use crate::origin::Origin;
use crate::tcp::{BLACK_HOLE, Target, chain};
use crate::{Named, wire};

/// Connects to the address that was dialled, from 127.0.0.6.
pub const INBOUND_PASSTHROUGH: &str = "InboundPassthroughCluster";

/// By which interception knows connections that have a client's address: Istio's, and no setting of it.
const ORIGINAL_SOURCE_MARK: u32 = 1337;

/// The name of an inbound cluster.
pub fn cluster_name(port: u16) -> String {
    format!("inbound|{port}||")
}

/// The ports that services declare for this proxy's workload, with the services, the oldest first.
pub fn ports<'a>(context: &Context<'a>) -> BTreeMap<u16, Vec<&'a Arc<Service>>> {
    let proxy = context.proxy;
    let snapshot = context.snapshot;
    let workload = proxy.address().and_then(|address| snapshot.workload(address));
    let mut found: BTreeMap<u16, Vec<&Arc<Service>>> = BTreeMap::new();
    for id in snapshot.services().selecting(&proxy.namespace, &proxy.labels) {
        let service = snapshot.services().get(id);
        for port in service.ports.iter().filter(|port| port.is_tcp()) {
            let number = match workload {
                Some(workload) => target(workload, port),
                None => port.target_number(),
            };
            let Some(number) = number else { continue };
            let services = found.entry(number).or_default();
            if !services.iter().any(|known| Arc::ptr_eq(known, service)) {
                services.push(service);
            }
        }
    }
    found
}

/// `virtualInbound`.
pub fn listener(context: &Context<'_>) -> Named {
    let own = context.snapshot.mesh().inbound_port;
    let mut origins = Vec::new();
    let mut chains = vec![FilterChain {
        name: "virtualInbound-blackhole".to_owned(),
        ..chain(
            context,
            Side::Server,
            &Target::cluster(BLACK_HOLE),
            Some(on_port(own)),
            Origin::default(),
        )
    }];
    for (port, services) in ports(context) {
        if port == own {
            continue;
        }
        origins.extend(services.iter().map(|service| service.meta.object.clone()));
        let origin = Origin::default().services(services.iter().map(|service| &***service));
        let target = Target::cluster(&cluster_name(port));
        chains.push(FilterChain {
            name: format!("0.0.0.0_{port}"),
            ..chain(context, Side::Server, &target, Some(on_port(port)), origin)
        });
    }
    chains.push(FilterChain {
        name: VIRTUAL_INBOUND.to_owned(),
        ..chain(
            context,
            Side::Server,
            &Target::cluster(INBOUND_PASSTHROUGH),
            None,
            Origin::default(),
        )
    });
    let listener = Listener {
        name: VIRTUAL_INBOUND.to_owned(),
        address: Some(wire::any_address(context.proxy.has_ipv6(), own)),
        filter_chains: chains,
        listener_filters: listener_filters(context),
        transparent: transparent(context),
        traffic_direction: TrafficDirection::Inbound.into(),
        ..Default::default()
    };
    origins.dedup();
    Named { name: VIRTUAL_INBOUND.to_owned(), body: wire::listener(listener), origins }
}

fn listener_filters(context: &Context<'_>) -> Vec<ListenerFilter> {
    let destination = wire::any(&OriginalDst::default());
    let mut filters = vec![listener_filter("envoy.filters.listener.original_dst", destination)];
    if context.proxy.transparent {
        let source = OriginalSrc { mark: ORIGINAL_SOURCE_MARK, ..Default::default() };
        filters.push(listener_filter("envoy.filters.listener.original_src", wire::any(&source)));
    }
    filters
}

fn on_port(port: u16) -> FilterChainMatch {
    FilterChainMatch { destination_port: Some(wire::uint(u32::from(port))), ..Default::default() }
}
