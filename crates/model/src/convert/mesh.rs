//! MeshConfig -> [`Mesh`].

use std::time::Duration;

use lateen_api::issue::ObjectRef;
use lateen_api::istio::mesh as api;

use crate::convert::provider::{access_log_service, providers};
use crate::convert::{keepalive, tcp_pool};
use crate::discovery::Discovery;
use crate::mesh::{AccessLog, DefaultProviders, Mesh};
use crate::routing::{OutboundMode, TcpPool};

/// Compiles the mesh settings; what is not written has Istio's default. `discovery` is what has been compiled
/// of them already, `object` what holds them.
pub fn mesh(config: &api::MeshConfig, discovery: Discovery, object: &ObjectRef) -> Mesh {
    let base = Mesh::default();
    let text = |value: &str, fallback: String| {
        if value.is_empty() { fallback } else { value.to_owned() }
    };
    let port = |value: Option<i32>, fallback: u16| {
        value.and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0).unwrap_or(fallback)
    };
    let outbound = config.outbound_traffic_policy.as_ref();
    let inbound = config.inbound_traffic_policy.as_ref().map(|p| p.mode.unwrap_or_default());
    Mesh {
        root_namespace: text(&config.root_namespace, base.root_namespace),
        trust_domain: text(&config.trust_domain, base.trust_domain),
        connect_timeout: config
            .connect_timeout
            .as_ref()
            .and_then(|timeout| timeout.to_std())
            .filter(|timeout| *timeout > Duration::ZERO)
            .unwrap_or(base.connect_timeout),
        keepalive: config.tcp_keepalive.as_ref().map(keepalive),
        pool: default_pool(config.default_traffic_policy.as_ref()),
        outbound: match outbound.map(|policy| policy.mode.unwrap_or_default()) {
            Some(api::OutboundTrafficPolicyMode::RegistryOnly) => OutboundMode::RegistryOnly,
            _ => OutboundMode::AllowAny,
        },
        inbound_localhost: inbound == Some(api::InboundTrafficPolicyMode::Localhost),
        access_log: AccessLog {
            path: config.access_log_file.clone(),
            format: config.access_log_format.clone(),
            json: config.access_log_encoding == Some(api::AccessLogEncoding::Json),
        },
        access_log_service: (config.enable_envoy_access_log_service == Some(true))
            .then(|| access_log_service(config.default_config.as_ref())),
        service_export: config.default_service_export_to.clone(),
        virtual_service_export: config.default_virtual_service_export_to.clone(),
        destination_rule_export: config.default_destination_rule_export_to.clone(),
        outbound_port: port(config.proxy_listen_port, base.outbound_port),
        inbound_port: port(config.proxy_inbound_listen_port, base.inbound_port),
        discovery,
        providers: providers(&config.extension_providers),
        default_providers: default_providers(config.default_providers.as_ref()),
        sampling: sampling(config),
        object: Some(object.clone()),
    }
}

fn default_pool(policy: Option<&api::DefaultTrafficPolicy>) -> Option<TcpPool> {
    policy?.connection_pool.as_ref().map(|pool| tcp_pool(pool.tcp.as_ref()))
}

/// Where nobody names one, metrics go to Prometheus, as an installation of Istio says.
fn default_providers(written: Option<&api::DefaultProviders>) -> DefaultProviders {
    let base = DefaultProviders::default();
    let Some(written) = written else { return base };
    DefaultProviders {
        metrics: Some(written.metrics.clone())
            .filter(|all| !all.is_empty())
            .unwrap_or(base.metrics),
        logging: written.access_logging.clone(),
        tracing: written.tracing.clone(),
    }
}

fn sampling(config: &api::MeshConfig) -> Option<f64> {
    config.default_config.as_ref()?.tracing.as_ref()?.sampling
}
