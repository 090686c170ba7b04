//! Pods as the injector makes them, and others.

use std::collections::BTreeMap;

use lateen_testkit::fuzz::{fuzz, objects};
use serde_json::{Value, json};

use super::{Part, Rules, failed_validations, part, resolv_conf};
use crate::{Settings, Subject, inject};

/// A pod that was injected with a node agent, or with an init container.
fn injected(node_agent: bool, annotations: &Value, mesh: &str, own: Value) -> Value {
    let values = json!({"pilot": {"cni": {"enabled": node_agent}}}).to_string();
    let (settings, _) = Settings::from_texts(&values, mesh, "");
    let mut containers = vec![json!({"name": "app", "image": "a"})];
    containers.extend(own.as_object().map(|_| own.clone()));
    let pod = json!({
        "metadata": {"name": "p", "namespace": "shop", "annotations": annotations},
        "spec": {"containers": containers},
    });
    let labels = BTreeMap::new();
    let subject = Subject { namespace: "shop", namespace_labels: &labels, pod: &pod };
    inject(&subject, &settings).unwrap().pod
}

fn init(pod: &Value, name: &str) -> Value {
    let all = pod["spec"]["initContainers"].as_array().unwrap();
    all.iter().find(|one| one["name"] == name).unwrap().clone()
}

fn laid(pod: &Value) -> Rules {
    match part(pod).unwrap() {
        Part::Lay(rules) => rules,
        Part::Leave(reason) => panic!("left alone: {reason}"),
    }
}

#[test]
fn the_agent_is_told_what_the_init_container_would_be_told() {
    let dns =
        "defaultConfig: {proxyMetadata: {ISTIO_META_DNS_CAPTURE: 'true'}}\nproxyListenPort: 16001";
    let user =
        json!({"name": "istio-proxy", "image": "auto", "securityContext": {"runAsUser": 2001}});
    let annotations = [
        json!({}),
        json!({"sidecar.istio.io/interceptionMode": "TPROXY"}),
        json!({
            "traffic.sidecar.istio.io/includeOutboundIPRanges": "",
            "traffic.sidecar.istio.io/includeOutboundPorts": "9000",
            "traffic.sidecar.istio.io/excludeOutboundPorts": "25",
            "traffic.sidecar.istio.io/includeInboundPorts": "80",
            "traffic.sidecar.istio.io/excludeInterfaces": "eth1",
            "istio.io/reroute-virtual-interfaces": "net1",
            "status.sidecar.istio.io/port": "15099",
        }),
    ];
    for annotations in annotations {
        for (mesh, own) in [("", Value::Null), (dns, Value::Null), (dns, user.clone())] {
            let by_init = injected(false, &annotations, mesh, own.clone());
            let expected = init(&by_init, "istio-init");
            let words: Vec<&str> =
                expected["args"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
            let rules = laid(&injected(true, &annotations, mesh, own));
            assert_eq!(rules.arguments, words[1..], "{annotations} {mesh}");
            assert_eq!(rules.variables.contains_key("ISTIO_META_DNS_CAPTURE"), !mesh.is_empty());
        }
    }
}

#[test]
fn without_the_container_that_checks_annotations_tell_the_same() {
    let annotations = json!({
        "traffic.sidecar.istio.io/excludeOutboundIPRanges": "10.1.0.0/16",
        "traffic.sidecar.istio.io/excludeInboundPorts": "22",
    });
    let mut pod = injected(true, &annotations, "", Value::Null);
    let with: Vec<String> = laid(&pod).arguments;
    let list = pod["spec"]["initContainers"].as_array_mut().unwrap();
    list.retain(|one| one["name"] != "istio-validation");
    let without = laid(&pod).arguments;
    assert_eq!(with[..without.len()], without[..]);
    let wrong = "traffic.sidecar.istio.io/excludeOutboundPorts";
    pod["metadata"]["annotations"][wrong] = json!("http");
    let error = part(&pod).unwrap_err();
    assert!(error.contains(wrong), "{error}");
}

#[test]
fn pods_that_are_none_of_ours_are_left_alone() {
    let left = |pod: &Value| match part(pod) {
        Ok(Part::Leave(reason)) => reason,
        other => panic!("{other:?} of {pod}"),
    };
    let good = injected(true, &json!({}), "", Value::Null);
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut pod = good.clone();
        change(&mut pod);
        left(&pod)
    };
    let plain = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "app"}]}});
    assert_eq!(left(&plain), "it has no container istio-proxy");
    assert_eq!(
        left(&injected(false, &json!({}), "", Value::Null)),
        "its container istio-init does it"
    );
    let mode = json!({"sidecar.istio.io/interceptionMode": "NONE"});
    assert_eq!(left(&injected(true, &mode, "", Value::Null)), "its mode is NONE");
    let status = |pod: &mut Value| {
        pod["metadata"]["annotations"].as_object_mut().unwrap().remove("sidecar.istio.io/status");
    };
    assert_eq!(changed(&status), "it was not injected");
    let host = |pod: &mut Value| pod["spec"]["hostNetwork"] = json!(true);
    assert_eq!(changed(&host), "it is in the node's network");
    let declines = |pod: &mut Value| {
        pod["metadata"]["annotations"]["sidecar.istio.io/inject"] = json!("false");
    };
    assert_eq!(changed(&declines), "it declines injection");
    let label = |pod: &mut Value| {
        declines(pod);
        pod["metadata"]["labels"]["sidecar.istio.io/inject"] = json!("true");
    };
    let mut pod = good.clone();
    label(&mut pod);
    assert!(matches!(part(&pod), Ok(Part::Lay(_))), "the label counts before the annotation");
    let gateway = |pod: &mut Value| {
        for one in pod["spec"]["containers"].as_array_mut().unwrap() {
            one["args"] = json!(["proxy", "router"]);
        }
    };
    assert_eq!(changed(&gateway), "its proxy is a gateway");
}

