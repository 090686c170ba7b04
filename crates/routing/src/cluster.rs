//! Clusters. In: Envoy's `Cluster`. Out: a [`CompiledCluster`] or a [`Reject`].

#![expect(deprecated, reason = "Envoy still takes these fields and Istio sends some")]

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::cluster::v3 as cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{
    ClusterDiscoveryType, DiscoveryType, LbConfig, LbPolicy,
};
use envoy_types::pb::envoy::config::core::v3::RoutingPriority;

use crate::convert::{self, Target};
use crate::endpoints::{Endpoints, compile_assignment};
use crate::listener::plain_transport;
use crate::reject::{Refusal, Reject, refuse};

/// Envoy's defaults (`Cluster.connect_timeout`, `Cluster.dns_refresh_rate`,
/// `CircuitBreakers.Thresholds.max_connections`).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const DNS_REFRESH: Duration = Duration::from_secs(5);
const MAX_CONNECTIONS: u32 = 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompiledCluster {
    pub name: Arc<str>,
    pub discovery: Discovery,
    pub policy: Policy,
    pub connect_timeout: Duration,
    /// Where connections come from, such as 127.0.0.6, one of each family; port 0 lets the kernel choose.
    pub sources: Vec<SocketAddr>,
    pub max_connections: u32,
    pub keepalive: Option<Keepalive>,
    pub origin: Option<Arc<str>>,
}

/// TCP keepalive probes; the kernel's defaults where there is none. Seconds and a count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keepalive {
    pub probes: Option<u32>,
    pub time: Option<u32>,
    pub interval: Option<u32>,
}

/// Where endpoints come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Discovery {
    Static(Arc<Endpoints>),
    /// By the name that EDS is asked for.
    Eds(Arc<str>),
    /// Targets with names; `every` address of a name is an endpoint, or only the first.
    Dns {
        targets: Arc<Endpoints>,
        every: bool,
        refresh: Duration,
        ipv4_only: bool,
        ipv6_only: bool,
    },
    /// The connection's original destination, with this port if there is one.
    OriginalDst {
        port: Option<u16>,
    },
}

