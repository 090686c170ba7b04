//! MeshConfig's extension providers -> [`Provider`]s, the built-in ones behind those that are written.

use std::collections::BTreeMap;
use std::sync::Arc;

use lateen_api::istio::mesh as api;
use lateen_api::istio::networking::ClientTlsMode;
use serde_json::Value;

use crate::telemetry::{Als, Backend, FileLog, LogFormat, OtelLog, Provider, ProviderKind};

/// Istio's names of logs, where none is written.
const TCP_LOG: &str = "tcp_envoy_accesslog";
const HTTP_LOG: &str = "http_envoy_accesslog";
const OTEL_LOG: &str = "otel_envoy_accesslog";
/// What of a connection's state goes to an access log service, where it is not written.
const FILTER_STATE: [&str; 2] = ["upstream_peer", "downstream_peer"];
/// The built-in provider of access logs, whose format MeshConfig has even if the provider is written.
const ENVOY: &str = "envoy";

/// Compiles all providers.
pub fn providers(config: &[api::ExtensionProvider]) -> Vec<Arc<Provider>> {
    let written = config.iter().enumerate();
    let written: Vec<Provider> = written.map(|(place, one)| provider(place, one)).collect();
    let built_in = Provider::built_in()
        .into_iter()
        .filter(|one| written.iter().all(|other| !other.name.eq_ignore_ascii_case(&one.name)));
    let built_in: Vec<Provider> = built_in.collect();
    written.into_iter().chain(built_in).map(Arc::new).collect()
}

/// What `enableEnvoyAccessLogService` switches on.
///
/// # Errors
/// What is wrong with the service that is named.
pub fn access_log_service(config: Option<&api::ProxyConfig>) -> Result<Arc<Provider>, String> {
    let named = config.and_then(|config| config.envoy_access_log_service.as_ref());
    let named = named.ok_or("none is named: write its address as HOST:PORT")?;
    let mode = named.tls_settings.as_ref().and_then(|tls| tls.mode).unwrap_or_default();
    if mode != ClientTlsMode::Disable {
        return Err("TLS to it is not supported yet: leave tlsSettings out".to_owned());
    }
    let place = named.address.rsplit_once(':');
    let place = place.and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    let Some((host, port)) = place.filter(|(host, _)| !host.is_empty()) else {
        return Err(format!("{:?} is no address: write HOST:PORT", named.address));
    };
    let als = service(backend(host, Some(port.into())), "", TCP_LOG, &[], None);
    let name = "envoyAccessLogService".to_owned();
    Ok(Arc::new(Provider { name, place: None, kind: ProviderKind::Als(als) }))
}

fn provider(place: usize, item: &api::ExtensionProvider) -> Provider {
    Provider { name: item.name.clone(), place: Some(place), kind: kind(item) }
}

fn kind(item: &api::ExtensionProvider) -> ProviderKind {
    if item.prometheus.is_some() {
        return ProviderKind::Prometheus;
    }
    if let Some(file) = &item.envoy_file_access_log {
        return ProviderKind::File(file_log(&item.name, file));
    }
    if let Some(als) = &item.envoy_tcp_als {
        let state = &als.filter_state_objects_to_log;
        let backend = backend(&als.service, als.port);
        return ProviderKind::Als(service(backend, &als.log_name, TCP_LOG, state, None));
    }
    if let Some(als) = &item.envoy_http_als {
        let headers = [
            als.additional_request_headers_to_log.clone(),
            als.additional_response_headers_to_log.clone(),
            als.additional_response_trailers_to_log.clone(),
        ];
        let state = &als.filter_state_objects_to_log;
        let backend = backend(&als.service, als.port);
        return ProviderKind::Als(service(backend, &als.log_name, HTTP_LOG, state, Some(headers)));
    }
    if let Some(otel) = &item.envoy_otel_als {
        let format = otel.log_format.clone().unwrap_or_default();
        return ProviderKind::Otel(OtelLog {
            backend: backend(&otel.service, otel.port),
            log_name: named(&otel.log_name, OTEL_LOG),
            text: format.text,
            labels: labels(format.labels.as_ref()),
        });
    }
    tracer(item).unwrap_or_else(|| other(item))
}

fn tracer(item: &api::ExtensionProvider) -> Option<ProviderKind> {
    let to = |field, service: &str, port| {
        Some(ProviderKind::Tracer(field, Some(backend(service, port))))
    };
    if let Some(one) = &item.zipkin {
        return to("zipkin", &one.service, one.port);
    }
    if let Some(one) = &item.opentelemetry {
        return to("opentelemetry", &one.service, one.port);
    }
    if let Some(one) = &item.datadog {
        return to("datadog", &one.service, one.port);
    }
    if let Some(one) = &item.skywalking {
        return to("skywalking", &one.service, one.port);
    }
    if let Some(one) = &item.lightstep {
        return to("lightstep", &one.service, one.port);
    }
    if let Some(one) = &item.opencensus {
        return to("opencensus", &one.service, one.port);
    }
    item.stackdriver.as_ref().map(|_| ProviderKind::Tracer("stackdriver", None))
}

fn other(item: &api::ExtensionProvider) -> ProviderKind {
    ProviderKind::Other(match item {
        api::ExtensionProvider { envoy_ext_authz_http: Some(_), .. } => "envoyExtAuthzHttp",
        api::ExtensionProvider { envoy_ext_authz_grpc: Some(_), .. } => "envoyExtAuthzGrpc",
        api::ExtensionProvider { sds: Some(_), .. } => "sds",
        _ => "",
    })
}

fn file_log(name: &str, file: &api::EnvoyFileAccessLogProvider) -> FileLog {
    let omit_empty = file.omit_empty_values == Some(true);
    let format = match &file.log_format {
        None if name == ENVOY && !omit_empty => LogFormat::OfMesh,
        Some(api::FileLogFormat { text: Some(text), .. }) if !text.is_empty() => {
            LogFormat::Text(text.clone())
        }
        Some(api::FileLogFormat { labels: Some(labels), .. }) => LogFormat::Json(labels.clone()),
        None | Some(_) => LogFormat::Default,
    };
    FileLog { path: named(&file.path, "/dev/stdout"), format, omit_empty }
}

fn service(
    backend: Backend,
    log_name: &str,
    default_name: &str,
    state: &[String],
    http: Option<[Vec<String>; 3]>,
) -> Als {
    let default = || FILTER_STATE.map(str::to_owned).to_vec();
    Als {
        backend,
        log_name: named(log_name, default_name),
        filter_state: if state.is_empty() { default() } else { state.to_vec() },
        http,
    }
}

fn backend(service: &str, port: Option<u32>) -> Backend {
    Backend { service: service.to_owned(), port: port.unwrap_or(0) }
}

fn named(text: &str, default: &str) -> String {
    if text.is_empty() { default } else { text }.to_owned()
}

/// Istio takes the strings among a log's labels.
fn labels(written: Option<&Value>) -> BTreeMap<String, String> {
    let members = written.and_then(Value::as_object).into_iter().flatten();
    members
        .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect()
}
