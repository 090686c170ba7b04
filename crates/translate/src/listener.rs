//! Which listeners there are, and what they have in common.

use std::net::IpAddr;

use envoy_types::pb::envoy::config::core::v3::TrafficDirection;
use envoy_types::pb::envoy::config::listener::v3::{
    FilterChain, FilterChainMatch, Listener, ListenerFilter, listener_filter,
};
use envoy_types::pb::envoy::extensions::filters::listener::tls_inspector::v3::TlsInspector;
use envoy_types::pb::google::protobuf::{Any, BoolValue};
use lateen_api::issue::ObjectRef;

use crate::context::Context;
use crate::proxy::Role;
use crate::reporting::Reporting;
use crate::wire::address;
use crate::{Named, Want, gateway, inbound, outbound, wire};

/// Takes what is redirected on the way out.
pub const VIRTUAL_OUTBOUND: &str = "virtualOutbound";
/// Takes what is redirected on the way in.
pub const VIRTUAL_INBOUND: &str = "virtualInbound";

/// The listeners of a proxy.
pub fn listeners(context: &mut Context<'_>, want: Want<'_>) -> Vec<Named> {
    context.reporting = Reporting::of(context);
    if context.proxy.role == Role::Gateway {
        let all = gateway::listeners(context);
        return match want {
            Want::All => all,
            Want::Names(names) => all.into_iter().filter(|l| names.contains(&l.name)).collect(),
        };
    }
    let names = match want {
        Want::All => outbound::names(context),
        Want::Names(names) => names.clone(),
    };
    names.iter().filter_map(|name| sidecar_listener(context, name)).collect()
}

fn sidecar_listener(context: &mut Context<'_>, name: &str) -> Option<Named> {
    match name {
        VIRTUAL_OUTBOUND => Some(outbound::catch_all(context)),
        VIRTUAL_INBOUND => Some(inbound::listener(context)),
        _ => {
            let (ip, port) = parse(name)?;
            if ip.is_unspecified() {
                outbound::by_port(context, port)
            } else {
                outbound::by_address(context, ip, port)
            }
        }
    }
}

/// The name of an address's listener.
pub fn name(ip: IpAddr, port: u16) -> String {
    format!("{ip}_{port}")
}

fn parse(name: &str) -> Option<(IpAddr, u16)> {
    let (ip, port) = name.rsplit_once('_')?;
    Some((ip.parse().ok()?, port.parse().ok()?))
}

/// A listener that is reached through `virtualOutbound` only.
pub fn unbound(
    name: String,
    ip: &str,
    port: u16,
    chains: Vec<FilterChain>,
    origins: Vec<ObjectRef>,
) -> Named {
    let listener = Listener {
        name: name.clone(),
        address: Some(address(ip, port)),
        listener_filters: inspectors(&chains),
        filter_chains: chains,
        bind_to_port: Some(wire::flag(false)),
        traffic_direction: TrafficDirection::Outbound.into(),
        ..Default::default()
    };
    Named { name, body: wire::listener(listener), origins }
}

/// What looks at the first bytes, if a chain is chosen by them. Without it a client that waits for the
/// server's greeting is not kept waiting.
pub fn inspectors(chains: &[FilterChain]) -> Vec<ListenerFilter> {
    let named = |chain: &FilterChain| {
        chain.filter_chain_match.as_ref().is_some_and(|matching| !matching.server_names.is_empty())
    };
    let inspector = || {
        listener_filter("envoy.filters.listener.tls_inspector", wire::any(&TlsInspector::default()))
    };
    chains.iter().any(named).then(inspector).into_iter().collect()
}

/// SNI names; `*` is every name, which Envoy writes as no name.
pub fn server_names(hosts: &[String]) -> Vec<String> {
    if hosts.iter().any(|host| host == "*") { Vec::new() } else { hosts.to_vec() }
}

/// A listener filter with the settings of its type.
pub fn listener_filter(name: &str, body: Any) -> ListenerFilter {
    ListenerFilter {
        name: name.to_owned(),
        config_type: Some(listener_filter::ConfigType::TypedConfig(body)),
        ..Default::default()
    }
}

/// Whether connections to other addresses than the proxy's own arrive at a sidecar's socket.
pub fn transparent(context: &Context<'_>) -> Option<BoolValue> {
    context.proxy.transparent.then(|| wire::flag(true))
}

/// `None` for a match that takes everything, as Istio leaves it out.
pub fn some_match(matching: FilterChainMatch) -> Option<FilterChainMatch> {
    (matching != FilterChainMatch::default()).then_some(matching)
}
