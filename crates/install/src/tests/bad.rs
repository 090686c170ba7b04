//! What cannot be installed, with the words that say why.

use lateen_testkit::fuzz::{fuzz, objects};
use serde_json::{Value, json};

use crate::{read, render};

/// The errors of a spec, as `path: message`.
pub(super) fn errors(spec: Value, set: &[(&str, &str)]) -> Vec<String> {
    let document = json!({
        "apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator", "spec": spec,
    });
    let set: Vec<(String, String)> =
        set.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())).collect();
    let issues = match read(&[("file".to_owned(), document)], &set) {
        Ok(plan) => render(&plan).1,
        Err(issues) => issues,
    };
    let wrong = issues.into_iter().filter(|issue| issue.is_error());
    wrong.map(|issue| format!("{}: {}", issue.path, issue.message)).collect()
}

#[track_caller]
fn check(spec: Value, expected: &[&str]) {
    assert_eq!(errors(spec, &[]), expected);
}

fn ingress(gateway: Value) -> Value {
    json!({"components": {"ingressGateways": [gateway]}})
}

#[test]
fn an_unknown_field_names_the_nearest() {
    check(
        json!({"meshConfg": {}}),
        &["spec.meshConfg: unknown field, did you mean spec.meshConfig?"],
    );
    check(
        json!({"values": {"global": {"proxy": {"loglevel": "debug"}}}}),
        &[
            "spec.values.global.proxy.loglevel: unknown field, did you mean spec.values.global.proxy.logLevel?",
        ],
    );
    check(
        ingress(json!({"name": "a", "k8s": {"service": {"externalIps": ["1.2.3.4"]}}})),
        &[
            "spec.components.ingressGateways[0].k8s.service.externalIps: unknown field, did you mean \
           spec.components.ingressGateways[0].k8s.service.externalIPs?",
        ],
    );
    check(
        json!({"meshConfig": {"defaultConfig": {"concurency": 2}}}),
        &["spec.meshConfig.defaultConfig.concurency: unknown field, did you mean \
           spec.meshConfig.defaultConfig.concurrency?"],
    );
}

#[test]
fn a_cluster_domain_that_is_none_is_refused() {
    let spec = |domain: &str| json!({"values": {"global": {"proxy": {"clusterDomain": domain}}}});
    check(
        spec("a b"),
        &["spec.values.global.proxy.clusterDomain: \"a b\" is no DNS domain such as cluster.local"],
    );
    check(spec("k8s.corp.example"), &[]);
}

#[test]
fn a_wrong_type_is_told_with_the_right_one() {
    let pilot = |k8s: Value| json!({"components": {"pilot": {"k8s": k8s}}});
    check(
        json!({"components": {"pilot": {"enabled": "yes"}}}),
        &["spec.components.pilot.enabled: it is a text and must be true or false"],
    );
    check(
        pilot(json!({"replicaCount": "2"})),
        &["spec.components.pilot.k8s.replicaCount: it is a text and must be a whole number"],
    );
    check(
        pilot(json!({"env": [{"name": "A", "value": 6}]})),
        &[
            "spec.components.pilot.k8s.env[0].value: it is a number and must be a text (in quotes, if it looks like something else)",
        ],
    );
    check(
        pilot(json!({"resources": {"requests": {"cpu": []}}})),
        &[
            "spec.components.pilot.k8s.resources.requests.cpu: it is a list and must be a quantity such as 100m",
        ],
    );
    check(
        json!({"components": {"ingressGateways": {"name": "a"}}}),
        &["spec.components.ingressGateways: it is an object and must be a list"],
    );
    check(
        json!({"values": {"global": {"imagePullPolicy": "always"}}}),
        &["spec.values.global.imagePullPolicy: \"always\" is none of Always, IfNotPresent, Never"],
    );
    check(
        json!({"values": {"global": {"outboundTrafficPolicy": "REGISTRY_ONLY"}}}),
        &["spec.values.global.outboundTrafficPolicy: it is a text and must be an object"],
    );
    check(
        json!({"meshConfig": {"connectTimeout": "soon"}}),
        &[
            "spec.meshConfig.connectTimeout: \"soon\" is not a duration, write a number with a unit, for example 1.5s, 300ms or 1h2m",
        ],
    );
}

