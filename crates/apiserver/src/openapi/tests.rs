//! The documents: what kubectl looks up in them.

use lateen_api::kinds::KINDS;
use prost::Message;
use serde_json::{Value, json};

use super::{proto, v2_json, v2_proto, v3_group, v3_index};

fn parse(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

const SERVICE_SPEC: &str = "io.k8s.api.core.v1.ServiceSpec";

#[test]
fn swagger_two_resolves_and_marks_merging_lists() {
    let document = parse(&v2_json());
    assert_eq!(document["swagger"], "2.0");
    let text = document.to_string();
    assert!(!text.contains("#/components/") && !text.contains("x-lateen-"));
    let ports = &document["definitions"][SERVICE_SPEC]["properties"]["ports"];
    assert_eq!(ports["x-kubernetes-patch-merge-key"], "port");
    assert_eq!(ports["x-kubernetes-patch-strategy"], "merge");
    assert_eq!(ports["x-kubernetes-list-map-keys"], json!(["port", "protocol"]));
    assert_eq!(ports["items"]["$ref"], "#/definitions/io.k8s.api.core.v1.ServicePort");
    let either = &document["definitions"]["io.k8s.apimachinery.pkg.util.intstr.IntOrString"];
    assert_eq!((&either["type"], &either["format"]), (&json!("string"), &json!("int-or-string")));
}

#[test]
fn the_protobuf_decodes_to_the_same_definitions() {
    let document = proto::Document::decode(v2_proto()).unwrap();
    let definitions = document.definitions.unwrap().additional_properties;
    let json = parse(&v2_json());
    assert_eq!(definitions.len(), json["definitions"].as_object().unwrap().len());
    let service = definitions.iter().find(|d| d.name == "io.k8s.api.core.v1.Service").unwrap();
    let schema = service.value.as_ref().unwrap();
    let mark = schema.vendor_extension.iter().find(|e| e.name == "x-kubernetes-group-version-kind");
    let mark: Value = serde_json::from_str(&mark.unwrap().value.as_ref().unwrap().yaml).unwrap();
    assert_eq!(mark, json!([{"group": "", "version": "v1", "kind": "Service"}]));
    let spec =
        schema.properties.as_ref().unwrap().additional_properties.iter().find(|p| p.name == "spec");
    let reference = &spec.unwrap().value.as_ref().unwrap().reference;
    assert_eq!(reference, "#/definitions/io.k8s.api.core.v1.ServiceSpec");
    let path = document.paths.unwrap().path;
    let patch = path.iter().find(|p| p.name.ends_with("/deployments/{name}")).unwrap();
    let patch = patch.value.as_ref().unwrap().patch.as_ref().unwrap();
    assert_eq!(patch.parameters.len(), 4);
    assert!(patch.vendor_extension.iter().any(|e| e.name == "x-kubernetes-group-version-kind"));
}

#[test]
fn the_index_leads_to_a_document_for_each_group_version() {
    let index = parse(&v3_index());
    for kind in KINDS {
        for version in kind.versions {
            let path = super::paths::group_path(kind.group, version);
            let url = index["paths"][&path]["serverRelativeURL"].as_str().unwrap();
            assert!(url.starts_with(&format!("/openapi/v3/{path}?hash=")), "{url}");
        }
    }
    assert!(v3_group("apis/none.example/v1").is_none());
}

#[test]
fn a_group_document_is_closed_over_its_references() {
    let document = parse(&v3_group("apis/networking.istio.io/v1").unwrap());
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let text = document.to_string();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name} is referred to and not there");
    }
    let path = "/apis/networking.istio.io/v1/namespaces/{namespace}/gateways/{name}";
    let patch = &document["paths"][path]["patch"];
    assert_eq!(
        patch["x-kubernetes-group-version-kind"],
        json!({"group": "networking.istio.io", "version": "v1", "kind": "Gateway"})
    );
    let names: Vec<&Value> =
        patch["parameters"].as_array().unwrap().iter().map(|p| &p["name"]).collect();
    assert!(names.contains(&&json!("fieldValidation")) && names.contains(&&json!("dryRun")));
}

#[test]
fn references_with_siblings_are_wrapped_in_v3() {
    let document = parse(&v3_group("api/v1").unwrap());
    let spec =
        &document["components"]["schemas"]["io.k8s.api.core.v1.Service"]["properties"]["spec"];
    assert_eq!(spec["allOf"][0]["$ref"], format!("#/components/schemas/{SERVICE_SPEC}"));
    assert!(spec["description"].is_string());
}
