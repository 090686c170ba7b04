//! The group `telemetry.istio.io`: what traces, metrics and access logs say, and to whom.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::Duration;
use crate::istio::common::{PolicyTargetReference, WorkloadSelector};
use crate::proto::messages;

messages! {
    /// Which workloads it is for, and what they report.
    pub struct TelemetrySpec {
        pub selector: Option<WorkloadSelector>,
        pub target_ref: Option<PolicyTargetReference>,
        pub target_refs: Vec<PolicyTargetReference>,
        pub tracing: Vec<Tracing>,
        pub metrics: Vec<Metrics>,
        pub access_logging: Vec<AccessLogging>,
    }

    /// How requests are traced.
    pub struct Tracing {
        pub r#match: Option<TracingSelector>,
        pub providers: Vec<ProviderRef>,
        pub random_sampling_percentage: Option<f64>,
        pub disable_span_reporting: Option<bool>,
        pub custom_tags: BTreeMap<String, CustomTag>,
        pub use_request_id_for_trace_sampling: Option<bool>,
        pub enable_istio_tags: Option<bool>,
        pub disable_context_propagation: Option<bool>,
    }

    /// Which traffic is traced.
    pub struct TracingSelector {
        pub mode: Option<WorkloadMode>,
    }

    /// Where the value of a span's tag comes from.
    #[schemars(extend("x-lateen-one-of" = [["literal", "environment", "header", "formatter"]]))]
    pub struct CustomTag {
        pub literal: Option<Literal>,
        pub environment: Option<Environment>,
        pub header: Option<RequestHeader>,
        pub formatter: Option<Formatter>,
    }

    /// A fixed text.
    pub struct Literal {
        pub value: String,
    }

    /// A variable of the proxy's environment.
    pub struct Environment {
        pub name: String,
        pub default_value: String,
    }

    /// A header of the request.
    pub struct RequestHeader {
        pub name: String,
        pub default_value: String,
    }

    /// An access-log format string.
    pub struct Formatter {
        pub value: String,
    }

    /// One of the mesh's extension providers.
    pub struct ProviderRef {
        pub name: String,
    }

    /// Which metrics are reported, and to whom.
    pub struct Metrics {
        pub providers: Vec<ProviderRef>,
        pub overrides: Vec<MetricsOverrides>,
        pub reporting_interval: Option<Duration>,
    }

    /// Which metrics an override is for.
    #[schemars(extend("x-lateen-one-of" = [["metric", "customMetric"]]))]
    pub struct MetricSelector {
        pub metric: Option<IstioMetric>,
        pub custom_metric: Option<String>,
        pub mode: Option<WorkloadMode>,
    }

    /// What is changed about some metrics.
    pub struct MetricsOverrides {
        pub r#match: Option<MetricSelector>,
        pub disabled: Option<bool>,
        pub tag_overrides: BTreeMap<String, TagOverride>,
    }

    /// What is done to a metric's label.
    pub struct TagOverride {
        pub operation: Option<TagOperation>,
        pub value: String,
    }

    /// What is logged, and to whom.
    pub struct AccessLogging {
        pub r#match: Option<LogSelector>,
        pub providers: Vec<ProviderRef>,
        pub disabled: Option<bool>,
        pub filter: Option<Filter>,
    }

    /// Which traffic is logged.
    pub struct LogSelector {
        pub mode: Option<WorkloadMode>,
    }

    /// A CEL expression that tells what is logged.
    pub struct Filter {
        pub expression: String,
    }
}

/// One of Istio's standard metrics.
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
pub enum IstioMetric {
    #[default]
    AllMetrics,
    RequestCount,
    RequestDuration,
    RequestSize,
    ResponseSize,
    TcpOpenedConnections,
    TcpClosedConnections,
    TcpSentBytes,
    TcpReceivedBytes,
    GrpcRequestMessages,
    GrpcResponseMessages,
}

/// Whether a label is set or removed.
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
pub enum TagOperation {
    #[default]
    Upsert,
    Remove,
}

/// Which side of the traffic.
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
pub enum WorkloadMode {
    #[default]
    ClientAndServer,
    Client,
    Server,
}
