//! Ports of an installation against those of Services, pods and what listens.

use serde_json::{Value, json};

use super::{Protocol, are_of_pods, listeners, pods, services, wanted};
use crate::precheck::facts::Facts;
use crate::precheck::sockets::{Process, Socket};

#[test]
fn a_port_that_another_service_has_is_named() {
    let service = |name: &str, ip: &str| {
        json!({
            "kind": "Service", "metadata": { "name": name, "namespace": "istio-system" },
            "spec": { "externalIPs": [ip], "ports": [{ "port": 80 }, { "port": 443, "nodePort": 30443 }] },
        })
    };
    let ours = [service("gateway", "10.0.1.179")];
    assert_eq!(services(&ours, &ours), [], "its own ports are no obstacle to it");
    let found = services(&ours, &[service("other", "10.0.1.179")]);
    assert_eq!(found.len(), 3, "{found:?}");
    assert_eq!(
        found[0].text,
        "port 80 (TCP) of external IP 10.0.1.179 is taken by Service istio-system/other: change one of them"
    );
    assert_eq!(services(&ours, &[service("other", "10.0.1.180")]).len(), 1, "the node port");
}

fn gateway(kind: &str, spec: Value) -> Vec<Value> {
    let labels = json!({ "app": "gateway" });
    let workload = json!({
        "kind": kind, "metadata": { "name": "gateway", "namespace": "istio-system" },
        "spec": {
            "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": { "app": "gateway", "x": "y" } }, "spec": spec },
        },
    });
    let service = json!({
        "kind": "Service", "metadata": { "name": "gateway", "namespace": "istio-system" },
        "spec": {
            "selector": labels, "externalIPs": ["10.0.0.1"],
            "ports": [
                { "port": 443, "targetPort": 8443, "nodePort": 30443 },
                { "port": 53, "protocol": "UDP" },
                { "port": 9, "protocol": "SCTP", "nodePort": 30009 },
                { "port": 15021, "targetPort": "status" },
            ],
        },
    });
    vec![workload, service]
}

fn in_network() -> Value {
    json!({ "hostNetwork": true, "containers": [{ "ports": [{ "name": "status", "containerPort": 15021 }] }] })
}

fn claims(objects: &[Value]) -> Vec<String> {
    wanted(objects).into_iter().map(|claim| format!("{claim} {}", claim.who)).collect()
}

#[test]
fn an_installation_needs_ports_of_nodes_for_services_and_for_pods() {
    let plain = json!({ "containers": [{ "ports": [{ "containerPort": 80 }] }] });
    let of_service = [
        "port 443 (TCP) of external IP 10.0.0.1 Service istio-system/gateway",
        "node port 30443 (TCP) Service istio-system/gateway",
        "port 53 (UDP) of external IP 10.0.0.1 Service istio-system/gateway",
        "port 15021 (TCP) of external IP 10.0.0.1 Service istio-system/gateway",
    ];
    let services_alone = gateway("Deployment", plain);
    assert_eq!(claims(&services_alone), of_service);
    assert!(!are_of_pods(&services_alone) && are_of_pods(&gateway("Deployment", in_network())));
    let host_port = json!({
        "containers": [{ "ports": [{ "containerPort": 80, "hostPort": 8080 }] }],
        "initContainers": [
            { "ports": [{ "hostPort": 1 }] },
            { "restartPolicy": "Always", "ports": [{ "hostPort": 2, "protocol": "UDP" }] },
        ],
    });
    let found = claims(&gateway("DaemonSet", host_port));
    let own = [
        "port 8080 (TCP) DaemonSet istio-system/gateway",
        "port 2 (UDP) DaemonSet istio-system/gateway",
    ];
    assert_eq!(found[..2], own);
    let found = claims(&gateway("DaemonSet", in_network()));
    let own = ["15021 (TCP)", "8443 (TCP)", "53 (UDP)"];
    let own = own.map(|port| format!("port {port} DaemonSet istio-system/gateway"));
    assert_eq!(found[..3], own);
    assert_eq!(found.len(), 3 + of_service.len());
}

