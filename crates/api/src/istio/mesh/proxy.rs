//! ProxyConfig: how one proxy is started and run.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::Duration;
use crate::istio::mesh::Tracing;
use crate::istio::networking::{ClientTlsSettings, ProxyImage, ReadinessProbe, TcpKeepalive};
use crate::proto::messages;

messages! {
    /// The settings `sds`.
    pub struct Sds {
        pub enabled: Option<bool>,
        pub k8s_sa_jwt_path: String,
    }

    /// The settings `topology`.
    pub struct Topology {
        pub num_trusted_proxies: Option<u32>,
        pub forward_client_cert_details: Option<ForwardClientCertDetails>,
        pub proxy_protocol: Option<ProxyProtocolConfiguration>,
    }

    /// The settings `proxy protocol configuration` of topology.
    pub struct ProxyProtocolConfiguration {
    }

    /// The settings `private key provider`.
    #[schemars(extend("x-lateen-one-of" = [["cryptomb", "qat"]]))]
    pub struct PrivateKeyProvider {
        pub cryptomb: Option<CryptoMb>,
        pub qat: Option<Qat>,
    }

    /// The settings `crypto mb` of private key provider.
    pub struct CryptoMb {
        pub poll_delay: Option<Duration>,
        pub fallback: Option<bool>,
    }

    /// The settings `qat` of private key provider.
    pub struct Qat {
        pub poll_delay: Option<Duration>,
        pub fallback: Option<bool>,
    }

    /// The settings of a proxy, from MeshConfig's `defaultConfig` and the annotation
    /// `proxy.istio.io/config`.
    #[schemars(extend("x-lateen-one-of" = [["serviceCluster", "tracingServiceName"]]))]
    pub struct ProxyConfig {
        pub config_path: String,
        pub binary_path: String,
        pub service_cluster: Option<String>,
        pub tracing_service_name: Option<TracingServiceName>,
        pub drain_duration: Option<Duration>,
        pub discovery_address: String,
        /// Deprecated in Istio's API; still accepted.
        pub discovery_refresh_delay: Option<Duration>,
        /// Deprecated in Istio's API; still accepted.
        pub zipkin_address: String,
        pub statsd_udp_address: String,
        /// Deprecated in Istio's API; still accepted.
        pub envoy_metrics_service_address: String,
        pub proxy_admin_port: Option<i32>,
        /// Deprecated in Istio's API; still accepted.
        pub availability_zone: String,
        pub control_plane_auth_policy: Option<AuthenticationPolicy>,
        pub custom_config_file: String,
        pub stat_name_length: Option<i32>,
        pub concurrency: Option<i32>,
        pub proxy_bootstrap_template_path: String,
        pub interception_mode: Option<InboundInterceptionMode>,
        pub tracing: Option<Tracing>,
        /// Deprecated in Istio's API; still accepted.
        pub sds: Option<Sds>,
        pub envoy_access_log_service: Option<RemoteService>,
        pub envoy_metrics_service: Option<RemoteService>,
        pub proxy_metadata: BTreeMap<String, String>,
        pub runtime_values: BTreeMap<String, String>,
        pub status_port: Option<i32>,
        pub extra_stat_tags: Vec<String>,
        pub gateway_topology: Option<Topology>,
        pub termination_drain_duration: Option<Duration>,
        pub mesh_id: String,
        pub readiness_probe: Option<ReadinessProbe>,
        pub proxy_stats_matcher: Option<ProxyStatsMatcher>,
        pub hold_application_until_proxy_starts: Option<bool>,
        pub ca_certificates_pem: Vec<String>,
        pub image: Option<ProxyImage>,
        pub private_key_provider: Option<PrivateKeyProvider>,
        pub proxy_headers: Option<ProxyHeaders>,
        pub file_flush_interval: Option<Duration>,
        pub file_flush_min_size_kb: Option<u32>,
        pub stats_compression: Option<bool>,
        pub connection_settings: Option<ConnectionSettings>,
    }

    /// The settings `proxy stats matcher` of proxy config.
    pub struct ProxyStatsMatcher {
        pub inclusion_prefixes: Vec<String>,
        pub inclusion_suffixes: Vec<String>,
        pub inclusion_regexps: Vec<String>,
    }

    /// The settings `proxy headers` of proxy config.
    pub struct ProxyHeaders {
        pub forwarded_client_cert: Option<ForwardClientCertDetails>,
        pub set_current_client_cert_details: Option<SetCurrentClientCertDetails>,
        pub request_id: Option<RequestId>,
        pub server: Option<Server>,
        pub attempt_count: Option<AttemptCount>,
        pub envoy_debug_headers: Option<EnvoyDebugHeaders>,
        pub metadata_exchange_headers: Option<MetadataExchangeHeaders>,
        pub preserve_http1_header_case: Option<bool>,
        pub x_forwarded_host: Option<XForwardedHost>,
        pub x_forwarded_port: Option<XForwardedPort>,
    }

    /// One port, and the hosts that are served on it.
    pub struct Server {
        pub disabled: Option<bool>,
        pub value: String,
    }

    /// The settings `request id` of proxy headers.
    pub struct RequestId {
        pub disabled: Option<bool>,
    }

    /// The settings `attempt count` of proxy headers.
    pub struct AttemptCount {
        pub disabled: Option<bool>,
    }

    /// The settings `xforwarded host` of proxy headers.
    pub struct XForwardedHost {
        pub enabled: Option<bool>,
    }

    /// The settings `xforwarded port` of proxy headers.
    pub struct XForwardedPort {
        pub enabled: Option<bool>,
    }

    /// The settings `envoy debug headers` of proxy headers.
    pub struct EnvoyDebugHeaders {
        pub disabled: Option<bool>,
    }

    /// The settings `metadata exchange headers` of proxy headers.
    pub struct MetadataExchangeHeaders {
        pub mode: Option<MetadataExchangeMode>,
    }

    /// The settings `set current client cert details` of proxy headers.
    pub struct SetCurrentClientCertDetails {
        pub subject: Option<bool>,
        pub cert: Option<bool>,
        pub chain: Option<bool>,
        pub dns: Option<bool>,
        pub uri: Option<bool>,
    }

    /// The settings `connection settings` of proxy config.
    pub struct ConnectionSettings {
        pub profile: Option<Profile>,
        pub listener_per_connection_buffer_limit_bytes: Option<i32>,
        pub cluster_per_connection_buffer_limit_bytes: Option<i32>,
        pub http_idle_timeout: Option<Duration>,
        pub http_max_connection_duration: Option<Duration>,
        pub http_drain_timeout: Option<Duration>,
        pub http_request_timeout: Option<Duration>,
        pub http_request_headers_timeout: Option<Duration>,
        pub http_stream_idle_timeout: Option<Duration>,
        pub http_max_stream_duration: Option<Duration>,
        pub http_max_concurrent_streams: Option<i32>,
        pub http2_initial_stream_window_size: Option<i32>,
        pub http2_initial_connection_window_size: Option<i32>,
        pub http_headers_with_underscores_action: Option<HeadersWithUnderscoresAction>,
        pub http_merge_slashes: Option<bool>,
        pub http_path_with_escaped_slashes_action: Option<PathWithEscapedSlashesAction>,
        pub listener_connection_limit: Option<i32>,
        pub global_downstream_connection_limit: Option<i32>,
    }

    /// The settings `remote service`.
    pub struct RemoteService {
        pub address: String,
        pub tls_settings: Option<ClientTlsSettings>,
        pub tcp_keepalive: Option<TcpKeepalive>,
    }
}

