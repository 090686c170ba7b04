//! Access log sinks of a listener or TCP proxy. In: Envoy `AccessLog`s. Out: where to write which
//! line, or a refusal.

use std::path::PathBuf;

use envoy_types::pb::envoy::config::accesslog::v3 as accesslog;
use envoy_types::pb::envoy::config::core::v3::SubstitutionFormatString;
use envoy_types::pb::envoy::config::core::v3::substitution_format_string::Format as Template;
use envoy_types::pb::envoy::extensions::access_loggers::file::v3::FileAccessLog;
use envoy_types::pb::envoy::extensions::access_loggers::file::v3::file_access_log::AccessLogFormat;
use envoy_types::pb::envoy::extensions::access_loggers::stream::v3::{
    StdoutAccessLog, stdout_access_log,
};
use envoy_types::pb::google::protobuf::{Any, Struct};
use lateen_telemetry::Format;
use serde_json::Value;

use crate::convert;
use crate::reject::{Refusal, refuse};

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sink {
    Stdout,
    Stderr,
    File(PathBuf),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLog {
    pub sink: Sink,
    pub format: Format,
    /// Only connections with one of these response flags; Istio logs what a listener refused so.
    pub only_flags: Option<Vec<String>>,
}

impl AccessLog {
    /// True if a connection that ended with these flags is to be logged.
    pub fn wants(&self, flags: &[lateen_telemetry::Flag]) -> bool {
        self.only_flags.as_ref().is_none_or(|only| {
            flags.iter().any(|flag| only.is_empty() || only.iter().any(|o| o == flag.as_str()))
        })
    }
}

pub(crate) fn compile(logs: &[accesslog::AccessLog]) -> Result<Vec<AccessLog>, Refusal> {
    let compiled = logs.iter().enumerate().map(|(index, log)| {
        one(log).map_err(|refused| refused.within(&format!("access_log[{index}]")))
    });
    compiled.collect()
}

fn one(log: &accesslog::AccessLog) -> Result<AccessLog, Refusal> {
    let only_flags = flag_filter(log)?;
    let (sink, format) = destination(log)?;
    Ok(AccessLog { sink, format, only_flags })
}

fn flag_filter(log: &accesslog::AccessLog) -> Result<Option<Vec<String>>, Refusal> {
    use accesslog::access_log_filter::FilterSpecifier;
    match log.filter.as_ref().and_then(|filter| filter.filter_specifier.as_ref()) {
        None => Ok(None),
        Some(FilterSpecifier::ResponseFlagFilter(filter)) => Ok(Some(filter.flags.clone())),
        Some(_) => Err(refuse("filter", "only response_flag_filter is supported", "log all")),
    }
}

fn destination(log: &accesslog::AccessLog) -> Result<(Sink, Format), Refusal> {
    let Some(accesslog::access_log::ConfigType::TypedConfig(any)) = &log.config_type else {
        return Err(refuse("typed_config", "missing", "configure the access log"));
    };
    if convert::is::<FileAccessLog>(any) {
        return file(any);
    }
    if convert::is::<StdoutAccessLog>(any) {
        let config: StdoutAccessLog = convert::unpack(any)?;
        let format = match &config.access_log_format {
            Some(stdout_access_log::AccessLogFormat::LogFormat(format)) => substitution(format)?,
            None => Format::istio_default(),
        };
        return Ok((Sink::Stdout, format));
    }
    let problem = format!("access logs of type {} are not supported", any.type_url);
    Err(refuse("typed_config", problem, "log to a file or stdout"))
}

fn file(any: &Any) -> Result<(Sink, Format), Refusal> {
    let config: FileAccessLog = convert::unpack(any)?;
    let format = match &config.access_log_format {
        None => Format::istio_default(),
        #[expect(deprecated, reason = "Envoy still takes it")]
        Some(AccessLogFormat::Format(text)) => plain(text)?,
        #[expect(deprecated, reason = "Envoy still takes it")]
        Some(AccessLogFormat::JsonFormat(object) | AccessLogFormat::TypedJsonFormat(object)) => {
            json(object)?
        }
        Some(AccessLogFormat::LogFormat(format)) => substitution(format)?,
    };
    let sink = match config.path.as_str() {
        "" => return Err(refuse("path", "empty", "set a file name or /dev/stdout")),
        "/dev/stdout" => Sink::Stdout,
        "/dev/stderr" => Sink::Stderr,
        path => Sink::File(path.into()),
    };
    Ok((sink, format))
}

fn substitution(format: &SubstitutionFormatString) -> Result<Format, Refusal> {
    match &format.format {
        None => Ok(Format::istio_default()),
        #[expect(deprecated, reason = "Istio sends it")]
        Some(Template::TextFormat(text)) => plain(text),
        Some(Template::JsonFormat(object)) => json(object),
        Some(Template::TextFormatSource(source)) => {
            use envoy_types::pb::envoy::config::core::v3::data_source::Specifier;
            match &source.specifier {
                Some(Specifier::InlineString(text)) => plain(text),
                _ => Err(refuse("log_format.text_format_source", "no inline string", "inline it")),
            }
        }
    }
}

fn plain(text: &str) -> Result<Format, Refusal> {
    let remedy = "see Envoy's access log page";
    Format::text(text).map_err(|error| refuse("log_format", error.to_string(), remedy))
}

fn json(object: &Struct) -> Result<Format, Refusal> {
    let Value::Object(members) = convert::struct_json(object) else {
        return Err(refuse("log_format.json_format", "no object", "use a JSON object"));
    };
    let texts = members.into_iter().map(|(name, value)| match value {
        Value::String(text) => Ok((name, text)),
        Value::Number(_) | Value::Bool(_) => Ok((name, value.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            let field = format!("log_format.json_format.{name}");
            Err(refuse(field, "nested values are not supported", "use a format string"))
        }
    });
    let texts = texts.collect::<Result<Vec<_>, _>>()?;
    let remedy = "see Envoy's access log page";
    Format::json(texts).map_err(|error| refuse("log_format.json_format", error.to_string(), remedy))
}
