//! `tcp_proxy` filters and the clusters that connection routes lead to.

use envoy_types::pb::envoy::config::core::v3::{CidrRange, Metadata};
use envoy_types::pb::envoy::config::listener::v3::{Filter, FilterChain, FilterChainMatch, filter};
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::{
    TcpProxy, tcp_proxy,
    tcp_proxy::{WeightedCluster, weighted_cluster::ClusterWeight},
};
use ipnet::IpNet;
use lateen_api::issue::Code;
use lateen_model::meta::Meta;
use lateen_model::routing::{Destination, L4Route};
use lateen_model::service::Service;
use lateen_model::telemetry::Side;

use crate::context::Context;
use crate::origin::Origin;
use crate::policy::Policy;
use crate::wire::{any, duration, uint};

/// Closes every connection.
pub const BLACK_HOLE: &str = "BlackHoleCluster";
/// Connects to where the client wanted to go.
pub const PASSTHROUGH: &str = "PassthroughCluster";

/// The field of a chain's metadata that says why it leads to the black hole.
pub const REASON: &str = "reason";

/// The name of a service's cluster.
pub fn outbound_name(port: u16, subset: &str, host: &str) -> String {
    format!("outbound|{port}|{subset}|{host}")
}

/// A route's clusters, resolved.
#[derive(Debug, Default)]
pub struct Target {
    pub clusters: Vec<(String, u32)>,
    /// The first cluster's name as it would be; what cannot be resolved keeps it too, so that a
    /// statistic or a record still says where the connection was meant to go.
    pub stat_prefix: String,
    /// `host` as written, of destinations that do not exist.
    pub unresolved: Vec<String>,
    /// What is wrong with each of them, as the end of a sentence about the route's owner.
    pub wrong: Vec<String>,
    /// Whose route it is.
    pub owner: Option<String>,
    pub idle_timeout: Option<std::time::Duration>,
}

impl Target {
    /// One cluster that is known to exist.
    pub fn cluster(name: &str) -> Self {
        let clusters = vec![(name.to_owned(), 1)];
        Self { clusters, stat_prefix: name.to_owned(), ..Self::default() }
    }

    /// A service's own cluster.
    pub fn service(context: &Context<'_>, service: &Service, port: u16) -> Self {
        let settings = Policy::find(context, service).settings(None, port);
        let idle_timeout = settings.pool.and_then(|pool| pool.idle_timeout);
        let name = outbound_name(port, "", &service.hostname);
        Self { idle_timeout, ..Self::cluster(&name) }
    }

    /// A route's destinations. One that does not exist goes to the black hole, with an Issue.
    pub fn route(context: &mut Context<'_>, owner: &Meta, route: &L4Route, port: u16) -> Self {
        let name = format!("virtual service {}/{}", owner.namespace, owner.name);
        let mut target = Self { owner: Some(name), ..Self::default() };
        for destination in &route.destinations {
            let (name, found) = match lookup(context, destination, port) {
                Ok((service, number)) => {
                    let name = outbound_name(number, &destination.subset, &service.hostname);
                    if target.idle_timeout.is_none() {
                        target.idle_timeout = Self::service(context, service, number).idle_timeout;
                    }
                    (name, true)
                }
                Err(problem) => {
                    let host = destination.hosts.first().map_or("", |host| host);
                    let number = destination.port.unwrap_or(port);
                    let name = outbound_name(number, &destination.subset, host);
                    context.issue(owner, &destination.path, problem.code, problem.message);
                    target.unresolved.push(destination.written.clone());
                    target.wrong.push(problem.wrong);
                    (name, false)
                }
            };
            let cluster = if found { name.clone() } else { BLACK_HOLE.to_owned() };
            target.clusters.push((cluster, destination.weight));
            if target.stat_prefix.is_empty() {
                target.stat_prefix = name;
            }
        }
        target
    }
}

/// Why a destination leads nowhere.
struct Problem {
    code: Code,
    /// For the author of the route.
    message: String,
    /// The same for the record of a connection that went there.
    wrong: String,
}

