//! What Kubernetes refuses, and what it takes.

use serde_json::{Value, json};

use crate::shape::{self, Required};

/// What is told of a value of a type, as `path: message`.
fn told(name: &str, value: Value) -> Vec<String> {
    let found = shape::check(&format!("io.k8s.api.{name}"), &value, "x", Required::Skip);
    found.into_iter().map(|one| format!("{}: {}", one.path, one.message)).collect()
}

fn cpu() -> Value {
    let target = json!({"type": "Utilization", "averageUtilization": 80});
    json!({"type": "Resource", "resource": {"name": "cpu", "target": target}})
}

#[test]
fn an_autoscaler_without_metrics_is_known_to_have_none_when_it_is_whole() {
    let spec =
        json!({"scaleTargetRef": {"kind": "a", "name": "a"}, "minReplicas": 0, "maxReplicas": 1});
    let name = "autoscaling.v2.HorizontalPodAutoscalerSpec";
    assert_eq!(told(name, spec.clone()), Vec::<String>::new());
    let whole = shape::check(&format!("io.k8s.api.{name}"), &spec, "x", Required::Check);
    assert!(whole[0].message.starts_with("minReplicas is 0"), "{whole:?}");
}

#[test]
fn what_the_api_refuses_is_told_where_it_stands() {
    for (name, value, expected) in [
        (
            "core.v1.Toleration",
            json!({"key": "a", "operator": "Near"}),
            "x.operator: \"Near\" is none of",
        ),
        (
            "core.v1.Toleration",
            json!({"key": "a", "effect": "Nope"}),
            "x.effect: \"Nope\" is none of",
        ),
        ("core.v1.Toleration", json!({"operator": "Equal"}), "x.operator: without a key"),
        (
            "core.v1.Toleration",
            json!({"operator": "Exists", "value": "x"}),
            "x.value: Exists takes no",
        ),
        (
            "core.v1.Toleration",
            json!({"key": "a", "operator": "Exists", "effect": "NoSchedule", "tolerationSeconds": 5}),
            "x.tolerationSeconds: it goes with",
        ),
        ("apps.v1.DeploymentStrategy", json!({"type": "Roll"}), "x.type: \"Roll\" is none of"),
        ("core.v1.EnvVar", json!({"name": "A=B"}), "x.name: \"A=B\" is no variable's name"),
        (
            "core.v1.EnvVar",
            json!({"name": "A", "value": "b", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}),
            "x.valueFrom: there is a value too",
        ),
        ("core.v1.Probe", json!({"httpGet": {"port": 70000}}), "x.httpGet.port: 70000 is no port"),
        (
            "core.v1.Probe",
            json!({"tcpSocket": {"port": "Web_1"}}),
            "x.tcpSocket.port: \"Web_1\" is no port's name",
        ),
        (
            "core.v1.Probe",
            json!({"httpGet": {"port": 1}, "periodSeconds": -1}),
            "x.periodSeconds: -1 is less than 0",
        ),
        (
            "core.v1.Probe",
            json!({"grpc": {"port": 1}, "exec": {"command": ["a"]}}),
            "x: grpc and exec exclude each other",
        ),
        ("core.v1.PodSecurityContext", json!({"runAsUser": -1}), "x.runAsUser: -1 is less than 0"),
        ("core.v1.PodSecurityContext", json!({"runAsUser": "root"}), "x.runAsUser: it is a text"),
        (
            "core.v1.PodSecurityContext",
            json!({"fsGroup": 1_i64 << 40}),
            "x.fsGroup: 1099511627776 is more",
        ),
        (
            "core.v1.SeccompProfile",
            json!({"type": "Localhost"}),
            "x.localhostProfile: it is missing",
        ),
        (
            "autoscaling.v2.MetricSpec",
            json!({"type": "Cpu"}),
            "x.type: \"Cpu\" is none of Resource",
        ),
        (
            "autoscaling.v2.MetricSpec",
            json!({"type": "Pods"}),
            "x: a metric of type Pods needs pods",
        ),
        (
            "policy.v1.PodDisruptionBudgetSpec",
            json!({"minAvailable": 1, "maxUnavailable": 1}),
            "x.maxUnavailable: there is minAvailable too",
        ),
        (
            "core.v1.ResourceRequirements",
            json!({"requests": {"cpu": 2}, "limits": {"cpu": "1"}}),
            "x.requests.cpu: 2 is more than the limit, \"1\"",
        ),
        (
            "core.v1.ResourceRequirements",
            json!({"limits": {"cpus": 2}}),
            "x.limits.cpus: \"cpus\" is no resource",
        ),
        (
            "core.v1.ResourceRequirements",
            json!({"limits": {"cpu": -2}}),
            "x.limits.cpu: -2 is less than nothing",
        ),
        (
            "core.v1.NodeSelectorRequirement",
            json!({"key": "a", "operator": "Gt", "values": ["1", "2"]}),
            "x.values: Gt needs one value",
        ),
        (
            "autoscaling.v2.HorizontalPodAutoscalerSpec",
            json!({"minReplicas": -1, "maxReplicas": 1}),
            "x.minReplicas: -1 is less than 0",
        ),
        (
            "autoscaling.v2.HorizontalPodAutoscalerSpec",
            json!({"minReplicas": 0, "maxReplicas": 1, "metrics": [cpu()]}),
            "x.metrics: minReplicas is 0, and none is of type Object or External",
        ),
        (
            "core.v1.NodeSelectorRequirement",
            json!({"key": "a", "operator": "Near"}),
            "x.operator: \"Near\"",
        ),
        (
            "core.v1.PreferredSchedulingTerm",
            json!({"weight": 0, "preference": {}}),
            "x.weight: 0 is less than 1",
        ),
        (
            "core.v1.TopologySpreadConstraint",
            json!({"maxSkew": 0, "topologyKey": "a b", "whenUnsatisfiable": "Never"}),
            "x.topologyKey: \"a b\" is no key",
        ),
        (
            "core.v1.Volume",
            json!({"name": "a", "emptyDir": {}, "secret": {}}),
            "x: emptyDir and secret exclude",
        ),
        (
            "core.v1.VolumeMount",
            json!({"name": "a", "mountPath": "/a", "subPath": "../b"}),
            "x.subPath: \"../b\" leads",
        ),
        (
            "core.v1.ServiceSpec",
            json!({"externalIPs": ["1.2.3.4", "b"]}),
            "x.externalIPs[1]: \"b\" is no IP address",
        ),
        (
            "core.v1.Container",
            json!({"name": "a", "image": "a:b:c"}),
            "x.image: the image \"a:b:c\" has no",
        ),
    ] {
        let found = told(name, value);
        assert!(
            found.first().is_some_and(|one| one.starts_with(expected)),
            "{expected}: {found:?}"
        );
    }
}

