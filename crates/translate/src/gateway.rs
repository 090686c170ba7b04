//! A gateway's listeners: servers of the Gateways that select it, routed by the VirtualServices bound
//! to them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::TrafficDirection;
use envoy_types::pb::envoy::config::listener::v3::{FilterChainMatch, Listener};
use lateen_api::issue::{Code, ObjectRef};
use lateen_model::convert::{CONFLICT, NOT_SUPPORTED};
use lateen_model::host::covers;
use lateen_model::routing::{Gateway, L4Match, L4Route, Server, TlsMode, VirtualService};
use lateen_model::service::{Protocol, TargetPort};
use lateen_model::telemetry::Side;

use crate::chains::Chains;
use crate::context::Context;
use crate::listener::{inspectors, name, server_names, some_match};
use crate::origin::Origin;
use crate::outbound::matches_of;
use crate::tcp::{Target, chain, ranges};
use crate::{Named, wire};

/// A server of a Gateway, with its place in the object.
struct Place<'a> {
    gateway: &'a Arc<Gateway>,
    server: &'a Server,
    path: String,
}

/// What is built for one listener.
#[derive(Default)]
struct Parts {
    chains: Chains,
    /// The route of each chain: a VirtualService and the path in it.
    owners: Vec<(ObjectRef, String)>,
    origins: Vec<ObjectRef>,
}

/// All listeners of a gateway proxy.
pub fn listeners(context: &mut Context<'_>) -> Vec<Named> {
    let mut places: BTreeMap<(IpAddr, u16), Vec<Place<'_>>> = BTreeMap::new();
    let snapshot = context.snapshot;
    for gateway in snapshot.routes().gateways_for(&context.proxy.labels) {
        for (i, server) in gateway.servers.iter().enumerate() {
            let path = format!("spec.servers[{i}]");
            if !translatable(context, gateway, server, &path) {
                continue;
            }
            let default = context.proxy.bind.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
            let bind = server.bind.unwrap_or(default);
            let port = listen_port(context, server.port);
            places.entry((bind, port)).or_default().push(Place { gateway, server, path });
        }
    }
    let places = places.into_iter();
    places.filter_map(|((bind, port), places)| listener(context, bind, port, &places)).collect()
}

/// Whether this stage can serve a server; if not, its Gateway hears of it and all else goes on.
fn translatable(context: &mut Context<'_>, gateway: &Gateway, server: &Server, path: &str) -> bool {
    let Some((field, message)) = unserved(server) else { return true };
    context.issue(&gateway.meta, &format!("{path}.{field}"), NOT_SUPPORTED, message.into());
    false
}

/// Why a server is not served, if that is so, and by which of its fields.
pub fn unserved(server: &Server) -> Option<(&'static str, &'static str)> {
    let protocol = |message| Some(("port.protocol", message));
    match (server.protocol, server.tls) {
        (Protocol::Http | Protocol::Http2 | Protocol::Grpc | Protocol::GrpcWeb, _) => {
            protocol("HTTP servers are not served yet: use protocol TCP to pass the stream on")
        }
        (_, TlsMode::AutoPassthrough) => Some((
            "tls.mode",
            "AUTO_PASSTHROUGH is not served yet: use PASSTHROUGH and a VirtualService with tls routes",
        )),
        (_, TlsMode::Terminate) => protocol(
            "TLS is not ended at the gateway yet: use mode PASSTHROUGH, or protocol TCP without tls",
        ),
        (Protocol::Https | Protocol::Tls, TlsMode::None) => {
            protocol("a TLS server needs tls settings: set tls.mode")
        }
        (Protocol::Udp, _) => protocol("UDP servers are not served: use protocol TCP"),
        _ => None,
    }
}

/// A Service in front of the gateway may map its ports: Gateways name the Service's.
fn listen_port(context: &Context<'_>, port: u16) -> u16 {
    let proxy = context.proxy;
    let services = context.snapshot.services();
    let ids = services.selecting(&proxy.namespace, &proxy.labels);
    let mut found = ids.iter().filter_map(|id| services.get(*id).port(port));
    found
        .find_map(|p| matches!(p.target, TargetPort::Number(_)).then(|| p.target_number())?)
        .unwrap_or(port)
}

