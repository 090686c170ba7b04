//! Strict decoding: objects in, problems in Kubernetes' words out.

use lateen_api::kinds::by_kind;
use serde_json::{Value, json};

use super::{Severity, check, duplicate_fields, strict_message};

fn texts(group: &str, kind: &str, version: &str, object: Value) -> Vec<(Severity, String)> {
    let kind = by_kind(group, kind).unwrap();
    check(kind, version, &object).iter().map(|p| (p.severity, p.text())).collect()
}

fn service(spec: Value) -> Vec<(Severity, String)> {
    let object =
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": spec});
    texts("", "Service", "v1", object)
}

fn gateway(spec: Value) -> Vec<(Severity, String)> {
    let object = json!({"apiVersion": "networking.istio.io/v1", "kind": "Gateway",
        "metadata": {"name": "a"}, "spec": spec});
    texts("networking.istio.io", "Gateway", "v1", object)
}

fn decode(text: &str) -> (Severity, String) {
    (Severity::Decode, text.to_owned())
}

#[test]
fn good_objects_have_no_problems() {
    assert_eq!(
        service(json!({"selector": {"app": "a"}, "type": null, "ports": [
            {"port": 80, "targetPort": "http"}, {"port": 81, "targetPort": 8081},
        ]})),
        []
    );
    assert_eq!(
        gateway(json!({"selector": {"istio": "ingressgateway"}, "servers": [
            {"port": {"number": 31400, "name": "tcp", "protocol": "TCP"}, "hosts": ["*"]},
        ]})),
        []
    );
}

#[test]
fn kubernetes_kinds_fail_as_go_decodes() {
    let prefix = "json: cannot unmarshal";
    for (spec, text) in [
        (
            json!({"ports": [{"port": "80"}]}),
            "string into Go struct field ServicePort.spec.ports.port of type int32",
        ),
        (
            json!({"ports": [{"port": 1.5}]}),
            "number 1.5 into Go struct field ServicePort.spec.ports.port of type int32",
        ),
        (
            json!({"ports": {"port": 80}}),
            "object into Go struct field ServiceSpec.spec.ports of type []v1.ServicePort",
        ),
        (
            json!({"selector": {"app": 1}}),
            "number into Go struct field ServiceSpec.spec.selector of type string",
        ),
        (json!("x"), "string into Go struct field Service.spec of type v1.ServiceSpec"),
        (
            json!({"publishNotReadyAddresses": "yes"}),
            "string into Go struct field ServiceSpec.spec.publishNotReadyAddresses of type bool",
        ),
    ] {
        assert_eq!(service(spec), [decode(&format!("{prefix} {text}"))]);
    }
}

#[test]
fn special_formats_are_checked() {
    let secret = |data: &str| texts("", "Secret", "v1", json!({"data": {"a": data}}));
    assert_eq!(secret("aGVsbG8="), []);
    assert_eq!(secret("hello!"), [decode("illegal base64 data at input byte 5")]);
    let quota = |amount: Value| {
        texts("", "ResourceQuota", "v1", json!({"spec": {"hard": {"cpu": amount}}}))
    };
    for good in [json!("100m"), json!(2), json!("1.5Gi"), json!("1e3")] {
        assert_eq!(quota(good), []);
    }
    let error = quota(json!("ten"));
    assert!(error[0].1.starts_with("quantities must match the regular expression"), "{error:?}");
    let stamped = |time: Value| {
        texts("", "ConfigMap", "v1", json!({"metadata": {"creationTimestamp": time}}))
    };
    assert_eq!(stamped(Value::Null), []);
    assert_eq!(stamped(json!("2026-01-01T00:00:00Z")), []);
    assert_eq!(stamped(json!("today")).len(), 1);
}

#[test]
fn unknown_fields_are_strict_problems_with_their_path() {
    let problems = service(json!({"porrts": [], "ports": [{"port": 1, "foo": {"bar": 1}}]}));
    let unknown = |path: &str| (Severity::Strict, format!("unknown field {path:?}"));
    assert_eq!(problems, [unknown("spec.porrts"), unknown("spec.ports[0].foo")]);
    assert_eq!(
        gateway(
            json!({"servers": [{"port": {"number": 1, "name": "a", "protocol": "TCP"}, "hosts": [], "x": 1}]})
        ),
        [unknown("spec.servers[0].x")]
    );
    let odd = json!({"metadata": {"lables": {}}, "spcc": {}});
    assert_eq!(texts("", "Service", "v1", odd), [unknown("metadata.lables"), unknown("spcc")]);
}

#[test]
fn custom_kinds_fail_validation() {
    let server = |port: Value| json!({"servers": [{"port": port, "hosts": ["*"]}]});
    let problems = gateway(server(json!({"number": "x", "name": "a", "protocol": "TCP"})));
    assert_eq!(
        problems,
        [(
            Severity::Invalid,
            "spec.servers[0].port.number: Invalid value: \"string\": spec.servers[0].port.number \
             in body must be of type integer: \"string\""
                .to_owned()
        )]
    );
    let tls = gateway(json!({"servers": [{
        "port": {"number": 1, "name": "a", "protocol": "TLS"}, "hosts": ["*"], "tls": {"mode": "FOO"},
    }]}));
    assert_eq!(tls.len(), 1, "{tls:?}");
    assert!(
        tls[0].1.starts_with(
            "spec.servers[0].tls.mode: Unsupported value: \"FOO\": supported values: \""
        ),
        "{tls:?}"
    );
}

#[test]
fn metadata_of_custom_kinds_is_decoded() {
    let object = json!({"metadata": {"labels": {"a": 1}}});
    assert_eq!(
        texts("networking.istio.io", "Gateway", "v1", object),
        [decode(
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string"
        )]
    );
}

#[test]
fn missing_required_fields_are_invalid() {
    assert_eq!(
        service(json!({"ports": [{"name": "a"}]})),
        [(Severity::Invalid, "spec.ports[0].port: Required value".to_owned())]
    );
}

#[test]
fn duplicate_keys_are_found_in_the_bytes() {
    for (raw, expected) in [
        (r#"{"a":1,"b":2}"#, vec![]),
        (r#"{"a":1,"a":2,"a":3}"#, vec!["a"]),
        (r#"{"spec":{"x":[{"y":1,"y":null}],"z":1.5,"z":"s"}}"#, vec!["spec.x[0].y", "spec.z"]),
        (r#"{"a":1,"a":"#, vec![]),
        ("", vec![]),
    ] {
        assert_eq!(duplicate_fields(raw.as_bytes()), expected, "{raw}");
    }
}

#[test]
fn strict_problems_make_one_sentence() {
    let kind = by_kind("", "Service").unwrap();
    let problems = check(kind, "v1", &json!({"spec": {"foo": 1}}));
    assert_eq!(
        strict_message(&problems, &["spec.bar".to_owned()]).unwrap(),
        "strict decoding error: unknown field \"spec.foo\", duplicate field \"spec.bar\""
    );
    assert_eq!(strict_message(&[], &[]), None);
}
