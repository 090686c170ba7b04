//! Clusters: one per service, port and subset, and the fixed ones.

use std::collections::BTreeSet;
use std::sync::Arc;

use envoy_types::pb::envoy::config::cluster::v3::{
    CircuitBreakers, Cluster, UpstreamConnectionOptions, circuit_breakers::Thresholds, cluster,
};
use envoy_types::pb::envoy::config::core::v3::{
    AggregatedConfigSource, ApiVersion, BindConfig, ConfigSource, ExtraSourceAddress, TcpKeepalive,
    config_source,
};
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::HttpProtocolOptions;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::http_protocol_options::{
    ExplicitHttpConfig, UpstreamProtocolOptions, explicit_http_config,
};
use lateen_model::index::services::ServiceId;
use lateen_model::routing::{Balancer, Subset, TcpPool, TrafficPolicy};
use lateen_model::service::{Resolution, Service};
use prost::Name;

use crate::context::Context;
use crate::endpoint::{assignment, local};
use crate::inbound::{self, INBOUND_PASSTHROUGH};
use crate::origin::Origin;
use crate::policy::Policy;
use crate::proxy::Role;
use crate::reporting::collectors;
use crate::tcp::{BLACK_HOLE, PASSTHROUGH, outbound_name};
use crate::wire::{self, duration, uint};
use crate::{Named, Want};

/// The clusters of a proxy.
pub fn clusters(context: &mut Context<'_>, want: Want<'_>) -> Vec<Named> {
    match want {
        Want::All => {
            let mut all = fixed(context);
            for id in reachable(context) {
                all.extend(of_service(context, id));
            }
            all
        }
        Want::Names(names) => names.iter().filter_map(|name| by_name(context, name)).collect(),
    }
}

/// Services that the proxy sees, those that routes of what it sees lead to, and those that its logs go to.
pub fn reachable(context: &Context<'_>) -> BTreeSet<ServiceId> {
    let mut ids: BTreeSet<ServiceId> = context.seen().into_iter().collect();
    ids.extend(collectors(context));
    if context.sidecar.is_none() {
        return ids;
    }
    for id in ids.clone() {
        let service = context.service(id);
        for port in &service.ports {
            let host = &service.hostname;
            let tcp = context.tcp_routes(host, port.number).map(|vs| &vs.tcp);
            let tls = context.tls_routes(host, port).map(|vs| &vs.tls);
            let routes = tcp.into_iter().chain(tls).flatten();
            let led = routes.flat_map(|route| &route.destinations);
            let found = led.filter_map(|d| d.hosts.iter().find_map(|host| context.resolve(host)));
            ids.extend(found.map(|id| context.concrete(id)));
        }
    }
    ids
}

fn by_name(context: &Context<'_>, name: &str) -> Option<Named> {
    if let Some((id, port, subset)) = find(context, name) {
        return outbound(context, id, port, &subset);
    }
    fixed(context).into_iter().find(|cluster| cluster.name == name)
}

/// The service, port and subset of a cluster's name, if the proxy may reach it.
pub fn find(context: &Context<'_>, name: &str) -> Option<(ServiceId, u16, String)> {
    let parts: Vec<&str> = name.split('|').collect();
    let &["outbound", port, subset, host] = parts.as_slice() else { return None };
    let port = port.parse().ok()?;
    let id = context.resolve(host)?;
    context.service(id).port(port).filter(|port| port.is_tcp())?;
    Some((id, port, subset.to_owned()))
}

fn of_service(context: &Context<'_>, id: ServiceId) -> Vec<Named> {
    let service = context.service(id);
    let policy = Policy::find(context, service);
    let subsets: Vec<&str> = policy.subsets.iter().map(|subset| subset.name.as_str()).collect();
    let ports = service.ports.iter().filter(|port| port.is_tcp());
    ports
        .flat_map(|port| {
            std::iter::once("").chain(subsets.clone()).map(move |subset| (port, subset))
        })
        .filter_map(|(port, subset)| outbound(context, id, port.number, subset))
        .collect()
}

/// Clusters that every proxy, or every sidecar, has.
fn fixed(context: &Context<'_>) -> Vec<Named> {
    let mut all = vec![named(base(context, BLACK_HOLE, cluster::DiscoveryType::Static))];
    if context.proxy.role == Role::Sidecar {
        let default = context.snapshot.mesh().pool.as_ref();
        let mut to_unknown = limited(original_dst(context, PASSTHROUGH));
        let inbound = original_dst(context, INBOUND_PASSTHROUGH);
        let mut inbound = limited(from_loopback(context, inbound));
        pool(context, &mut to_unknown, default);
        pool(context, &mut inbound, default);
        all.extend([named(to_unknown), named(inbound)]);
        for (port, services) in inbound::ports(context) {
            let mut cluster = inbound_cluster(context, port);
            pool(context, &mut cluster, inbound_pool(context, &services));
            let origin = Origin::default().services(services.iter().map(|service| &***service));
            cluster.metadata = origin.build();
            let origins = services.iter().map(|service| service.meta.object.clone()).collect();
            all.push(Named { origins, ..named(cluster) });
        }
    }
    all
}