#[test]
fn a_pod_waits_for_repair_when_its_check_failed_by_the_code_of_missing_rules() {
    let failed = |field: &str, code: i64| {
        let mut pod = injected(true, &json!({}), "", Value::Null);
        pod["status"] = json!({
            "phase": "Pending",
            "initContainerStatuses": [{
                "name": "istio-validation",
                "restartCount": 3,
                field: {"terminated": {"exitCode": code}},
            }],
        });
        pod
    };
    let count = |pod: &Value| failed_validations(pod, "istio-validation");
    assert_eq!(count(&failed("lastState", 126)), Some(3));
    assert_eq!(count(&failed("state", 126)), Some(3));
    assert_eq!(count(&failed("lastState", 1)), None);
    let mut passed = failed("lastState", 126);
    passed["status"]["initContainerStatuses"][0]["state"] = json!({"terminated": {"exitCode": 0}});
    assert_eq!(count(&passed), None);
    let mut ended = failed("state", 126);
    ended["status"]["phase"] = json!("Failed");
    assert_eq!(count(&ended), None);
    assert_eq!(failed_validations(&failed("state", 126), "other"), None);
    assert_eq!(count(&json!({"status": {}})), None);
}

#[test]
fn whatever_pod_comes_has_rules_or_a_reason() {
    let mut pod = injected(true, &json!({}), "", Value::Null);
    pod["status"] = json!({"phase": "Pending", "initContainerStatuses": [
        {"name": "istio-validation", "lastState": {"terminated": {"exitCode": 126}}},
    ]});
    let mut without = pod.clone();
    without["spec"]["initContainers"] = json!([]);
    fuzz(600, objects(vec![pod, without]), |pod| {
        let _ = (part(&pod), resolv_conf(&pod, "nameserver 10.96.0.10"));
        let _ = failed_validations(&pod, "istio-validation");
    });
}

#[test]
fn name_servers_are_known_but_for_those_of_the_node() {
    let agent = "search x.svc.cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n";
    let of = |spec: Value| resolv_conf(&json!({ "spec": spec }), agent);
    let cluster = Some("nameserver 10.96.0.10\n".to_owned());
    assert_eq!(of(json!({})), cluster);
    assert_eq!(of(json!({"dnsPolicy": "ClusterFirstWithHostNet"})), cluster);
    let own = json!({"nameservers": ["1.1.1.1"]});
    let both = Some("nameserver 10.96.0.10\nnameserver 1.1.1.1\n".to_owned());
    assert_eq!(of(json!({"dnsPolicy": "ClusterFirst", "dnsConfig": own})), both);
    let only = Some("nameserver 1.1.1.1\n".to_owned());
    assert_eq!(of(json!({"dnsPolicy": "None", "dnsConfig": own})), only);
    assert_eq!(of(json!({"dnsPolicy": "Default"})), None);
    assert_eq!(resolv_conf(&json!({"spec": {}}), ""), None);
}
