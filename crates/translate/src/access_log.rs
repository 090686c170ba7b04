//! MeshConfig's file access log -> Envoy's file logger. No path, no logger.

use envoy_types::pb::envoy::config::accesslog::v3::{AccessLog, access_log};
use envoy_types::pb::envoy::config::core::v3::{
    DataSource, SubstitutionFormatString, data_source, substitution_format_string,
};
use envoy_types::pb::envoy::extensions::access_loggers::file::v3::{
    FileAccessLog, file_access_log,
};
use envoy_types::pb::google::protobuf::Any;
use lateen_model::mesh::AccessLog as Settings;
use prost::{Message, Name};

use crate::wire::json_log_format;

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

/// The loggers of one `tcp_proxy`.
pub fn loggers(settings: &Settings) -> Vec<AccessLog> {
    if settings.path.is_empty() {
        return Vec::new();
    }
    let body = if settings.json { json(settings) } else { plain(settings) };
    vec![AccessLog {
        name: "envoy.access_loggers.file".to_owned(),
        config_type: Some(access_log::ConfigType::TypedConfig(body)),
        ..Default::default()
    }]
}

fn plain(settings: &Settings) -> Any {
    let mut line = if settings.format.is_empty() { TEXT } else { &settings.format }.to_owned();
    if !line.ends_with('\n') {
        line.push('\n');
    }
    let source = DataSource {
        specifier: Some(data_source::Specifier::InlineString(line)),
        ..Default::default()
    };
    let format = SubstitutionFormatString {
        format: Some(substitution_format_string::Format::TextFormatSource(source)),
        ..Default::default()
    };
    crate::wire::any(&FileAccessLog {
        path: settings.path.clone(),
        access_log_format: Some(file_access_log::AccessLogFormat::LogFormat(format)),
    })
}

/// A format that is not a JSON object of strings gives the default keys, as in Istio.
fn json(settings: &Settings) -> Any {
    let own: Option<std::collections::BTreeMap<String, String>> =
        serde_json::from_str(&settings.format).ok();
    let fields: Vec<(String, String)> = match own {
        Some(own) => own.into_iter().collect(),
        None => JSON.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
    };
    let base = FileAccessLog { path: settings.path.clone(), access_log_format: None };
    let mut value = base.encode_to_vec();
    value.extend(json_log_format(&fields));
    Any { type_url: FileAccessLog::type_url(), value }
}
