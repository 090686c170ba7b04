//! The definitions, conformance to them, and round trips of objects that set every field.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::{conform, definition_name, definitions};
use crate::istio::{extensions, mesh, networking, security, telemetry};
use crate::kinds::{KINDS, by_kind};

const PREFIX: &str = "#/components/schemas/";

#[test]
fn every_version_of_every_kind_has_a_definition() {
    for kind in KINDS {
        for version in kind.versions {
            let name = definition_name(kind, version);
            let definition = definitions().get(&name).unwrap_or_else(|| panic!("no {name}"));
            for field in ["apiVersion", "kind", "metadata"] {
                assert!(definition["properties"].get(field).is_some(), "{name} has no {field}");
            }
            let mark = &definition["x-kubernetes-group-version-kind"][0];
            assert_eq!(mark["kind"], kind.kind, "{name}");
        }
    }
}

#[test]
fn every_reference_leads_to_a_definition() {
    fn visit(value: &Value) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(reference)) = map.get("$ref") {
                    let name = reference.strip_prefix(PREFIX).unwrap();
                    assert!(definitions().contains_key(name), "{name} is missing");
                }
                map.values().for_each(visit);
            }
            Value::Array(items) => items.iter().for_each(visit),
            _ => {}
        }
    }
    definitions().values().for_each(visit);
}

#[test]
fn definitions_keep_to_the_dialect_that_every_client_reads() {
    fn visit(path: &str, schema: &Value) {
        let Some(map) = schema.as_object() else { return };
        for keyword in ["anyOf", "allOf", "const", "nullable", "patternProperties", "$defs"] {
            assert!(!map.contains_key(keyword), "{path} uses {keyword}");
        }
        if let Some(Value::Object(properties)) = map.get("properties") {
            properties.iter().for_each(|(name, inner)| visit(&format!("{path}.{name}"), inner));
        }
        for keyword in ["items", "additionalProperties"] {
            map.get(keyword).into_iter().for_each(|inner| visit(&format!("{path}[]"), inner));
        }
    }
    definitions().iter().for_each(|(name, schema)| visit(name, schema));
}

#[test]
fn a_rule_stands_only_where_a_type_is_used_that_has_it() {
    let said = |definition: &str, field: &str| {
        let text = definitions()[definition]["properties"][field].to_string();
        (text.contains("Address is required"), text.contains("UDS may not be a dir"))
    };
    assert_eq!(said("io.istio.networking.v1beta1.WorkloadEntry", "spec"), (true, true));
    assert_eq!(said("io.istio.networking.ServiceEntrySpec", "endpoints"), (true, true));
    assert_eq!(said("io.istio.networking.WorkloadGroupSpec", "template"), (false, false));
    assert_eq!(said("io.istio.networking.WorkloadEntrySpec", "address"), (false, true));
}

#[test]
fn an_integer_or_string_says_so_in_the_way_of_kubernetes() {
    let schema = &definitions()["io.k8s.apimachinery.pkg.util.intstr.IntOrString"];
    assert_eq!(schema["format"], "int-or-string");
}

#[test]
fn snake_case_nulls_and_quoted_numbers_are_brought_into_form() {
    let kind = by_kind("networking.istio.io", "ServiceEntry").unwrap();
    let mut value = json!({
        "spec": { "export_to": ["."], "location": null, "ports": [{ "number": "80" }] },
    });
    let findings = conform(&definition_name(kind, "v1"), &mut value);
    assert_eq!(findings, []);
    assert_eq!(value, json!({ "spec": { "exportTo": ["."], "ports": [{ "number": 80 }] } }));
}

#[test]
fn names_in_maps_and_open_fields_are_left_alone() {
    let kind = by_kind("networking.istio.io", "EnvoyFilter").unwrap();
    let original = json!({
        "spec": { "configPatches": [{ "patch": { "value": { "typed_config": { "a_b": null } } } }] },
    });
    let mut value = original.clone();
    assert_eq!(conform(&definition_name(kind, "v1alpha3"), &mut value), []);
    assert_eq!(value, original);
}

