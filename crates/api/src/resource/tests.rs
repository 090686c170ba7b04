//! Reading objects: what fits, what does not, and that nothing panics.

use serde_json::{Value, json};

use super::{Object, Resource, parse};
use crate::issue::Severity;
use crate::istio::networking::{GatewaySpec, VirtualServiceSpec};
use crate::kinds::{KINDS, by_kind};

fn gateway(spec: Value) -> (Option<Resource>, Vec<crate::issue::Issue>) {
    let kind = by_kind("networking.istio.io", "Gateway").unwrap();
    let object = json!({ "metadata": { "name": "g", "namespace": "default" }, "spec": spec });
    parse(kind, "v1alpha3", object)
}

#[test]
fn a_gateway_is_read_with_its_key() {
    let server =
        json!({ "port": { "number": 31400, "name": "tcp", "protocol": "TCP" }, "hosts": ["*"] });
    let (resource, issues) = gateway(json!({ "servers": [server] }));
    assert_eq!(issues, []);
    let resource = resource.unwrap();
    assert_eq!(resource.key().to_string(), "Gateway default/g");
    let Resource::Gateway(Object { spec, .. }) = resource else { panic!("not a gateway") };
    assert_eq!(spec.servers[0].port.as_ref().unwrap().number, Some(31400));
}

#[test]
fn a_wrong_type_is_an_error_with_its_path() {
    let (resource, issues) = gateway(json!({ "servers": [{ "port": { "number": "many" } }] }));
    assert!(resource.is_none());
    assert_eq!(issues[0].path, "spec.servers[0].port.number");
    assert_eq!(issues[0].severity, Severity::Error);
}

#[test]
fn an_unknown_enum_value_is_an_error_with_its_path() {
    let (resource, issues) = gateway(json!({ "servers": [{ "tls": { "mode": "SOMETIMES" } }] }));
    assert!(resource.is_none());
    assert_eq!(issues[0].path, "spec.servers[0].tls.mode");
}

#[test]
fn an_unknown_field_is_a_warning_and_the_rest_is_read() {
    let (resource, issues) = gateway(json!({ "servers": [{ "porrt": 1 }] }));
    assert!(resource.is_some());
    assert_eq!(issues[0].path, "spec.servers[0].porrt");
    assert_eq!(issues[0].severity, Severity::Warning);
}

#[test]
fn two_members_of_a_oneof_are_an_error() {
    let kind = by_kind("networking.istio.io", "VirtualService").unwrap();
    let uri = json!({ "exact": "/a", "prefix": "/b" });
    let object = json!({ "spec": { "http": [{ "match": [{ "uri": uri }] }] } });
    let (_, issues) = parse(kind, "v1", object);
    assert_eq!(issues[0].path, "spec.http[0].match[0].uri");
    assert_eq!(issues[0].message, "exact and prefix exclude each other, keep one of them");
}

#[test]
fn explicit_zeros_survive() {
    let original =
        json!({ "tcp": [{ "route": [{ "destination": { "host": "a" }, "weight": 0 }] }] });
    let spec: VirtualServiceSpec = serde_json::from_value(original.clone()).unwrap();
    assert_eq!(serde_json::to_value(&spec).unwrap(), original);
}

#[test]
fn no_shape_of_object_panics() {
    let shapes = [
        json!(null),
        json!(7),
        json!([]),
        json!({}),
        json!({ "spec": null }),
        json!({ "spec": [1] }),
        json!({ "metadata": 3, "spec": {} }),
        json!({ "metadata": { "name": {} } }),
    ];
    for kind in KINDS {
        for shape in &shapes {
            parse(kind, kind.storage_version(), shape.clone());
            crate::validate::validate(kind, kind.storage_version(), shape);
        }
    }
}

#[test]
fn every_variant_is_in_the_table_of_kinds() {
    for (group, kind) in Resource::KINDS {
        assert!(by_kind(group, kind).is_some(), "{group} {kind}");
    }
}

#[test]
fn a_kind_that_the_mesh_does_not_read_is_no_resource_and_no_issue() {
    let (resource, issues) = parse(by_kind("apps", "Deployment").unwrap(), "v1", json!({}));
    assert!(resource.is_none() && issues.is_empty());
}

#[test]
fn an_empty_spec_is_the_default() {
    let kind = by_kind("networking.istio.io", "Gateway").unwrap();
    let (resource, issues) =
        parse(kind, "v1", json!({ "metadata": { "name": "g" }, "spec": null }));
    assert_eq!(issues, []);
    let Some(Resource::Gateway(object)) = resource else { panic!("not a gateway") };
    assert_eq!(object.spec, GatewaySpec::default());
}