fn socket(address: &str, name: Option<&str>) -> Socket {
    let process = name.map(|name| Process { name: name.to_owned(), pid: 7 });
    Socket { protocol: Protocol::Tcp, address: address.parse().unwrap(), process }
}

#[track_caller]
fn taken(objects: &[Value], sockets: &[Socket], found: &[&str]) {
    let addresses = vec!["10.0.0.1".parse().unwrap()];
    let facts = Facts { addresses, sockets: sockets.to_vec(), ..Facts::default() };
    let told = listeners(&wanted(objects), &facts);
    assert!(told.iter().all(|(text, fatal)| *fatal != text.contains("if it is to run here")));
    let told: Vec<String> = told.into_iter().map(|(text, _)| text).collect();
    assert_eq!(told.len(), found.len(), "{told:?}");
    for (told, found) in told.iter().zip(found) {
        assert!(told.starts_with(found), "{told}");
    }
}

#[test]
fn what_listens_on_a_port_of_the_installation_is_named() {
    let service = &gateway("DaemonSet", json!({}))[..];
    let nginx = |address: &str| socket(address, Some("nginx"));
    let own = "port 443 (TCP) of external IP 10.0.0.1, which Service istio-system/gateway needs, is taken by nginx \
               (process 7), which listens on ";
    taken(service, &[nginx("0.0.0.0:443")], &[&format!("{own}0.0.0.0:443: end that")]);
    taken(service, &[nginx("[::]:443"), nginx("0.0.0.0:443")], &[&format!("{own}[::]:443")]);
    taken(service, &[nginx("10.0.0.1:443")], &[&format!("{own}10.0.0.1:443")]);
    taken(service, &[nginx("10.0.0.2:443"), nginx("0.0.0.0:8443"), nginx("127.0.0.1:30443")], &[]);
    let own = ["0.0.0.0:30443", "0.0.0.0:443"].map(|address| socket(address, Some("kube-proxy")));
    taken(service, &own, &[]);
    taken(service, &[socket("[::]:30443", Some("k3s-server"))], &[]);
    let mut local = service[1].clone();
    local["spec"]["healthCheckNodePort"] = json!(31000);
    let told = "node port 31000 (TCP), which Service istio-system/gateway needs, is taken by nginx";
    taken(&[local], &[nginx("0.0.0.0:31000")], &[told]);
    let nobody = "node port 30443 (TCP), which Service istio-system/gateway needs, is taken by a process, which listens";
    taken(service, &[socket("10.9.9.9:30443", None)], &[nobody]);
    let in_network = &gateway("DaemonSet", in_network())[..1];
    taken(
        in_network,
        &[nginx("127.0.0.1:15021")],
        &["port 15021 (TCP), which DaemonSet istio-system/gateway"],
    );
    taken(in_network, &[socket("0.0.0.0:15021", Some("lateen"))], &[]);
    let mut some = in_network[0].clone();
    some["spec"]["template"]["spec"]["nodeSelector"] = json!({ "edge": "" });
    let told = "port 15021 (TCP), which DaemonSet istio-system/gateway needs if it is to run here, is taken by nginx";
    taken(&[some], &[nginx("0.0.0.0:15021")], &[told]);
}

#[test]
fn an_external_ip_of_another_machine_is_free_on_this_one() {
    let sockets = vec![socket("0.0.0.0:443", Some("nginx"))];
    let facts = Facts { sockets, ..Facts::default() };
    assert_eq!(listeners(&wanted(&gateway("DaemonSet", json!({}))), &facts), []);
}

#[test]
fn a_socket_for_ipv4_leaves_ipv6_free() {
    let mut service = gateway("DaemonSet", json!({}))[1].clone();
    service["spec"]["externalIPs"] = json!(["fd00::1"]);
    let count = |address: &str| {
        let sockets = vec![socket(address, Some("nginx"))];
        let facts =
            Facts { addresses: vec!["fd00::1".parse().unwrap()], sockets, ..Facts::default() };
        listeners(&wanted(std::slice::from_ref(&service)), &facts).len()
    };
    assert_eq!((count("0.0.0.0:443"), count("[::]:443"), count("[fd00::1]:443")), (0, 1, 1));
}

