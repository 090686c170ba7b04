//! Probes to the agent and back.

use serde_json::{Value, json};

use super::{restore, rewrite};

fn pod(probe: Value) -> Value {
    let ports = json!([{"name": "web", "containerPort": 8080}]);
    let app = json!({"name": "app", "ports": ports, "readinessProbe": probe});
    json!({"spec": {"containers": [app]}})
}

fn rewritten(probe: Value) -> (Value, Value) {
    let mut pod = pod(probe);
    let result = rewrite(&mut pod, 15020);
    assert!(result.problems.is_empty(), "{:?}", result.problems);
    let probers = result.probers.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap());
    (pod["spec"]["containers"][0]["readinessProbe"].clone(), probers)
}

const PATH: &str = "/app-health/app/readyz";

#[test]
fn http_probes_keep_what_the_kubelet_needs_and_hand_over_the_rest() {
    let headers = json!([{"name": "X-Probe", "value": "1"}]);
    let call = json!({"path": "/ok", "port": "web", "scheme": "HTTPS", "host": "h", "httpHeaders": headers});
    let (probe, probers) =
        rewritten(json!({"httpGet": call, "timeoutSeconds": 7, "periodSeconds": 3}));
    let to_agent = json!({"path": PATH, "port": 15020, "scheme": "HTTP", "httpHeaders": headers});
    assert_eq!(probe, json!({"httpGet": to_agent, "timeoutSeconds": 7, "periodSeconds": 3}));
    let original = json!({"path": "/ok", "port": 8080, "scheme": "HTTPS", "host": "h", "httpHeaders": headers});
    assert_eq!(probers, json!({PATH: {"httpGet": original, "timeoutSeconds": 7}}));
}

#[test]
fn tcp_and_grpc_probes_become_http() {
    let (probe, probers) = rewritten(json!({"tcpSocket": {"port": "8080", "host": "h"}}));
    assert_eq!(probe, json!({"httpGet": {"path": PATH, "port": 15020}}));
    assert_eq!(probers, json!({PATH: {"tcpSocket": {"port": 8080, "host": "h"}}}));
    let (probe, probers) = rewritten(json!({"grpc": {"port": 9000, "service": "s"}}));
    assert_eq!(probe, json!({"httpGet": {"path": PATH, "port": 15020}}));
    assert_eq!(probers, json!({PATH: {"grpc": {"port": 9000, "service": "s"}}}));
}

#[test]
fn commands_stay_as_they_are() {
    let command = json!({"exec": {"command": ["true"]}});
    assert_eq!(rewritten(command.clone()), (command, Value::Null));
}

#[test]
fn a_probe_of_a_port_that_is_not_there_stays_and_is_named() {
    let mut pod = pod(json!({"httpGet": {"port": "metrics"}}));
    let before = pod.clone();
    let result = rewrite(&mut pod, 15020);
    assert_eq!(pod, before);
    assert_eq!(result.probers, None);
    let problem = &result.problems[0];
    assert_eq!(
        (problem.list, &*problem.container, &*problem.field),
        ("containers", "app", "readinessProbe")
    );
    assert!(problem.message.contains("\"metrics\""));
}

#[test]
fn a_number_that_is_no_port_stays_for_kubernetes_to_refuse() {
    for port in [json!(99999), json!(0), json!(-5), json!(8080.5)] {
        let mut pod = pod(json!({"tcpSocket": {"port": port}}));
        let before = pod.clone();
        let result = rewrite(&mut pod, 15020);
        assert_eq!((&pod, result.probers), (&before, None), "{port}");
        assert!(result.problems[0].message.starts_with(&format!("{port} is not a port")), "{port}");
    }
}

