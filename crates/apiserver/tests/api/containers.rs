//! Commands of kubectl that look for containers: answered at once, with where to look instead.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::harness::{Api, Client};

const PODS: &str = "/api/v1/namespaces/default/pods";
const BY_LABEL: &str = "?labelSelector=app%3Dx";

/// A GET as kubectl sends it for a command.
async fn get(client: &Client, path: &str, agent: &str, command: Option<&str>) -> (u16, Value) {
    let mut request = client.request("GET", path, "application/json", Bytes::new());
    request.headers_mut().insert("user-agent", agent.parse().unwrap());
    if let Some(command) = command {
        request.headers_mut().insert("kubectl-command", command.parse().unwrap());
    }
    let (parts, value) = client.send(request).await;
    (parts.status.as_u16(), value)
}

#[track_caller]
fn check_refused((code, status): (u16, Value), expected: u16) {
    assert_eq!(code, expected, "{status}");
    let message = status["message"].as_str().unwrap();
    assert!(message.contains("no container runtime is here: lateen run"), "{message}");
    assert!(message.contains("logs/w.default.NAME.log"), "{message}");
}

#[tokio::test]
async fn a_command_for_containers_that_finds_no_pod_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let api = Api::start(dir.path()).await;
    let new = "kubectl/v1.32.4 (linux/amd64) kubernetes/x";
    for command in ["kubectl logs", "kubectl exec", "kubectl port-forward", "kubectl cp"] {
        let list = format!("{PODS}{BY_LABEL}");
        check_refused(get(&api.client, &list, new, Some(command)).await, 400);
        check_refused(get(&api.client, &format!("{PODS}/x"), new, Some(command)).await, 404);
    }
}

#[tokio::test]
async fn a_kubectl_that_names_no_command_is_known_by_how_it_waits_for_a_pod() {
    let dir = tempfile::tempdir().unwrap();
    let api = Api::start(dir.path()).await;
    let path = format!("{PODS}{BY_LABEL}&watch=true&resourceVersion=1");
    // What `kubectl logs deploy/x` and `kubectl get pods -l app=x -w -o json` of 1.20 send.
    for (accept, expected) in [("application/json, */*", 400), ("application/json", 200)] {
        let mut request = api.client.request("GET", &path, "application/json", Bytes::new());
        let agent = "kubectl/v1.20.2 (linux/amd64) kubernetes/x".parse().unwrap();
        request.headers_mut().insert("user-agent", agent);
        request.headers_mut().insert("accept", accept.parse().unwrap());
        let (mut sender, _tasks) = api.client.connect().await;
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), expected, "{accept}");
        // This kubectl does not read the refusal of a watch; it shows the warning.
        assert_eq!(response.headers().contains_key("warning"), expected == 400);
    }
}

#[tokio::test]
async fn pods_are_read_as_ever_by_other_commands_and_if_there_are_some() {
    let dir = tempfile::tempdir().unwrap();
    let api = Api::start(dir.path()).await;
    let new = "kubectl/v1.32.4 (linux/amd64) kubernetes/x";
    let list = format!("{PODS}{BY_LABEL}");
    for (agent, command) in [(new, Some("kubectl get")), ("kubectl/v1.20.2 (linux/amd64)", None)] {
        let (code, found) = get(&api.client, &list, agent, command).await;
        assert_eq!((code, &found["items"]), (200, &json!([])));
        assert_eq!(get(&api.client, &format!("{PODS}/x"), agent, command).await.0, 404);
    }
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "labels": {"app": "x"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    });
    assert_eq!(api.client.call("POST", PODS, pod).await.0, 201);
    let logs = Some("kubectl logs");
    assert_eq!(get(&api.client, &list, new, logs).await.0, 200);
    assert_eq!(get(&api.client, &format!("{PODS}/x"), new, logs).await.0, 200);
    check_refused(get(&api.client, &format!("{PODS}/x/log"), new, logs).await, 400);
}
