//! EnvoyFilter: patches of the generated Envoy configuration.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::istio::common::PolicyTargetReference;
use crate::istio::networking::WorkloadSelector;
use crate::proto::messages;

messages! {
    /// Which proxies are patched, and how.
    pub struct EnvoyFilterSpec {
        pub workload_selector: Option<WorkloadSelector>,
        pub target_refs: Vec<PolicyTargetReference>,
        pub config_patches: Vec<EnvoyConfigObjectPatch>,
        pub priority: Option<i32>,
    }

    /// Conditions on a proxy.
    pub struct ProxyMatch {
        pub proxy_version: String,
        pub metadata: BTreeMap<String, String>,
    }

    /// Conditions on a cluster.
    pub struct ClusterMatch {
        pub port_number: Option<u32>,
        pub service: String,
        pub subset: String,
        pub name: String,
    }

    /// Conditions on a route configuration.
    pub struct RouteConfigurationMatch {
        pub port_number: Option<u32>,
        pub port_name: String,
        pub gateway: String,
        pub vhost: Option<VirtualHostMatch>,
        pub name: String,
    }

    /// Conditions on a route.
    pub struct RouteMatch {
        pub name: String,
        pub action: Option<RouteMatchAction>,
    }

    /// Conditions on a virtual host.
    pub struct VirtualHostMatch {
        pub name: String,
        pub domain_name: String,
        pub route: Option<RouteMatch>,
    }

    /// Conditions on a listener.
    pub struct ListenerMatch {
        pub port_number: Option<u32>,
        pub port_name: String,
        pub filter_chain: Option<FilterChainMatch>,
        pub listener_filter: String,
        pub name: String,
    }

    /// Conditions on a filter chain.
    pub struct FilterChainMatch {
        pub name: String,
        pub sni: String,
        pub transport_protocol: String,
        pub application_protocols: String,
        pub filter: Option<FilterMatch>,
        pub destination_port: Option<u32>,
    }

    /// Conditions on a network filter.
    pub struct FilterMatch {
        pub name: String,
        pub sub_filter: Option<SubFilterMatch>,
    }

    /// Conditions on an HTTP filter.
    pub struct SubFilterMatch {
        pub name: String,
    }

    /// Conditions on a waypoint's parts.
    pub struct WaypointMatch {
        pub port_number: Option<u32>,
        pub route: Option<WaypointMatchRouteMatch>,
        pub filter: Option<WaypointMatchFilterMatch>,
    }

    /// Conditions on a waypoint's route.
    pub struct WaypointMatchRouteMatch {
        pub name: String,
    }

    /// Conditions on a waypoint's network filter.
    pub struct WaypointMatchFilterMatch {
        pub name: String,
        pub sub_filter: Option<FilterMatchSubFilterMatch>,
    }

    /// Conditions on a waypoint's HTTP filter.
    pub struct FilterMatchSubFilterMatch {
        pub name: String,
    }

    /// What is changed.
    pub struct Patch {
        pub operation: Option<PatchOperation>,
        pub value: Option<Value>,
        pub filter_class: Option<PatchFilterClass>,
    }

    /// Where a patch applies.
    #[schemars(extend("x-lateen-one-of" = [["listener", "routeConfiguration", "cluster", "waypoint"]]))]
    pub struct EnvoyConfigObjectMatch {
        pub context: Option<PatchContext>,
        pub proxy: Option<ProxyMatch>,
        pub listener: Option<ListenerMatch>,
        pub route_configuration: Option<RouteConfigurationMatch>,
        pub cluster: Option<ClusterMatch>,
        pub waypoint: Option<WaypointMatch>,
    }

    /// A patch and where it applies.
    pub struct EnvoyConfigObjectPatch {
        pub apply_to: Option<ApplyTo>,
        pub r#match: Option<EnvoyConfigObjectMatch>,
        pub patch: Option<Patch>,
    }
}

/// The part of Envoy's configuration that is patched.
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
pub enum ApplyTo {
    #[default]
    Invalid,
    Listener,
    FilterChain,
    NetworkFilter,
    HttpFilter,
    RouteConfiguration,
    VirtualHost,
    HttpRoute,
    Cluster,
    ExtensionConfig,
    Bootstrap,
    ListenerFilter,
}

/// The kind of proxy or listener that is patched.
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
pub enum PatchContext {
    #[default]
    Any,
    SidecarInbound,
    SidecarOutbound,
    Gateway,
    Waypoint,
}

/// What a route does.
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
pub enum RouteMatchAction {
    #[default]
    Any,
    Route,
    Redirect,
    DirectResponse,
}

/// How it is changed.
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
pub enum PatchOperation {
    #[default]
    Invalid,
    Merge,
    Add,
    Remove,
    InsertBefore,
    InsertAfter,
    InsertFirst,
    Replace,
    MergeAndReplaceList,
}

/// Where among the filters a new one is put.
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
pub enum PatchFilterClass {
    #[default]
    Unspecified,
    Authn,
    Authz,
    Stats,
}
