//! Providers that a Telemetry object names.
//!
//! In: the object, and which there are. Out: warnings about those that are not there or cannot be used. It is no error:
//! whoever writes both may write them in any order.

use std::collections::HashSet;

use lateen_telemetry::labels::cut;
use serde_json::Value;

use super::MESH_CONFIG;
use crate::issue::{Code, Issue, ObjectRef};
use crate::istio::mesh::{ExtensionProvider, parse_mesh_config};

/// As many are told of at most.
const MOST_TOLD: usize = 20;
/// Bytes of a name that are told.
const LONGEST_NAME: usize = 200;
/// They are there without being written, as in Istio.
const BUILT_IN: [(&str, &str); 3] =
    [("prometheus", "prometheus"), ("stackdriver", "stackdriver"), ("envoy", "envoyFileAccessLog")];
/// Of Telemetry's fields, the kinds of providers that have an effect there.
const KINDS: [(&str, &[&str]); 3] = [
    ("tracing", &["opentelemetry", "zipkin"]),
    ("metrics", &["prometheus"]),
    ("accessLogging", &["envoyFileAccessLog", "envoyTcpAls", "envoyHttpAls", "envoyOtelAls"]),
];

/// A provider of the mesh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownProvider {
    pub name: String,
    /// Its field in MeshConfig.
    pub kind: &'static str,
}

/// MeshConfig's providers, in its ConfigMap, and the built-in ones.
pub fn known_providers(config: Option<&Value>) -> Vec<KnownProvider> {
    let object = ObjectRef::default();
    let text = config.and_then(|map| map["data"][MESH_CONFIG.2].as_str());
    let written = text.and_then(|text| parse_mesh_config(text, &object).0).unwrap_or_default();
    let written = written.extension_providers.into_iter();
    let mut known: Vec<KnownProvider> =
        written.map(|one| KnownProvider { kind: kind(&one), name: one.name }).collect();
    for (name, kind) in BUILT_IN {
        if known.iter().all(|one| !one.is_named(name)) {
            known.push(KnownProvider { name: name.to_owned(), kind });
        }
    }
    known
}

fn kind(provider: &ExtensionProvider) -> &'static str {
    let kinds = [
        ("opentelemetry", provider.opentelemetry.is_some()),
        ("zipkin", provider.zipkin.is_some()),
        ("prometheus", provider.prometheus.is_some()),
        ("envoyFileAccessLog", provider.envoy_file_access_log.is_some()),
        ("envoyTcpAls", provider.envoy_tcp_als.is_some()),
        ("envoyHttpAls", provider.envoy_http_als.is_some()),
        ("envoyOtelAls", provider.envoy_otel_als.is_some()),
        ("datadog", provider.datadog.is_some()),
        ("skywalking", provider.skywalking.is_some()),
        ("lightstep", provider.lightstep.is_some()),
        ("opencensus", provider.opencensus.is_some()),
        ("stackdriver", provider.stackdriver.is_some()),
        ("envoyExtAuthzHttp", provider.envoy_ext_authz_http.is_some()),
        ("envoyExtAuthzGrpc", provider.envoy_ext_authz_grpc.is_some()),
        ("sds", provider.sds.is_some()),
    ];
    kinds.into_iter().find(|(_, is_set)| *is_set).map_or("", |(kind, _)| kind)
}

/// The first warnings about those that a Telemetry object names and that are not known, or not of a kind for it.
pub fn unusable_providers(
    telemetry: &Value,
    object: &ObjectRef,
    known: &[KnownProvider],
) -> Vec<Issue> {
    let mut found = Vec::new();
    for (field, kinds) in KINDS {
        let fitting = known.iter().filter(|one| kinds.contains(&one.kind));
        let fitting: HashSet<String> = fitting.map(|one| one.name.to_ascii_lowercase()).collect();
        let items = telemetry["spec"][field].as_array();
        for (at, item) in items.into_iter().flatten().enumerate() {
            for (index, provider) in item["providers"].as_array().into_iter().flatten().enumerate()
            {
                let name = provider["name"].as_str().unwrap_or_default();
                if name.is_empty() || fitting.contains(&name.to_ascii_lowercase()) {
                    continue;
                }
                if found.len() == MOST_TOLD {
                    return found;
                }
                let message = why_unusable(name, field, known);
                let path = format!("spec.{field}[{at}].providers[{index}].name");
                let code = Code::REFERENCED_RESOURCE_NOT_FOUND;
                found.push(Issue::warning(object.clone(), path, code, message));
            }
        }
    }
    found
}

