//! Values of Istio's charts that an IstioOperator has, too: both make the same of them.

use serde_json::{Value, json};

use super::{check, cni, gateway, istiod, made, of};

fn affinity() -> Value {
    json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": "kubernetes.io/hostname"},
    ]}})
}

#[test]
fn pods_and_objects_of_the_control_plane_are_those_of_an_operator_file() {
    let spread =
        json!([{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}]);
    let variable =
        json!({"name": "FROM", "valueFrom": {"secretKeyRef": {"name": "one", "key": "two"}}});
    let own = json!({
        "autoscaleBehavior": {"scaleDown": {"stabilizationWindowSeconds": 60}},
        "memory": {"targetAverageUtilization": 70}, "podLabels": {"team": "net"},
        "deploymentLabels": {"owner": "net"}, "serviceAccountAnnotations": {"a/b": "account"},
        "topologySpreadConstraints": spread, "terminationGracePeriodSeconds": 0,
        "seccompProfile": {"type": "RuntimeDefault"}, "ipFamilies": ["IPv6"],
        "ipFamilyPolicy": "SingleStack", "extraContainerArgs": ["--one", "--two=\"2\""],
        "envVarFrom": [variable], "env": {"ONE": "1"}, "hub": "other:5000/mesh", "tag": "v3",
        "nodeSelector": {"disk": "ssd"}, "affinity": affinity(), "priorityClassName": "high",
        "volumes": [{"name": "extra", "emptyDir": {}}],
        "volumeMounts": [{"name": "extra", "mountPath": "/extra"}],
        "serviceAnnotations": {"a/b": "service"},
    });
    let budget = json!({"maxUnavailable": 1});
    let spec = json!({
        "profile": "minimal", "values": {"pilot": own},
        "components": {"pilot": {"k8s": {"podDisruptionBudget": budget}}},
    });
    // Today's charts have them at the top, and older ones below pilot.
    let mut values = own.clone();
    values["podDisruptionBudget"] = budget.clone();
    check(&istiod(values.clone(), spec.clone()));
    check(&istiod(json!({ "pilot": values }), spec.clone()));
    let mut values = own;
    values["pdb"] =
        json!({"minAvailable": 1, "maxUnavailable": 1, "unhealthyPodEvictionPolicy": ""});
    check(&istiod(values, spec));
}

#[test]
fn pods_keep_the_labels_that_are_the_charts_own() {
    let labels = json!({
        "sidecar.istio.io/inject": "true", "istio.io/rev": "x", "istio.io/dataplane-mode": "ambient",
        "operator.istio.io/component": "Other", "both": "pods",
    });
    let objects = json!({
        "release": "other", "istio.io/rev": "x", "both": "objects", "sidecar.istio.io/inject": "true",
    });
    for revision in ["", "canary"] {
        let pilot = json!({"podLabels": labels, "deploymentLabels": objects});
        let spec = json!({"profile": "minimal", "revision": revision, "values": {"pilot": pilot}});
        check(&istiod(json!({"revision": revision, "pilot": pilot}), spec));
    }
    let own = json!({"podLabels": labels, "daemonSetLabels": objects});
    let components = json!({"cni": {"enabled": true}});
    let spec = json!({"profile": "empty", "components": components, "values": {"cni": own}});
    check(&cni(own, spec));
}

#[test]
fn settings_of_all_pods_are_those_of_an_operator_file() {
    let global = json!({
        "defaultNodeSelector": {"pool": "infra"}, "defaultTolerations": [{"key": "infra"}],
        "priorityClassName": "high", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
        "sds": {"token": {"aud": "mesh.example"}},
    });
    let spec = json!({"profile": "minimal", "values": {"global": global}});
    check(&istiod(json!({ "global": global }), spec));
    let mut spec = json!({"profile": "default", "values": {"global": global}});
    check(&gateway(
        "istio-ingressgateway",
        "istio-system",
        json!({ "global": global }),
        spec.clone(),
    ));
    spec["components"] = json!({"cni": {"enabled": true}});
    check(&cni(json!({ "global": global }), spec));
}

#[test]
fn what_is_empty_asks_for_nothing() {
    let pilot =
        json!({"ipFamilyPolicy": "", "ipFamilies": [], "affinity": {}, "priorityClassName": ""});
    let spec = json!({"profile": "minimal", "values": {"pilot": pilot}});
    check(&istiod(pilot, spec.clone()));
    check(&istiod(json!({}), spec));
}