/// As in Istio the mesh's pool is for both ends. What rules say of a pool takes its place here as well, and is
/// for clients alone.
fn inbound_pool<'a>(context: &Context<'a>, services: &[&'a Arc<Service>]) -> Option<&'a TcpPool> {
    let mut pools = services.iter().map(|service| Policy::find(context, service).inherited_pool());
    pools.next().flatten().filter(|_| pools.all(|pool| pool.is_some()))
}

fn inbound_cluster(context: &Context<'_>, port: u16) -> Cluster {
    let name = inbound::cluster_name(port);
    if !context.snapshot.mesh().inbound_localhost {
        return limited(from_loopback(context, original_dst(context, &name)));
    }
    let cluster = base(context, &name, cluster::DiscoveryType::Static);
    limited(Cluster { load_assignment: Some(local(&name, port)), ..cluster })
}

/// The addresses that the capture rules leave alone.
fn from_loopback(context: &Context<'_>, cluster: Cluster) -> Cluster {
    let ipv6 = context.proxy.has_ipv6().then(|| ExtraSourceAddress {
        address: Some(wire::socket("::6", 0)),
        ..Default::default()
    });
    let bind = BindConfig {
        source_address: Some(wire::socket("127.0.0.6", 0)),
        extra_source_addresses: ipv6.into_iter().collect(),
        ..Default::default()
    };
    Cluster { upstream_bind_config: Some(bind), ..cluster }
}

fn named(cluster: Cluster) -> Named {
    Named { name: cluster.name.clone(), body: wire::cluster(cluster), origins: Vec::new() }
}

fn base(context: &Context<'_>, name: &str, kind: cluster::DiscoveryType) -> Cluster {
    Cluster {
        name: name.to_owned(),
        cluster_discovery_type: Some(cluster::ClusterDiscoveryType::Type(kind.into())),
        connect_timeout: Some(duration(context.snapshot.mesh().connect_timeout)),
        ..Default::default()
    }
}

fn original_dst(context: &Context<'_>, name: &str) -> Cluster {
    Cluster {
        lb_policy: cluster::LbPolicy::ClusterProvided.into(),
        ..base(context, name, cluster::DiscoveryType::OriginalDst)
    }
}

/// Istio lifts Envoy's default limits of 1024.
fn limited(mut cluster: Cluster) -> Cluster {
    cluster.circuit_breakers = Some(CircuitBreakers {
        thresholds: vec![Thresholds {
            max_connections: Some(uint(u32::MAX)),
            max_pending_requests: Some(uint(u32::MAX)),
            max_requests: Some(uint(u32::MAX)),
            max_retries: Some(uint(u32::MAX)),
            track_remaining: true,
            ..Default::default()
        }],
        ..Default::default()
    });
    cluster
}

/// How Envoy finds a service's endpoints.
pub fn discovery(
    context: &Context<'_>,
    service: &Service,
    passthrough: bool,
) -> cluster::DiscoveryType {
    let gateway = context.proxy.role == Role::Gateway;
    match service.resolution {
        // A gateway has no original destination that would mean anything.
        _ if passthrough && !gateway => cluster::DiscoveryType::OriginalDst,
        Resolution::Passthrough if !gateway => cluster::DiscoveryType::OriginalDst,
        Resolution::Passthrough | Resolution::Static => cluster::DiscoveryType::Eds,
        Resolution::Dns => cluster::DiscoveryType::StrictDns,
        Resolution::DnsRoundRobin => cluster::DiscoveryType::LogicalDns,
    }
}

fn outbound(context: &Context<'_>, id: ServiceId, port: u16, subset: &str) -> Option<Named> {
    let service = context.service(id);
    let policy = Policy::find(context, service);
    let chosen = if subset.is_empty() { None } else { Some(policy.subset(subset)?) };
    let settings = policy.settings(chosen, port);
    let name = outbound_name(port, subset, &service.hostname);
    let passthrough = settings.balancer == Some(Balancer::Passthrough);
    let kind = discovery(context, service, passthrough);
    let mut cluster = limited(base(context, &name, kind));
    cluster.lb_policy = balancer(&settings, kind).into();
    if service.port(port).is_some_and(|port| port.is_http2()) {
        http2(&mut cluster);
    }
    match kind {
        cluster::DiscoveryType::Eds => cluster.eds_cluster_config = Some(over_ads(&name)),
        cluster::DiscoveryType::StrictDns | cluster::DiscoveryType::LogicalDns => {
            let load = assignment(context, id, port, chosen, &name);
            by_dns(&mut cluster, load, kind);
        }
        cluster::DiscoveryType::Static | cluster::DiscoveryType::OriginalDst => {}
    }
    pool(context, &mut cluster, Some(&settings.pool.unwrap_or_default()));
    let mut origin = Origin::default().services([&**service]).subset(subset);
    let mut origins = vec![service.meta.object.clone()];
    if let Some(rule) = chosen.map(|subset| &subset.owner).or(policy.rules.first().map(|r| &r.meta))
    {
        origin = origin.config(rule);
    }
    origins.extend(policy.rules.iter().map(|rule| rule.meta.object.clone()));
    cluster.metadata = origin.build();
    Some(Named { origins, ..named(cluster) })
}

/// Envoy's own requests, to collectors of access logs, are in HTTP/2 where the service says that it is.
fn http2(cluster: &mut Cluster) {
    let config = explicit_http_config::ProtocolConfig::Http2ProtocolOptions(Default::default());
    let config = ExplicitHttpConfig { protocol_config: Some(config) };
    let options = UpstreamProtocolOptions::ExplicitHttpConfig(config);
    let options =
        HttpProtocolOptions { upstream_protocol_options: Some(options), ..Default::default() };
    let name = HttpProtocolOptions::full_name();
    cluster.typed_extension_protocol_options = [(name, wire::any(&options))].into();
}

fn balancer(settings: &TrafficPolicy, kind: cluster::DiscoveryType) -> cluster::LbPolicy {
    if kind == cluster::DiscoveryType::OriginalDst {
        return cluster::LbPolicy::ClusterProvided;
    }
    match settings.balancer {
        Some(Balancer::RoundRobin) => cluster::LbPolicy::RoundRobin,
        Some(Balancer::Random) => cluster::LbPolicy::Random,
        Some(Balancer::LeastRequest | Balancer::Passthrough) | None => {
            cluster::LbPolicy::LeastRequest
        }
    }
}

fn over_ads(name: &str) -> cluster::EdsClusterConfig {
    let ads = config_source::ConfigSourceSpecifier::Ads(AggregatedConfigSource {});
    cluster::EdsClusterConfig {
        eds_config: Some(ConfigSource {
            resource_api_version: ApiVersion::V3.into(),
            config_source_specifier: Some(ads),
            ..Default::default()
        }),
        service_name: name.to_owned(),
    }
}

/// The proxy resolves the names. `LOGICAL_DNS` takes exactly one; with none the cluster is empty.
#[expect(deprecated, reason = "the fields that Istio sends; Envoy still takes them")]
fn by_dns(cluster: &mut Cluster, mut load: ClusterLoadAssignment, kind: cluster::DiscoveryType) {
    cluster.dns_lookup_family = cluster::DnsLookupFamily::V4Only.into();
    cluster.dns_refresh_rate = Some(duration(std::time::Duration::from_secs(60)));
    cluster.respect_dns_ttl = true;
    if kind == cluster::DiscoveryType::LogicalDns {
        load.endpoints.truncate(1);
        match load.endpoints.first_mut() {
            Some(locality) => locality.lb_endpoints.truncate(1),
            None => {
                let fixed = cluster::DiscoveryType::Static.into();
                cluster.cluster_discovery_type = Some(cluster::ClusterDiscoveryType::Type(fixed));
            }
        }
    }
    cluster.load_assignment = Some(load);
}

fn pool(context: &Context<'_>, cluster: &mut Cluster, own: Option<&TcpPool>) {
    let Some(own) = own else { return };
    if let Some(timeout) = own.connect_timeout.filter(|timeout| !timeout.is_zero()) {
        cluster.connect_timeout = Some(duration(timeout));
    }
    let limits = cluster.circuit_breakers.as_mut().and_then(|b| b.thresholds.first_mut());
    if let (Some(limit), Some(limits)) = (own.max_connections, limits) {
        limits.max_connections = Some(uint(limit));
    }
    let mesh = context.snapshot.mesh().keepalive;
    if mesh.is_none() && own.keepalive.is_none() {
        return;
    }
    let (mesh, own) = (mesh.unwrap_or_default(), own.keepalive.unwrap_or_default());
    let seconds = |value: Option<std::time::Duration>| {
        value.map(|value| uint(u32::try_from(value.as_secs()).unwrap_or(u32::MAX)))
    };
    cluster.upstream_connection_options = Some(UpstreamConnectionOptions {
        tcp_keepalive: Some(TcpKeepalive {
            keepalive_probes: own.probes.or(mesh.probes).map(uint),
            keepalive_time: seconds(own.time.or(mesh.time)),
            keepalive_interval: seconds(own.interval.or(mesh.interval)),
        }),
        ..Default::default()
    });
}

/// Whether a service's cluster takes its endpoints from EDS.
pub fn over_eds(
    context: &Context<'_>,
    service: &Service,
    subset: Option<&Subset>,
    port: u16,
) -> bool {
    let settings = Policy::find(context, service).settings(subset, port);
    let passthrough = settings.balancer == Some(Balancer::Passthrough);
    discovery(context, service, passthrough) == cluster::DiscoveryType::Eds
}