/// An object that sets every field of a definition, the last member of each oneof only.
fn maximal(schema: &Value, depth: usize) -> Value {
    if let Some(Value::String(reference)) = schema.get("$ref") {
        return maximal(&definitions()[reference.strip_prefix(PREFIX).unwrap()], depth + 1);
    }
    assert!(depth < 40, "a definition contains itself");
    if let Some(Value::Array(names)) = schema.get("enum") {
        return names.last().cloned().unwrap();
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("string") if schema.get("x-lateen-format").is_some() => json!("1h2m"),
        Some("string") => json!("text"),
        Some("boolean") => json!(false),
        Some("integer") => json!(0),
        Some("number") => json!(0.5),
        Some("array") => json!([maximal(&schema["items"], depth)]),
        Some("object") if schema.get("properties").is_some() => maximal_object(schema, depth),
        Some("object") => json!({ "7": maximal(&schema["additionalProperties"], depth) }),
        _ => json!({ "any": ["thing"] }),
    }
}

fn maximal_object(schema: &Value, depth: usize) -> Value {
    let mut skipped: Vec<&str> = vec!["mirror_percent", "jwks_uri"];
    for group in schema.get("x-lateen-one-of").and_then(Value::as_array).into_iter().flatten() {
        let members = group.as_array().unwrap();
        skipped.extend(members[..members.len() - 1].iter().filter_map(Value::as_str));
    }
    let properties = schema["properties"].as_object().unwrap();
    let fields: Map<String, Value> = properties
        .iter()
        .filter(|(name, _)| !skipped.contains(&name.as_str()))
        .map(|(name, inner)| (name.clone(), maximal(inner, depth)))
        .collect();
    Value::Object(fields)
}

#[track_caller]
fn survives<T: Serialize + DeserializeOwned>(definition: &str) {
    let original = maximal(&definitions()[definition], 0);
    let mut conformed = original.clone();
    assert_eq!(conform(definition, &mut conformed), [], "{definition}");
    let read: T = serde_json::from_value(conformed).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), original, "{definition}");
}

#[test]
fn an_object_that_sets_every_field_survives() {
    survives::<networking::DestinationRuleSpec>("io.istio.networking.DestinationRuleSpec");
    survives::<networking::EnvoyFilterSpec>("io.istio.networking.EnvoyFilterSpec");
    survives::<networking::GatewaySpec>("io.istio.networking.GatewaySpec");
    survives::<networking::ProxyConfigSpec>("io.istio.networking.ProxyConfigSpec");
    survives::<networking::ServiceEntrySpec>("io.istio.networking.ServiceEntrySpec");
    survives::<networking::ServiceEntryStatus>("io.istio.networking.ServiceEntryStatus");
    survives::<networking::SidecarSpec>("io.istio.networking.SidecarSpec");
    survives::<networking::VirtualServiceSpec>("io.istio.networking.VirtualServiceSpec");
    survives::<networking::WorkloadEntrySpec>("io.istio.networking.WorkloadEntrySpec");
    survives::<networking::WorkloadGroupSpec>("io.istio.networking.WorkloadGroupSpec");
    survives::<security::AuthorizationPolicySpec>("io.istio.security.AuthorizationPolicySpec");
    survives::<security::PeerAuthenticationSpec>("io.istio.security.PeerAuthenticationSpec");
    survives::<security::RequestAuthenticationSpec>("io.istio.security.RequestAuthenticationSpec");
    survives::<telemetry::TelemetrySpec>("io.istio.telemetry.TelemetrySpec");
    survives::<extensions::WasmPluginSpec>("io.istio.extensions.WasmPluginSpec");
    survives::<extensions::TrafficExtensionSpec>("io.istio.extensions.TrafficExtensionSpec");
    survives::<mesh::MeshConfig>("io.istio.mesh.MeshConfig");
    survives::<mesh::MeshNetworks>("io.istio.mesh.MeshNetworks");
}
