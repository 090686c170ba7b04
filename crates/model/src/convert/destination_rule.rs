//! DestinationRule -> [`DestinationRule`]: subsets and the connection settings of L4.

use std::sync::Arc;

use lateen_api::istio::networking as api;

use crate::convert::{Notes, tcp_pool};
use crate::host::{self, Domain};
use crate::meta::Meta;
use crate::routing::{Balancer, DestinationRule, Subset, TcpPool, TrafficPolicy};
use crate::visibility::ExportTo;

/// Compiles a DestinationRule; `None` when it names no host.
pub fn destination_rule(
    meta: &Arc<Meta>,
    spec: &api::DestinationRuleSpec,
    domain: &Domain,
    notes: &mut Notes<'_>,
) -> Option<DestinationRule> {
    if spec.host.is_empty() {
        notes.bad("spec.host", "a destination rule needs a host");
        return None;
    }
    let policy = spec.traffic_policy.as_ref();
    let subsets = spec.subsets.iter().enumerate().filter_map(|(i, subset)| {
        let path = format!("spec.subsets[{i}]");
        if subset.name.is_empty() {
            notes.bad(&format!("{path}.name"), "a subset needs a name");
            return None;
        }
        let policy = subset.traffic_policy.as_ref();
        Some(Subset {
            name: subset.name.clone(),
            labels: subset.labels.clone(),
            policy: policy.map(|p| traffic_policy(p, &format!("{path}.trafficPolicy"), notes)),
            owner: Arc::clone(meta),
        })
    });
    let subsets = subsets.collect();
    Some(DestinationRule {
        meta: Arc::clone(meta),
        host: host::shared(&domain.resolve_short(&spec.host, &meta.namespace)),
        export_to: ExportTo::parse(&spec.export_to, &meta.namespace),
        workload_selector: spec.workload_selector.as_ref().map(|s| s.match_labels.clone()),
        policy: policy.map(|policy| traffic_policy(policy, "spec.trafficPolicy", notes)),
        subsets,
    })
}

fn traffic_policy(spec: &api::TrafficPolicy, path: &str, notes: &mut Notes<'_>) -> TrafficPolicy {
    for (set, field) in [
        (spec.outlier_detection.is_some(), "outlierDetection"),
        (
            spec.tls
                .as_ref()
                .is_some_and(|tls| tls.mode.unwrap_or_default() != api::ClientTlsMode::Disable),
            "tls",
        ),
        (spec.tunnel.is_some(), "tunnel"),
        (spec.proxy_protocol.is_some(), "proxyProtocol"),
    ] {
        if set {
            notes.unsupported(&format!("{path}.{field}"));
        }
    }
    let ports = spec.port_level_settings.iter().enumerate().filter_map(|(i, item)| {
        let path = format!("{path}.portLevelSettings[{i}]");
        let number = item.port.as_ref().and_then(|port| port.number).unwrap_or(0);
        let port = notes.port(number, &format!("{path}.port.number"))?;
        let policy = TrafficPolicy {
            balancer: balancer(item.load_balancer.as_ref(), &path, notes),
            pool: item.connection_pool.as_ref().map(|spec| pool(spec, &path, notes)),
            ports: Vec::new(),
        };
        Some((port, policy))
    });
    let ports = ports.collect();
    TrafficPolicy {
        balancer: balancer(spec.load_balancer.as_ref(), path, notes),
        pool: spec.connection_pool.as_ref().map(|spec| pool(spec, path, notes)),
        ports,
    }
}

fn balancer(
    spec: Option<&api::LoadBalancerSettings>,
    path: &str,
    notes: &mut Notes<'_>,
) -> Option<Balancer> {
    let spec = spec?;
    for (set, field) in [
        (spec.consistent_hash.is_some(), "consistentHash"),
        (spec.backend_utilization.is_some(), "backendUtilization"),
    ] {
        if set {
            notes.unsupported(&format!("{path}.loadBalancer.{field}"));
        }
    }
    Some(match spec.simple? {
        api::SimpleLb::RoundRobin => Balancer::RoundRobin,
        api::SimpleLb::Random => Balancer::Random,
        api::SimpleLb::Passthrough => Balancer::Passthrough,
        api::SimpleLb::LeastConn | api::SimpleLb::LeastRequest | api::SimpleLb::Unspecified => {
            Balancer::LeastRequest
        }
    })
}

fn pool(spec: &api::ConnectionPoolSettings, path: &str, notes: &mut Notes<'_>) -> TcpPool {
    if spec.http.is_some() {
        notes.unsupported(&format!("{path}.connectionPool.http"));
    }
    if spec.tcp.as_ref().is_some_and(|tcp| tcp.max_connection_duration.is_some()) {
        notes.unsupported(&format!("{path}.connectionPool.tcp.maxConnectionDuration"));
    }
    tcp_pool(spec.tcp.as_ref())
}