/// The choices of `tracing service name` of proxy config.
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
pub enum TracingServiceName {
    #[default]
    AppLabelAndNamespace,
    CanonicalNameOnly,
    CanonicalNameAndNamespace,
}

/// The choices of `inbound interception mode` of proxy config.
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
pub enum InboundInterceptionMode {
    #[default]
    Redirect,
    Tproxy,
    None,
}

/// The choices of `metadata exchange mode` of proxy headers.
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
pub enum MetadataExchangeMode {
    #[default]
    Undefined,
    InMesh,
}

/// The choices of `profile` of connection settings.
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
pub enum Profile {
    #[default]
    Sidecar,
    Edge,
}

/// The choices of `headers with underscores action` of connection settings.
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
pub enum HeadersWithUnderscoresAction {
    #[default]
    HeadersWithUnderscoresUnspecified,
    HeadersWithUnderscoresAllow,
    HeadersWithUnderscoresRejectRequest,
    HeadersWithUnderscoresDropHeader,
}

/// The choices of `path with escaped slashes action` of connection settings.
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
pub enum PathWithEscapedSlashesAction {
    #[default]
    PathWithEscapedSlashesUnspecified,
    KeepUnchanged,
    RejectRequest,
    UnescapeAndRedirect,
    UnescapeAndForward,
}

/// The choices of `authentication policy`.
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
pub enum AuthenticationPolicy {
    #[default]
    None,
    MutualTls,
    Inherit,
}

/// The choices of `forward client cert details`.
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
pub enum ForwardClientCertDetails {
    #[default]
    Undefined,
    Sanitize,
    ForwardOnly,
    AppendForward,
    SanitizeSet,
    AlwaysForwardOnly,
}
