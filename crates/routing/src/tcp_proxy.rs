//! The TCP proxy filter. In: Envoy's `TcpProxy`. Out: clusters with weights, timeouts and logs.

#![expect(deprecated, reason = "Envoy still takes these fields and Istio sends some")]

use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::Metadata;
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3 as tcp_proxy;
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::ClusterSpecifier;

use crate::access_log::{self, AccessLog};
use crate::convert;
use crate::reject::{Refusal, refuse};

/// Envoy's default (`TcpProxy.idle_timeout`).
const IDLE_TIMEOUT: Duration = Duration::from_secs(3600);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpProxy {
    pub stat_prefix: String,
    /// Names and cumulative weights; never empty.
    clusters: Vec<(Arc<str>, u64)>,
    /// `None`: an idle connection lives for ever.
    pub idle_timeout: Option<Duration>,
    pub max_duration: Option<Duration>,
    pub max_connect_attempts: u32,
    pub access_log: Vec<AccessLog>,
}

impl TcpProxy {
    /// The cluster for one connection; `random` is uniform.
    pub fn cluster(&self, random: u64) -> &Arc<str> {
        let [(only, _)] = self.clusters.as_slice() else {
            let total = self.clusters.last().map_or(1, |(_, end)| *end);
            let point = random % total;
            let chosen = self.clusters.partition_point(|(_, end)| *end <= point);
            return &self.clusters[chosen].0;
        };
        only
    }

    /// Every cluster that a connection may be sent to.
    pub fn clusters(&self) -> impl Iterator<Item = &Arc<str>> {
        self.clusters.iter().map(|(name, _)| name)
    }

    pub(crate) fn compile(source: &tcp_proxy::TcpProxy) -> Result<Self, Refusal> {
        check_supported(source)?;
        let attempts = source.max_connect_attempts.as_ref().map_or(1, |attempts| attempts.value);
        let idle_timeout = match &source.idle_timeout {
            None => Some(IDLE_TIMEOUT),
            Some(timeout) => Some(convert::duration(timeout)).filter(|t| !t.is_zero()),
        };
        Ok(Self {
            stat_prefix: source.stat_prefix.clone(),
            clusters: clusters(source.cluster_specifier.as_ref())?,
            idle_timeout,
            max_duration: source.max_downstream_connection_duration.as_ref().map(convert::duration),
            max_connect_attempts: attempts.max(1),
            access_log: access_log::compile(&source.access_log)?,
        })
    }
}

fn clusters(specifier: Option<&ClusterSpecifier>) -> Result<Vec<(Arc<str>, u64)>, Refusal> {
    let weighted = match specifier {
        None => return Err(refuse("cluster", "missing", "set cluster or weighted_clusters")),
        Some(ClusterSpecifier::Cluster(name)) => return Ok(vec![(name.as_str().into(), 1)]),
        Some(ClusterSpecifier::WeightedClusters(weighted)) => weighted,
    };
    let mut end = 0u64;
    let mut compiled = Vec::with_capacity(weighted.clusters.len());
    for (index, cluster) in weighted.clusters.iter().enumerate() {
        let field = format!("weighted_clusters.clusters[{index}]");
        no_metadata_match(cluster.metadata_match.as_ref()).map_err(|r| r.within(&field))?;
        end += u64::from(cluster.weight);
        if cluster.weight > 0 {
            compiled.push((cluster.name.as_str().into(), end));
        }
    }
    if compiled.is_empty() {
        return Err(refuse("weighted_clusters", "weights are all zero", "give one a weight"));
    }
    Ok(compiled)
}

fn check_supported(source: &tcp_proxy::TcpProxy) -> Result<(), Refusal> {
    no_metadata_match(source.metadata_match.as_ref())?;
    let set = [
        ("tunneling_config", source.tunneling_config.is_some()),
        ("on_demand", source.on_demand.is_some()),
        ("hash_policy", !source.hash_policy.is_empty()),
        ("proxy_protocol_tlvs", !source.proxy_protocol_tlvs.is_empty()),
        ("upstream_connect_mode", source.upstream_connect_mode != 0),
        ("downstream_idle_timeout", source.downstream_idle_timeout.is_some()),
        ("upstream_idle_timeout", source.upstream_idle_timeout.is_some()),
        ("backoff_options", source.backoff_options.is_some()),
        ("access_log_flush_interval", source.access_log_flush_interval.is_some()),
        ("flush_access_log_on_connected", source.flush_access_log_on_connected),
        ("access_log_options", source.access_log_options.is_some()),
    ];
    match set.into_iter().find(|(_, present)| *present) {
        Some((field, _)) => Err(refuse(field, "not supported", "leave it out")),
        None => Ok(()),
    }
}

fn no_metadata_match(metadata: Option<&Metadata>) -> Result<(), Refusal> {
    match metadata {
        Some(metadata) if !metadata.filter_metadata.is_empty() => {
            Err(refuse("metadata_match", "subsets are not supported", "use a cluster per subset"))
        }
        _ => Ok(()),
    }
}