fn listener(
    context: &mut Context<'_>,
    bind: IpAddr,
    port: u16,
    places: &[Place<'_>],
) -> Option<Named> {
    let mut parts = Parts::default();
    let tls = places.first().is_some_and(|place| place.server.tls == TlsMode::Passthrough);
    for place in places {
        if (place.server.tls == TlsMode::Passthrough) != tls {
            let message =
                format!("port {port} is already a {} port of an older Gateway", word(tls));
            let path = format!("{}.port", place.path);
            context.issue(&place.gateway.meta, &path, Code::CONFLICTING_GATEWAYS, message);
            continue;
        }
        server(context, place, &mut parts);
    }
    if parts.chains.is_empty() {
        return None;
    }
    let chains = parts.chains.into_vec();
    let metadata = places.first().map(|place| Origin::default().config(&place.gateway.meta));
    let listener = Listener {
        name: name(bind, port),
        address: Some(wire::address(&bind.to_string(), port)),
        listener_filters: inspectors(&chains),
        filter_chains: chains,
        traffic_direction: TrafficDirection::Outbound.into(),
        metadata: metadata.and_then(Origin::build),
        ..Default::default()
    };
    Some(Named { name: name(bind, port), body: wire::listener(listener), origins: parts.origins })
}

fn word(tls: bool) -> &'static str {
    if tls { "TLS" } else { "TCP" }
}

/// Adds the chains of one server.
fn server(context: &mut Context<'_>, place: &Place<'_>, parts: &mut Parts) {
    let gateway = &place.gateway.meta;
    let full = format!("{}/{}", gateway.namespace, gateway.name);
    let tls = place.server.tls == TlsMode::Passthrough;
    let mut routed = false;
    for vs in context.snapshot.routes().on_gateway(&full) {
        if !context.snapshot.virtual_service_visible(vs, &context.proxy.namespace)
            || !binds(place.server, vs)
        {
            continue;
        }
        let routes = if tls { &vs.tls } else { &vs.tcp };
        for (i, route) in routes.iter().enumerate() {
            for item in matches_of(&route.matches) {
                if !applies(&item, &full, place.server.port) {
                    continue;
                }
                let path = format!("spec.{}[{i}]", if tls { "tls" } else { "tcp" });
                routed = true;
                add(context, place, vs, (route, &item, &path), parts);
            }
        }
    }
    if !routed {
        let message = format!(
            "no VirtualService routes port {} of this Gateway: nothing listens there; bind one with \
             spec.gateways and a {} route",
            place.server.port,
            if tls { "tls" } else { "tcp" }
        );
        let path = format!("{}.port.number", place.path);
        context.warn(gateway, &path, Code::REFERENCED_RESOURCE_NOT_FOUND, message);
    } else if !parts.origins.contains(&gateway.object) {
        parts.origins.push(gateway.object.clone());
    }
}

/// Adds one match's chain, unless there is one for it. A route that is bound to the port twice, by
/// two servers or two Gateways, is in force all the same.
fn add(
    context: &mut Context<'_>,
    place: &Place<'_>,
    vs: &VirtualService,
    (route, item, path): (&L4Route, &L4Match, &str),
    parts: &mut Parts,
) {
    let source = item.source_subnet.map(|net| vec![net]).unwrap_or_default();
    let matching = FilterChainMatch {
        prefix_ranges: ranges(&item.destination_subnets),
        source_prefix_ranges: ranges(&source),
        server_names: server_names(&item.sni_hosts),
        ..Default::default()
    };
    if let Some(found) = parts.chains.taken_by(&matching) {
        let owner = &parts.owners[found];
        if (&owner.0, owner.1.as_str()) == (&vs.meta.object, path) {
            return;
        }
        let message = format!(
            "port {} of Gateway {}/{} is already routed by an older rule: this one has no effect",
            place.server.port, place.gateway.meta.namespace, place.gateway.meta.name
        );
        context.issue(&vs.meta, path, CONFLICT, message);
        return;
    }
    let target = Target::route(context, &vs.meta, route, place.server.port);
    let origin = Origin::default().config(&vs.meta);
    if !parts.origins.contains(&vs.meta.object) {
        parts.origins.push(vs.meta.object.clone());
    }
    parts.chains.push(chain(context, Side::Client, &target, some_match(matching), origin));
    parts.owners.push((vs.meta.object.clone(), path.to_owned()));
}

/// Whether a server's hosts admit one of the VirtualService's.
fn binds(server: &Server, vs: &VirtualService) -> bool {
    server.hosts.iter().any(|(namespace, pattern)| {
        (namespace == "*" || *namespace == vs.meta.namespace)
            && vs.hosts.iter().any(|host| covers(pattern, host) || covers(host, pattern))
    })
}

fn applies(item: &L4Match, gateway: &str, port: u16) -> bool {
    let bound = item.gateways.is_empty() || item.gateways.iter().any(|name| &**name == gateway);
    bound && item.port.is_none_or(|number| number == port)
}
