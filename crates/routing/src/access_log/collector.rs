//! Access logs that go to a service. In: Envoy's gRPC and OpenTelemetry loggers. Out: the cluster, and what an
//! entry is made of.

use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::GrpcService;
use envoy_types::pb::envoy::config::core::v3::grpc_service::TargetSpecifier;
use envoy_types::pb::envoy::extensions::access_loggers::grpc::v3::{
    CommonGrpcAccessLogConfig, HttpGrpcAccessLogConfig, TcpGrpcAccessLogConfig,
};
use envoy_types::pb::envoy::extensions::access_loggers::open_telemetry::v3::OpenTelemetryAccessLogConfig;
use envoy_types::pb::google::protobuf::Any;
use envoy_types::pb::opentelemetry::proto::common::v1::{AnyValue, KeyValueList, any_value};
use lateen_telemetry::Format;

use super::plain;
use crate::convert;
use crate::reject::{Refusal, refuse};

/// Envoy's default (`CommonGrpcAccessLogConfig.buffer_flush_interval`).
const FLUSH: Duration = Duration::from_secs(1);

/// Whom entries go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collector {
    pub cluster: Arc<str>,
    /// What the requests say that they are for.
    pub authority: String,
    pub log_name: String,
    /// How long entries are gathered.
    pub flush: Duration,
    pub protocol: Protocol,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Envoy's access log service, with its entries of TCP connections.
    Tcp,
    /// The same with those of HTTP.
    Http,
    /// OTLP's logs.
    Otlp(Otlp),
}

/// What a log record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Otlp {
    pub body: Option<Format>,
    pub attributes: Vec<(String, Format)>,
    /// Of the resource, as they are.
    pub resource: Vec<(String, String)>,
}

impl Collector {
    /// `None` if it is a logger of another type.
    pub(super) fn compile(any: &Any) -> Result<Option<Self>, Refusal> {
        if convert::is::<TcpGrpcAccessLogConfig>(any) {
            let config: TcpGrpcAccessLogConfig = convert::unpack(any)?;
            return common(config.common_config.as_ref(), Protocol::Tcp).map(Some);
        }
        if convert::is::<HttpGrpcAccessLogConfig>(any) {
            let config: HttpGrpcAccessLogConfig = convert::unpack(any)?;
            return common(config.common_config.as_ref(), Protocol::Http).map(Some);
        }
        if convert::is::<OpenTelemetryAccessLogConfig>(any) {
            return otlp(&convert::unpack(any)?).map(Some);
        }
        Ok(None)
    }
}

fn common(
    config: Option<&CommonGrpcAccessLogConfig>,
    protocol: Protocol,
) -> Result<Collector, Refusal> {
    let config = config.ok_or_else(|| refuse("common_config", "missing", "name the service"))?;
    let (cluster, authority) = target(config.grpc_service.as_ref())
        .map_err(|refused| refused.within("common_config.grpc_service"))?;
    let flush = config.buffer_flush_interval.as_ref().map_or(FLUSH, convert::duration);
    Ok(Collector { cluster, authority, log_name: config.log_name.clone(), flush, protocol })
}

fn target(service: Option<&GrpcService>) -> Result<(Arc<str>, String), Refusal> {
    match service.and_then(|service| service.target_specifier.as_ref()) {
        Some(TargetSpecifier::EnvoyGrpc(to)) if !to.cluster_name.is_empty() => {
            let authority = if to.authority.is_empty() { &to.cluster_name } else { &to.authority };
            // A cluster's name need not be one that a request may be for.
            let fits = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
            let authority = if authority.chars().all(fits) { authority } else { "collector" };
            Ok((to.cluster_name.as_str().into(), authority.to_owned()))
        }
        _ => Err(refuse("envoy_grpc", "no cluster is named", "set envoy_grpc.cluster_name")),
    }
}

#[expect(deprecated, reason = "the field that Istio sends")]
fn otlp(config: &OpenTelemetryAccessLogConfig) -> Result<Collector, Refusal> {
    if config.http_service.is_some() {
        return Err(refuse("http_service", "not supported", "use grpc_service"));
    }
    let protocol = Protocol::Otlp(Otlp {
        body: config.body.as_ref().and_then(text).map(plain).transpose()?,
        attributes: pairs(config.attributes.as_ref())
            .map(|(key, value)| Ok((key.to_owned(), plain(value)?)))
            .collect::<Result<_, Refusal>>()?,
        resource: pairs(config.resource_attributes.as_ref())
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
    });
    if config.grpc_service.is_none() {
        return common(config.common_config.as_ref(), protocol);
    }
    let (cluster, authority) =
        target(config.grpc_service.as_ref()).map_err(|refused| refused.within("grpc_service"))?;
    let flush = config.buffer_flush_interval.as_ref().map_or(FLUSH, convert::duration);
    Ok(Collector { cluster, authority, log_name: config.log_name.clone(), flush, protocol })
}

fn pairs(list: Option<&KeyValueList>) -> impl Iterator<Item = (&str, &str)> {
    let all = list.into_iter().flat_map(|list| &list.values);
    all.filter_map(|pair| Some((pair.key.as_str(), text(pair.value.as_ref()?)?)))
}

/// Texts are formats; values of other types are not sent.
fn text(value: &AnyValue) -> Option<&str> {
    match &value.value {
        Some(any_value::Value::StringValue(text)) => Some(text),
        _ => None,
    }
}
