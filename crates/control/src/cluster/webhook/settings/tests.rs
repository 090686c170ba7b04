//! The state of the settings, event by event.

use std::sync::Arc;

use lateen_inject::{ProxyConfigs, proxy_config_kind};
use lateen_kube::watch::Event;
use lateen_model::host::Domain;
use serde_json::{Value, json};

use super::{Injector, NativeSidecars, State, kind, minor};
use crate::cluster::context::Place;

impl Injector {
    /// One with whose settings nothing can be injected.
    pub fn troubled(trouble: &str) -> Self {
        Injector { trouble: Some(trouble.into()), ..Injector::default() }
    }
}

fn place(revision: &str) -> Arc<Place> {
    Arc::new(Place {
        namespace: "mesh".to_owned(),
        pod: "istiod-0".to_owned(),
        revision: revision.to_owned(),
        service_account: "istiod".to_owned(),
        domain: Domain::default(),
        cluster: "Kubernetes".to_owned(),
    })
}

fn map(data: Value) -> Event {
    Event::Replace(kind("ConfigMap"), vec![json!({"metadata": {"name": "m"}, "data": data})])
}

fn node(name: &str, version: &str) -> Value {
    json!({"metadata": {"name": name}, "status": {"nodeInfo": {"kubeletVersion": version}}})
}

fn nodes(versions: &[&str]) -> Event {
    let nodes = versions.iter().enumerate().map(|(at, version)| node(&format!("n{at}"), version));
    Event::Replace(kind("Node"), nodes.collect())
}

fn state(native: NativeSidecars) -> State {
    let mut state = State::new(place("blue"), native);
    assert!(!state.mesh(map(json!({"mesh": "trustDomain: shop.example"}))));
    assert!(state.injector(map(json!({"values": "{\"global\": {\"hub\": \"registry/mesh\"}}"}))));
    assert!(state.proxy_config(Event::Replace(proxy_config_kind(), Vec::new())));
    state
}

fn is_native(state: &State, pod: &Value) -> bool {
    state.current().unwrap().settings(pod).native_sidecar
}

#[test]
fn settings_come_of_both_config_maps_and_this_process_place() {
    let mut state = state(NativeSidecars::Stable);
    assert!(state.current().is_none(), "the nodes are not known yet");
    assert!(state.node(nodes(&["v1.34.0"])));
    let injector = state.current().unwrap();
    let settings = injector.settings(&json!({}));
    assert_eq!(settings.trust_domain, "shop.example");
    assert_eq!(settings.image.hub, "registry/mesh");
    assert_eq!(settings.control_plane(), "istiod-blue.mesh.svc:15012");
}

#[test]
fn a_config_map_with_errors_leaves_the_settings_from_before() {
    let mut state = state(NativeSidecars::Never);
    assert!(!state.injector(map(json!({"values": "{\"global\": {\"hub\": [1]}}"}))));
    assert_eq!(state.current().unwrap().settings(&json!({})).image.hub, "registry/mesh");
    assert!(state.injector(map(json!({"values": "{\"global\": {\"hub\": \"other\"}}"}))));
    assert_eq!(state.current().unwrap().settings(&json!({})).image.hub, "other");
}

#[test]
fn a_deleted_config_map_leaves_the_settings_from_before() {
    let mut state = state(NativeSidecars::Never);
    let gone = || Event::Delete(kind("ConfigMap"), json!({"metadata": {"name": "m"}}));
    assert!(!state.injector(gone()) && !state.mesh(gone()));
    assert!(!state.injector(Event::Replace(kind("ConfigMap"), Vec::new())));
    let injector = state.current().unwrap();
    let settings = injector.settings(&json!({}));
    assert_eq!((&*settings.image.hub, &*settings.trust_domain), ("registry/mesh", "shop.example"));
    assert!(state.mesh(map(json!({"mesh": "trustDomain: other.example"}))));
    assert_eq!(state.current().unwrap().settings(&json!({})).image.hub, "registry/mesh");
}

#[test]
fn without_settings_from_before_those_with_errors_inject_nothing() {
    let mut state = State::new(place("blue"), NativeSidecars::Never);
    assert!(state.proxy_config(Event::Replace(proxy_config_kind(), Vec::new())));
    assert!(!state.mesh(map(json!({}))));
    let wrong = |hub: &str| map(json!({"values": format!("{{\"global\": {{\"hub\": {hub}}}}}")}));
    assert!(state.injector(wrong("[1]")));
    let trouble = |state: &State| state.current().unwrap().trouble().map(str::to_owned);
    assert!(trouble(&state).unwrap().contains("hub"), "{:?}", trouble(&state));
    assert!(state.injector(wrong("[2]")));
    assert!(trouble(&state).is_some(), "they are no better");
    assert!(state.injector(wrong("\"good\"")));
    assert_eq!(trouble(&state), None);
    assert_eq!(state.current().unwrap().settings(&json!({})).image.hub, "good");
}

