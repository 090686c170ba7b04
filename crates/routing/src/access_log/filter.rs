//! What is logged. In: Envoy's `AccessLogFilter`. Out: a decision about each connection.

use envoy_types::pb::envoy::config::accesslog::v3 as accesslog;
use envoy_types::pb::envoy::config::accesslog::v3::access_log_filter::FilterSpecifier;
use envoy_types::pb::envoy::extensions::access_loggers::filters::cel::v3::ExpressionFilter;
use lateen_telemetry::AccessRecord;
use lateen_telemetry::cel::Expression;

use crate::convert;
use crate::reject::{Refusal, refuse};

/// Filters within filters.
const DEEPEST: usize = 8;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Connections with one of these response flags, or with any; Istio logs what a listener refused so.
    Flags(Vec<String>),
    Expression(Expression),
    All(Vec<Filter>),
    Any(Vec<Filter>),
}

impl Filter {
    pub fn compile(source: &accesslog::AccessLogFilter) -> Result<Self, Refusal> {
        Self::within(source, DEEPEST)
    }

    fn within(source: &accesslog::AccessLogFilter, depth: usize) -> Result<Self, Refusal> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(refuse("", "filters are nested too deeply", "use fewer"));
        };
        let all = |filters: &[accesslog::AccessLogFilter]| {
            filters.iter().map(|filter| Self::within(filter, depth)).collect::<Result<_, _>>()
        };
        match &source.filter_specifier {
            Some(FilterSpecifier::ResponseFlagFilter(filter)) => {
                Ok(Self::Flags(filter.flags.clone()))
            }
            Some(FilterSpecifier::AndFilter(filter)) => Ok(Self::All(all(&filter.filters)?)),
            Some(FilterSpecifier::OrFilter(filter)) => Ok(Self::Any(all(&filter.filters)?)),
            Some(FilterSpecifier::ExtensionFilter(filter)) => expression(filter),
            _ => {
                let problem =
                    "only response_flag_filter, CEL and and_filter and or_filter are supported";
                Err(refuse("", problem, "log all"))
            }
        }
    }

    pub fn wants(&self, record: &AccessRecord) -> bool {
        match self {
            Self::Flags(only) => record
                .flags
                .iter()
                .any(|flag| only.is_empty() || only.iter().any(|only| only == flag.as_str())),
            Self::Expression(expression) => expression.is_true(record),
            Self::All(filters) => filters.iter().all(|filter| filter.wants(record)),
            Self::Any(filters) => filters.iter().any(|filter| filter.wants(record)),
        }
    }
}

fn expression(filter: &accesslog::ExtensionFilter) -> Result<Filter, Refusal> {
    let any = match &filter.config_type {
        Some(accesslog::extension_filter::ConfigType::TypedConfig(any))
            if convert::is::<ExpressionFilter>(any) =>
        {
            any
        }
        _ => {
            let problem = format!("extension filter {} is not supported", filter.name);
            return Err(refuse("extension_filter", problem, "use a CEL expression"));
        }
    };
    let config: ExpressionFilter = convert::unpack(any)?;
    let parsed = Expression::parse(&config.expression);
    let parsed = parsed.map_err(|error| {
        refuse("extension_filter.expression", error.to_string(), "see Envoy's page on attributes")
    });
    parsed.map(Filter::Expression)
}
