//! Builds the definitions from the Rust types.
//!
//! In: `JsonSchema` of k8s-openapi's, gateway-api's and our own types. Out: one map of definitions in
//! the small dialect that `schema::definitions` promises.

use k8s_openapi::api;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::definition_name;
use crate::istio;
use crate::kinds::{KINDS, Kind, Source};

const PREFIX: &str = "#/components/schemas/";

/// The two fields that Istio's CustomResourceDefinitions list under their original names too.
const OLD_NAMES: &[(&str, &str, &str)] = &[
    ("io.istio.networking.HttpRoute", "mirror_percent", "mirrorPercent"),
    ("io.istio.security.JwtRule", "jwks_uri", "jwksUri"),
];

/// Types of CustomResourceDefinitions that are any JSON, or one of several types.
const CRD_PACKAGE: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.";
const UNTYPED: &[&str] =
    &["JSON", "JSONSchemaPropsOrArray", "JSONSchemaPropsOrBool", "JSONSchemaPropsOrStringArray"];

/// All definitions.
pub(super) fn definitions() -> Map<String, Value> {
    let mut all = kubernetes();
    all.extend(gateway_api());
    all.extend(istio());
    for (definition, old_name, name) in OLD_NAMES {
        if let Some(properties) = all.get_mut(*definition).and_then(|d| d.get_mut("properties")) {
            properties[*old_name] = properties[*name].clone();
        }
    }
    for kind in KINDS {
        for version in kind.versions {
            mark_kind(&mut all, kind, version);
        }
    }
    super::limits::apply(&mut all);
    all
}

fn generator() -> SchemaGenerator {
    SchemaSettings::openapi3().with(|settings| settings.inline_subschemas = false).into_generator()
}

fn kubernetes() -> Map<String, Value> {
    let mut generator = generator();
    let g = &mut generator;
    add::<api::core::v1::ConfigMap>(g);
    add::<api::core::v1::Endpoints>(g);
    add::<api::core::v1::Event>(g);
    add::<api::core::v1::LimitRange>(g);
    add::<api::core::v1::Namespace>(g);
    add::<api::core::v1::Node>(g);
    add::<api::core::v1::PersistentVolume>(g);
    add::<api::core::v1::PersistentVolumeClaim>(g);
    add::<api::core::v1::Pod>(g);
    add::<api::core::v1::ReplicationController>(g);
    add::<api::core::v1::ResourceQuota>(g);
    add::<api::core::v1::Secret>(g);
    add::<api::core::v1::Service>(g);
    add::<api::core::v1::ServiceAccount>(g);
    add::<api::admissionregistration::v1::MutatingWebhookConfiguration>(g);
    add::<api::admissionregistration::v1::ValidatingWebhookConfiguration>(g);
    add::<apiextensions::v1::CustomResourceDefinition>(g);
    add::<api::apps::v1::DaemonSet>(g);
    add::<api::apps::v1::Deployment>(g);
    add::<api::apps::v1::ReplicaSet>(g);
    add::<api::apps::v1::StatefulSet>(g);
    add::<api::autoscaling::v2::HorizontalPodAutoscaler>(g);
    add::<api::batch::v1::CronJob>(g);
    add::<api::batch::v1::Job>(g);
    add::<api::certificates::v1::CertificateSigningRequest>(g);
    add::<api::coordination::v1::Lease>(g);
    add::<api::discovery::v1::EndpointSlice>(g);
    add::<api::events::v1::Event>(g);
    add::<api::networking::v1::Ingress>(g);
    add::<api::networking::v1::IngressClass>(g);
    add::<api::networking::v1::NetworkPolicy>(g);
    add::<api::policy::v1::PodDisruptionBudget>(g);
    add::<api::rbac::v1::ClusterRole>(g);
    add::<api::rbac::v1::ClusterRoleBinding>(g);
    add::<api::rbac::v1::Role>(g);
    add::<api::rbac::v1::RoleBinding>(g);
    add::<api::scheduling::v1::PriorityClass>(g);
    add::<api::storage::v1::StorageClass>(g);
    let mut definitions = finish(generator, "");
    for name in UNTYPED {
        let any = json!({ "x-kubernetes-preserve-unknown-fields": true });
        definitions.insert(format!("{CRD_PACKAGE}{name}"), any);
    }
    definitions
}

fn add<T: JsonSchema>(generator: &mut SchemaGenerator) {
    generator.subschema_for::<T>();
}

