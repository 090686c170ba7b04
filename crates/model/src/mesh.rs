//! The mesh-wide settings that translation reads, with Istio's defaults.

use std::sync::Arc;
use std::time::Duration;

use lateen_api::issue::ObjectRef;

use crate::discovery::Discovery;
use crate::routing::{Keepalive, OutboundMode, TcpPool};
use crate::telemetry::Provider;

/// MeshConfig, as far as it is used.
#[derive(Debug, Clone, PartialEq)]
pub struct Mesh {
    pub root_namespace: String,
    pub trust_domain: String,
    pub connect_timeout: Duration,
    pub keepalive: Option<Keepalive>,
    /// `defaultTrafficPolicy.connectionPool`: for whatever no DestinationRule has another for.
    pub pool: Option<TcpPool>,
    pub outbound: OutboundMode,
    /// Inbound goes to 127.0.0.1 instead of the address that was dialled.
    pub inbound_localhost: bool,
    pub access_log: AccessLog,
    /// Where entries of access logs go besides (`enableEnvoyAccessLogService`), or why they do not.
    pub access_log_service: Option<Result<Arc<Provider>, String>>,
    pub service_export: Vec<String>,
    pub virtual_service_export: Vec<String>,
    pub destination_rule_export: Vec<String>,
    pub outbound_port: u16,
    pub inbound_port: u16,
    pub discovery: Discovery,
    /// Extension providers, the built-in ones among them.
    pub providers: Vec<Arc<Provider>>,
    pub default_providers: DefaultProviders,
    /// Percent of the requests that are traced (`defaultConfig.tracing.sampling`).
    pub sampling: Option<f64>,
    /// The ConfigMap that it is from, if there is one.
    pub object: Option<ObjectRef>,
}

/// Names of the providers that are used where no Telemetry object names one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefaultProviders {
    pub metrics: Vec<String>,
    pub logging: Vec<String>,
    pub tracing: Vec<String>,
}

/// The file access log; an empty path is none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccessLog {
    pub path: String,
    pub format: String,
    pub json: bool,
}

impl Default for Mesh {
    fn default() -> Self {
        Self {
            root_namespace: "istio-system".to_owned(),
            trust_domain: "cluster.local".to_owned(),
            connect_timeout: Duration::from_secs(10),
            keepalive: None,
            pool: None,
            outbound: OutboundMode::AllowAny,
            inbound_localhost: false,
            access_log: AccessLog::default(),
            access_log_service: None,
            service_export: Vec::new(),
            virtual_service_export: Vec::new(),
            destination_rule_export: Vec::new(),
            outbound_port: 15001,
            inbound_port: 15006,
            discovery: Discovery::default(),
            providers: Provider::built_in().map(Arc::new).to_vec(),
            default_providers: DefaultProviders::default(),
            sampling: None,
            object: None,
        }
    }
}

impl Default for DefaultProviders {
    /// An installation of Istio has its metrics on, and nothing else.
    fn default() -> Self {
        let metrics = vec!["prometheus".to_owned()];
        Self { metrics, logging: Vec::new(), tracing: Vec::new() }
    }
}

impl Mesh {
    /// A provider by its name, in whatever case, as in Istio.
    pub fn provider(&self, name: &str) -> Option<&Arc<Provider>> {
        self.providers.iter().find(|provider| provider.name.eq_ignore_ascii_case(name))
    }
}
