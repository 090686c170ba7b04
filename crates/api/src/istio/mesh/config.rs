//! MeshConfig: the settings of a whole mesh.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::Duration;
use crate::istio::mesh::{ExtensionProvider, ProxyConfig};
use crate::istio::networking::{
    ClientTlsSettings, ConnectionPoolSettings, HttpRetry, LocalityLoadBalancerSetting,
    OutlierDetection, TcpKeepalive, ZoneAwareLoadBalancerSetting,
};
use crate::proto::messages;

messages! {
    /// The settings of a mesh, from the key `mesh` of its ConfigMap.
    pub struct MeshConfig {
        pub proxy_listen_port: Option<i32>,
        pub proxy_inbound_listen_port: Option<i32>,
        pub proxy_http_port: Option<i32>,
        pub connect_timeout: Option<Duration>,
        pub hbone_idle_timeout: Option<Duration>,
        pub protocol_detection_timeout: Option<Duration>,
        pub tcp_keepalive: Option<TcpKeepalive>,
        pub ingress_class: String,
        pub ingress_service: String,
        pub ingress_controller_mode: Option<IngressControllerMode>,
        pub ingress_selector: String,
        pub enable_tracing: Option<bool>,
        pub access_log_file: String,
        pub access_log_format: String,
        pub access_log_encoding: Option<AccessLogEncoding>,
        pub enable_envoy_access_log_service: Option<bool>,
        pub disable_envoy_listener_log: Option<bool>,
        pub default_config: Option<ProxyConfig>,
        pub outbound_traffic_policy: Option<OutboundTrafficPolicy>,
        pub inbound_traffic_policy: Option<InboundTrafficPolicy>,
        pub config_sources: Vec<ConfigSource>,
        pub enable_auto_mtls: Option<bool>,
        pub trust_domain: String,
        pub trust_domain_aliases: Vec<String>,
        pub ca_certificates: Vec<CertificateData>,
        pub default_service_export_to: Vec<String>,
        pub default_virtual_service_export_to: Vec<String>,
        pub default_destination_rule_export_to: Vec<String>,
        pub root_namespace: String,
        pub locality_lb_setting: Option<LocalityLoadBalancerSetting>,
        pub zone_aware_lb_setting: Option<ZoneAwareLoadBalancerSetting>,
        pub dns_refresh_rate: Option<Duration>,
        pub h2_upgrade_policy: Option<H2UpgradePolicy>,
        pub inbound_cluster_stat_name: String,
        pub outbound_cluster_stat_name: String,
        /// Deprecated in Istio's API; still accepted.
        pub certificates: Vec<Certificate>,
        pub service_settings: Vec<ServiceSettings>,
        pub service_scope_configs: Vec<ServiceScopeConfigs>,
        pub enable_prometheus_merge: Option<bool>,
        /// Deprecated in Istio's API; still accepted.
        pub verify_certificate_at_client: Option<bool>,
        pub ca: Option<Ca>,
        pub extension_providers: Vec<ExtensionProvider>,
        pub default_providers: Option<DefaultProviders>,
        pub discovery_selectors: Vec<LabelSelector>,
        pub path_normalization: Option<ProxyPathNormalization>,
        pub default_http_retry_policy: Option<HttpRetry>,
        #[serde(rename = "meshMTLS")]
        pub mesh_m_tls: Option<TlsConfig>,
        pub tls_defaults: Option<TlsConfig>,
        pub default_traffic_policy: Option<DefaultTrafficPolicy>,
        pub service_entry_visibility: Option<ServiceEntryVisibility>,
    }

    /// What is done with traffic to unknown destinations.
    pub struct OutboundTrafficPolicy {
        pub mode: Option<OutboundTrafficPolicyMode>,
        pub tls: Option<ClientTlsSettings>,
    }

    /// The settings `inbound traffic policy`.
    pub struct InboundTrafficPolicy {
        pub mode: Option<InboundTrafficPolicyMode>,
    }

    /// The settings `certificate data`.
    #[schemars(extend("x-lateen-one-of" = [["pem", "spiffeBundleUrl"]]))]
    pub struct CertificateData {
        pub pem: Option<String>,
        pub spiffe_bundle_url: Option<String>,
        pub cert_signers: Vec<String>,
        pub trust_domains: Vec<String>,
    }

    /// The settings `service settings`.
    pub struct ServiceSettings {
        pub settings: Option<Settings>,
        pub hosts: Vec<String>,
    }

    /// The settings `settings` of service settings.
    pub struct Settings {
        pub cluster_local: Option<bool>,
    }

    /// The settings `service scope configs`.
    pub struct ServiceScopeConfigs {
        pub namespace_selector: Option<LabelSelector>,
        pub services_selector: Option<LabelSelector>,
        pub scope: Option<Scope>,
    }

    /// The settings `ca`.
    pub struct Ca {
        pub address: String,
        pub tls_settings: Option<ClientTlsSettings>,
        pub request_timeout: Option<Duration>,
        pub istiod_side: Option<bool>,
    }

    /// The settings `default providers`.
    pub struct DefaultProviders {
        pub tracing: Vec<String>,
        pub metrics: Vec<String>,
        pub access_logging: Vec<String>,
    }

    /// The settings `proxy path normalization`.
    pub struct ProxyPathNormalization {
        pub normalization: Option<NormalizationType>,
    }

    /// The settings `tls config`.
    pub struct TlsConfig {
        pub min_protocol_version: Option<TlsProtocol>,
        pub ecdh_curves: Vec<String>,
        pub cipher_suites: Vec<String>,
    }

    /// The settings `default traffic policy`.
    pub struct DefaultTrafficPolicy {
        pub connection_pool: Option<ConnectionPoolSettings>,
        pub outlier_detection: Option<OutlierDetection>,
    }

    /// The settings `label selector`.
    pub struct LabelSelector {
        pub match_labels: BTreeMap<String, String>,
        pub match_expressions: Vec<LabelSelectorRequirement>,
    }

    /// The settings `label selector requirement`.
    pub struct LabelSelectorRequirement {
        pub key: String,
        pub operator: String,
        pub values: Vec<String>,
    }

    /// The settings `service entry visibility`.
    pub struct ServiceEntryVisibility {
        pub default_visibility: Option<Visibility>,
        pub apply_to_sidecars: Option<bool>,
        pub policies: Vec<Policy>,
    }

    /// The settings `policy` of service entry visibility.
    pub struct Policy {
        pub visibility: Option<Visibility>,
        pub matching_rules: Vec<MatchRule>,
    }

    /// The settings `match rule` of service entry visibility.
    pub struct MatchRule {
        pub namespace_selector: Option<LabelSelector>,
    }

    /// The settings `config source`.
    pub struct ConfigSource {
        pub address: String,
        pub tls_settings: Option<ClientTlsSettings>,
        pub subscribed_resources: Vec<Resource>,
    }

    /// The settings `certificate`.
    pub struct Certificate {
        pub secret_name: String,
        pub dns_names: Vec<String>,
    }
}