#[test]
fn an_image_is_the_same_however_it_is_named() {
    for global in [
        json!({"proxy": {"image": "proxyv2"}, "proxy_init": {"image": "proxyv2"}}),
        json!({"proxy": {"image": "reg:5000/own/proxy:1"}, "proxy_init": {"image": "reg/a:1"}}),
        json!({"proxy": {"image": "docker.io/istio/proxyv2:1.26.2"}, "tag": 1.5}),
        json!({"proxy": {"image": "reg.example/infra/proxy:2"}}),
        json!({"proxy": {"image": "reg.example/istio/proxyv2:1.26.2"}}),
        json!({"proxy": {"image": "gcr.io/istio-release/proxyv2:1.26.2"}}),
        json!({"proxy": {"image": "registry.istio.io/release/proxyv2:1.30.0"}}),
        json!({"hub": "docker.io/istio", "tag": "1.26.2"}),
        json!({"hub": "gcr.io/istio-release"}),
        json!({"hub": "registry.istio.io/release", "tag": "1.30.0"}),
        json!({"hub": "reg:5000/istio", "tag": "v1"}),
    ] {
        let values = json!({ "global": global });
        check(&istiod(values.clone(), json!({"profile": "minimal", "values": values})));
        let spec = json!({"profile": "default", "values": values});
        check(&gateway("istio-ingressgateway", "istio-system", values, spec));
    }
    for pilot in
        [json!({"image": "reg:5000/own/pilot-x:1"}), json!({"image": "pilot", "hub": "a/b"})]
    {
        let values = json!({ "pilot": pilot });
        check(&istiod(pilot, json!({"profile": "minimal", "values": values})));
    }
}

#[test]
fn injection_is_asked_for_as_in_an_operator_file() {
    for selector in [
        json!({"enabled": false}),
        json!({"enabled": true, "autoInject": false}),
        json!({"autoInject": true}),
    ] {
        for everywhere in [true, false] {
            let hook = json!({
                "objectSelector": selector, "enableNamespacesByDefault": everywhere,
                "injectLabel": "corp.example/mesh", "reinvocationPolicy": "IfNeeded",
            });
            let values =
                json!({ "sidecarInjectorWebhook": hook, "revisionTags": ["prod", "default"] });
            check(&istiod(values.clone(), json!({"profile": "minimal", "values": values})));
        }
    }
}

#[test]
fn what_the_injector_reads_is_that_of_an_operator_file() {
    let hook = json!({
        "neverInjectSelector": [{"matchLabels": {"a": "b"}}],
        "alwaysInjectSelector": [{"matchExpressions": [{"key": "c", "operator": "Exists"}]}],
        "injectedAnnotations": {"x/y": "z"}, "templates": {"own": "metadata:\n  labels: {a: <b> & c}\n"},
        "defaultTemplates": ["sidecar", "own"], "aliases": {"both": ["sidecar", "own"]},
        "injectionPath": "/inject/cluster/east", "caBundle": "LS0t",
    });
    let values = json!({
        "sidecarInjectorWebhook": hook, "gateways": {"securityContext": {"runAsUser": 7}},
        "pilot": {"cni": {"enabled": true, "provider": "default"}},
        "base": {"validationURL": "https://there.example/validate", "validationCABundle": "LS0t"},
        "global": {
            "meshID": "one", "network": "east", "caAddress": "ca.example:15012",
            "meshNetworks": {"east": {"gateways": [{"address": "192.0.2.1", "port": 15443}]}},
            "podDNSSearchNamespaces": ["global", "{{ .DeploymentMeta.Namespace }}.global"],
        },
    });
    check(&istiod(values.clone(), json!({"profile": "minimal", "values": values})));
    let values =
        json!({"sidecarInjectorWebhook": {"injectionURL": "https://there.example/inject"}});
    check(&istiod(values.clone(), json!({"profile": "minimal", "values": values})));
}

#[test]
fn what_has_moved_is_applied_where_it_is_today() {
    let values = json!({
        "global": {
            "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}, "trustDomain": "corp.example",
            "proxy": {"concurrency": 3, "accessLogFile": "/dev/stdout"},
        },
        "istio_cni": {"enabled": true},
    });
    let mut with_own = values.clone();
    with_own["meshConfig"] = json!({"trustDomain": "own.example"});
    for values in [values, with_own] {
        let mut spec = json!({"profile": "minimal", "values": values});
        if let Some(mesh) = spec["values"].as_object_mut().unwrap().shift_remove("meshConfig") {
            spec["meshConfig"] = mesh;
        }
        check(&istiod(values, spec));
    }
}