/// The Gateway API's types are all of one group; its kinds are put under every served version.
fn gateway_api() -> Map<String, Value> {
    let mut generator = generator();
    let g = &mut generator;
    add::<gateway_api::backendtlspolicies::BackendTlsPolicy>(g);
    add::<gateway_api::gatewayclasses::GatewayClass>(g);
    add::<gateway_api::gateways::Gateway>(g);
    add::<gateway_api::grpcroutes::GrpcRoute>(g);
    add::<gateway_api::httproutes::HttpRoute>(g);
    add::<gateway_api::listenersets::ListenerSet>(g);
    add::<gateway_api::referencegrants::ReferenceGrant>(g);
    add::<gateway_api::tlsroutes::TlsRoute>(g);
    let prefix = "io.k8s.networking.gateway.";
    let mut definitions = finish(generator, prefix);
    for kind in KINDS.iter().filter(|kind| kind.source == Source::GatewayApi) {
        let found = definitions.shift_remove(&format!("{prefix}{}", kind.kind));
        let body = found.unwrap_or_else(|| top_level(None, Some(json!({ "type": "object" }))));
        for version in kind.versions {
            definitions.insert(definition_name(kind, version), body.clone());
        }
    }
    definitions
}

fn istio() -> Map<String, Value> {
    let mut all = Map::new();
    all.extend(istio_area("networking.istio.io", |g| {
        add::<istio::networking::DestinationRuleSpec>(g);
        add::<istio::networking::EnvoyFilterSpec>(g);
        add::<istio::networking::GatewaySpec>(g);
        add::<istio::networking::ProxyConfigSpec>(g);
        add::<istio::networking::ServiceEntrySpec>(g);
        add::<istio::networking::ServiceEntryStatus>(g);
        add::<istio::networking::SidecarSpec>(g);
        add::<istio::networking::VirtualServiceSpec>(g);
        add::<istio::networking::WorkloadEntrySpec>(g);
        add::<istio::networking::WorkloadGroupSpec>(g);
    }));
    all.extend(istio_area("security.istio.io", |g| {
        add::<istio::security::AuthorizationPolicySpec>(g);
        add::<istio::security::PeerAuthenticationSpec>(g);
        add::<istio::security::RequestAuthenticationSpec>(g);
    }));
    all.extend(istio_area("telemetry.istio.io", add::<istio::telemetry::TelemetrySpec>));
    all.extend(istio_area("extensions.istio.io", |g| {
        add::<istio::extensions::TrafficExtensionSpec>(g);
        add::<istio::extensions::WasmPluginSpec>(g);
    }));
    all.extend(istio_area("mesh.istio.io", |g| {
        add::<istio::mesh::MeshConfig>(g);
        add::<istio::mesh::MeshNetworks>(g);
    }));
    all
}

/// The definitions of one of Istio's groups: its messages, and its kinds in every version.
fn istio_area(group: &str, fill: impl Fn(&mut SchemaGenerator)) -> Map<String, Value> {
    let mut generator = generator();
    add::<istio::common::IstioStatus>(&mut generator);
    fill(&mut generator);
    let prefix = format!("{}.", group.rsplit('.').collect::<Vec<_>>().join("."));
    let mut definitions = finish(generator, &prefix);
    definitions.values_mut().for_each(close);
    for kind in KINDS.iter().filter(|kind| kind.group == group) {
        let reference = |name: String| json!({ "$ref": format!("{PREFIX}{name}") });
        let spec = reference(format!("{prefix}{}Spec", kind.kind));
        let own_status = format!("{prefix}{}Status", kind.kind);
        let status = if definitions.contains_key(&own_status) {
            own_status
        } else {
            format!("{prefix}IstioStatus")
        };
        for version in kind.versions {
            let body = top_level(Some(spec.clone()), Some(reference(status.clone())));
            definitions.insert(definition_name(kind, version), body);
        }
    }
    definitions
}

/// A top-level object; a spec that is not given takes anything.
fn top_level(spec: Option<Value>, status: Option<Value>) -> Value {
    let open = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let mut properties = json!({
        "apiVersion": { "type": "string" },
        "kind": { "type": "string" },
        "metadata": { "$ref": object_meta() },
    });
    properties["spec"] = spec.unwrap_or_else(|| open.clone());
    properties["status"] = if properties["spec"] == open { open } else { status.unwrap_or(open) };
    json!({ "type": "object", "properties": properties })
}

fn object_meta() -> String {
    format!("{PREFIX}io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")
}