/// The choices of `ingress controller mode`.
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
pub enum IngressControllerMode {
    #[default]
    Unspecified,
    Off,
    Default,
    Strict,
}

/// The choices of `auth policy`.
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
pub enum AuthPolicy {
    #[default]
    None,
    MutualTls,
}

/// The choices of `access log encoding`.
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
pub enum AccessLogEncoding {
    #[default]
    Text,
    Json,
}

/// Whether HTTP/1.1 connections are upgraded to HTTP/2.
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
pub enum H2UpgradePolicy {
    #[default]
    DoNotUpgrade,
    Upgrade,
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
    AllowAnyDynamicDns,
}

/// The choices of `inbound traffic policy mode` of inbound traffic policy.
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
pub enum InboundTrafficPolicyMode {
    #[default]
    Passthrough,
    Localhost,
}

/// The choices of `scope` of service scope configs.
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
pub enum Scope {
    #[default]
    Local,
    Global,
}

/// The choices of `normalization type` of proxy path normalization.
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
pub enum NormalizationType {
    #[default]
    Default,
    None,
    Base,
    MergeSlashes,
    DecodeAndMergeSlashes,
}

/// A version of TLS.
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
pub enum TlsProtocol {
    #[default]
    TlsAuto,
    #[serde(rename = "TLSV1_2")]
    Tlsv12,
    #[serde(rename = "TLSV1_3")]
    Tlsv13,
}

/// The choices of `visibility` of service entry visibility.
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
pub enum Visibility {
    #[default]
    VisibilityUnspecified,
    None,
    Namespace,
    Public,
}

/// The choices of `resource`.
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
pub enum Resource {
    #[default]
    ServiceRegistry,
}