#[test]
fn what_is_not_offered_is_refused() {
    check(
        json!({"profile": "ambient"}),
        &[
            "spec.profile: the profile ambient is not offered: there are no sidecar-less pods here, \
           choose default and label namespaces with istio-injection=enabled",
        ],
    );
    check(
        json!({"profile": "fancy"}),
        &["spec.profile: unknown profile \"fancy\". There are default, demo, empty, minimal"],
    );
    check(
        json!({"components": {"ztunnel": {"enabled": true}}}),
        &["spec.components.ztunnel.enabled: ambient mode is not offered: label namespaces with \
           istio-injection=enabled for sidecars"],
    );
    check(json!({"components": {"cni": {"enabled": false}}}), &[]);
}

#[test]
fn two_gateways_of_one_name_are_one_too_many() {
    let twins = json!([{"name": "a", "enabled": true}, {"name": "a", "enabled": true}]);
    check(
        json!({"components": {"ingressGateways": twins}}),
        &[
            "spec.components.ingressGateways[1]: there are two gateways a in one namespace, rename one",
        ],
    );
    let (a, b) = (json!([{"name": "a", "enabled": true}]), json!([{"name": "a", "enabled": true}]));
    check(
        json!({"components": {"ingressGateways": a, "egressGateways": b}}),
        &[
            "spec.components.egressGateways[0]: there are two gateways a in namespace istio-system, rename one",
        ],
    );
    let apart = json!([
        {"name": "a", "namespace": "x", "enabled": true},
        {"name": "a", "namespace": "y", "enabled": true},
    ]);
    check(json!({"components": {"ingressGateways": apart}}), &[]);
    check(
        ingress(json!({"name": "A B", "enabled": true})),
        &[
            "spec.components.ingressGateways[0].name: \"A B\" is no name: use at most 63 of a-z, 0-9 \
           and hyphens",
        ],
    );
    check(
        ingress(json!({"enabled": true})),
        &["spec.components.ingressGateways[0].name: it is missing, every gateway has a name"],
    );
}

#[test]
fn of_two_ports_with_one_number_none_is_lost_without_a_word() {
    let ports = json!([
        {"name": "a", "port": 80}, {"name": "b", "port": 80, "protocol": "TCP"},
        {"name": "c", "port": 80, "protocol": "UDP"},
    ]);
    check(
        ingress(json!({"name": "istio-ingressgateway", "k8s": {"service": {"ports": ports}}})),
        &[
            "spec.components.ingressGateways[0].k8s.service.ports[1].port: there are two ports 80 of TCP, remove one",
        ],
    );
}

#[test]
fn other_objects_names_and_paths_are_refused() {
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment"});
    let issues = read(&[("f.yaml".to_owned(), deployment)], &[]).unwrap_err();
    assert_eq!(
        (issues[0].path.as_str(), issues[0].message.as_str()),
        (
            "f.yaml",
            "Deployment of \"apps/v1\" cannot be installed, only IstioOperator of \
                    \"install.istio.io/v1alpha1\" can"
        )
    );
    check(
        json!({"revision": "1.2"}),
        &["spec.revision: \"1.2\" is no name: use at most 63 of a-z, 0-9 and hyphens"],
    );
    assert_eq!(
        errors(json!({}), &[("values.global.hubb", "x"), ("a[", "y")]),
        [
            "spec.values.global.hubb: unknown field, did you mean spec.values.global.hub?",
            "--set: \"a[\" has a bracket that is not [0], [name:value], [value] or [:value]",
        ]
    );
}

#[test]
fn an_overlay_of_nothing_is_told_with_what_there_is() {
    let overlay = |name: &str, path: &str| {
        let patches = json!([{"path": path, "value": 1}]);
        let overlays = json!([{"kind": "Deployment", "name": name, "patches": patches}]);
        json!({"components": {"pilot": {"k8s": {"overlays": overlays}}}})
    };
    check(
        overlay("istio", "spec.replicas"),
        &[
            "spec.components.pilot.k8s.overlays[0]: there is no Deployment istio in this component, \
           did you mean Deployment istiod?",
        ],
    );
    check(
        overlay("istiod", "spec.template.spec.containers[name:x].image"),
        &["spec.components.pilot.k8s.overlays[0].patches[0].path: Deployment istiod: \
             spec.template.spec.containers[name:x]: no such item, there are: discovery"],
    );
}

#[test]
fn settings_that_lack_something_are_told_where_they_are() {
    check(
        ingress(
            json!({"name": "a", "enabled": true, "k8s": {"service": {"ports": [{"name": "http"}]}}}),
        ),
        &["spec.components.ingressGateways[0].k8s.service.ports[0].port: it is missing"],
    );
    check(
        json!({"components": {"pilot": {"k8s": {"volumes": [{"emptyDir": {}}]}}}}),
        &["spec.components.pilot.k8s.volumes[0].name: it is missing"],
    );
}

