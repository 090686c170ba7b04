//! Where what is wrong is told: at the field that is at fault, once, with all else that is wrong.

use serde_json::{Value, json};

use super::bad::errors;

#[track_caller]
fn check(spec: Value, set: &[(&str, &str)], expected: &[&str]) {
    let told = errors(spec, set);
    let fits = |(told, expected): (&String, &&str)| told.starts_with(*expected);
    let all = told.len() == expected.len() && told.iter().zip(expected).all(fits);
    assert!(all, "{told:#?}");
}

fn ingress(gateway: Value) -> Value {
    json!({"components": {"ingressGateways": [gateway]}})
}

fn ports(ports: Value) -> Value {
    ingress(
        json!({"name": "istio-ingressgateway", "enabled": true, "k8s": {"service": {"ports": ports}}}),
    )
}

#[test]
fn a_patch_is_told_of_by_its_own_place() {
    let patches = json!([
        {"path": "spec.replicas", "value": "two"},
        {"path": "spec.template.spec.containers[7].foo", "value": "x"},
        {"path": "spec.template.spec.containers[discovery].image", "value": "x"},
        {"path": "spec.template.spec.containers[foo:bar].image", "value": "x"},
        {"path": "metadata.labels.a", "value": "b c"},
        {"path": "metadata.labels.ok", "value": "yes"},
    ]);
    let overlay = json!([{"kind": "Deployment", "name": "istiod", "patches": patches}]);
    let at = "spec.components.pilot.k8s.overlays[0].patches";
    check(
        json!({"components": {"pilot": {"k8s": {"overlays": overlay}}}}),
        &[],
        &[
            &format!(
                "{at}[2].path: Deployment istiod: spec.template.spec.containers[discovery]: no such item, they \
                 are chosen by a field, as in [name:discovery]"
            ),
            &format!(
                "{at}[3].path: Deployment istiod: spec.template.spec.containers[foo:bar]: no such item"
            ),
            &format!("{at}[1].path: unknown field"),
            &format!("{at}[1].value.name: it is missing"),
            &format!("{at}[0].value: it is a text and must be a whole number"),
            &format!("{at}[4].value: \"b c\" is no value of a label"),
        ],
    );
}

#[test]
fn of_several_patches_the_last_one_that_is_wrong_is_told() {
    let patch = |value: Value| json!({"path": "spec.replicas", "value": value});
    let overlay =
        |patches: Value| json!([{"kind": "Deployment", "name": "istiod", "patches": patches}]);
    let pilot = |overlays: Value| json!({"components": {"pilot": {"k8s": {"overlays": overlays}}}});
    check(pilot(overlay(json!([patch(json!("two")), patch(json!(2))]))), &[], &[]);
    check(
        pilot(overlay(json!([patch(json!(2)), patch(json!(-1))]))),
        &[],
        &["spec.components.pilot.k8s.overlays[0].patches[1].value: -1 is less than 0"],
    );
}

#[test]
fn a_port_is_told_of_by_its_own_place_and_alone() {
    let good = |at: u16| json!({"name": format!("p{at}"), "port": at});
    let at = "spec.components.ingressGateways[0].k8s.service.ports[2]";
    check(
        ports(json!([good(80), good(81), {"name": "x", "port": 99999}])),
        &[],
        &[&format!("{at}.port: 99999 is no port")],
    );
    check(
        ports(json!([good(80), good(81), {"name": "B_", "port": "eighty"}])),
        &[],
        &[
            &format!("{at}.port: it is a text and must be a whole number"),
            &format!("{at}.name: \"B_\" is no name"),
        ],
    );
    check(
        ports(json!([good(80), good(81), {"port": 82}])),
        &[],
        &[&format!("{at}.name: it is missing: ")],
    );
}

#[test]
fn of_two_numbers_the_one_that_is_too_small_is_told() {
    let gateway = json!({"autoscaleMin": 3, "autoscaleMax": 2});
    check(
        json!({"values": {
            "pilot": {"autoscaleMin": 2, "autoscaleMax": 1},
            "gateways": {"istio-ingressgateway": gateway},
        }}),
        &[],
        &[
            "spec.values.pilot.autoscaleMax: 1 is less than minReplicas, 2",
            "spec.values.gateways.istio-ingressgateway.autoscaleMax: 2 is less than minReplicas, 3",
        ],
    );
    check(
        json!({}),
        &[("values.pilot.autoscaleMin", "3"), ("values.pilot.autoscaleMax", "2")],
        &["spec.values.pilot.autoscaleMax: 2 is less than minReplicas, 3"],
    );
}

#[test]
fn a_mesh_with_a_wrong_type_is_told_of_with_all_else_that_is_wrong() {
    check(
        json!({"meshConfig": {
            "connectTimeout": "soon", "outboundTrafficPolicy": {"mode": "SOME"}, "proxyListenPort": 99999,
        }}),
        &[],
        &[
            "spec.meshConfig.outboundTrafficPolicy.mode: \"SOME\" is none of",
            "spec.meshConfig.proxyListenPort: \"99999\" is not a port",
            "spec.meshConfig.connectTimeout: \"soon\" is not a duration",
        ],
    );
    check(json!({"meshConfig": []}), &[], &["spec.meshConfig: it is a list and must be an object"]);
}