#[test]
fn a_config_map_can_be_left_out() {
    let pilot = json!({"configMap": false});
    let global = json!({"omitSidecarInjectorConfigMap": true});
    for values in [json!({ "pilot": pilot }), json!({ "global": global })] {
        check(&istiod(values.clone(), json!({"profile": "minimal", "values": values})));
    }
}

#[test]
fn what_no_operator_file_has_is_on_the_control_plane() {
    let container = json!({"name": "before", "image": "busybox"});
    let objects = made(&istiod(
        json!({
            "deploymentAnnotations": {"a/b": "deployment"}, "initContainers": [container],
            "sidecarInjectorWebhookAnnotations": {"a/b": "hook"},
        }),
        json!({}),
    ));
    let deployment = of(&objects, "Deployment");
    assert_eq!(deployment["metadata"]["annotations"], json!({"a/b": "deployment"}));
    assert_eq!(deployment["spec"]["template"]["spec"]["initContainers"], json!([container]));
    let hook = of(&objects, "MutatingWebhookConfiguration");
    assert_eq!(hook["metadata"]["annotations"], json!({"a/b": "hook"}));
}

#[test]
fn more_of_the_node_agent_is_that_of_an_operator_file() {
    let own = json!({
        "cniConfFileName": "10-x.conflist", "daemonSetLabels": {"owner": "net"}, "privileged": true,
        "updateStrategy": {"type": "OnDelete"}, "seLinuxOptions": {"type": "spc_t"},
        "logging": {"level": "cni:debug"}, "hub": "other:5000/mesh", "tag": "v3",
        "pullPolicy": "Never", "nodeSelector": {"disk": "ssd"}, "affinity": affinity(),
        "repair": {
            "initContainerName": "own", "brokenPodLabelKey": "corp/broken", "brokenPodLabelValue": "yes",
        },
    });
    let spec = json!({
        "profile": "empty", "components": {"cni": {"enabled": true}}, "values": {"cni": own},
    });
    check(&cni(own.clone(), spec.clone()));
    check(&cni(json!({ "cni": own }), spec));
    let objects = made(&cni(json!({"terminationGracePeriodSeconds": 9}), json!({})));
    let pod = &of(&objects, "DaemonSet")["spec"]["template"]["spec"];
    assert_eq!(pod["terminationGracePeriodSeconds"], 9);
}

#[test]
fn more_of_a_gateway_is_that_of_an_operator_file() {
    let probe = json!({
        "failureThreshold": 2, "httpGet": {"path": "/ready", "port": 15021, "scheme": "HTTP"},
        "initialDelaySeconds": 3, "periodSeconds": 9, "timeoutSeconds": 4,
    });
    let service = json!({
        "type": "LoadBalancer", "clusterIP": "192.0.2.9", "internalTrafficPolicy": "Local",
        "allocateLoadBalancerNodePorts": false,
    });
    let global = json!({
        "meshID": "one", "network": "east", "caAddress": "ca.example:15012",
        "proxy": {"logLevel": "debug", "componentLogLevel": "upstream:info"},
    });
    let values = json!({
        "readinessProbe": probe, "securityContext": {"runAsUser": 7}, "service": service,
        "autoscaling": {"targetMemoryUtilizationPercentage": 70}, "global": global,
    });
    let k8s = json!({
        "readinessProbe": probe, "securityContext": {"runAsUser": 7}, "service": service,
    });
    let spec = json!({
        "profile": "default",
        "components": {"ingressGateways": [{"name": "istio-ingressgateway", "k8s": k8s}]},
        "values": {
            "global": global,
            "gateways": {"istio-ingressgateway": {"memory": {"targetAverageUtilization": 70}}},
        },
    });
    check(&gateway("istio-ingressgateway", "istio-system", values, spec));
    let root = json!({"gateways": {"istio-ingressgateway": {"runAsRoot": true}}});
    let spec = json!({"profile": "default", "values": root});
    check(&gateway("istio-ingressgateway", "istio-system", json!({"runAsRoot": true}), spec));
}