/// Why a field of Telemetry, or of MeshConfig's `defaultProviders`, cannot use the provider that it names.
pub fn why_unusable(name: &str, field: &str, known: &[KnownProvider]) -> String {
    let kinds = KINDS.iter().find(|(of, _)| *of == field).map_or(&[][..], |(_, kinds)| kinds);
    let either = either(kinds);
    let named = known.iter().find(|one| one.is_named(name));
    let name = &*cut(name, LONGEST_NAME);
    if let Some(other) = named {
        let is_what = match other.kind {
            "" => "has no kind".to_owned(),
            kind => format!("is of kind {kind}"),
        };
        return format!(
            "provider {name:?} {is_what}, which {field} cannot use: name one of kind {either}"
        );
    }
    let fitting = known.iter().filter(|one| kinds.contains(&one.kind));
    let fitting: Vec<&str> = fitting.map(|one| one.name.as_str()).take(MOST_TOLD).collect();
    let remedy = match fitting.is_empty() {
        true => format!("add one of kind {either}"),
        false => format!("use {}, or add it", fitting.join(", ")),
    };
    format!("meshConfig.extensionProviders has no {name:?}: {remedy}")
}

fn either(kinds: &[&str]) -> String {
    match kinds {
        [others @ .., last] if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        kinds => kinds.concat(),
    }
}

impl KnownProvider {
    fn is_named(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{known_providers, unusable_providers, why_unusable};
    use crate::issue::ObjectRef;

    #[test]
    fn a_provider_that_is_nowhere_is_warned_of() {
        let telemetry = json!({"spec": {
            "tracing": [{"providers": [{"name": "zipkin"}]}, {}],
            "metrics": [{"providers": [{"name": "Prometheus"}, {"name": "own"}, {"name": ""}]}],
            "accessLogging": [{"providers": [{"name": "envoy"}, {"name": "nowhere"}]}],
        }});
        let mesh = "extensionProviders: [{name: own, prometheus: {}}]";
        let config = json!({"data": {"mesh": mesh}});
        let object = ObjectRef::new("telemetry.istio.io", "Telemetry", "default", "a");
        let paths = |config| -> Vec<String> {
            let found = unusable_providers(&telemetry, &object, &known_providers(config));
            assert!(found.iter().all(|issue| !issue.is_error()));
            found.into_iter().map(|issue| issue.path).collect()
        };
        let (tracing, logging) =
            ("spec.tracing[0].providers[0].name", "spec.accessLogging[0].providers[1].name");
        assert_eq!(paths(Some(&config)), [tracing, logging]);
        assert_eq!(paths(None), [tracing, "spec.metrics[0].providers[1].name", logging]);
        let found = unusable_providers(&telemetry, &object, &known_providers(Some(&config)));
        let message = "meshConfig.extensionProviders has no \"zipkin\": add one of kind opentelemetry or zipkin";
        assert_eq!(found[0].message, message);
        let message = &found[1].message;
        assert!(message.ends_with("no \"nowhere\": use envoy, or add it"), "{message}");
    }

    #[test]
    fn a_provider_of_another_kind_is_warned_of() {
        let telemetry = json!({"spec": {
            "tracing": [{"providers": [{"name": "file"}]}],
            "metrics": [{"providers": [{"name": "file"}, {"name": "prometheus"}]}],
            "accessLogging": [{"providers": [{"name": "prometheus"}, {"name": "file"}]}],
        }});
        let mesh = "extensionProviders: [{name: file, envoyFileAccessLog: {path: /dev/stdout}}]";
        let known = known_providers(Some(&json!({"data": {"mesh": mesh}})));
        let found = unusable_providers(&telemetry, &ObjectRef::default(), &known);
        let told: Vec<_> = found.iter().map(|issue| (&*issue.path, &*issue.message)).collect();
        let message = |name, kind, field, kinds| {
            format!(
                "provider {name:?} is of kind {kind}, which {field} cannot use: name one of kind {kinds}"
            )
        };
        let log = "envoyFileAccessLog";
        let logs = "envoyFileAccessLog, envoyTcpAls, envoyHttpAls or envoyOtelAls";
        let traces = message("file", log, "tracing", "opentelemetry or zipkin");
        let metrics = message("file", log, "metrics", "prometheus");
        let logging = message("prometheus", "prometheus", "accessLogging", logs);
        let expected = [
            ("spec.tracing[0].providers[0].name", &*traces),
            ("spec.metrics[0].providers[0].name", &*metrics),
            ("spec.accessLogging[0].providers[0].name", &*logging),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_provider_without_a_kind_is_called_that() {
        let mesh = "extensionProviders: [{name: empty}, {name: sds, sds: {name: a}}]";
        let known = known_providers(Some(&json!({"data": {"mesh": mesh}})));
        let said = |name| why_unusable(name, "metrics", &known);
        let rest = "which metrics cannot use: name one of kind prometheus";
        assert_eq!(said("empty"), format!("provider \"empty\" has no kind, {rest}"));
        assert_eq!(said("sds"), format!("provider \"sds\" is of kind sds, {rest}"));
        assert!(said(&"x".repeat(200_000)).len() < 400);
    }
}