#[test]
fn sidecars_are_native_where_every_node_has_them() {
    let pod = json!({"spec": {}});
    for (native, versions, expected) in [
        (NativeSidecars::Stable, &["v1.33.0", "v1.34.2+k3s1"][..], true),
        (NativeSidecars::Stable, &["v1.33.0", "v1.32.9"], false),
        (NativeSidecars::Stable, &["v1.33.0", "custom"], false),
        (NativeSidecars::Stable, &[], false),
        (NativeSidecars::Wanted, &["v1.29.0", "v1.32.9"], true),
        (NativeSidecars::Wanted, &["v1.28.0"], false),
        (NativeSidecars::Never, &["v1.34.0"], false),
    ] {
        let mut state = state(native);
        state.node(nodes(versions));
        assert_eq!(is_native(&state, &pod), expected, "{native:?} {versions:?}");
    }
}

#[test]
fn the_variable_among_the_values_is_no_trouble() {
    for word in ["auto", "", "sometimes"] {
        let mut state = State::new(place("blue"), NativeSidecars::of_variable(word));
        assert!(!state.mesh(map(json!({}))));
        let values = json!({"pilot": {"env": {"ENABLE_NATIVE_SIDECARS": word}}}).to_string();
        assert!(state.injector(map(json!({"values": values}))));
        assert!(state.proxy_config(Event::Replace(proxy_config_kind(), Vec::new())));
        assert!(state.node(nodes(&["v1.34.0"])));
        assert_eq!(state.current().unwrap().trouble(), None, "{word}");
        assert!(is_native(&state, &json!({"spec": {}})), "{word}");
    }
}

#[test]
fn nodes_come_and_go_and_a_pod_may_name_its_own() {
    let mut state = state(NativeSidecars::Stable);
    state.node(nodes(&["v1.34.0"]));
    assert!(state.node(Event::Put(kind("Node"), node("old", "v1.30.1"))));
    assert!(!state.node(Event::Put(kind("Node"), node("old", "v1.30.1"))), "only a heartbeat");
    assert!(!is_native(&state, &json!({"spec": {}})));
    assert!(is_native(&state, &json!({"spec": {"nodeName": "n0"}})));
    assert!(!is_native(&state, &json!({"spec": {"nodeName": "old"}})));
    assert!(state.node(Event::Delete(kind("Node"), node("old", "v1.30.1"))));
    assert!(is_native(&state, &json!({"spec": {}})));
}

#[test]
fn without_nodes_sidecars_are_plain() {
    let mut state = state(NativeSidecars::Stable);
    assert!(state.without_lists());
    assert!(!is_native(&state, &json!({})));
}

#[test]
fn proxy_configs_are_followed_and_waited_for_as_long_as_nodes() {
    let object = |threads: i32| {
        json!({
            "metadata": {"name": "all", "namespace": "shop"},
            "spec": {"concurrency": threads},
        })
    };
    let mut state = State::new(place("blue"), NativeSidecars::Never);
    assert!(!state.mesh(map(json!({}))));
    assert!(state.injector(map(json!({}))));
    assert!(state.current().is_none(), "ProxyConfigs are not known yet");
    let put = |threads| Event::Put(proxy_config_kind(), object(threads));
    assert!(state.proxy_config(Event::Replace(proxy_config_kind(), vec![object(2)])));
    assert!(!state.proxy_config(put(2)), "nothing has changed");
    assert!(state.proxy_config(put(3)));
    let objects =
        |state: &State| state.current().unwrap().settings(&json!({})).proxy_configs.clone();
    let with = objects(&state);
    assert_ne!(*with, ProxyConfigs::default());
    assert!(state.mesh(map(json!({"mesh": "trustDomain: a"}))));
    assert_eq!(objects(&state), with, "they stay when the settings change");
    assert!(state.proxy_config(Event::Unserved(proxy_config_kind())));
    assert_eq!(*objects(&state), ProxyConfigs::default());

    let mut state = State::new(place("blue"), NativeSidecars::Never);
    state.mesh(map(json!({})));
    state.injector(map(json!({})));
    assert!(state.without_lists());
    assert!(state.current().is_some());
}

#[test]
fn versions_are_read() {
    for (version, expected) in [
        ("v1.34.2", Some(34)),
        ("1.33", Some(33)),
        ("v1.33+", Some(33)),
        ("v2.1.0", None),
        ("v1.x", None),
        ("", None),
        ("v1.99999999999", None),
    ] {
        assert_eq!(minor(version), expected, "{version}");
    }
}
