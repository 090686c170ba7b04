//! Scrape annotations to the agent and back.

use serde_json::{Value, json};

use super::{Merged, merge, restore};

fn pod(annotations: Value) -> Value {
    json!({"metadata": {"annotations": annotations}, "spec": {}})
}

fn agent() -> Value {
    json!({
        "prometheus.io/scrape": "true",
        "prometheus.io/path": "/stats/prometheus",
        "prometheus.io/port": "15020",
    })
}

#[test]
fn a_pod_without_annotations_is_scraped_at_the_agent() {
    let mut pod = json!({"metadata": {}, "spec": {}});
    assert_eq!(merge(&mut pod, 15020), Merged::default());
    assert_eq!(pod["metadata"]["annotations"], agent());
    restore(&mut pod, None);
    assert_eq!(pod["metadata"]["annotations"], json!({}));
}

#[test]
fn the_application_s_own_annotations_go_to_the_agent_in_any_spelling() {
    let mut pod =
        pod(json!({"prometheus-io/port": "9090", "prometheus.io/scrape": "true", "x": "y"}));
    let own = merge(&mut pod, 15020).own.unwrap();
    let expected = json!({"scrape": "true", "path": "", "port": "9090"});
    assert_eq!(serde_json::from_str::<Value>(&own).unwrap(), expected);
    let mut annotations = agent();
    annotations["x"] = json!("y");
    assert_eq!(pod["metadata"]["annotations"], annotations);
    restore(&mut pod, Some(&own));
    let expected = json!({"x": "y", "prometheus.io/port": "9090", "prometheus.io/scrape": "true"});
    assert_eq!(pod["metadata"]["annotations"], expected);
}

#[test]
fn a_pod_that_asks_not_to_be_scraped_or_points_to_the_agent_stays() {
    for annotations in [json!({"prometheus.io/scrape": "false"}), agent()] {
        let mut pod = pod(annotations.clone());
        assert_eq!(merge(&mut pod, 15020), Merged::default());
        assert_eq!(pod["metadata"]["annotations"], annotations);
    }
}

#[test]
fn several_targets_go_to_the_agent_with_the_first_as_the_one() {
    let targets = "prometheus.istio.io/scrape-targets";
    let list = "8080:/metrics,9100:/custom-metrics";
    let mut pod = pod(json!({"prometheus.io/scrape": "true", targets: list}));
    let before = pod.clone();
    let own = merge(&mut pod, 15020).own.unwrap();
    let expected = r#"{"scrape":"true","path":"/metrics","port":"8080","targets":[{"port":"8080","path":"/metrics"},{"port":"9100","path":"/custom-metrics"}]}"#;
    assert_eq!(own, expected);
    assert_eq!(pod["metadata"]["annotations"], agent());
    restore(&mut pod, Some(&own));
    assert_eq!(pod, before);
}

#[test]
fn a_wrong_list_of_targets_stays_and_leaves_the_one_port() {
    let targets = "prometheus.istio.io/scrape-targets";
    let mut pod = pod(json!({"prometheus.io/port": "9090", targets: "8080,15090:/x"}));
    let merged = merge(&mut pod, 15020);
    assert!(merged.wrong.unwrap().contains("15090"));
    assert_eq!(merged.own.as_deref(), Some(r#"{"scrape":"","path":"","port":"9090"}"#));
    assert_eq!(pod["metadata"]["annotations"][targets], "8080,15090:/x");
}
