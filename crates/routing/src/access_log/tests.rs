//! Which connections are logged, and which filters are refused.

use envoy_types::pb::envoy::config::accesslog::v3 as accesslog;
use envoy_types::pb::envoy::config::accesslog::v3::access_log_filter::FilterSpecifier;
use envoy_types::pb::envoy::extensions::access_loggers::file::v3::FileAccessLog;
use envoy_types::pb::envoy::extensions::access_loggers::filters::cel::v3::ExpressionFilter;
use envoy_types::pb::google::protobuf::Any;
use lateen_telemetry::{AccessRecord, Flag};
use prost::{Message, Name};

use super::{AccessLog, compile};
use crate::sample;

fn any<M: Message + Name>(message: &M) -> Any {
    Any { type_url: M::type_url(), value: message.encode_to_vec() }
}

fn filter(specifier: FilterSpecifier) -> accesslog::AccessLogFilter {
    accesslog::AccessLogFilter { filter_specifier: Some(specifier) }
}

fn cel(expression: &str) -> accesslog::AccessLogFilter {
    let config = any(&ExpressionFilter { expression: expression.to_owned(), cel_config: None });
    filter(FilterSpecifier::ExtensionFilter(accesslog::ExtensionFilter {
        name: "cel".to_owned(),
        config_type: Some(accesslog::extension_filter::ConfigType::TypedConfig(config)),
    }))
}

fn flags(flags: &[&str]) -> accesslog::AccessLogFilter {
    let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
    filter(FilterSpecifier::ResponseFlagFilter(accesslog::ResponseFlagFilter { flags }))
}

fn log(filter: accesslog::AccessLogFilter) -> Result<AccessLog, String> {
    let file = FileAccessLog { path: "/dev/stdout".to_owned(), access_log_format: None };
    let log = accesslog::AccessLog {
        name: "file".to_owned(),
        filter: Some(filter),
        config_type: Some(accesslog::access_log::ConfigType::TypedConfig(any(&file))),
    };
    let compiled = compile(&[log]).map_err(|refused| refused.of("front").to_string());
    compiled.map(|mut all| all.remove(0))
}

fn record(flags: &'static [Flag]) -> AccessRecord {
    AccessRecord { flags, ..sample::record() }
}

#[test]
fn a_connection_is_logged_if_its_filter_says_so() {
    let wants = |filter| {
        let log = log(filter).unwrap();
        [&[][..], &[Flag::NoRouteFound]].map(|flags| log.wants(&record(flags)))
    };
    assert_eq!(wants(cel("response.flags != 0")), [false, true]);
    assert_eq!(wants(cel("destination.port == 8020")), [true, true]);
    assert_eq!(wants(cel("response.code >= 400")), [false, false], "what fails is not true");
    assert_eq!(wants(flags(&["NR", "UF"])), [false, true]);
    assert_eq!(wants(flags(&["UF"])), [false, false]);
    assert_eq!(wants(flags(&[])), [false, true]);
    let both = vec![cel("destination.port == 8020"), flags(&[])];
    let and = FilterSpecifier::AndFilter(accesslog::AndFilter { filters: both.clone() });
    assert_eq!(wants(filter(and)), [false, true]);
    let or = FilterSpecifier::OrFilter(accesslog::OrFilter { filters: both });
    assert_eq!(wants(filter(or)), [true, true]);
}

#[test]
fn what_cannot_decide_is_refused_with_the_field() {
    let error = log(cel("response.code >=")).unwrap_err();
    let field = "front: access_log[0].filter.extension_filter.expression: it ends too early";
    assert!(error.starts_with(field), "{error}");
    let error = log(filter(FilterSpecifier::TraceableFilter(Default::default()))).unwrap_err();
    assert!(error.contains("only response_flag_filter, CEL"), "{error}");
    let nest =
        |inner| filter(FilterSpecifier::OrFilter(accesslog::OrFilter { filters: vec![inner] }));
    let deep = (0..20).fold(flags(&[]), |inner, _| nest(inner));
    assert!(log(deep).unwrap_err().contains("nested too deeply"));
}
