//! The configuration of Istio's filter `istio.stats`, which counts traffic in Istio's metrics.
//! Source: istio/proxy's page on its stats filter.

use std::collections::BTreeMap;

use envoy_types::pb::google::protobuf::Duration;

#[derive(Clone, PartialEq, prost::Message)]
pub struct PluginConfig {
    /// Whether the request's host is no stand-in for a service that is not known.
    #[prost(bool, tag = "6")]
    pub disable_host_header_fallback: bool,
    /// How often a connection that goes on is counted; 5 s if it is not said.
    #[prost(message, optional, tag = "7")]
    pub tcp_reporting_duration: Option<Duration>,
    #[prost(message, repeated, tag = "8")]
    pub metrics: Vec<MetricConfig>,
    #[prost(message, repeated, tag = "9")]
    pub definitions: Vec<MetricDefinition>,
    #[prost(enumeration = "Reporter", tag = "10")]
    pub reporter: i32,
}

/// What is different about one metric, or about all.
#[derive(Clone, PartialEq, prost::Message)]
pub struct MetricConfig {
    /// Labels with the CEL expression of their value.
    #[prost(btree_map = "string, string", tag = "1")]
    pub dimensions: BTreeMap<String, String>,
    /// Without Istio's prefix, such as `requests_total`; empty: all metrics.
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(string, repeated, tag = "3")]
    pub tags_to_remove: Vec<String>,
    /// A CEL expression: what it is not true of is counted without these changes.
    #[prost(string, tag = "4")]
    pub r#match: String,
    /// Whether the metric is not counted.
    #[prost(bool, tag = "5")]
    pub drop: bool,
}

/// A metric besides the standard ones.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct MetricDefinition {
    #[prost(string, tag = "1")]
    pub name: String,
    /// A CEL expression.
    #[prost(string, tag = "2")]
    pub value: String,
    /// 0: counter, 1: gauge, 2: histogram.
    #[prost(int32, tag = "3")]
    pub r#type: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum Reporter {
    /// By the listener's direction.
    Unspecified = 0,
    ServerGateway = 1,
}

impl prost::Name for PluginConfig {
    const NAME: &'static str = "PluginConfig";
    const PACKAGE: &'static str = "stats";

    fn type_url() -> String {
        format!("type.googleapis.com/{}", Self::full_name())
    }
}
