//! What of several objects counts, after the rules of Istio's Telemetry API.

use std::sync::Arc;

use lateen_api::kinds::by_kind;
use lateen_api::resource::parse;
use serde_json::{Value, json};

use super::{Side, Tag, TagSource, logs, metrics, traces};
use crate::{Change, Snapshot, World};

/// Tracers `zipkin` and `otlp`, logs `a`, `b` and the built-in `envoy`.
const MESH: &str = r#"
extensionProviders:
- {name: zipkin, zipkin: {service: zipkin.istio-system.svc.cluster.local, port: 9411}}
- {name: otlp, opentelemetry: {service: otel.istio-system.svc.cluster.local, port: 4317}}
- {name: a, envoyFileAccessLog: {path: /a}}
- {name: b, envoyFileAccessLog: {path: /b}}
"#;

fn put(world: &mut World, group: &str, kind: &str, mut value: Value) {
    let kind = by_kind(group, kind).unwrap();
    value["kind"] = kind.kind.into();
    value["apiVersion"] = kind.api_version(kind.storage_version()).into();
    let (resource, issues) = parse(kind, kind.storage_version(), value);
    world.apply(Change::Put(Box::new(resource.unwrap_or_else(|| panic!("{issues:?}")))));
}

/// Objects of the root namespace, of `shop` and of app `web` in it, in that order; null is none.
fn world(mesh: &str, specs: [Value; 3]) -> Arc<Snapshot> {
    let mut world = World::new();
    let config = json!({
        "metadata": {"name": "istio", "namespace": "istio-system"},
        "data": {"mesh": format!("{MESH}{mesh}")},
    });
    put(&mut world, "", "ConfigMap", config);
    for (namespace, mut spec) in ["istio-system", "shop", "shop"].into_iter().zip(specs) {
        if spec.is_null() {
            continue;
        }
        let name = if spec["selector"].is_null() { "all" } else { "web" };
        let spec = spec.take();
        let object = json!({"metadata": {"name": name, "namespace": namespace}, "spec": spec});
        put(&mut world, "telemetry.istio.io", "Telemetry", object);
    }
    world.snapshot()
}

/// The same for the spec's one list, and a selector for the last.
fn lists(mesh: &str, field: &str, lists: [Value; 3]) -> Arc<Snapshot> {
    let mut at = 0;
    let specs = lists.map(|list| {
        at += 1;
        match (list.is_null(), at) {
            (true, _) => Value::Null,
            (false, 3) => json!({"selector": {"matchLabels": {"app": "web"}}, (field): list}),
            _ => json!({(field): list}),
        }
    });
    world(mesh, specs)
}

fn logged(snapshot: &Snapshot, side: Side) -> Option<String> {
    let labels = [("app".to_owned(), "web".to_owned())].into();
    let applied = snapshot.telemetry().applied("shop", "istio-system", &labels);
    let all = logs(&applied, snapshot.mesh(), side)?;
    let shown = all.iter().map(|log| match &log.filter {
        Some(filter) => format!("{} if {filter}", log.provider.name),
        None => log.provider.name.clone(),
    });
    Some(shown.collect::<Vec<_>>().join(", "))
}

