//! Semantic validation of Istio's kinds, after Istio's own rules (istio.io/docs/reference/config).
//!
//! In: one object. Out: what is wrong with it, each with the field's path and what to change. What
//! needs a second object to be seen (a host that no service has) is not found here.

mod destination_rule;
mod envoy;
mod gateway;
mod headers;
mod http_route;
mod names;
mod providers;
mod re2;
mod security;
mod service_entry;
mod shared;
mod telemetry;
mod virtual_service;
mod workload;

use std::net::IpAddr;

use std::fmt::Display;

use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::Value;

use crate::issue::{Code, Issue, ObjectRef};
use crate::istio::mesh::parse_mesh_config;
use crate::kinds::Kind;
use crate::resource::{self, Resource};
pub use names::url_scheme;
pub use providers::{KnownProvider, known_providers, unusable_providers, why_unusable};

/// Every finding about one object: what [`resource::parse`] finds, then what its fields mean.
pub fn validate(kind: &'static Kind, version: &str, value: &Value) -> Vec<Issue> {
    let (resource, mut issues) = resource::parse(kind, version, value.clone());
    if let Some(resource) = resource {
        issues.extend(check(&resource));
    }
    issues
}

/// Where Istio keeps MeshConfig, with which name and under which key.
pub const MESH_CONFIG: (&str, &str, &str) = ("istio-system", "istio", "mesh");

fn check_mesh_config(report: &mut Report, map: &ConfigMap) {
    let (namespace, name, key) = MESH_CONFIG;
    let is_mesh_config = map.metadata.namespace.as_deref() == Some(namespace)
        && map.metadata.name.as_deref() == Some(name);
    let text = map.data.as_ref().and_then(|data| data.get(key)).filter(|_| is_mesh_config);
    if let Some(text) = text {
        report.issues.extend(parse_mesh_config(text, &report.object).1);
    }
}

/// A host name without a wildcard, or an IP address.
///
/// # Errors
/// What to write instead.
pub fn host_or_address(text: &str) -> Result<(), String> {
    if text.parse::<IpAddr>().is_ok() { Ok(()) } else { names::fqdn(text) }
}

/// Findings about an object that has been read already.
pub fn check(resource: &Resource) -> Vec<Issue> {
    let mut report = Report { object: resource.object_ref(), issues: Vec::new() };
    let r = &mut report;
    match resource {
        Resource::ConfigMap(map) => check_mesh_config(r, map),
        Resource::Gateway(object) => gateway::check(r, &object.spec),
        Resource::VirtualService(object) => virtual_service::check(r, &object.spec),
        Resource::DestinationRule(object) => destination_rule::check(r, &object.spec),
        Resource::ServiceEntry(object) => service_entry::check(r, &object.spec),
        Resource::WorkloadEntry(object) => workload::check_entry(r, "spec", &object.spec),
        Resource::WorkloadGroup(object) => workload::check_group(r, &object.spec),
        Resource::Sidecar(object) => workload::check_sidecar(r, &object.spec),
        Resource::EnvoyFilter(object) => envoy::check_filter(r, &object.spec),
        Resource::ProxyConfig(object) => envoy::check_proxy_config(r, &object.spec),
        Resource::WasmPlugin(object) => envoy::check_wasm_plugin(r, &object.spec),
        Resource::TrafficExtension(object) => envoy::check_traffic_extension(r, &object.spec),
        Resource::AuthorizationPolicy(object) => security::check_authorization(r, &object.spec),
        Resource::PeerAuthentication(object) => security::check_peer(r, &object.spec),
        Resource::RequestAuthentication(object) => security::check_request(r, &object.spec),
        Resource::Telemetry(object) => telemetry::check(r, &object.spec),
        Resource::Namespace(_)
        | Resource::Node(_)
        | Resource::Service(_)
        | Resource::EndpointSlice(_)
        | Resource::Pod(_)
        | Resource::Secret(_)
        | Resource::BackendTlsPolicy(_)
        | Resource::GatewayApiGateway(_)
        | Resource::GatewayClass(_)
        | Resource::GrpcRoute(_)
        | Resource::HttpRoute(_)
        | Resource::ListenerSet(_)
        | Resource::ReferenceGrant(_)
        | Resource::TcpRoute(_)
        | Resource::TlsRoute(_)
        | Resource::UdpRoute(_) => {}
    }
    report.issues
}

/// Collects the findings about one object.
struct Report {
    object: ObjectRef,
    issues: Vec<Issue>,
}

impl Report {
    fn error(&mut self, path: impl Display, message: impl Into<String>) {
        let code = Code::SCHEMA_VALIDATION_ERROR;
        self.issues.push(Issue::error(self.object.clone(), path.to_string(), code, message));
    }

    fn warning(&mut self, path: impl Display, message: impl Into<String>) {
        let code = Code::SCHEMA_WARNING;
        self.issues.push(Issue::warning(self.object.clone(), path.to_string(), code, message));
    }

    fn deprecated(&mut self, path: impl Display, message: impl Into<String>) {
        let code = Code::DEPRECATED;
        self.issues.push(Issue::warning(self.object.clone(), path.to_string(), code, message));
    }

    /// Reports an `Err` at a path.
    fn expect(&mut self, path: impl Display, result: Result<(), String>) {
        if let Err(message) = result {
            self.error(path, message);
        }
    }
}

#[cfg(test)]
mod tests;
