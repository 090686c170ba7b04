//! Access log sinks of a listener or TCP proxy. In: Envoy `AccessLog`s. Out: where to write which
//! line, or a refusal.

mod collector;
mod filter;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use envoy_types::pb::envoy::config::accesslog::v3 as accesslog;
use envoy_types::pb::envoy::config::core::v3::SubstitutionFormatString;
use envoy_types::pb::envoy::config::core::v3::substitution_format_string::Format as Template;
use envoy_types::pb::envoy::extensions::access_loggers::file::v3::FileAccessLog;
use envoy_types::pb::envoy::extensions::access_loggers::file::v3::file_access_log::AccessLogFormat;
use envoy_types::pb::envoy::extensions::access_loggers::stream::v3::{
    StdoutAccessLog, stdout_access_log,
};
use envoy_types::pb::google::protobuf::{Any, Struct};
use lateen_telemetry::{AccessRecord, Format};

use crate::convert;
use crate::reject::{Refusal, refuse};
pub use collector::{Collector, Protocol};
use filter::Filter;

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sink {
    Stdout,
    Stderr,
    File(PathBuf),
}

/// What is written, and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    Line(Sink, Format),
    Entry(Arc<Collector>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLog {
    pub output: Output,
    filter: Option<Filter>,
}

impl AccessLog {
    /// True if a connection that ended so is to be logged.
    pub fn wants(&self, record: &AccessRecord) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.wants(record))
    }
}

pub(crate) fn compile(logs: &[accesslog::AccessLog]) -> Result<Vec<AccessLog>, Refusal> {
    let compiled = logs.iter().enumerate().map(|(index, log)| {
        one(log).map_err(|refused| refused.within(&format!("access_log[{index}]")))
    });
    compiled.collect()
}

fn one(log: &accesslog::AccessLog) -> Result<AccessLog, Refusal> {
    let filter = log.filter.as_ref().map(Filter::compile).transpose();
    let filter = filter.map_err(|refused| refused.within("filter"))?;
    Ok(AccessLog { output: output(log)?, filter })
}

fn output(log: &accesslog::AccessLog) -> Result<Output, Refusal> {
    let Some(accesslog::access_log::ConfigType::TypedConfig(any)) = &log.config_type else {
        return Err(refuse("typed_config", "missing", "configure the access log"));
    };
    if convert::is::<FileAccessLog>(any) {
        let (sink, format) = file(any)?;
        return Ok(Output::Line(sink, format));
    }
    if convert::is::<StdoutAccessLog>(any) {
        let config: StdoutAccessLog = convert::unpack(any)?;
        let format = match &config.access_log_format {
            Some(stdout_access_log::AccessLogFormat::LogFormat(format)) => substitution(format)?,
            None => Format::istio_default(),
        };
        return Ok(Output::Line(Sink::Stdout, format));
    }
    if let Some(collector) = Collector::compile(any)? {
        return Ok(Output::Entry(Arc::new(collector)));
    }
    let problem = format!("access logs of type {} are not supported", any.type_url);
    Err(refuse(
        "typed_config",
        problem,
        "log to a file, stdout, Envoy's access log service or OpenTelemetry",
    ))
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
    let compiled = match &format.format {
        None => Format::istio_default(),
        #[expect(deprecated, reason = "Istio sends it")]
        Some(Template::TextFormat(text)) => plain(text)?,
        Some(Template::JsonFormat(object)) => json(object)?,
        Some(Template::TextFormatSource(source)) => {
            use envoy_types::pb::envoy::config::core::v3::data_source::Specifier;
            match &source.specifier {
                Some(Specifier::InlineString(text)) => plain(text)?,
                _ => {
                    return Err(refuse(
                        "log_format.text_format_source",
                        "no inline string",
                        "inline it",
                    ));
                }
            }
        }
    };
    Ok(compiled.omitting_empty(format.omit_empty_values))
}

pub(crate) fn plain(text: &str) -> Result<Format, Refusal> {
    let remedy = "see Envoy's access log page";
    Format::text(text).map_err(|error| refuse("log_format", error.to_string(), remedy))
}

fn json(object: &Struct) -> Result<Format, Refusal> {
    let remedy = "see Envoy's access log page";
    Format::json(&convert::struct_json(object))
        .map_err(|error| refuse("log_format.json_format", error.to_string(), remedy))
}
