//! What files of settings are taken, and what is told of those that are not.

use std::path::PathBuf;

use clap::Parser;
use serde_json::{Value, json};

use super::{Given, Part, entries};
use crate::inject::InjectCommand;
use crate::inject::source::Texts;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    command: InjectCommand,
}

/// What is told of two files with these texts; FILE stands for the path of either.
#[track_caller]
fn told(values: &str, mesh: &str) -> Vec<String> {
    let own = format!("lateen-given-{}-{:?}", std::process::id(), std::thread::current().id());
    let folder = std::env::temp_dir().join(own);
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, text: &str| -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (values, mesh) = (file("values", values), file("mesh", mesh));
    let mut command = Line::parse_from(["inject", "-f", "-"]).command;
    (command.values, command.mesh_config) = (Some(values), Some(mesh));
    let above = format!("{}/", folder.display());
    let told = Given::read(&command).1.iter().map(|line| line.replace(&above, "")).collect();
    std::fs::remove_dir_all(folder).unwrap();
    told
}

fn of(text: &str, part: Part) -> Result<Value, String> {
    entries(text.to_owned(), part)
}

#[test]
fn settings_come_plain_or_in_a_config_map() {
    let config_map = "kind: ConfigMap\ndata:\n  mesh: |\n    trustDomain: td\n  config: x\n";
    let data = of(config_map, Part::Mesh).unwrap();
    assert_eq!(
        (data["mesh"].as_str(), data["config"].as_str()),
        (Some("trustDomain: td\n"), Some("x"))
    );
    assert_eq!(of("trustDomain: td", Part::Mesh).unwrap(), json!({"mesh": "trustDomain: td"}));
    let error = of(config_map, Part::Values).unwrap_err();
    assert!(error.starts_with("the ConfigMap has no key values: give "), "{error}");
}

#[test]
fn the_config_of_the_injector_s_config_map_is_read_with_its_values() {
    let config_map = "kind: ConfigMap\ndata: {values: '{}', config: 'policy: disabled'}\n";
    let injector = of(config_map, Part::Values).unwrap();
    let texts = Texts::of(&injector, &Value::Null);
    assert_eq!((&*texts.config, &*texts.values, &*texts.mesh), ("policy: disabled", "{}", ""));
}

#[test]
fn another_document_is_told_what_it_is_and_what_is_wanted() {
    let operator = "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec: {}\n";
    for (text, reason) in [
        (
            operator,
            "it is an IstioOperator, of which spec.values alone is meant: give the injector's",
        ),
        ("apiVersion: v1\nkind: Pod\n", "it is a Pod: give the injector's values"),
        ("apiVersion: v1\nkind: List\nitems: []\n", "it is a List: give"),
        ("apiVersion: v1\n", "it is a Kubernetes object without kind: give"),
        ("", "it is empty: give"),
        ("# nothing\n---\n", "it is empty: give"),
        ("global: {}\n---\nglobal: {}\n", "it has 2 documents: give"),
        ("- 1\n", "it is no map of settings: give"),
        ("a: [\n", "it is not YAML: "),
        ("global: {hub: a, hub: b}\n", "the key hub is there twice, keep one of them"),
    ] {
        let error = of(text, Part::Values).unwrap_err();
        assert!(error.contains(reason), "{text:?}: {error}");
    }
    let error = of(operator, Part::Mesh).unwrap_err();
    assert!(error.contains("spec.meshConfig alone is meant: give MeshConfig"), "{error}");
}

#[test]
fn whatever_is_wrong_with_either_file_is_told_at_once_with_file_and_path() {
    let values = "global:\n  proxy:\n    logLevl: debug\n    includeOutboundPorts: x\n    resources:\n      \
                  requests: {cpu: lots}\n";
    let found = told(values, "trustDomian: a\ndefaultConfig: {concurrency: many}\n");
    for line in [
        "error: values: global.proxy.logLevl: unknown field, did you mean global.proxy.logLevel?",
        "error: values: global.proxy.resources.requests.cpu: \"lots\" is not a quantity: write it as in 100m, 0.5 or 128Mi",
        "error: mesh: trustDomian: unknown field, did you mean trustDomain?",
        "error: mesh: defaultConfig.concurrency: it is a text and must be a whole number",
    ] {
        assert!(found.iter().any(|told| told == line), "{line}: {found:#?}");
    }
    let ports = "error: values: global.proxy.includeOutboundPorts: ";
    assert_eq!(found.iter().filter(|told| told.starts_with(ports)).count(), 1, "{found:#?}");
    assert_eq!(found.len(), 5, "each once: {found:#?}");
    let found = told("apiVersion: v1\nkind: Pod\n", "- 1\n");
    let begins = ["values cannot be used: it is a Pod", "mesh cannot be used: it is no map"];
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().zip(begins).all(|(line, begin)| line.starts_with(begin)), "{found:?}");
    let wrapped = "kind: ConfigMap\ndata: {mesh: 'a: [', x: y}\n";
    let found = told("global: {}", wrapped);
    assert!(
        matches!(found.as_slice(), [one] if one.starts_with("error: mesh: it is not YAML")),
        "{found:?}"
    );
}

/// As `kubectl get configmap istio-sidecar-injector -o jsonpath={.data.values}` prints them of Istio's.
#[test]
fn values_of_an_installation_are_taken_as_they_are() {
    let values = json!({
        "gateways": {"seccompProfile": {}, "securityContext": {}},
        "global": {
            "hub": "docker.io/istio", "tag": "1.24.0", "imagePullSecrets": [], "istioNamespace": "mesh",
            "meshNetworks": {}, "proxy": {"image": "proxyv2", "tracer": "none", "resources": {"limits": {"cpu": "2000m"}}},
            "proxy_init": {"image": "proxyv2"}, "sds": {"token": {"aud": "istio-ca"}}, "sts": {"servicePort": 0},
        },
        "istio_cni": {"chained": true, "enabled": true},
        "pilot": {"cni": {"enabled": false}, "env": {}},
        "revision": "1-24", "revisionTags": ["prod"],
        "sidecarInjectorWebhook": {"reinvocationPolicy": "Never", "templates": {}, "defaultTemplates": []},
    });
    assert_eq!(told(&values.to_string(), "trustDomain: td\n"), Vec::<String>::new());
}

/// Of a version that has what is not known here, and settings of parts that injection has nothing to do with.
#[test]
fn only_the_values_that_injection_reads_are_checked() {
    let foreign = json!({
        "ambient": {"reconcileOnStartup": 1}, "base": {"newest": {}}, "pilot": {"autoscaleMin": "many", "futureField": 1},
        "gateways": {"istio-ingressgateway": {"no such": []}}, "global": {"waypointOfTheFuture": {"a": 1}},
        "ztunnel": "none",
    });
    assert_eq!(told(&foreign.to_string(), "trustDomain: td\n"), Vec::<String>::new());
    for (values, line) in [
        (
            "global: {proxi: {image: x}}",
            "error: values: global.proxi: unknown field, did you mean global.proxy?",
        ),
        ("global: {proxy: []}", "error: values: global.proxy: it is a list and must be an object"),
        ("pilot: {cni: {enabled: 7}}", "error: values: pilot.cni.enabled: "),
    ] {
        let found = told(values, "trustDomain: td\n");
        assert!(matches!(found.as_slice(), [one] if one.starts_with(line)), "{values}: {found:?}");
    }
}