impl Discovery {
    /// The name that EDS is asked for.
    pub fn eds(&self) -> Option<&Arc<str>> {
        match self {
            Self::Eds(name) => Some(name),
            Self::Static(_) | Self::Dns { .. } | Self::OriginalDst { .. } => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Policy {
    RoundRobin,
    /// The least busy of this many random endpoints.
    LeastRequest {
        choices: u32,
    },
    Random,
    /// The discovery decides: original destination.
    Provided,
}

impl CompiledCluster {
    /// True if the address family suits a source address that is bound.
    pub fn can_reach(&self, ip: IpAddr) -> bool {
        self.sources.is_empty() || self.source(ip).is_some()
    }

    /// The source address of connections to an address.
    pub fn source(&self, to: IpAddr) -> Option<SocketAddr> {
        self.sources.iter().find(|source| source.is_ipv4() == to.is_ipv4()).copied()
    }
}

pub fn compile_cluster(source: &cluster::Cluster) -> Result<CompiledCluster, Reject> {
    compile(source).map_err(|refused| refused.of(&source.name))
}

fn compile(source: &cluster::Cluster) -> Result<CompiledCluster, Refusal> {
    check_supported(source)?;
    let discovery = discovery(source)?;
    let policy = policy(source, &discovery)?;
    let connect_timeout =
        source.connect_timeout.as_ref().map_or(CONNECT_TIMEOUT, convert::duration);
    Ok(CompiledCluster {
        name: source.name.as_str().into(),
        discovery,
        policy,
        connect_timeout,
        sources: bind_sources(source)?,
        max_connections: max_connections(source),
        keepalive: keepalive(source),
        origin: convert::origin(source.metadata.as_ref()),
    })
}

fn check_supported(source: &cluster::Cluster) -> Result<(), Refusal> {
    plain_transport(source.transport_socket.as_ref())?;
    for (index, socket) in source.transport_socket_matches.iter().enumerate() {
        plain_transport(socket.transport_socket.as_ref())
            .map_err(|refused| refused.within(&format!("transport_socket_matches[{index}]")))?;
    }
    let subsets = source.lb_subset_config.as_ref();
    let set = [
        ("name", source.name.is_empty(), "give the cluster a name"),
        ("health_checks", !source.health_checks.is_empty(), "let the control plane send health"),
        ("outlier_detection", source.outlier_detection.is_some(), "leave it out"),
        ("lb_subset_config", subsets.is_some(), "use a cluster per subset"),
        ("filters", !source.filters.is_empty(), "leave them out"),
        ("load_balancing_policy", source.load_balancing_policy.is_some(), "use lb_policy"),
        ("transport_socket_matcher", source.transport_socket_matcher.is_some(), "use plain text"),
        ("upstream_config", source.upstream_config.is_some(), "leave it out"),
        ("preconnect_policy", source.preconnect_policy.is_some(), "leave it out"),
    ];
    match set.into_iter().find(|(_, present, _)| *present) {
        Some((field, _, remedy)) => Err(refuse(field, "not supported", remedy)),
        None => Ok(()),
    }
}

fn discovery(source: &cluster::Cluster) -> Result<Discovery, Refusal> {
    let kind = match &source.cluster_discovery_type {
        None => DiscoveryType::Static,
        Some(ClusterDiscoveryType::Type(kind)) => DiscoveryType::try_from(*kind)
            .map_err(|_| refuse("type", format!("{kind} is unknown"), "use EDS or STATIC"))?,
        Some(ClusterDiscoveryType::ClusterType(custom)) => {
            let problem = format!("{} is not supported", custom.name);
            return Err(refuse("cluster_type", problem, "use EDS, STATIC or STRICT_DNS"));
        }
    };
    match kind {
        DiscoveryType::Static => Ok(Discovery::Static(Arc::new(assignment(source, false)?))),
        DiscoveryType::Eds => Ok(Discovery::Eds(eds_name(source))),
        DiscoveryType::StrictDns => dns(source, true),
        DiscoveryType::LogicalDns => dns(source, false),
        DiscoveryType::OriginalDst => original_dst(source),
    }
}

/// The name to ask EDS for: the cluster's own unless it says otherwise.
fn eds_name(source: &cluster::Cluster) -> Arc<str> {
    let service = source.eds_cluster_config.as_ref().map_or("", |eds| &eds.service_name);
    if service.is_empty() { source.name.as_str().into() } else { service.into() }
}

fn assignment(source: &cluster::Cluster, names: bool) -> Result<Endpoints, Refusal> {
    match &source.load_assignment {
        None => Ok(Endpoints::default()),
        Some(assignment) => {
            let within = |refused: Refusal| refused.within("load_assignment");
            let (hosts, refused) = compile_assignment(assignment, names).map_err(within)?;
            match refused.into_iter().next() {
                Some(refused) => Err(within(refused)),
                None => Ok(Endpoints::new(hosts)),
            }
        }
    }
}

fn dns(source: &cluster::Cluster, every: bool) -> Result<Discovery, Refusal> {
    use cluster::cluster::DnsLookupFamily;
    let family = DnsLookupFamily::try_from(source.dns_lookup_family);
    Ok(Discovery::Dns {
        targets: Arc::new(assignment(source, true)?),
        every,
        refresh: source.dns_refresh_rate.as_ref().map_or(DNS_REFRESH, convert::duration),
        ipv4_only: family == Ok(DnsLookupFamily::V4Only),
        ipv6_only: family == Ok(DnsLookupFamily::V6Only),
    })
}

fn original_dst(source: &cluster::Cluster) -> Result<Discovery, Refusal> {
    let Some(LbConfig::OriginalDstLbConfig(config)) = &source.lb_config else {
        return Ok(Discovery::OriginalDst { port: None });
    };
    if config.use_http_header || config.metadata_key.is_some() {
        let problem = "only the connection's own destination is supported";
        return Err(refuse("original_dst_lb_config", problem, "leave it out"));
    }
    let port = config.upstream_port_override.as_ref().map(|port| {
        let field = "original_dst_lb_config.upstream_port_override";
        u16::try_from(port.value).map_err(|_| refuse(field, "is no port", "use 1 to 65535"))
    });
    Ok(Discovery::OriginalDst { port: port.transpose()? })
}

fn policy(source: &cluster::Cluster, discovery: &Discovery) -> Result<Policy, Refusal> {
    if matches!(discovery, Discovery::OriginalDst { .. }) {
        return Ok(Policy::Provided);
    }
    match LbPolicy::try_from(source.lb_policy) {
        Ok(LbPolicy::RoundRobin) => Ok(Policy::RoundRobin),
        Ok(LbPolicy::Random) => Ok(Policy::Random),
        Ok(LbPolicy::LeastRequest) => {
            let choices = match &source.lb_config {
                Some(LbConfig::LeastRequestLbConfig(config)) => config.choice_count.as_ref(),
                _ => None,
            };
            Ok(Policy::LeastRequest { choices: choices.map_or(2, |count| count.value.max(2)) })
        }
        Ok(other) => {
            let problem = format!("{} is not supported", other.as_str_name());
            Err(refuse("lb_policy", problem, "use ROUND_ROBIN, LEAST_REQUEST or RANDOM"))
        }
        Err(_) => Err(refuse("lb_policy", "unknown", "use ROUND_ROBIN")),
    }
}

fn bind_sources(source: &cluster::Cluster) -> Result<Vec<SocketAddr>, Refusal> {
    let Some(bind) = &source.upstream_bind_config else { return Ok(Vec::new()) };
    let first = bind.source_address.iter().map(|address| ("source_address", address));
    let extra = bind.extra_source_addresses.iter().filter_map(|extra| extra.address.as_ref());
    let all = first.chain(extra.map(|address| ("extra_source_addresses", address)));
    all.map(|(field, address)| {
        let within = format!("upstream_bind_config.{field}");
        match convert::socket_target(address).map_err(|refused| refused.within(&within))? {
            Target::Address(address) => Ok(address),
            Target::Name(..) => Err(refuse(within, "is no IP address", "use an IP address")),
        }
    })
    .collect()
}

/// Zero anywhere turns the probes off, as in Envoy; the kernel takes no more than these values.
fn keepalive(source: &cluster::Cluster) -> Option<Keepalive> {
    let set = source.upstream_connection_options.as_ref()?.tcp_keepalive.as_ref()?;
    let fields = [set.keepalive_probes, set.keepalive_time, set.keepalive_interval];
    let [probes, time, interval] = fields.map(|field| field.map(|value| value.value));
    let off = [probes, time, interval].contains(&Some(0));
    (!off).then(|| Keepalive {
        probes: probes.map(|value| value.min(127)),
        time: time.map(|value| value.min(32_767)),
        interval: interval.map(|value| value.min(32_767)),
    })
}

fn max_connections(source: &cluster::Cluster) -> u32 {
    let thresholds =
        source.circuit_breakers.as_ref().map(|breakers| breakers.thresholds.as_slice());
    let default = thresholds.unwrap_or_default().iter();
    let mut default = default.filter(|t| t.priority == RoutingPriority::Default as i32);
    let max = default.next().and_then(|threshold| threshold.max_connections.as_ref());
    max.map_or(MAX_CONNECTIONS, |max| max.value)
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::config::cluster::v3::{Cluster, UpstreamConnectionOptions};
    use envoy_types::pb::envoy::config::core::v3::TcpKeepalive;
    use envoy_types::pb::google::protobuf::UInt32Value;

    use super::{Keepalive, compile_cluster};

    fn compiled(keepalive: TcpKeepalive) -> Option<Keepalive> {
        let options =
            UpstreamConnectionOptions { tcp_keepalive: Some(keepalive), ..Default::default() };
        let cluster = Cluster {
            name: "back".into(),
            upstream_connection_options: Some(options),
            ..Default::default()
        };
        compile_cluster(&cluster).unwrap().keepalive
    }

    #[test]
    fn keepalive_is_taken_over_within_the_kernels_bounds_and_zero_turns_it_off() {
        let number = |value| Some(UInt32Value { value });
        let sent = TcpKeepalive {
            keepalive_probes: number(1000),
            keepalive_time: number(30),
            keepalive_interval: None,
        };
        let expected = Keepalive { probes: Some(127), time: Some(30), interval: None };
        assert_eq!(compiled(sent), Some(expected));
        assert_eq!(compiled(TcpKeepalive::default()), Some(Keepalive::default()));
        let off = TcpKeepalive { keepalive_time: number(0), ..Default::default() };
        assert_eq!(compiled(off), None);
    }
}