#[test]
fn a_namespace_that_is_none_hides_nothing() {
    let twice = json!([{"name": "a", "port": 80}, {"name": "a", "port": 81}]);
    let service = json!({"ports": twice});
    let gateway =
        json!({"name": "b", "namespace": "A_B", "enabled": true, "k8s": {"service": service}});
    check(
        ingress(gateway),
        &[],
        &[
            "spec.components.ingressGateways[0].namespace: \"A_B\" is no name",
            "spec.components.ingressGateways[0].k8s.service.ports[0].name: there are two ports a",
        ],
    );
}

#[test]
fn what_several_objects_would_be_refused_for_is_told_once() {
    check(
        json!({"values": {"global": {"defaultNodeSelector": {"a b": "c"}}}}),
        &[],
        &["spec.values.global.defaultNodeSelector.a b: \"a b\" is no key"],
    );
    check(
        json!({"values": {"global": {"imagePullSecrets": ["ok", "a b"], "hub": "é.example/x"}}}),
        &[],
        &[
            "spec.values.global.imagePullSecrets[1]: \"a b\" is no name",
            "spec.values.global.hub: \"é.example/x\" is no place of images",
        ],
    );
}

#[test]
fn what_is_too_long_is_told_in_short() {
    let told = errors(json!({"hub": "a".repeat(1 << 20).as_str()}), &[]);
    assert!(
        told.len() == 1 && told[0].len() < 1000 && told[0].contains(" [...] "),
        "{}",
        told[0].len()
    );
    let format = "a".repeat(1 << 21);
    check(
        json!({"meshConfig": {"accessLogFormat": format}}),
        &[],
        &["spec.meshConfig.accessLogFormat: it has 20"],
    );
}

#[test]
fn what_would_be_lost_or_read_by_nobody_is_told() {
    let twice = json!([{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]);
    check(
        json!({"components": {"pilot": {"k8s": {"env": twice}}}}),
        &[],
        &["spec.components.pilot.k8s.env[1].name: there are two variables A, remove one"],
    );
    let networks = json!({
        "a": {"endpoints": [{"fromRegistry": "r"}], "gateways": [{"address": "192.0.2.1", "port": 443}]},
        "b": {"endpoints": 5},
        "c": {"gatways": []},
    });
    check(
        json!({"values": {"global": {"meshNetworks": networks}}}),
        &[],
        &[
            "spec.values.global.meshNetworks.b",
            "spec.values.global.meshNetworks.c.gatways: unknown field",
        ],
    );
    let overlays = json!([{"patches": []}]);
    check(
        json!({"components": {"pilot": {"k8s": {"overlays": overlays}}}}),
        &[],
        &["spec.components.pilot.k8s.overlays[0].kind: it is missing"],
    );
    let document = json!({
        "apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator", "metadata": 5,
    });
    let issues = crate::read(&[("file".to_owned(), document)], &[]).unwrap_err();
    assert_eq!(issues[0].message, "it is a number and must be an object");
}

#[test]
fn of_many_faults_the_first_are_told_each_and_the_others_together() {
    let many: Vec<Value> = (0..300).map(|at| json!({"name": "same", "port": 1000 + at})).collect();
    let told = errors(ports(json!(many)), &[]);
    let at = "spec.components.ingressGateways[0].k8s.service.ports";
    assert!((10..299).contains(&told.len()), "{}", told.len());
    assert!(told[0].starts_with(&format!("{at}[0].name: there are two ports same")), "{}", told[0]);
    let last = told.last().unwrap();
    assert!(last.starts_with(&format!("{at}: there are two ports same")), "{last}");
}

#[test]
fn settings_by_which_every_injected_pod_would_be_refused_are_told_where_they_are() {
    let proxy = |value: Value| json!({"values": {"global": {"proxy": value}}});
    check(
        proxy(json!({"resources": {"requests": {"cpu": "500m"}, "limits": {"cpu": "100m"}}})),
        &[],
        &["spec.values.global.proxy.resources.requests.cpu: \"500m\" is more than the limit"],
    );
    check(
        proxy(json!({"statusPort": 15021})),
        &[],
        &["spec.values.global.proxy.statusPort: statusPort: 15021 is the proxy's port for health"],
    );
    check(
        json!({}),
        &[("values.global.proxy_init.resources.limits.memory", "1Mi")],
        &["spec.values.global.proxy_init.resources.limits.memory: \"10Mi\" is more than"],
    );
    let annotations = json!({"injectedAnnotations": {"bad key": "x"}});
    let injector = json!({"values": {"sidecarInjectorWebhook": annotations}});
    for revision in ["", "canary"] {
        let at =
            "spec.values.sidecarInjectorWebhook.injectedAnnotations.bad key: \"bad key\" is no";
        check(injector.clone(), &[("revision", revision)], &[at]);
    }
}

#[test]
fn a_gateway_that_a_setting_makes_needs_a_name() {
    let at = "components.ingressGateways[-1]";
    let told = "spec.components.ingressGateways[1].name: it is missing, every gateway has a name";
    check(json!({}), &[(&format!("{at}.enabled"), "true")], &[told]);
    check(json!({}), &[(&format!("{at}.name"), "own")], &[]);
    // A file's is told of where it is in the file.
    let told = "spec.components.ingressGateways[0].name: it is missing, every gateway has a name";
    check(ingress(json!({"enabled": true})), &[], &[told]);
}
