//! Telemetry -> [`Telemetry`]. What validation refuses is left out here without another word.

use std::collections::BTreeMap;
use std::sync::Arc;

use lateen_api::istio::telemetry as api;
use lateen_telemetry::cel::Expression;

use crate::convert::Notes;
use crate::meta::Meta;
use crate::telemetry::{
    Logging, Metrics, Override, Scope, Side, Sides, Tag, TagSource, Target, Telemetry, Tracing,
    Which,
};

/// Compiles a Telemetry.
pub fn telemetry(
    meta: &Arc<Meta>,
    spec: &api::TelemetrySpec,
    notes: &mut Notes<'_>,
) -> Option<Telemetry> {
    if !spec.tracing.is_empty() {
        let message = "it is kept for HTTP: connections are carried as TCP yet, which has no spans, and \
                       no headers to carry a trace on";
        notes.without_effect("spec.tracing", message);
    }
    Some(Telemetry {
        meta: Arc::clone(meta),
        scope: scope(spec, notes)?,
        metrics: spec.metrics.iter().map(metrics).collect(),
        logging: spec.access_logging.iter().map(logging).collect(),
        tracing: spec.tracing.iter().map(tracing).collect(),
    })
}

fn scope(spec: &api::TelemetrySpec, notes: &mut Notes<'_>) -> Option<Scope> {
    let one = spec.target_ref.iter().map(|target| ("spec.targetRef".to_owned(), target));
    let several = spec.target_refs.iter().enumerate();
    let several = several.map(|(i, target)| (format!("spec.targetRefs[{i}]"), target));
    let targets: Vec<_> = one.chain(several).collect();
    if !targets.is_empty() {
        let mut gateways = Vec::new();
        for (path, target) in targets {
            match (target.group.as_str(), target.kind.as_str()) {
                ("gateway.networking.k8s.io", "Gateway") => {
                    gateways.push(Target { name: target.name.clone(), path });
                }
                (_, kind) => {
                    let message =
                        format!("{kind} is for waypoints, of which there are none: name a Gateway");
                    notes.without_effect(&path, &message);
                }
            }
        }
        return (!gateways.is_empty()).then_some(Scope::Gateways(gateways));
    }
    let labels = spec.selector.as_ref().map(|selector| selector.match_labels.clone());
    Some(labels.filter(|labels| !labels.is_empty()).map_or(Scope::All, Scope::Labels))
}

fn sides(mode: Option<api::WorkloadMode>) -> Sides {
    let only = |side| Sides { client: side == Side::Client, server: side == Side::Server };
    match mode.unwrap_or_default() {
        api::WorkloadMode::ClientAndServer => Sides::BOTH,
        api::WorkloadMode::Client => only(Side::Client),
        api::WorkloadMode::Server => only(Side::Server),
    }
}

fn names(providers: &[api::ProviderRef]) -> Vec<String> {
    providers.iter().map(|provider| provider.name.clone()).collect()
}

fn usable(expression: &str) -> bool {
    Expression::parse(expression).is_ok()
}

fn metrics(item: &api::Metrics) -> Metrics {
    Metrics {
        providers: names(&item.providers),
        overrides: item.overrides.iter().map(change).collect(),
        interval: item.reporting_interval.as_ref().and_then(|interval| interval.to_std()),
    }
}

fn change(item: &api::MetricsOverrides) -> Override {
    let matching = item.r#match.clone().unwrap_or_default();
    let tag = |(name, tag): (&String, &api::TagOverride)| match tag.operation.unwrap_or_default() {
        api::TagOperation::Remove => Some((name.clone(), Tag::Remove)),
        api::TagOperation::Upsert => {
            let value = Some(&tag.value).filter(|value| usable(value));
            value.map(|value| (name.clone(), Tag::Set(value.clone())))
        }
    };
    Override {
        of: which(&matching),
        sides: sides(matching.mode),
        disabled: item.disabled,
        tags: item.tag_overrides.iter().filter_map(tag).collect(),
    }
}

fn which(matching: &api::MetricSelector) -> Which {
    let one = |name: &str| Which::One(name.to_owned());
    if let Some(name) = &matching.custom_metric {
        return one(name.strip_prefix("istio_").unwrap_or(name));
    }
    match matching.metric {
        None => Which::Unsaid,
        Some(api::IstioMetric::AllMetrics) => Which::All,
        Some(api::IstioMetric::RequestCount) => one("requests_total"),
        Some(api::IstioMetric::RequestDuration) => one("request_duration_milliseconds"),
        Some(api::IstioMetric::RequestSize) => one("request_bytes"),
        Some(api::IstioMetric::ResponseSize) => one("response_bytes"),
        Some(api::IstioMetric::TcpOpenedConnections) => one("tcp_connections_opened_total"),
        Some(api::IstioMetric::TcpClosedConnections) => one("tcp_connections_closed_total"),
        Some(api::IstioMetric::TcpSentBytes) => one("tcp_sent_bytes_total"),
        Some(api::IstioMetric::TcpReceivedBytes) => one("tcp_received_bytes_total"),
        Some(api::IstioMetric::GrpcRequestMessages) => one("request_messages_total"),
        Some(api::IstioMetric::GrpcResponseMessages) => one("response_messages_total"),
    }
}

fn logging(item: &api::AccessLogging) -> Logging {
    let filter = item.filter.as_ref().map(|filter| filter.expression.clone());
    Logging {
        sides: sides(item.r#match.as_ref().and_then(|matching| matching.mode)),
        providers: names(&item.providers),
        disabled: item.disabled == Some(true),
        filter: filter.filter(|filter| usable(filter)),
    }
}

fn tracing(item: &api::Tracing) -> Tracing {
    let tags = item.custom_tags.iter().filter_map(|(name, tag)| Some((name.clone(), source(tag)?)));
    Tracing {
        sides: sides(item.r#match.as_ref().and_then(|matching| matching.mode)),
        providers: names(&item.providers),
        sampling: item.random_sampling_percentage.filter(|share| (0.0..=100.0).contains(share)),
        disabled: item.disable_span_reporting,
        tags: tags.collect::<BTreeMap<_, _>>(),
        request_id: item.use_request_id_for_trace_sampling,
    }
}

fn source(tag: &api::CustomTag) -> Option<TagSource> {
    let api::CustomTag { literal, environment, header, formatter } = tag;
    let literal = literal.as_ref().map(|tag| TagSource::Literal(tag.value.clone()));
    let environment = environment
        .as_ref()
        .map(|tag| TagSource::Environment(tag.name.clone(), tag.default_value.clone()));
    let header =
        header.as_ref().map(|tag| TagSource::Header(tag.name.clone(), tag.default_value.clone()));
    let format = formatter.as_ref().map(|tag| TagSource::Format(tag.value.clone()));
    literal.or(environment).or(header).or(format)
}
