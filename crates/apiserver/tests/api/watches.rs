//! Watches: resuming, selectors, initial events, and history that is gone.

use serde_json::{Value, json};

use crate::harness::{Api, CONFIGS, SERVICES, config_map, service};

fn labelled(name: &str, label: &str) -> Value {
    let mut value = config_map(name, json!({}));
    value["metadata"]["labels"] = json!({"l": label});
    value
}

#[tokio::test]
async fn a_watch_resumes_after_a_restart_from_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let api = Api::start(dir.path()).await;
    let (_, first) = api.client.call("POST", CONFIGS, config_map("a", json!({}))).await;
    let rv = first["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    api.client.call("POST", CONFIGS, config_map("b", json!({}))).await;
    api.client.call("DELETE", &format!("{CONFIGS}/a"), Value::Null).await;
    api.stop().await;
    let api = Api::start(dir.path()).await;
    let mut watch = api.client.watch(&format!("{CONFIGS}?watch=1&resourceVersion={rv}")).await;
    assert_eq!(watch.step().await, ("ADDED".to_owned(), "b".to_owned()));
    assert_eq!(watch.step().await, ("DELETED".to_owned(), "a".to_owned()));
    api.client.call("POST", CONFIGS, config_map("c", json!({}))).await;
    assert_eq!(watch.step().await, ("ADDED".to_owned(), "c".to_owned()));
}

#[tokio::test]
async fn objects_come_and_go_as_they_start_and_stop_matching() {
    let dir = tempfile::tempdir().unwrap();
    let api = Api::start(dir.path()).await;
    let (_, list) = api.client.get(CONFIGS).await;
    let rv = list["metadata"]["resourceVersion"].as_str().unwrap();
    let path = format!("{CONFIGS}?watch=1&resourceVersion={rv}&labelSelector=l%3Dyes");
    let mut watch = api.client.watch(&path).await;
    api.client.call("POST", CONFIGS, labelled("a", "no")).await;
    for label in ["yes", "no"] {
        api.client.call("PUT", &format!("{CONFIGS}/a"), labelled("a", label)).await;
    }
    api.client.call("POST", CONFIGS, labelled("b", "yes")).await;
    assert_eq!(watch.step().await, ("ADDED".to_owned(), "a".to_owned()));
    assert_eq!(watch.step().await, ("DELETED".to_owned(), "a".to_owned()));
    assert_eq!(watch.step().await, ("ADDED".to_owned(), "b".to_owned()));
}

#[tokio::test]
async fn objects_come_and_go_as_their_fields_start_and_stop_matching() {
    let dir = tempfile::tempdir().unwrap();
    let api = Api::start(dir.path()).await;
    let (_, list) = api.client.get(SERVICES).await;
    let rv = list["metadata"]["resourceVersion"].as_str().unwrap();
    let path =
        format!("{SERVICES}?watch=1&resourceVersion={rv}&fieldSelector=spec.type%3DNodePort");
    let mut watch = api.client.watch(&path).await;
    api.client.call("POST", SERVICES, service("a")).await;
    let mut last = Value::Null;
    for kind in ["NodePort", "ClusterIP"] {
        let patch = json!({"spec": {"type": kind}});
        let media = "application/merge-patch+json";
        (_, last) = api.client.patch(&format!("{SERVICES}/a"), media, patch).await;
    }
    assert_eq!(watch.step().await, ("ADDED".to_owned(), "a".to_owned()));
    let left = watch.next().await.unwrap();
    assert_eq!(left["type"], "DELETED");
    let version = |value: &Value| value["metadata"]["resourceVersion"].clone();
    assert_eq!(version(&left["object"]), version(&last), "a client resumes after the change");
}

#[tokio::test]
async fn a_watch_about_to_end_says_how_far_it_came() {
    let dir = tempfile::tempdir().unwrap();
    let api = Api::start(dir.path()).await;
    let (_, list) = api.client.get(CONFIGS).await;
    let rv = list["metadata"]["resourceVersion"].as_str().unwrap();
    let options = "watch=1&allowWatchBookmarks=true&labelSelector=l&timeoutSeconds=3";
    let path = format!("{CONFIGS}?{options}&resourceVersion={rv}");
    let mut watch = api.client.watch(&path).await;
    let (_, other) = api.client.call("POST", CONFIGS, config_map("other", json!({}))).await;
    let mark = watch.next().await.unwrap();
    assert_eq!(mark["type"], "BOOKMARK");
    assert_eq!(mark["object"]["kind"], "ConfigMap");
    let version = |value: &Value| value["metadata"]["resourceVersion"].clone();
    assert_eq!(version(&mark["object"]), version(&other), "though the watch does not show it");
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn initial_events_end_with_a_marked_bookmark() {
    let dir = tempfile::tempdir().unwrap();
    let api = Api::start(dir.path()).await;
    api.client.call("POST", CONFIGS, labelled("a", "yes")).await;
    let options = "watch=1&sendInitialEvents=true&allowWatchBookmarks=true\
                   &resourceVersionMatch=NotOlderThan&labelSelector=l&timeoutSeconds=1";
    let mut watch = api.client.watch(&format!("{CONFIGS}?{options}")).await;
    assert_eq!(watch.step().await, ("ADDED".to_owned(), "a".to_owned()));
    let mark = watch.next().await.unwrap();
    assert_eq!(mark["type"], "BOOKMARK");
    assert_eq!(mark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    assert!(watch.next().await.is_none(), "the watch ends after timeoutSeconds");
}

#[tokio::test]
async fn a_resource_version_that_is_not_in_the_history_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let api = Api::start(dir.path()).await;
    let (code, status) = api.client.get(&format!("{CONFIGS}?watch=1&resourceVersion=999999")).await;
    assert_eq!((code, status["reason"].as_str()), (410, Some("Expired")));
}

#[tokio::test]
async fn lists_are_paged_and_selected() {
    let dir = tempfile::tempdir().unwrap();
    let api = Api::start(dir.path()).await;
    for name in ["a", "b", "c"] {
        api.client
            .call("POST", CONFIGS, labelled(name, if name == "b" { "no" } else { "yes" }))
            .await;
    }
    let path = format!("{CONFIGS}?labelSelector=l%3Dyes&limit=1");
    let (_, first) = api.client.get(&path).await;
    let token = first["metadata"]["continue"].as_str().unwrap();
    let (_, second) = api.client.get(&format!("{path}&continue={token}")).await;
    assert_eq!(first["items"][0]["metadata"]["name"], "a");
    assert_eq!(second["items"][0]["metadata"]["name"], "c");
    assert_eq!(api.client.get(&format!("{CONFIGS}?continue=nonsense")).await.0, 400);
}