/// The service and port of a destination, or why there is none.
fn lookup<'a>(
    context: &Context<'a>,
    destination: &Destination,
    listener: u16,
) -> Result<(&'a Service, u16), Problem> {
    let found = destination.hosts.iter().find_map(|host| context.resolve(host));
    let Some(id) = found else { return Err(unknown(context, destination)) };
    let service: &Service = context.service(context.concrete(id));
    let only = match service.ports.as_slice() {
        [only] => Some(only.number),
        _ => None,
    };
    let number = destination.port.or(only).unwrap_or(listener);
    let host = &service.hostname;
    if !service.port(number).is_some_and(|port| port.is_tcp()) {
        let (code, fix) = match destination.port {
            Some(_) => (Code::REFERENCED_RESOURCE_NOT_FOUND, crate::issues::ANOTHER_PORT),
            None => (
                Code::VIRTUAL_SERVICE_DESTINATION_PORT_SELECTOR_REQUIRED,
                "name one of its ports in destination.port.number",
            ),
        };
        let message = crate::issues::unknown_port(number, host, fix);
        let wrong = format!("leads to port {number} of {host}, which has no such TCP port");
        return Err(Problem { code, message, wrong });
    }
    let subset = &destination.subset;
    if !subset.is_empty() && Policy::find(context, service).subset(subset).is_none() {
        let code = Code::REFERENCED_RESOURCE_NOT_FOUND;
        let message = crate::issues::unknown_subset(subset, host);
        let wrong = format!("names subset {subset:?} of {host}, which no DestinationRule defines");
        return Err(Problem { code, message, wrong });
    }
    Ok((service, number))
}

fn unknown(context: &Context<'_>, destination: &Destination) -> Problem {
    let written = &destination.written;
    let services = context.snapshot.services();
    let hidden = destination.hosts.iter().any(|host| !services.by_host(host).is_empty());
    let wrong = if hidden {
        let namespace = &context.proxy.namespace;
        format!("names host {written:?}, which is not exported to namespace {namespace}")
    } else {
        format!("names host {written:?}, which no Service or ServiceEntry declares")
    };
    let message = crate::issues::unknown_host(written);
    Problem { code: Code::REFERENCED_RESOURCE_NOT_FOUND, message, wrong }
}

/// The filter that carries a connection to its target.
fn filter(context: &Context<'_>, side: Side, target: &Target) -> Filter {
    let specifier = match target.clusters.as_slice() {
        [(name, _)] => tcp_proxy::ClusterSpecifier::Cluster(name.clone()),
        many => tcp_proxy::ClusterSpecifier::WeightedClusters(WeightedCluster {
            clusters: many
                .iter()
                .map(|(name, weight)| ClusterWeight {
                    name: name.clone(),
                    weight: *weight,
                    metadata_match: None,
                })
                .collect(),
        }),
    };
    let proxy = TcpProxy {
        stat_prefix: target.stat_prefix.clone(),
        idle_timeout: target.idle_timeout.map(duration),
        access_log: context.reporting.logs(side),
        cluster_specifier: Some(specifier),
        ..Default::default()
    };
    Filter {
        name: "envoy.filters.network.tcp_proxy".to_owned(),
        config_type: Some(filter::ConfigType::TypedConfig(any(&proxy))),
    }
}

/// A filter chain with one `tcp_proxy`, whose connections are counted and logged as on one side.
pub fn chain(
    context: &Context<'_>,
    side: Side,
    target: &Target,
    matching: Option<FilterChainMatch>,
    origin: Origin,
) -> FilterChain {
    FilterChain {
        filter_chain_match: matching,
        filters: context.reporting.stats(side).chain([filter(context, side, target)]).collect(),
        metadata: metadata(origin, target),
        ..Default::default()
    }
}

fn metadata(origin: Origin, target: &Target) -> Option<Metadata> {
    let origin = origin.unresolved(&target.unresolved);
    let origin = match &target.owner {
        Some(owner) if !target.wrong.is_empty() => {
            origin.text(REASON, &format!("{owner} {}", target.wrong.join(" and ")))
        }
        _ => origin,
    };
    origin.build()
}

/// Address ranges in Envoy's form.
pub fn ranges(nets: &[IpNet]) -> Vec<CidrRange> {
    let range = |net: &IpNet| CidrRange {
        address_prefix: net.addr().to_string(),
        prefix_len: Some(uint(u32::from(net.prefix_len()))),
    };
    nets.iter().map(range).collect()
}