#[test]
fn what_no_operator_file_has_is_on_a_gateway() {
    let before = json!({"name": "before", "image": "busybox"});
    let beside = json!({"name": "beside", "image": "busybox"});
    let stop = json!({"preStop": {"exec": {"command": ["sleep", "5"]}}});
    let variable =
        json!({"name": "FROM", "valueFrom": {"secretKeyRef": {"name": "one", "key": "two"}}});
    let values = json!({
        "initContainers": [before], "additionalContainers": [beside], "lifecycle": stop,
        "envVarFrom": [variable], "containerSecurityContext": {"readOnlyRootFilesystem": false},
        "service": {"selectorLabels": {"edge": "yes"}, "ports": [{"name": "low", "port": 80}]},
    });
    let objects = made(&gateway("edge", "gateways", values, json!({})));
    let pod = &of(&objects, "Deployment")["spec"]["template"]["spec"];
    assert_eq!((&pod["initContainers"], &pod["containers"][1]), (&json!([before]), &beside));
    let own = &pod["containers"][0];
    assert_eq!(own["lifecycle"], stop);
    assert!(own["env"].as_array().unwrap().contains(&variable), "{own}");
    let security = &own["securityContext"];
    assert_eq!(security["readOnlyRootFilesystem"], false);
    assert_eq!(security["privileged"], false);
    assert_eq!(pod["securityContext"]["sysctls"][0]["value"], "0");
    let selector = &of(&objects, "Service")["spec"]["selector"];
    assert_eq!(*selector, json!({"app": "edge", "istio": "edge", "edge": "yes"}));
}

#[test]
fn a_variable_has_one_value_whoever_else_has_it() {
    let env = json!({"CLUSTER_ID": "own", "ISTIO_META_CLUSTER_ID": "own", "POD_NAME": "own"});
    let values = json!({ "env": env });
    for (objects, kind) in [
        (made(&istiod(values.clone(), json!({}))), "Deployment"),
        (made(&gateway("edge", "gateways", values.clone(), json!({}))), "Deployment"),
        (made(&cni(values, json!({}))), "DaemonSet"),
    ] {
        let container = &of(&objects, kind)["spec"]["template"]["spec"]["containers"][0];
        let all = container["env"].as_array().unwrap();
        for name in ["CLUSTER_ID", "ISTIO_META_CLUSTER_ID", "POD_NAME"] {
            let own: Vec<&Value> = all.iter().filter(|one| one["name"] == name).collect();
            assert_eq!(own, [&json!({"name": name, "value": "own"})]);
        }
    }
}

#[test]
fn a_variable_from_elsewhere_takes_the_place_of_the_charts() {
    let from = |name: &str| json!({"name": name, "valueFrom": {"secretKeyRef": {"name": "one", "key": "two"}}});
    let sources = json!([from("TOKEN_AUDIENCES"), from("CLUSTER_ID"), from("OWN")]);
    let pilot = json!({"envVarFrom": sources, "env": {"OWN": "1"}});
    let spec = json!({"profile": "minimal", "values": {"pilot": pilot}});
    check(&istiod(pilot, spec));
    let sources = json!([from("ISTIO_META_NETWORK"), from("POD_NAME"), from("OWN")]);
    let values = json!({"envVarFrom": sources, "env": {"OWN": "1"}, "networkGateway": "west"});
    let objects = made(&gateway("edge", "gateways", values, json!({})));
    let container = &of(&objects, "Deployment")["spec"]["template"]["spec"]["containers"][0];
    let all = container["env"].as_array().unwrap();
    let own = json!({"name": "OWN", "value": "1"});
    for expected in [from("ISTIO_META_NETWORK"), from("POD_NAME"), own] {
        let found: Vec<&Value> = all.iter().filter(|one| one["name"] == expected["name"]).collect();
        assert_eq!(found, [&expected]);
    }
}

#[test]
fn definitions_can_be_left_out() {
    let excluded = json!({"excludedCRDs": ["wasmplugins.extensions.istio.io"]});
    let spec = json!({"profile": "minimal", "values": {"base": excluded}});
    let (chart, release, namespace, component) = ("base", "base", "istio-system", "Base");
    let values = json!({ "base": excluded });
    let mut case = super::Case { chart, release, namespace, component, values, spec };
    check(&case);
    case.values = json!({"base": {"enableIstioConfigCRDs": false}});
    assert!(made(&case).is_empty());
}
