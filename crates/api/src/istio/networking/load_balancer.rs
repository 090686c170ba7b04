//! DestinationRule's load balancing.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::Duration;
use crate::istio::networking::WarmupConfiguration;
use crate::proto::messages;

messages! {
    /// How an endpoint is chosen.
    #[schemars(extend("x-lateen-one-of" = [["simple", "consistentHash", "backendUtilization"]]))]
    pub struct LoadBalancerSettings {
        pub simple: Option<SimpleLb>,
        pub consistent_hash: Option<ConsistentHashLb>,
        pub backend_utilization: Option<BackendUtilizationLb>,
        pub locality_lb_setting: Option<LocalityLoadBalancerSetting>,
        pub zone_aware_lb_setting: Option<ZoneAwareLoadBalancerSetting>,
        pub warmup_duration_secs: Option<Duration>,
        pub warmup: Option<WarmupConfiguration>,
    }

    /// A way to choose the same endpoint for the same client.
    #[schemars(extend("x-lateen-one-of" = [["httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName"], ["ringHash", "maglev"]]))]
    pub struct ConsistentHashLb {
        pub http_header_name: Option<String>,
        pub http_cookie: Option<HttpCookie>,
        pub use_source_ip: Option<bool>,
        pub http_query_parameter_name: Option<String>,
        pub ring_hash: Option<RingHash>,
        pub maglev: Option<MagLev>,
        /// Deprecated in Istio's API; still accepted.
        pub minimum_ring_size: Option<u64>,
    }

    /// Envoy's ring hash.
    pub struct RingHash {
        pub minimum_ring_size: Option<u64>,
    }

    /// Google's Maglev hash.
    pub struct MagLev {
        pub table_size: Option<u64>,
    }

    /// The cookie that is hashed.
    pub struct HttpCookie {
        pub name: String,
        pub path: String,
        pub ttl: Option<Duration>,
        pub attributes: Vec<Attribute>,
    }

    /// An attribute of a cookie.
    pub struct Attribute {
        pub name: String,
        pub value: String,
    }

    /// A way to choose an endpoint by how busy each says it is.
    pub struct BackendUtilizationLb {
        pub weight_stabilization_period: Option<Duration>,
        pub weight_expiration_period: Option<Duration>,
        pub weight_update_period: Option<Duration>,
        pub error_utilization_penalty_percent: Option<u32>,
        pub metric_names_for_computing_utilization: Vec<String>,
    }

    /// How endpoints near the client are preferred.
    pub struct LocalityLoadBalancerSetting {
        pub distribute: Vec<LocalityDistribute>,
        pub failover: Vec<LocalityFailover>,
        pub failover_priority: Vec<String>,
        pub enabled: Option<bool>,
    }

    /// How the traffic from one locality is shared out.
    pub struct LocalityDistribute {
        pub from: String,
        pub to: BTreeMap<String, u32>,
    }

    /// The region that takes over from another.
    pub struct LocalityFailover {
        pub from: String,
        pub to: String,
    }

    /// How endpoints of the client's own zone are preferred.
    pub struct ZoneAwareLoadBalancerSetting {
        pub enabled: Option<bool>,
        pub failover: Vec<ZoneAwareFailover>,
        pub failover_priority: Vec<String>,
        pub min_cluster_size: Option<u32>,
    }

    /// The zone that takes over from another.
    pub struct ZoneAwareFailover {
        pub from: String,
        pub to: String,
    }
}

/// A way to choose an endpoint without affinity.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SimpleLb {
    #[default]
    Unspecified,
    LeastConn,
    Random,
    Passthrough,
    RoundRobin,
    LeastRequest,
}