fn pod(node: &str, labels: Value, phase: &str) -> Value {
    json!({
        "metadata": { "name": "p", "namespace": "istio-system", "labels": labels },
        "spec": {
            "nodeName": node,
            "containers": [{ "ports": [{ "containerPort": 80, "hostPort": 15021 }] }],
        },
        "status": { "phase": phase },
    })
}

#[test]
fn a_node_that_may_have_no_pod_is_warned_of() {
    let live = [pod("n1", json!({ "app": "other" }), "Running")];
    let fatal = |kind: &str, more: &[(&str, Value)], taint: Value| -> bool {
        let mut spec = in_network();
        for (key, value) in more {
            spec[key] = value.clone();
        }
        let node = json!({ "metadata": { "name": "n1" }, "spec": { "taints": [taint] } });
        let found = pods(&gateway(kind, spec), &live, &[node]);
        let [finding] = &found[..] else { panic!("{found:?}") };
        assert_eq!(finding.fatal, !finding.text.contains("needs if it is to run here, is"));
        finding.fatal
    };
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let affinity = |key: &str| [("affinity", json!({ "nodeAffinity": { key: {} } }))];
    assert!(!fatal("DaemonSet", &affinity(required), json!({})));
    assert!(fatal("DaemonSet", &affinity("preferredDuringScheduling"), json!({})));
    assert!(fatal("Deployment", &affinity(required), json!({})), "no other node is left");
    let taint = json!({ "key": "role", "value": "db", "effect": "NoSchedule" });
    assert!(!fatal("DaemonSet", &[], taint.clone()));
    for (toleration, tolerated) in [
        (json!({ "operator": "Exists" }), true),
        (json!({ "key": "role", "value": "db" }), true),
        (json!({ "key": "role", "operator": "Exists", "effect": "NoSchedule" }), true),
        (json!({ "key": "role", "value": "web" }), false),
        (json!({ "key": "role", "operator": "Exists", "effect": "NoExecute" }), false),
    ] {
        let tolerations = [("tolerations", json!([toleration]))];
        assert_eq!(fatal("DaemonSet", &tolerations, taint.clone()), tolerated, "{toleration}");
    }
    for passing in [
        json!({ "key": "role", "effect": "PreferNoSchedule" }),
        json!({ "key": "node.kubernetes.io/not-ready", "effect": "NoExecute" }),
    ] {
        assert!(fatal("DaemonSet", &[], passing));
    }
}

#[test]
fn a_port_that_another_pod_has_is_named_with_the_node() {
    let node = |name: &str| json!({ "metadata": { "name": name, "labels": { "role": name } } });
    let nodes = [node("n1"), node("n2")];
    let found = |kind: &str, spec: &Value, live: &[Value]| -> Vec<String> {
        let found = pods(&gateway(kind, spec.clone()), live, &nodes);
        found.into_iter().map(|it| format!("{}: {}", it.place, it.text)).collect()
    };
    let other = |node| pod(node, json!({ "app": "other" }), "Running");
    let spec = in_network();
    let told = "node n2: port 15021 (TCP), which DaemonSet istio-system/gateway needs, is taken by Pod istio-system/p: \
                change one of them";
    assert_eq!(found("DaemonSet", &spec, &[other("n2")]), [told]);
    assert_eq!(found("Deployment", &spec, &[other("n2")]), [""; 0], "there is another node");
    assert_eq!(found("Deployment", &spec, &[other("n1"), other("n2")]).len(), 2);
    let mut bound = spec.clone();
    bound["nodeSelector"] = json!({ "role": "n2" });
    assert_eq!(found("Deployment", &bound, &[other("n2")]).len(), 1);
    assert_eq!(found("DaemonSet", &bound, &[other("n1")]), [""; 0]);
    let own = pod("n2", json!({ "app": "gateway" }), "Running");
    let ended = pod("n2", json!({ "app": "other" }), "Succeeded");
    assert_eq!(found("DaemonSet", &spec, &[own, ended]), [""; 0]);
}
