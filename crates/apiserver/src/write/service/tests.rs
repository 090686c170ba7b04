//! The refusals of Services as a table, and what a change of type clears.

use serde_json::{Value, json};

use super::{causes, defaults};

/// `field: message` of everything wrong with a spec after its defaults.
fn wrong(spec: Value) -> Vec<String> {
    let mut service = json!({"metadata": {"name": "s"}, "spec": spec});
    defaults(&mut service, None);
    let found = causes(&service["spec"]);
    found.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect()
}

fn ports(ports: Value) -> Vec<String> {
    wrong(json!({"ports": ports}))
}

fn with(field: &str, value: Value) -> Vec<String> {
    let mut spec = json!({"ports": [{"port": 80}]});
    spec[field] = value;
    wrong(spec)
}

#[test]
fn good_services_pass() {
    let good = [
        json!({"ports": [{"port": 80, "targetPort": "http"}]}),
        json!({"ports": [{"name": "a", "port": 53}, {"name": "b", "port": 53, "protocol": "UDP"}]}),
        json!({"clusterIP": "None"}),
        json!({"type": "ExternalName", "externalName": "example.com."}),
        json!({"type": "LoadBalancer", "ports": [{"port": 80, "nodePort": 30080}]}),
        json!({"ports": [{"port": 80}], "sessionAffinity": "ClientIP", "externalIPs": ["10.0.0.1"]}),
        json!({"ports": [{"port": 80}], "loadBalancerIP": "anything", "selector": {"a/b": "c"}}),
    ];
    for spec in good {
        assert_eq!(wrong(spec.clone()), Vec::<String>::new(), "{spec}");
    }
}

#[test]
fn numbers_names_and_protocols_of_ports_are_checked() {
    let range = "must be between 1 and 65535, inclusive";
    assert_eq!(
        ports(json!([{"port": 70000}])),
        [format!("spec.ports[0].port: Invalid value: 70000: {range}")]
    );
    assert_eq!(
        ports(json!([{"port": 80, "targetPort": 70000}])),
        [format!("spec.ports[0].targetPort: Invalid value: 70000: {range}")]
    );
    let target = ports(json!([{"port": 80, "targetPort": "a_b"}]));
    assert_eq!(
        target,
        ["spec.ports[0].targetPort: Invalid value: \"a_b\": must contain only alpha-numeric \
          characters (a-z, 0-9), and hyphens (-)"]
    );
    assert_eq!(
        ports(json!([{"port": 80, "protocol": "HTTP"}])),
        [
            "spec.ports[0].protocol: Unsupported value: \"HTTP\": supported values: \"SCTP\", \"TCP\", \
          \"UDP\""
        ]
    );
    assert!(ports(json!([{"port": 80, "name": "A"}]))[0].contains("RFC 1123 label"));
}

#[test]
fn several_ports_have_names_and_nothing_twice_and_every_cause_is_told() {
    let several = json!([
        {"port": 80}, {"name": "a", "port": 80}, {"name": "a", "port": 0, "protocol": "UDP"},
    ]);
    assert_eq!(
        ports(several),
        [
            "spec.ports[0].name: Required value",
            "spec.ports[2].name: Duplicate value: \"a\"",
            "spec.ports[2].port: Invalid value: 0: must be between 1 and 65535, inclusive",
            "spec.ports[1]: Duplicate value: {\"port\":80,\"protocol\":\"TCP\"}",
        ]
    );
    assert_eq!(wrong(json!({})), ["spec.ports: Required value"]);
}

#[test]
fn the_type_decides_what_else_may_be_there() {
    assert_eq!(
        with("type", json!("Balancer")),
        ["spec.type: Unsupported value: \"Balancer\": supported values: \"ClusterIP\", \
          \"ExternalName\", \"LoadBalancer\", \"NodePort\""]
    );
    assert_eq!(
        ports(json!([{"port": 80, "nodePort": 30080}])),
        ["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"]
    );
    let external = |name: &str| wrong(json!({"type": "ExternalName", "externalName": name}));
    assert_eq!(external(""), ["spec.externalName: Required value"]);
    assert!(
        external("a b")[0].starts_with("spec.externalName: Invalid value: \"a b\": a lowercase")
    );
    let headless = json!({"type": "NodePort", "clusterIP": "None", "ports": [{"port": 1}]});
    assert_eq!(
        wrong(headless),
        ["spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort \
          services"]
    );
}

#[test]
fn affinity_and_addresses_are_checked() {
    assert_eq!(
        with("sessionAffinity", json!("Cookie")),
        ["spec.sessionAffinity: Unsupported value: \"Cookie\": supported values: \"ClientIP\", \
          \"None\""]
    );
    assert_eq!(
        with("externalIPs", json!(["x", "127.0.0.1"])),
        [
            "spec.externalIPs[0]: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 \
             or 2001:db8::ffff)",
            "spec.externalIPs[1]: Invalid value: \"127.0.0.1\": may not be in the loopback range \
             (127.0.0.0/8, ::1/128)",
        ]
    );
    assert_eq!(
        with("loadBalancerSourceRanges", json!(["10.0.0.0/8"])),
        [
            "spec.loadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'"
        ]
    );
}

#[test]
fn a_change_of_type_clears_what_came_with_the_old_one() {
    let mut old = json!({"spec": {
        "type": "NodePort", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"],
        "ports": [{"port": 80, "nodePort": 30080}],
    }});
    defaults(&mut old, None);
    let mut new = old.clone();
    new["spec"]["type"] = json!("ClusterIP");
    defaults(&mut new, Some(&old));
    assert_eq!(causes(&new["spec"]), []);
    assert!(new["spec"]["ports"][0].get("nodePort").is_none());
    let mut outside = old.clone();
    outside["spec"]["type"] = json!("ExternalName");
    outside["spec"]["externalName"] = json!("example.com");
    defaults(&mut outside, Some(&old));
    assert_eq!(causes(&outside["spec"]), []);
    assert!(outside["spec"].get("clusterIP").is_none());
}