#[test]
fn all_that_is_wrong_is_told_at_once_and_where_it_was_written() {
    let service = json!({"ports": [{"name": "http"}], "type": "Nodeport"});
    let gateway = json!({"service": service, "replicaCount": "two"});
    let mut told = errors(
        json!({
            "meshConfg": {},
            "components": {
                "ingressGateways": [{"name": "a", "enabled": true, "k8s": gateway}],
                "pilot": {"k8s": {"resources": {"requests": {"memory": "1x"}}}},
            },
            "values": {
                "pilot": {"autoscaleMin": 7},
                "global": {"proxy": {"env": {"INBOUND_CAPTURE_PORT": "x"}}},
            },
        }),
        &[("components.pilot.k8s.podDisruptionBudget.minAvailable", "some")],
    );
    told.sort();
    let at = "spec.components.ingressGateways[0].k8s";
    assert_eq!(
        told,
        [
            format!("{at}.replicaCount: it is a text and must be a whole number"),
            format!("{at}.service.ports[0].port: it is missing"),
            format!(
                "{at}.service.type: \"Nodeport\" is none of ClusterIP, NodePort, LoadBalancer"
            ),
            "spec.components.pilot.k8s.podDisruptionBudget.minAvailable: \"some\" is neither a number \
             nor a share such as 25%"
                .to_owned(),
            "spec.components.pilot.k8s.resources.requests.memory: \"1x\" is not a quantity: write it as \
             in 100m, 0.5 or 128Mi"
                .to_owned(),
            "spec.meshConfg: unknown field, did you mean spec.meshConfig?".to_owned(),
            "spec.values.global.proxy.env.INBOUND_CAPTURE_PORT: \"x\" is not a port: write a number up \
             to 65535"
                .to_owned(),
            "spec.values.pilot.autoscaleMin: 5 is less than minReplicas, 7 (spec.maxReplicas of \
             HorizontalPodAutoscaler istiod)"
                .to_owned(),
        ]
    );
}

#[test]
fn a_gateway_is_told_of_by_its_place_in_the_file() {
    let overlays = json!([{"kind": "Deployment", "name": "c", "patches": []}]);
    check(
        ingress(json!({"name": "b", "enabled": true, "k8s": {"overlays": overlays}})),
        &["spec.components.ingressGateways[0].k8s.overlays[0]: there is no Deployment c in this \
           component, did you mean Deployment b?"],
    );
}

#[test]
fn no_file_makes_the_reader_stumble() {
    let cases = ["notes", "old_gateway", "old_pilot", "old_global", "overlays", "two_gateways"];
    let samples: Vec<Value> =
        cases.iter().flat_map(|case| super::load(case)).map(|(_, document)| document).collect();
    fuzz(300, objects(samples), |document| {
        if let Ok(plan) = read(&[("file".to_owned(), document)], &[]) {
            render(&plan);
        }
    });
}

#[test]
fn of_several_files_the_one_that_is_wrong_is_named() {
    let file = |name: &str, spec: Value| {
        let document = json!({
            "apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator", "spec": spec,
        });
        (name.to_owned(), document)
    };
    let gateway = || ingress(json!({"name": "a", "k8s": {"replicaCount": "two"}}));
    let of = |files: &[(String, Value)]| -> Vec<String> {
        let issues = read(files, &[]).unwrap_err().into_iter();
        issues.map(|issue| format!("{}: {}", issue.path, issue.message)).collect()
    };
    let base =
        || file("base.yaml", json!({"profile": "minimal", "meshConfig": {"trustDomain": "a"}}));
    let wrong = || file("more.yaml", json!({"meshConfg": {}, "meshConfig": {"trustDomain": 1}}));
    let told = of(&[base(), wrong(), file("last.yaml", json!({"tag": "v1"}))]);
    let unknown = "spec.meshConfg: unknown field, did you mean spec.meshConfig? (in more.yaml)";
    assert!(told.iter().any(|one| one == unknown), "{told:?}");
    let told = of(&[base(), file("gateway.yaml", gateway())]);
    assert!(told.iter().all(|one| one.ends_with("(in gateway.yaml)")), "{told:?}");
    let told = of(&[file("one.yaml", gateway()), file("two.yaml", gateway())]);
    assert!(told.iter().all(|one| one.ends_with("(in one.yaml or two.yaml)")), "{told:?}");
    let told = of(&[wrong()]);
    assert!(told.iter().all(|one| !one.contains("more.yaml")), "{told:?}");
}