#[test]
fn all_kinds_of_all_containers_that_the_proxy_is_there_for_are_rewritten() {
    let probe = json!({"httpGet": {"path": "/", "port": 80}});
    let container = |name: &str| {
        json!({
            "name": name,
            "readinessProbe": probe, "livenessProbe": probe, "startupProbe": probe,
            "lifecycle": {"preStop": probe, "postStart": probe},
        })
    };
    let mut pod = json!({"spec": {
        "initContainers": [container("early"), container("istio-proxy"), container("side")],
        "containers": [container("app")],
    }});
    let probers = rewrite(&mut pod, 15020).probers.unwrap();
    let probers: Value = serde_json::from_str(&probers).unwrap();
    let paths: Vec<&str> = probers.as_object().unwrap().keys().map(String::as_str).collect();
    let families = [
        ("app-health", vec!["livez", "readyz", "startupz"]),
        ("app-lifecycle", vec!["poststartz", "prestopz"]),
    ];
    let mut expected = Vec::new();
    for (family, kinds) in &families {
        for name in ["app", "side"] {
            expected.extend(kinds.iter().map(|kind| format!("/{family}/{name}/{kind}")));
        }
    }
    // Nobody could answer for what begins before the proxy, and ends after it.
    expected.push("/app-health/early/readyz".to_owned());
    expected.sort();
    assert_eq!(paths, expected);
    let early = &pod["spec"]["initContainers"][0];
    assert_eq!((&early["startupProbe"], &early["lifecycle"]["preStop"]), (&probe, &probe));
    assert_eq!(pod["spec"]["initContainers"][1], container("istio-proxy"));
    let before = pod.clone();
    assert_eq!(rewrite(&mut pod, 15020).probers, None, "rewritten once");
    assert_eq!(pod, before);
}

#[test]
fn hooks_become_calls_of_the_agent_and_commands_stay() {
    let call = json!({"path": "/bye", "port": "web", "scheme": "HTTPS"});
    let start = json!({"tcpSocket": {"port": 8080}});
    let mut pod = pod(json!(null));
    pod["spec"]["containers"][0]["lifecycle"] =
        json!({"preStop": {"httpGet": call}, "postStart": start});
    let original = pod.clone();
    let probers = rewrite(&mut pod, 15020).probers.unwrap();
    let to_agent = |last: &str| format!("/app-lifecycle/app/{last}");
    let stop = json!({"path": to_agent("prestopz"), "port": 15020, "scheme": "HTTP"});
    let lifecycle = json!({
        "preStop": {"httpGet": stop},
        "postStart": {"httpGet": {"path": to_agent("poststartz"), "port": 15020}},
    });
    assert_eq!(pod["spec"]["containers"][0]["lifecycle"], lifecycle);
    let told: Value = serde_json::from_str(&probers).unwrap();
    let expected = json!({
        to_agent("prestopz"): {"httpGet": {"path": "/bye", "port": 8080, "scheme": "HTTPS"}},
        to_agent("poststartz"): start,
    });
    assert_eq!(told, expected);
    restore(&mut pod, &probers);
    pod["spec"]["containers"][0]["lifecycle"]["preStop"]["httpGet"]["port"] = json!("web");
    assert_eq!(pod, original);

    pod["spec"]["containers"][0]["lifecycle"] = json!({"preStop": {"exec": {"command": ["true"]}}});
    let before = pod.clone();
    assert_eq!(rewrite(&mut pod, 15020).probers, None);
    assert_eq!(pod, before);
}

#[test]
fn what_was_rewritten_comes_back() {
    for probe in [
        json!({"httpGet": {"path": "/ok", "port": 8080, "scheme": "HTTPS"}, "timeoutSeconds": 7}),
        json!({"tcpSocket": {"port": 8080}, "periodSeconds": 3}),
        json!({"grpc": {"port": 8080, "service": "s"}}),
    ] {
        let original = pod(probe);
        let mut pod = original.clone();
        let probers = rewrite(&mut pod, 15020).probers.unwrap();
        assert_ne!(pod, original);
        restore(&mut pod, &probers);
        assert_eq!(pod, original);
    }
}

#[test]
fn hooks_that_istio_s_injector_rewrote_come_back_too() {
    let path = "/app-lifecycle/app/prestopz";
    let mut pod = json!({"spec": {"containers": [
        {"name": "app", "lifecycle": {"preStop": {"httpGet": {"path": path, "port": 15020}}}},
    ]}});
    let original = json!({"path": "/bye", "port": 80});
    restore(&mut pod, &json!({path: {"httpGet": original}}).to_string());
    assert_eq!(pod["spec"]["containers"][0]["lifecycle"]["preStop"], json!({"httpGet": original}));
}