/// Adds the marks by which clients find the definition of a kind.
fn mark_kind(all: &mut Map<String, Value>, kind: &Kind, version: &str) {
    let name = definition_name(kind, version);
    let Some(Value::Object(definition)) = all.get_mut(&name) else { return };
    let mark = json!([{ "group": kind.group, "version": version, "kind": kind.kind }]);
    definition.insert("x-kubernetes-group-version-kind".into(), mark);
    if let Some(Value::Object(properties)) = definition.get_mut("properties") {
        for field in ["apiVersion", "kind"] {
            properties.entry(field).or_insert_with(|| json!({ "type": "string" }));
        }
        properties.entry("metadata").or_insert_with(|| json!({ "$ref": object_meta() }));
    }
    // A server fills in what a client may leave out at the top.
    definition.shift_remove("required");
}

/// Takes the definitions out of a generator, prefixes the names that have no package, and brings
/// everything into the promised dialect.
fn finish(mut generator: SchemaGenerator, prefix: &str) -> Map<String, Value> {
    let raw = generator.take_definitions(true);
    let rename = |name: &str| {
        if name.starts_with("io.") { name.to_owned() } else { format!("{prefix}{name}") }
    };
    raw.into_iter()
        .map(|(name, mut schema)| {
            simplify(&mut schema, &rename);
            (rename(&name), schema)
        })
        .collect()
}

/// Recursively rewrites a schema: references get their full names, the ways to say "or null" go, and
/// an untyped schema becomes an open one.
fn simplify(schema: &mut Value, rename: &impl Fn(&str) -> String) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(|item| simplify(item, rename)),
        Value::Bool(true) => *schema = json!({ "x-kubernetes-preserve-unknown-fields": true }),
        Value::Object(map) => simplify_object(map, rename),
        _ => {}
    }
}

fn simplify_object(map: &mut Map<String, Value>, rename: &impl Fn(&str) -> String) {
    for noise in ["nullable", "default", "title", "$schema", "minimum", "maximum"] {
        map.shift_remove(noise);
    }
    for list in ["anyOf", "oneOf", "allOf"] {
        collapse(map, list);
    }
    // A map with integer keys: JSON has strings there, and the values are what matters.
    if let Some(Value::Object(patterns)) = map.shift_remove("patternProperties") {
        for (_, inner) in patterns {
            map.insert("additionalProperties".into(), inner);
        }
    }
    // Swagger 2 has no alternatives of types; this is how Kubernetes' own documents say it.
    if map.contains_key("x-kubernetes-int-or-string") {
        map.insert("type".into(), json!("string"));
        map.insert("format".into(), json!("int-or-string"));
    }
    if let Some(Value::String(reference)) = map.get_mut("$ref") {
        let name = reference.strip_prefix(PREFIX).unwrap_or(reference);
        *reference = format!("{PREFIX}{}", rename(name));
    }
    for keyword in ["properties", "$defs"] {
        if let Some(Value::Object(properties)) = map.get_mut(keyword) {
            properties.values_mut().for_each(|property| simplify(property, rename));
        }
    }
    for keyword in ["items", "additionalProperties", "anyOf", "oneOf", "allOf"] {
        if let Some(inner) = map.get_mut(keyword) {
            simplify(inner, rename);
        }
    }
}

/// Lets a message without fields say that it has none, as it would else take any.
fn close(schema: &mut Value) {
    let Some(map) = schema.as_object_mut() else { return };
    let open = ["properties", "additionalProperties", "x-kubernetes-preserve-unknown-fields"];
    if map.get("type") == Some(&json!("object")) && !open.iter().any(|key| map.contains_key(*key)) {
        map.insert("properties".into(), json!({}));
    }
}

/// Replaces a list of alternatives by its only member that is not null, or by the names of an enum.
fn collapse(map: &mut Map<String, Value>, keyword: &str) {
    let Some(Value::Array(alternatives)) = map.get_mut(keyword) else { return };
    alternatives.retain(|alternative| !is_null(alternative));
    let constants: Option<Vec<Value>> = alternatives
        .iter()
        .map(|a| match (a.get("const"), a.get("enum")) {
            (Some(constant), _) => Some(vec![constant.clone()]),
            (None, Some(Value::Array(names))) => Some(names.clone()),
            _ => None,
        })
        .collect::<Option<Vec<_>>>()
        .map(|names| names.concat());
    if let Some(constants) = constants {
        map.shift_remove(keyword);
        map.insert("type".into(), json!("string"));
        map.insert("enum".into(), Value::Array(constants));
    } else if let [Value::Object(only)] = alternatives.as_mut_slice() {
        let only = std::mem::take(only);
        map.shift_remove(keyword);
        for (key, value) in only {
            map.entry(key).or_insert(value);
        }
    }
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("null")
        || schema.get("enum") == Some(&json!([null]))
        || schema.get("const") == Some(&Value::Null)
}
