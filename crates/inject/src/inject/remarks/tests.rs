//! Each remark where it is due, and none where it is not.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{PROXY_CONTAINER, Settings, Subject, inject, pod};

fn injected(metadata: &Value, spec: &Value) -> (Vec<String>, Value) {
    injected_by(&Settings::default(), metadata, spec)
}

fn injected_by(settings: &Settings, metadata: &Value, spec: &Value) -> (Vec<String>, Value) {
    let pod = json!({"metadata": metadata, "spec": spec});
    let labels = BTreeMap::new();
    let subject = Subject { namespace: "shop", namespace_labels: &labels, pod: &pod };
    let injected = inject(&subject, settings).unwrap();
    let issues = injected.issues.iter();
    (issues.map(|issue| format!("{} {}", issue.code, issue.path)).collect(), injected.pod)
}

fn named() -> Value {
    json!({"name": "web"})
}

#[test]
fn a_volume_that_gives_way_is_told() {
    let app = json!({"name": "app", "image": "app"});
    let volumes =
        json!([{"name": "mine", "emptyDir": {}}, {"name": "istio-token", "emptyDir": {}}]);
    let (issues, pod) = injected(&named(), &json!({"containers": [app], "volumes": volumes}));
    assert_eq!(issues, ["LTN0203 spec.volumes[1]"]);
    let volumes = json!([{"name": "istio-data", "emptyDir": {}}]);
    let (issues, _) = injected(&named(), &json!({"containers": [app], "volumes": volumes}));
    assert!(issues.is_empty(), "it is the same volume: {issues:?}");
    let (issues, _) = injected(&pod["metadata"], &pod["spec"]);
    assert!(issues.is_empty(), "injected again: {issues:?}");
}

#[test]
fn an_application_that_runs_as_the_proxy_is_told() {
    let security = json!({"runAsUser": 1337});
    let init = json!({"name": "seed", "image": "x", "securityContext": security});
    let app = json!({"name": "app", "image": "app"});
    let spec = |app: &Value, pod: &Value| json!({"initContainers": [init], "containers": [app], "securityContext": pod});
    let (issues, _) = injected(&named(), &spec(&app, &json!({})));
    assert!(issues.is_empty(), "{issues:?}");
    let expected = ["IST0144 spec.containers[0].securityContext.runAsUser"];
    assert_eq!(injected(&named(), &spec(&app, &security)).0, expected);
    let mut own = app.clone();
    own["securityContext"] = json!({"runAsUser": 5});
    assert!(injected(&named(), &spec(&own, &security)).0.is_empty());
    own["securityContext"] = security.clone();
    assert_eq!(injected(&named(), &spec(&own, &json!({}))).0, expected);
    own["securityContext"] = json!({"runAsGroup": 1337});
    let expected = ["IST0144 spec.containers[0].securityContext.runAsGroup"];
    assert_eq!(injected(&named(), &spec(&own, &json!({}))).0, expected);
    let none = json!({"name": "web", "annotations": {"sidecar.istio.io/interceptionMode": "NONE"}});
    assert!(injected(&none, &spec(&app, &security)).0.is_empty(), "nothing is intercepted");
}

#[test]
fn an_image_of_istio_s_in_the_pod_s_own_proxy_container_is_replaced() {
    let app = json!({"name": "app", "image": "app"});
    let image = |image: &str| {
        let own = json!({"name": "istio-proxy", "image": image});
        let (issues, pod) = injected(&named(), &json!({"containers": [app, own]}));
        let proxy = pod::container(&pod, PROXY_CONTAINER).unwrap();
        (issues, proxy["image"].as_str().unwrap().to_owned())
    };
    let lateen = Settings::default().image.reference();
    let told = vec!["LTN0201 spec.containers[1].image".to_owned()];
    assert_eq!(image("docker.io/istio/proxyv2:1.30"), (told, lateen.clone()));
    assert_eq!(image("auto"), (vec![], lateen));
    assert_eq!(image("hub/mine:1"), (vec![], "hub/mine:1".to_owned()));
}

#[test]
fn a_label_of_namespaces_on_a_pod_is_told() {
    let labels = json!({"name": "web", "labels": {"istio-injection": "disabled"}});
    let (issues, _) = injected(&labels, &json!({"containers": [{"name": "app"}]}));
    assert_eq!(issues, ["IST0107 metadata.labels[\"istio-injection\"]"]);
}

#[test]
fn an_init_container_that_is_not_there_is_told() {
    let name = "sidecar.istio.io/init-containers-before-proxy";
    let metadata = |value: &str| json!({"name": "web", "annotations": {name: value}});
    let spec = json!({"containers": [{"name": "app"}], "initContainers": [{"name": "seed"}]});
    assert!(injected(&metadata("seed, "), &spec).0.is_empty());
    let expected = [format!("IST0125 metadata.annotations[{name:?}]")];
    assert_eq!(injected(&metadata("seed,sed"), &spec).0, expected);
}

#[test]
fn who_comes_before_the_proxy_and_after_the_node_agent_s_rules_is_told() {
    let name = "sidecar.istio.io/init-containers-before-proxy";
    let mut metadata = json!({"name": "web", "annotations": {name: "seed"}});
    let seed = |user: u64| json!({"name": "seed", "securityContext": {"runAsUser": user}});
    let spec = |user| json!({"containers": [{"name": "app"}], "initContainers": [seed(user)]});
    let settings = Settings { native_sidecar: true, node_agent: true, ..Settings::default() };
    let expected = [format!("LTN0203 metadata.annotations[{name:?}]")];
    assert_eq!(injected_by(&settings, &metadata, &spec(5)).0, expected);
    assert!(injected_by(&settings, &metadata, &spec(1337)).0.is_empty(), "it is let through");
    let by_itself = Settings { node_agent: false, ..settings.clone() };
    assert!(injected_by(&by_itself, &metadata, &spec(5)).0.is_empty(), "the rules come later");
    metadata["annotations"]["sidecar.istio.io/interceptionMode"] = json!("NONE");
    assert!(injected_by(&settings, &metadata, &spec(5)).0.is_empty(), "there are no rules");
}
