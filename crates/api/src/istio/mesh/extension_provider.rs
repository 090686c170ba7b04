//! MeshConfig's extension providers: tracers, access logs, metrics, external authorization.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::duration::Duration;
use crate::proto::messages;

messages! {
    /// A named back end of telemetry or authorization; exactly one kind is set.
    #[schemars(extend("x-lateen-one-of" = [["envoyExtAuthzHttp", "envoyExtAuthzGrpc", "zipkin", "lightstep", "datadog", "stackdriver", "opencensus", "skywalking", "opentelemetry", "prometheus", "envoyFileAccessLog", "envoyHttpAls", "envoyTcpAls", "envoyOtelAls", "sds"]]))]
    pub struct ExtensionProvider {
        pub name: String,
        pub envoy_ext_authz_http: Option<EnvoyExternalAuthorizationHttpProvider>,
        pub envoy_ext_authz_grpc: Option<EnvoyExternalAuthorizationGrpcProvider>,
        pub zipkin: Option<ZipkinTracingProvider>,
        /// Deprecated in Istio's API; still accepted.
        pub lightstep: Option<LightstepTracingProvider>,
        pub datadog: Option<DatadogTracingProvider>,
        pub stackdriver: Option<StackdriverProvider>,
        /// Deprecated in Istio's API; still accepted.
        pub opencensus: Option<OpenCensusAgentTracingProvider>,
        pub skywalking: Option<SkyWalkingTracingProvider>,
        pub opentelemetry: Option<OpenTelemetryTracingProvider>,
        pub prometheus: Option<PrometheusMetricsProvider>,
        pub envoy_file_access_log: Option<EnvoyFileAccessLogProvider>,
        pub envoy_http_als: Option<EnvoyHttpGrpcV3LogProvider>,
        pub envoy_tcp_als: Option<EnvoyTcpGrpcV3LogProvider>,
        pub envoy_otel_als: Option<EnvoyOpenTelemetryLogProvider>,
        pub sds: Option<SdsProvider>,
    }

    /// The settings `envoy external authorization request body` of extension provider.
    pub struct EnvoyExternalAuthorizationRequestBody {
        pub max_request_bytes: Option<u32>,
        pub allow_partial_message: Option<bool>,
        pub pack_as_bytes: Option<bool>,
    }

    /// The settings `envoy external authorization http provider` of extension provider.
    pub struct EnvoyExternalAuthorizationHttpProvider {
        pub service: String,
        pub port: Option<u32>,
        pub timeout: Option<Duration>,
        pub path_prefix: String,
        pub fail_open: Option<bool>,
        pub clear_route_cache: Option<bool>,
        pub status_on_error: String,
        /// Deprecated in Istio's API; still accepted.
        pub include_headers_in_check: Vec<String>,
        pub include_request_headers_in_check: Vec<String>,
        pub include_additional_headers_in_check: BTreeMap<String, String>,
        pub include_request_body_in_check: Option<EnvoyExternalAuthorizationRequestBody>,
        pub headers_to_upstream_on_allow: Vec<String>,
        pub headers_to_downstream_on_deny: Vec<String>,
        pub headers_to_downstream_on_allow: Vec<String>,
    }

    /// The settings `envoy external authorization grpc provider` of extension provider.
    pub struct EnvoyExternalAuthorizationGrpcProvider {
        pub service: String,
        pub port: Option<u32>,
        pub timeout: Option<Duration>,
        pub fail_open: Option<bool>,
        pub clear_route_cache: Option<bool>,
        pub status_on_error: String,
        pub include_request_body_in_check: Option<EnvoyExternalAuthorizationRequestBody>,
    }

    /// The settings `zipkin tracing provider` of extension provider.
    pub struct ZipkinTracingProvider {
        pub service: String,
        pub port: Option<u32>,
        pub max_tag_length: Option<u32>,
        pub enable_64bit_trace_id: Option<bool>,
        pub path: String,
        pub trace_context_option: Option<TraceContextOption>,
        pub timeout: Option<Duration>,
        pub headers: Vec<HttpHeader>,
    }

    /// The settings `lightstep tracing provider` of extension provider.
    pub struct LightstepTracingProvider {
        pub service: String,
        pub port: Option<u32>,
        pub access_token: String,
        pub max_tag_length: Option<u32>,
    }

    /// The settings `datadog tracing provider` of extension provider.
    pub struct DatadogTracingProvider {
        pub service: String,
        pub port: Option<u32>,
        pub max_tag_length: Option<u32>,
    }

    /// The settings `sky walking tracing provider` of extension provider.
    pub struct SkyWalkingTracingProvider {
        pub service: String,
        pub port: Option<u32>,
        pub access_token: String,
    }

    /// The settings `stackdriver provider` of extension provider.
    pub struct StackdriverProvider {
        /// Deprecated in Istio's API; still accepted.
        pub debug: Option<bool>,
        /// Deprecated in Istio's API; still accepted.
        pub max_number_of_attributes: Option<i64>,
        /// Deprecated in Istio's API; still accepted.
        pub max_number_of_annotations: Option<i64>,
        /// Deprecated in Istio's API; still accepted.
        pub max_number_of_message_events: Option<i64>,
        pub max_tag_length: Option<u32>,
        pub logging: Option<Logging>,
    }

    /// The settings `logging` of stackdriver provider.
    pub struct Logging {
        pub labels: BTreeMap<String, String>,
    }

    /// The settings `open census agent tracing provider` of extension provider.
    pub struct OpenCensusAgentTracingProvider {
        pub service: String,
        pub port: Option<u32>,
        pub context: Vec<OpenCensusAgentTracingProviderTraceContext>,
        pub max_tag_length: Option<u32>,
    }

    /// The settings `prometheus metrics provider` of extension provider.
    pub struct PrometheusMetricsProvider {
    }

    /// The settings `envoy file access log provider` of extension provider.
    pub struct EnvoyFileAccessLogProvider {
        pub path: String,
        pub log_format: Option<FileLogFormat>,
        pub omit_empty_values: Option<bool>,
    }

    /// The settings `file log format` of envoy file access log provider.
    #[schemars(extend("x-lateen-one-of" = [["text", "labels"]]))]
    pub struct FileLogFormat {
        pub text: Option<String>,
        pub labels: Option<Value>,
    }

    /// The settings `envoy http grpc v3 log provider` of extension provider.
    pub struct EnvoyHttpGrpcV3LogProvider {
        pub service: String,
        pub port: Option<u32>,
        pub log_name: String,
        pub filter_state_objects_to_log: Vec<String>,
        pub additional_request_headers_to_log: Vec<String>,
        pub additional_response_headers_to_log: Vec<String>,
        pub additional_response_trailers_to_log: Vec<String>,
    }

    /// The settings `envoy tcp grpc v3 log provider` of extension provider.
    pub struct EnvoyTcpGrpcV3LogProvider {
        pub service: String,
        pub port: Option<u32>,
        pub log_name: String,
        pub filter_state_objects_to_log: Vec<String>,
    }

    /// The settings `envoy open telemetry log provider` of extension provider.
    pub struct EnvoyOpenTelemetryLogProvider {
        pub service: String,
        pub port: Option<u32>,
        pub log_name: String,
        pub log_format: Option<OpenTelemetryLogFormat>,
    }

    /// The settings `open telemetry log format` of envoy open telemetry log provider.
    pub struct OpenTelemetryLogFormat {
        pub text: String,
        pub labels: Option<Value>,
    }

    /// The settings `open telemetry tracing provider` of extension provider.
    pub struct OpenTelemetryTracingProvider {
        pub service: String,
        pub port: Option<u32>,
        pub max_tag_length: Option<u32>,
        pub http: Option<HttpService>,
        pub grpc: Option<GrpcService>,
        pub resource_detectors: Option<ResourceDetectors>,
        pub service_attribute_enrichment: Option<ServiceAttributeEnrichment>,
        pub dynatrace_sampler: Option<DynatraceSampler>,
    }

    /// The settings `dynatrace sampler` of open telemetry tracing provider.
    pub struct DynatraceSampler {
        pub tenant: String,
        pub cluster_id: Option<i32>,
        pub root_spans_per_minute: Option<u32>,
        pub http_service: Option<DynatraceApi>,
    }

    /// The settings `dynatrace api` of dynatrace sampler.
    pub struct DynatraceApi {
        pub service: String,
        pub port: Option<u32>,
        pub http: Option<HttpService>,
    }

    /// The settings `sds provider` of extension provider.
    pub struct SdsProvider {
        pub name: String,
        pub service: String,
        pub port: Option<u32>,
    }

    /// The settings `http service` of extension provider.
    pub struct HttpService {
        pub path: String,
        pub timeout: Option<Duration>,
        pub headers: Vec<HttpHeader>,
    }

    /// A header of a request.
    #[schemars(extend("x-lateen-one-of" = [["value", "envName"]]))]
    pub struct HttpHeader {
        pub name: String,
        pub value: Option<String>,
        pub env_name: Option<String>,
    }

    /// The settings `resource detectors` of extension provider.
    pub struct ResourceDetectors {
        pub environment: Option<EnvironmentResourceDetector>,
        pub dynatrace: Option<DynatraceResourceDetector>,
    }

    /// The settings `environment resource detector` of resource detectors.
    pub struct EnvironmentResourceDetector {
    }

    /// The settings `dynatrace resource detector` of resource detectors.
    pub struct DynatraceResourceDetector {
    }

    /// The settings `grpc service` of extension provider.
    pub struct GrpcService {
        pub timeout: Option<Duration>,
        pub initial_metadata: Vec<HttpHeader>,
    }
}

/// The choices of `service attribute enrichment` of extension provider.
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
pub enum ServiceAttributeEnrichment {
    #[default]
    IstioCanonical,
    OtelSemanticConventions,
}

/// The choices of `trace context option` of zipkin tracing provider.
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
pub enum TraceContextOption {
    #[default]
    UseB3,
    UseB3WithW3cPropagation,
}

/// The choices of `open census agent tracing provider trace context` of open census agent
/// tracing provider.
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
pub enum OpenCensusAgentTracingProviderTraceContext {
    #[default]
    Unspecified,
    W3cTraceContext,
    GrpcBin,
    CloudTraceContext,
    B3,
}
