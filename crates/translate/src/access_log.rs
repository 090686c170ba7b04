//! Logs -> Envoy's access loggers: of MeshConfig's `accessLogFile`, and of extension providers. A format that
//! cannot be read makes no logger, since Envoy would refuse the whole listener.

use envoy_types::pb::envoy::config::accesslog::v3::{
    AccessLog, AccessLogFilter, ExtensionFilter, access_log, access_log_filter, extension_filter,
};
use envoy_types::pb::envoy::config::core::v3::{
    ApiVersion, DataSource, GrpcService, SubstitutionFormatString, TypedExtensionConfig,
    data_source, grpc_service, substitution_format_string,
};
use envoy_types::pb::envoy::extensions::access_loggers::file::v3::{
    FileAccessLog, file_access_log,
};
use envoy_types::pb::envoy::extensions::access_loggers::filters::cel::v3::ExpressionFilter;
use envoy_types::pb::envoy::extensions::access_loggers::grpc::v3::{
    CommonGrpcAccessLogConfig, HttpGrpcAccessLogConfig, TcpGrpcAccessLogConfig,
};
use envoy_types::pb::envoy::extensions::access_loggers::open_telemetry::v3::OpenTelemetryAccessLogConfig;
use envoy_types::pb::envoy::extensions::formatter::req_without_query::v3::ReqWithoutQuery;
use envoy_types::pb::google::protobuf::Any;
use envoy_types::pb::opentelemetry::proto::common::v1::{
    AnyValue, KeyValue, KeyValueList, any_value,
};
use lateen_model::mesh::AccessLog as Settings;
use lateen_model::telemetry::{Als, Backend, FileLog, Log, LogFormat, OtelLog, ProviderKind};
use lateen_telemetry::Format;
use prost::{Message, Name};
use serde_json::{Map, Value};

use crate::context::Context;
use crate::reporting::cluster;
use crate::wire::{any, json_log_format};

/// The fields of Istio's default log line (Istio, "Envoy access logs"), in its order.
const TEXT: &str = concat!(
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" ",
    "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% ",
    "\"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% ",
    "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" ",
    "\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% ",
    "%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% ",
    "%REQUESTED_SERVER_NAME% %ROUTE_NAME%\n",
);

