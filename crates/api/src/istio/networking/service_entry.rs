//! ServiceEntry: a service that no Kubernetes Service describes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::istio::common::{AnalysisMessage, IstioCondition};
use crate::istio::networking::{WorkloadEntrySpec, WorkloadSelector};
use crate::proto::messages;

messages! {
    /// Hosts, their addresses and ports, and where they are served.
    pub struct ServiceEntrySpec {
        pub hosts: Vec<String>,
        pub addresses: Vec<String>,
        pub ports: Vec<ServicePort>,
        pub location: Option<ServiceLocation>,
        pub resolution: Option<ServiceResolution>,
        pub endpoints: Vec<WorkloadEntrySpec>,
        pub workload_selector: Option<WorkloadSelector>,
        pub export_to: Vec<String>,
        pub subject_alt_names: Vec<String>,
    }

    /// A port of a service entry.
    pub struct ServicePort {
        pub number: Option<u32>,
        pub protocol: String,
        pub name: String,
        pub target_port: Option<u32>,
    }

    /// What was found out about a service entry, and its allocated addresses.
    pub struct ServiceEntryStatus {
        pub conditions: Vec<IstioCondition>,
        pub validation_messages: Vec<AnalysisMessage>,
        pub observed_generation: Option<i64>,
        pub addresses: Vec<ServiceEntryAddress>,
    }

    /// An address that was allocated to a host.
    pub struct ServiceEntryAddress {
        pub value: String,
        pub host: String,
    }
}

/// Whether a service is part of the mesh.
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
pub enum ServiceLocation {
    #[default]
    MeshExternal,
    MeshInternal,
}

/// How a host's addresses are found.
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
pub enum ServiceResolution {
    #[default]
    None,
    Static,
    Dns,
    DnsRoundRobin,
    DynamicDns,
}
