//! Telemetry.
//!
//! In: a spec. Out: findings in the report.

use std::ops::RangeInclusive;

use lateen_telemetry::cel::{CelError, Expression};
use lateen_telemetry::labels::{ADDED_LABELS, STANDARD, cut, exported_name};
use lateen_telemetry::standard::{About, Metric};

use super::Report;
use super::shared::check_targets;
use crate::duration::Duration;
use crate::istio::telemetry::{
    AccessLogging, CustomTag, Metrics, ProviderRef, TagOperation, TelemetrySpec, Tracing,
};
use crate::labels::quoted;

pub(super) fn check(report: &mut Report, spec: &TelemetrySpec) {
    check_targets(report, spec.selector.as_ref(), spec.target_ref.as_ref(), &spec.target_refs);
    for (index, tracing) in spec.tracing.iter().enumerate() {
        check_tracing(report, &format!("spec.tracing[{index}]"), tracing);
    }
    for (index, metrics) in spec.metrics.iter().enumerate() {
        check_metrics(report, &format!("spec.metrics[{index}]"), metrics);
    }
    for (index, logging) in spec.access_logging.iter().enumerate() {
        check_logging(report, &format!("spec.accessLogging[{index}]"), logging);
    }
}

fn check_tracing(report: &mut Report, path: &str, tracing: &Tracing) {
    check_providers(report, path, &tracing.providers);
    if tracing.providers.len() > 1 {
        let message = "only one provider of traces is used, keep one";
        report.warning(format!("{path}.providers"), message);
    }
    if tracing.random_sampling_percentage.is_some_and(|p| !(0.0..=100.0).contains(&p)) {
        let message = "it is a percentage, use 0 to 100";
        report.error(format!("{path}.randomSamplingPercentage"), message);
    }
    for (name, tag) in &tracing.custom_tags {
        let path = format!("{path}.customTags[{name}]");
        if name.is_empty() {
            report.error(path, "a tag has a name, write one");
        } else if let Some(field) = missing(tag) {
            report.error(format!("{path}.{field}"), "it is empty, write what the tag says");
        }
    }
}

/// The field that a tag's value lacks.
fn missing(tag: &CustomTag) -> Option<&'static str> {
    let literal = tag.literal.as_ref().map(|tag| (&tag.value, "literal.value"));
    let environment = tag.environment.as_ref().map(|tag| (&tag.name, "environment.name"));
    let header = tag.header.as_ref().map(|tag| (&tag.name, "header.name"));
    let formatter = tag.formatter.as_ref().map(|tag| (&tag.value, "formatter.value"));
    let found = literal.or(environment).or(header).or(formatter);
    found.filter(|(text, _)| text.is_empty()).map(|(_, field)| field)
}

/// Seconds within which connections that go on are counted anyway.
const INTERVALS: RangeInclusive<f64> = 1.0..=5.0;

fn check_metrics(report: &mut Report, path: &str, metrics: &Metrics) {
    check_providers(report, path, &metrics.providers);
    let interval = metrics.reporting_interval.as_ref().and_then(Duration::to_std);
    if interval.is_some_and(|interval| !INTERVALS.contains(&interval.as_secs_f64())) {
        let message = "what goes on is counted every second at most and every 5 seconds at least: \
                       use 1s to 5s, or leave it out";
        report.warning(format!("{path}.reportingInterval"), message);
    }
    for (index, item) in metrics.overrides.iter().enumerate() {
        let path = format!("{path}.overrides[{index}]");
        let custom = item.r#match.as_ref().and_then(|matching| matching.custom_metric.as_ref());
        if custom.is_some_and(String::is_empty) {
            report.error(format!("{path}.match.customMetric"), "it is empty, name a metric");
        } else if let Some(name) = custom.filter(|name| !is_metric(name)) {
            let known: Vec<&str> = Metric::ALL.iter().map(About::short).collect();
            let message = format!(
                "there is no metric {:?}, nothing is changed: use one of {}",
                quoted(name),
                known.join(", ")
            );
            report.warning(format!("{path}.match.customMetric"), message);
        }
        let added = item.tag_overrides.keys().filter(|name| !STANDARD.contains(&name.as_str()));
        if added.count() > ADDED_LABELS {
            let message = format!(
                "at most {ADDED_LABELS} labels are added to a metric: what is beyond them has no effect"
            );
            report.warning(format!("{path}.tagOverrides"), message);
        }
        for (name, tag) in &item.tag_overrides {
            check_name(report, &path, name);
            let path = format!("{path}.tagOverrides[{name}].value");
            match (tag.operation.unwrap_or_default(), tag.value.is_empty()) {
                (TagOperation::Upsert, false) => {
                    check_expression(report, &path, &tag.value);
                    check_label(report, &path, &tag.value);
                }
                (TagOperation::Upsert, true) => {
                    report.error(path, "UPSERT needs a value, write a CEL expression");
                }
                (TagOperation::Remove, false) => {
                    report.error(path, "REMOVE takes no value, leave it out");
                }
                (TagOperation::Remove, true) => {}
            }
        }
    }
}

/// Whether it is a metric's name for Prometheus, which may leave out Istio's prefix.
fn is_metric(name: &str) -> bool {
    let name = name.strip_prefix("istio_").unwrap_or(name);
    Metric::ALL.iter().any(|about| about.short() == name)
}

/// Prometheus must be able to take a tag's name; Envoy writes some of them in another way.
fn check_name(report: &mut Report, path: &str, name: &str) {
    let path = format!("{path}.tagOverrides[{}]", cut(name, 64));
    match exported_name(name) {
        Err(reason) => report.error(path, reason),
        Ok(exported) if exported != name => {
            let message = format!(
                "Prometheus takes letters, digits and _ alone: it is exported as {exported}"
            );
            report.warning(path, message);
        }
        Ok(_) => {}
    }
}

fn check_logging(report: &mut Report, path: &str, logging: &AccessLogging) {
    check_providers(report, path, &logging.providers);
    if let Some(filter) = &logging.filter {
        let path = format!("{path}.filter.expression");
        check_expression(report, &path, &filter.expression);
        if Expression::parse(&filter.expression).is_ok_and(|filter| filter.is_never_true()) {
            let message = "it is never true, so nothing is logged: write a condition, such as response.flags != 0";
            report.warning(path, message);
        }
    }
}

/// What is counted is not yet over, and of more than one connection.
fn check_label(report: &mut Report, path: &str, text: &str) {
    let Ok(expression) = Expression::parse(text) else { return };
    for name in expression.logged() {
        let message = format!("{name:?} is for access logs alone, its value is absent in a label");
        report.warning(path, format!("{message}: leave it out, or log it"));
    }
}

/// What Envoy would refuse is an error. What only Lateen lacks is no reason to refuse an object.
fn check_expression(report: &mut Report, path: &str, text: &str) {
    match Expression::parse(text) {
        Ok(expression) => {
            for name in expression.strange() {
                let message = format!(
                    "{name:?} is no attribute that connections have here, its value is absent"
                );
                report.warning(path, format!("{message}: see Envoy's page on attributes"));
            }
        }
        Err(error @ CelError::Lacking(_)) => {
            report.warning(path, format!("{error}; this expression has no effect"));
        }
        Err(error) => report.error(path, format!("no usable CEL expression: {error}")),
    }
}

fn check_providers(report: &mut Report, path: &str, providers: &[ProviderRef]) {
    for (index, provider) in providers.iter().enumerate() {
        if provider.name.is_empty() {
            let message = "the provider has no name, write one of meshConfig.extensionProviders";
            report.error(format!("{path}.providers[{index}].name"), message);
        }
    }
}