/// The same as keys of a JSON object.
const JSON: &[(&str, &str)] = &[
    ("authority", "%REQ(:AUTHORITY)%"),
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
    ("connection_termination_details", "%CONNECTION_TERMINATION_DETAILS%"),
    ("downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    ("downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    ("duration", "%DURATION%"),
    ("method", "%REQ(:METHOD)%"),
    ("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
    ("protocol", "%PROTOCOL%"),
    ("request_id", "%REQ(X-REQUEST-ID)%"),
    ("requested_server_name", "%REQUESTED_SERVER_NAME%"),
    ("response_code", "%RESPONSE_CODE%"),
    ("response_code_details", "%RESPONSE_CODE_DETAILS%"),
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("route_name", "%ROUTE_NAME%"),
    ("start_time", "%START_TIME%"),
    ("upstream_cluster", "%UPSTREAM_CLUSTER_RAW%"),
    ("upstream_host", "%UPSTREAM_HOST%"),
    ("upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%"),
    ("upstream_service_time", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"),
    ("upstream_transport_failure_reason", "%UPSTREAM_TRANSPORT_FAILURE_REASON%"),
    ("user_agent", "%REQ(USER-AGENT)%"),
    ("x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"),
];

/// MeshConfig's file log; none without a path.
pub fn of_mesh(settings: &Settings) -> Option<AccessLog> {
    let body = (!settings.path.is_empty()).then(|| file_of_mesh(settings, &settings.path))?;
    Some(logger("envoy.access_loggers.file", body?, None))
}

/// The log of a provider; none of one that takes no logs, or whose format cannot be read.
///
/// # Errors
/// Why its back end cannot be reached.
pub fn of_provider(context: &Context<'_>, log: &Log) -> Result<Option<AccessLog>, String> {
    let filter = log.filter.as_deref();
    Ok(match &log.provider.kind {
        ProviderKind::File(file) => {
            let settings = &context.snapshot.mesh().access_log;
            let body = file_log(file, settings);
            body.map(|body| logger("envoy.access_loggers.file", body, filter))
        }
        ProviderKind::Als(als) => Some(als_log(context, als, filter)?),
        ProviderKind::Otel(otel) => otel_log(context, otel)?
            .map(|body| logger("envoy.access_loggers.open_telemetry", body, filter)),
        ProviderKind::Prometheus | ProviderKind::Tracer(..) | ProviderKind::Other(_) => None,
    })
}

fn logger(name: &str, body: Any, expression: Option<&str>) -> AccessLog {
    AccessLog {
        name: name.to_owned(),
        filter: expression.map(by_expression),
        config_type: Some(access_log::ConfigType::TypedConfig(body)),
    }
}

fn by_expression(expression: &str) -> AccessLogFilter {
    let filter = ExpressionFilter { expression: expression.to_owned(), cel_config: None };
    let extension = ExtensionFilter {
        name: "envoy.access_loggers.extension_filters.cel".to_owned(),
        config_type: Some(extension_filter::ConfigType::TypedConfig(any(&filter))),
    };
    let specifier = access_log_filter::FilterSpecifier::ExtensionFilter(extension);
    AccessLogFilter { filter_specifier: Some(specifier) }
}

fn file_log(file: &FileLog, settings: &Settings) -> Option<Any> {
    match &file.format {
        LogFormat::OfMesh => file_of_mesh(settings, &file.path),
        LogFormat::Default => plain(&file.path, "", file.omit_empty),
        LogFormat::Text(text) => plain(&file.path, text, file.omit_empty),
        LogFormat::Json(Value::Object(members)) if !members.is_empty() => {
            json(&file.path, members, file.omit_empty)
        }
        LogFormat::Json(_) => json(&file.path, &default_members(), file.omit_empty),
    }
}

/// A format that is not a JSON object gives the default keys, as in Istio.
fn file_of_mesh(settings: &Settings, path: &str) -> Option<Any> {
    if !settings.json {
        return plain(path, &settings.format, false);
    }
    let own: Option<Map<String, Value>> = serde_json::from_str(&settings.format).ok();
    json(path, &own.unwrap_or_else(default_members), false)
}

fn default_members() -> Map<String, Value> {
    JSON.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect()
}

/// Istio's default text if there is none; a newline ends it.
fn plain(path: &str, text: &str, omit_empty_values: bool) -> Option<Any> {
    let mut line = if text.is_empty() { TEXT } else { text }.to_owned();
    Format::text(&line).ok()?;
    if !line.ends_with('\n') {
        line.push('\n');
    }
    let formatters = formatters(&line);
    let source = DataSource {
        specifier: Some(data_source::Specifier::InlineString(line)),
        ..Default::default()
    };
    let format = SubstitutionFormatString {
        format: Some(substitution_format_string::Format::TextFormatSource(source)),
        omit_empty_values,
        formatters,
        ..Default::default()
    };
    Some(any(&FileAccessLog {
        path: path.to_owned(),
        access_log_format: Some(file_access_log::AccessLogFormat::LogFormat(format)),
    }))
}

fn json(path: &str, members: &Map<String, Value>, omit_empty: bool) -> Option<Any> {
    let whole = Value::Object(members.clone());
    Format::json(&whole).ok()?;
    let base = FileAccessLog { path: path.to_owned(), access_log_format: None };
    let mut value = base.encode_to_vec();
    value.extend(json_log_format(members, omit_empty, formatters(&whole.to_string())));
    Some(Any { type_url: FileAccessLog::type_url(), value })
}

/// The extension of the only operator that Envoy has in one.
fn formatters(format: &str) -> Vec<TypedExtensionConfig> {
    let formatter = || TypedExtensionConfig {
        name: "envoy.formatter.req_without_query".to_owned(),
        typed_config: Some(any(&ReqWithoutQuery {})),
    };
    format.contains("%REQ_WITHOUT_QUERY").then(formatter).into_iter().collect()
}

fn common(
    context: &Context<'_>,
    backend: &Backend,
    log_name: &str,
    filter_state: &[String],
) -> Result<CommonGrpcAccessLogConfig, String> {
    let (authority, cluster_name) = cluster(context, backend)?;
    let target = grpc_service::EnvoyGrpc { cluster_name, authority, ..Default::default() };
    let target = grpc_service::TargetSpecifier::EnvoyGrpc(target);
    let service = GrpcService { target_specifier: Some(target), ..Default::default() };
    Ok(CommonGrpcAccessLogConfig {
        log_name: log_name.to_owned(),
        grpc_service: Some(service),
        transport_api_version: ApiVersion::V3.into(),
        filter_state_objects_to_log: filter_state.to_vec(),
        ..Default::default()
    })
}

fn als_log(context: &Context<'_>, als: &Als, filter: Option<&str>) -> Result<AccessLog, String> {
    let common = common(context, &als.backend, &als.log_name, &als.filter_state)?;
    let common_config = Some(common);
    Ok(match &als.http {
        None => {
            let body = any(&TcpGrpcAccessLogConfig { common_config });
            logger("envoy.access_loggers.tcp_grpc", body, filter)
        }
        Some([requests, responses, trailers]) => {
            let body = any(&HttpGrpcAccessLogConfig {
                common_config,
                additional_request_headers_to_log: requests.clone(),
                additional_response_headers_to_log: responses.clone(),
                additional_response_trailers_to_log: trailers.clone(),
            });
            logger("envoy.access_loggers.http_grpc", body, filter)
        }
    })
}

#[expect(deprecated, reason = "the field that Istio sends; Envoy still takes it")]
fn otel_log(context: &Context<'_>, otel: &OtelLog) -> Result<Option<Any>, String> {
    let common = common(context, &otel.backend, &otel.log_name, &[])?;
    let text = if otel.text.is_empty() { TEXT } else { &otel.text };
    let all = || std::iter::once(text).chain(otel.labels.values().map(String::as_str));
    if all().any(|format| Format::text(format).is_err()) {
        return Ok(None);
    }
    let string =
        |text: &str| AnyValue { value: Some(any_value::Value::StringValue(text.to_owned())) };
    let labels = otel.labels.iter();
    let values: Vec<KeyValue> = labels
        .map(|(key, value)| KeyValue {
            key: key.clone(),
            value: Some(string(value)),
            ..Default::default()
        })
        .collect();
    let config = OpenTelemetryAccessLogConfig {
        common_config: Some(common),
        disable_builtin_labels: true,
        body: Some(string(text)),
        attributes: (!values.is_empty()).then_some(KeyValueList { values }),
        formatters: formatters(&all().collect::<String>()),
        ..Default::default()
    };
    Ok(Some(any(&config)))
}