fn both(snapshot: &Snapshot) -> [Option<String>; 2] {
    [Side::Client, Side::Server].map(|side| logged(snapshot, side))
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

const NONE: Value = Value::Null;

#[test]
fn without_a_word_the_mesh_has_its_defaults() {
    assert_eq!(both(&lists("", "accessLogging", [NONE, NONE, NONE])), [None, None]);
    let defaults = "defaultProviders: {accessLogging: [b, envoy]}";
    let found = lists(defaults, "accessLogging", [NONE, NONE, NONE]);
    assert_eq!(both(&found), [text("b, envoy"), text("b, envoy")]);
}

#[test]
fn the_innermost_list_of_providers_is_the_list() {
    let (a, b) = (json!([{"providers": [{"name": "a"}]}]), json!([{"providers": [{"name": "B"}]}]));
    let found = lists("", "accessLogging", [a.clone(), b.clone(), NONE]);
    assert_eq!(logged(&found, Side::Client), text("b"), "names are found in whatever case");
    let found = lists("", "accessLogging", [a, NONE, b]);
    assert_eq!(logged(&found, Side::Server), text("b"));
}

#[test]
fn what_names_no_provider_is_about_those_of_its_parent() {
    let outer = json!([{"providers": [{"name": "a"}, {"name": "b"}]}]);
    let off = json!([{"disabled": true}]);
    assert_eq!(both(&lists("", "accessLogging", [outer.clone(), off, NONE])), [text(""), text("")]);
    let off = json!([{"match": {"mode": "CLIENT"}, "disabled": true}]);
    assert_eq!(
        both(&lists("", "accessLogging", [outer.clone(), NONE, off])),
        [text(""), text("a, b")]
    );
    let filtered = json!([{"filter": {"expression": "response.flags != 0"}}]);
    let found = lists("", "accessLogging", [outer, filtered, NONE]);
    assert_eq!(
        logged(&found, Side::Client),
        text("a if response.flags != 0, b if response.flags != 0")
    );
}

#[test]
fn what_is_said_of_one_side_leaves_the_defaults_of_the_other() {
    let defaults = "defaultProviders: {accessLogging: [a]}";
    let off = json!([{"match": {"mode": "CLIENT"}, "disabled": true}]);
    assert_eq!(both(&lists(defaults, "accessLogging", [NONE, off, NONE])), [text(""), text("a")]);
    let only = json!([{"match": {"mode": "CLIENT"}, "providers": [{"name": "a"}]}]);
    assert_eq!(both(&lists(defaults, "accessLogging", [NONE, only, NONE])), [text("a"), text("")]);
}

#[test]
fn sides_and_filters_are_the_providers_own() {
    let list = json!([
        {"providers": [{"name": "a"}], "match": {"mode": "CLIENT"}, "filter": {"expression": "connection.mtls"}},
        {"providers": [{"name": "b"}], "match": {"mode": "SERVER"}, "filter": {"expression": "not cel ("}},
    ]);
    let found = lists("", "accessLogging", [NONE, list, NONE]);
    assert_eq!(both(&found), [text("a if connection.mtls"), text("b")]);
}

#[test]
fn overrides_of_metrics_are_laid_over_each_other() {
    let outer = json!([{
        "providers": [{"name": "prometheus"}],
        "reportingInterval": "10s",
        "overrides": [{"match": {"metric": "TCP_SENT_BYTES"}, "tagOverrides": {
            "a": {"value": "'outer'"}, "b": {"operation": "REMOVE"}}}],
    }]);
    let inner = json!([{"overrides": [
        {"match": {"metric": "TCP_SENT_BYTES", "mode": "SERVER"}, "tagOverrides": {"a": {"value": "'inner'"}}},
        {"match": {"customMetric": "istio_mine"}, "disabled": true},
        {"tagOverrides": {"c": {"value": "1 +"}}},
    ]}]);
    let found = lists("", "metrics", [outer, NONE, inner]);
    let labels = [("app".to_owned(), "web".to_owned())].into();
    let applied = found.telemetry().applied("shop", "istio-system", &labels);
    let of = |side| metrics(&applied, found.mesh(), side).unwrap();
    let (client, server) = (of(Side::Client), of(Side::Server));
    assert_eq!(client.interval.unwrap().as_secs(), 10);
    assert_eq!(client.changes["tcp_sent_bytes_total"].tags["a"], Tag::Set("'outer'".into()));
    assert_eq!(server.changes["tcp_sent_bytes_total"].tags["a"], Tag::Set("'inner'".into()));
    assert_eq!(server.changes["tcp_sent_bytes_total"].tags["b"], Tag::Remove);
    assert!(server.changes["mine"].disabled && server.changes["requests_total"].tags.is_empty());
}

#[test]
fn metrics_that_go_nowhere_are_none() {
    let of = |mesh: &str, lists: [Value; 3]| {
        let found = self::lists(mesh, "metrics", lists);
        let labels = Default::default();
        let applied = found.telemetry().applied("shop", "istio-system", &labels);
        [Side::Client, Side::Server].map(|side| metrics(&applied, found.mesh(), side).is_some())
    };
    assert_eq!(of("", [NONE, NONE, NONE]), [true, true], "as an installation of Istio has it");
    assert_eq!(
        of("defaultProviders: {metrics: [stackdriver]}", [NONE, NONE, NONE]),
        [false, false]
    );
    let all_off = |mode: &str| json!([{"overrides": [{"match": {"metric": "ALL_METRICS", "mode": mode}, "disabled": true}]}]);
    assert_eq!(of("", [all_off("CLIENT_AND_SERVER"), NONE, NONE]), [false, false]);
    assert_eq!(of("", [all_off("CLIENT"), NONE, NONE]), [false, true]);
    let again = json!([{"overrides": [{"match": {"metric": "ALL_METRICS"}, "disabled": false}]}]);
    assert_eq!(of("", [all_off("CLIENT"), again, NONE]), [true, true]);
}

#[test]
fn traces_have_one_provider_and_the_innermost_tags() {
    let of = |mesh: &str, lists: [Value; 3], side| {
        let found = self::lists(mesh, "tracing", lists);
        let labels = Default::default();
        let applied = found.telemetry().applied("shop", "istio-system", &labels);
        traces(&applied, found.mesh(), side)
    };
    assert_eq!(of("", [NONE, NONE, NONE], Side::Client), None, "enableTracing counts");
    let defaults =
        "defaultProviders: {tracing: [zipkin]}\ndefaultConfig: {tracing: {sampling: 42}}";
    let found = of(defaults, [NONE, NONE, NONE], Side::Server).unwrap();
    assert_eq!((found.provider.unwrap().name.as_str(), found.sampling), ("zipkin", 42.0));
    let outer = json!([{"randomSamplingPercentage": 10, "customTags": {
        "x": {"literal": {"value": "outer"}}, "y": {"header": {"name": "h"}}}}]);
    let inner = json!([
        {"providers": [{"name": "otlp"}], "customTags": {"x": {"environment": {"name": "E", "defaultValue": "d"}}}},
        {"match": {"mode": "CLIENT"}, "disableSpanReporting": true},
    ]);
    let found = of(defaults, [outer.clone(), inner.clone(), NONE], Side::Client).unwrap();
    assert_eq!((found.provider.unwrap().name.as_str(), found.sampling), ("otlp", 10.0));
    assert!(found.disabled && found.request_id);
    let tags = [("x".to_owned(), TagSource::Environment("E".into(), "d".into()))].into();
    assert_eq!(found.tags, tags);
    assert!(!of(defaults, [outer.clone(), inner, NONE], Side::Server).unwrap().disabled);
    let nobody = of("", [outer, NONE, NONE], Side::Server).unwrap();
    assert!(nobody.disabled && nobody.provider.is_none(), "there is nobody to report to");
}

#[test]
fn what_goes_away_has_no_effect() {
    let mut world = World::new();
    let spec = json!({"accessLogging": [{"providers": [{"name": "envoy"}]}]});
    let object = json!({"metadata": {"name": "all", "namespace": "istio-system"}, "spec": spec});
    put(&mut world, "telemetry.istio.io", "Telemetry", object);
    assert_eq!(logged(&world.snapshot(), Side::Client), text("envoy"));
    let kind = by_kind("telemetry.istio.io", "Telemetry").unwrap();
    world.apply(Change::Replace(kind, Vec::new()));
    assert_eq!(logged(&world.snapshot(), Side::Client), None);
}
