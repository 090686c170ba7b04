//! Kernel settings, security and DNS of the pod around the proxy.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{Settings, Subject, inject, patch, pod};

fn injected(pod: &Value, settings: &Settings) -> Value {
    let labels = BTreeMap::new();
    let subject = Subject { namespace: "shop", namespace_labels: &labels, pod };
    let first = inject(&subject, settings).unwrap().pod;
    let again = inject(&Subject { pod: &first, ..subject }, settings).unwrap().pod;
    assert_eq!(patch(&first, &again), json!([]), "not idempotent");
    first
}

fn settings(values: Value) -> Settings {
    let (settings, issues) = Settings::from_texts(&values.to_string(), "", "");
    assert_eq!(issues, []);
    settings
}

fn gateway(container: Value, spec: Value) -> Value {
    let mut own = json!({"name": "istio-proxy", "image": "auto"});
    own.as_object_mut().unwrap().extend(container.as_object().unwrap().clone());
    let mut pod = json!({
        "metadata": {"name": "gw", "annotations": {"inject.istio.io/templates": "gateway"}},
        "spec": {"containers": [own]},
    });
    pod["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    pod
}

fn security(container: Value, spec: Value, settings: &Settings) -> Value {
    injected(&gateway(container, spec), settings)["spec"]["securityContext"].clone()
}

#[test]
fn a_gateway_may_listen_on_low_ports_whatever_it_declares() {
    let plain = Settings::default();
    let sysctls = json!([{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]);
    for ports in [json!([]), json!([{"containerPort": 8080}]), json!([{"containerPort": 443}])] {
        let container = json!({"ports": ports});
        assert_eq!(security(container, json!({}), &plain), json!({"sysctls": sysctls}));
    }
    let own = json!({"securityContext": {"fsGroup": 1}});
    assert_eq!(security(json!({}), own, &plain), json!({"fsGroup": 1, "sysctls": sysctls}));

    let own = json!({"sysctls": [{"name": "net.core.somaxconn", "value": "1024"}]});
    assert_eq!(security(json!({}), json!({"securityContext": own}), &plain), own);
    let root = json!({"securityContext": {"runAsUser": 0, "runAsNonRoot": false}});
    assert_eq!(security(root, json!({}), &plain), Value::Null);
}

#[test]
fn beside_a_security_of_the_values_a_low_port_must_be_declared() {
    let settings = settings(json!({"gateways": {"securityContext": {"fsGroup": 7}}}));
    let low = json!({"ports": [{"containerPort": 443}]});
    let sysctls = json!([{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]);
    let expected = json!({"fsGroup": 7, "sysctls": sysctls});
    assert_eq!(security(low, json!({}), &settings), expected);
    assert_eq!(security(json!({}), json!({}), &settings), json!({"fsGroup": 7}));
}

#[test]
fn a_gateway_s_security_is_the_values_under_its_own() {
    let profile = json!({"type": "RuntimeDefault"});
    let settings = settings(json!({"gateways": {
        "securityContext": {"fsGroup": 7, "runAsGroup": 8}, "seccompProfile": profile,
    }}));
    let own = json!({"securityContext": {"runAsGroup": 9}});
    let expected = json!({"fsGroup": 7, "runAsGroup": 9, "seccompProfile": profile});
    assert_eq!(security(json!({}), own, &settings), expected);

    let sidecar = json!({"metadata": {"name": "web"}, "spec": {"containers": [{"name": "app"}]}});
    assert_eq!(injected(&sidecar, &settings)["spec"]["securityContext"], Value::Null);
}

#[test]
fn a_seccomp_profile_is_on_both_containers_of_a_sidecar() {
    let profile = json!({"type": "Localhost", "localhostProfile": "p.json"});
    let values = json!({"global": {"proxy": {"seccompProfile": profile}}});
    let settings = settings(values);
    let web = json!({"metadata": {"name": "web"}, "spec": {"containers": [{"name": "app"}]}});
    for node_agent in [false, true] {
        let pod = injected(&web, &Settings { node_agent, ..settings.clone() });
        let init = if node_agent { "istio-validation" } else { "istio-init" };
        for name in ["istio-proxy", init] {
            let container = pod::container(&pod, name).unwrap();
            assert_eq!(container["securityContext"]["seccompProfile"], profile, "{name}");
        }
    }
}

#[test]
fn search_domains_come_after_the_pod_s_own() {
    let settings = settings(json!({"global": {"podDNSSearchNamespaces": [
        "global", "{{ valueOrDefault .DeploymentMeta.Namespace \"default\" }}.global", "own",
    ]}}));
    let mut pod = json!({"metadata": {"name": "web"}, "spec": {"containers": [{"name": "app"}]}});
    let searches = |pod: &Value| injected(pod, &settings)["spec"]["dnsConfig"].clone();
    assert_eq!(searches(&pod), json!({"searches": ["global", "shop.global", "own"]}));
    let options = json!([{"name": "ndots", "value": "2"}]);
    pod["spec"]["dnsConfig"] = json!({"searches": ["own"], "options": options});
    let expected = json!({"searches": ["own", "global", "shop.global"], "options": options});
    assert_eq!(searches(&pod), expected);
    assert_eq!(
        injected(&gateway(json!({}), json!({})), &settings)["spec"]["dnsConfig"],
        Value::Null
    );
}

#[test]
fn a_search_domain_that_is_none_is_named() {
    for wrong in ["{{ .Values.x }}.global", "a b", "{{ .DeploymentMeta.Namespace", ""] {
        let values = json!({"global": {"podDNSSearchNamespaces": ["global", wrong]}});
        let (settings, issues) = Settings::from_texts(&values.to_string(), "", "");
        assert_eq!(settings.dns_searches, ["global"]);
        assert_eq!(issues[0].path, "global.podDNSSearchNamespaces[1]", "{issues:?}");
    }
}