#[test]
fn what_the_api_takes_is_not_told() {
    for (name, value) in [
        ("core.v1.Toleration", json!({"operator": "Exists"})),
        ("core.v1.Toleration", json!({"key": "a", "value": "b", "effect": ""})),
        ("core.v1.EnvVar", json!({"name": "a.b-c", "value": "$(A)=b"})),
        ("core.v1.Probe", json!({"httpGet": {"port": "http-web"}, "timeoutSeconds": 0})),
        (
            "core.v1.ResourceRequirements",
            json!({"limits": {"cpu": "2", "example.com/gpu": 1, "hugepages-2Mi": 0}}),
        ),
        (
            "core.v1.ResourceRequirements",
            json!({"requests": {"cpu": "350m"}, "limits": {"cpu": "0.35"}}),
        ),
        ("core.v1.Volume", json!({"name": "a"})),
        ("core.v1.ServiceSpec", json!({"loadBalancerIP": "pool-a"})),
        (
            "core.v1.NodeSelectorRequirement",
            json!({"key": "a", "operator": "Lt", "values": ["5.5"]}),
        ),
        (
            "autoscaling.v2.HorizontalPodAutoscalerSpec",
            json!({"minReplicas": 0, "maxReplicas": 1, "metrics": [cpu(), {
                "type": "External", "external": {"metric": {"name": "q"}, "target": {"type": "Value", "value": 1}},
            }]}),
        ),
        (
            "core.v1.ServicePort",
            json!({"port": 80, "targetPort": 0, "nodePort": 0, "protocol": ""}),
        ),
        (
            "autoscaling.v2.MetricSpec",
            json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization"}}}),
        ),
    ] {
        assert_eq!(told(name, value.clone()), Vec::<String>::new(), "{value}");
    }
}

#[test]
fn only_a_whole_probe_must_do_something() {
    let probe = json!({"periodSeconds": 1});
    assert_eq!(told("core.v1.Probe", probe.clone()), Vec::<String>::new());
    let whole = shape::check("io.k8s.api.core.v1.Probe", &probe, "x", Required::Check);
    assert!(whole[0].message.starts_with("it does nothing: write httpGet"), "{whole:?}");
}
