//! Sidecar: what a workload's proxy listens on and can reach.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::istio::networking::{ConnectionPoolSettings, Destination, ServerTlsSettings};
use crate::proto::messages;

messages! {
    /// Which workloads it is for, and their listeners.
    pub struct SidecarSpec {
        pub workload_selector: Option<WorkloadSelector>,
        pub ingress: Vec<IstioIngressListener>,
        pub egress: Vec<IstioEgressListener>,
        pub inbound_connection_pool: Option<ConnectionPoolSettings>,
        pub outbound_traffic_policy: Option<OutboundTrafficPolicy>,
    }

    /// A listener for traffic to the workload.
    pub struct IstioIngressListener {
        pub port: Option<SidecarPort>,
        pub bind: String,
        pub capture_mode: Option<CaptureMode>,
        pub default_endpoint: String,
        pub tls: Option<ServerTlsSettings>,
        pub connection_pool: Option<ConnectionPoolSettings>,
    }

    /// A listener for traffic from the workload, and the hosts it reaches.
    pub struct IstioEgressListener {
        pub port: Option<SidecarPort>,
        pub bind: String,
        pub capture_mode: Option<CaptureMode>,
        pub hosts: Vec<String>,
    }

    /// Workloads by their labels.
    pub struct WorkloadSelector {
        pub labels: BTreeMap<String, String>,
    }

    /// What is done with traffic to unknown destinations.
    pub struct OutboundTrafficPolicy {
        pub mode: Option<OutboundTrafficPolicyMode>,
        pub egress_proxy: Option<Destination>,
    }

    /// A port that a sidecar listens on.
    pub struct SidecarPort {
        pub number: Option<u32>,
        pub protocol: String,
        pub name: String,
        /// Deprecated in Istio's API; still accepted.
        pub target_port: Option<u32>,
    }
}

/// Whether unknown destinations can be reached.
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
pub enum OutboundTrafficPolicyMode {
    #[default]
    RegistryOnly,
    AllowAny,
}

/// How traffic gets to a listener.
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
pub enum CaptureMode {
    #[default]
    Default,
    Iptables,
    None,
}
