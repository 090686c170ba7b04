//! What users are warned of beforehand, against a foresight of the test's own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use lateen_api::intent::Intent;
use lateen_api::issue::ObjectRef;
use lateen_api::kinds::Kind;
use serde_json::{Value, json};

use crate::harness::{Api, CONFIGS, config_map};

#[tokio::test]
async fn users_are_warned_of_what_they_do_to_others_and_wait_for_it_only_so_long() {
    let dir = tempfile::tempdir().unwrap();
    let api = Api::start(dir.path()).await;
    let foresee = |kind: &'static Kind, intent: Intent| {
        let (verb, object) = match intent {
            Intent::Store(object) => ("stored", object),
            Intent::Remove(object) => ("removed", object),
        };
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let said: futures::future::BoxFuture<'static, _> = Box::pin(async move {
            if name == "slow" {
                std::future::pending::<()>().await;
            }
            let other = ObjectRef::new(kind.group, kind.kind, "shop", "other");
            vec![(other, format!("{} {name} {verb} harms", kind.kind))]
        });
        said
    };
    assert!(api.foresight.set(Arc::new(foresee)).is_ok());
    let warned = async |method: &str, path: &str, manager: &str, object: Value| {
        let path = format!("{path}?fieldManager={manager}");
        let body = if object.is_null() { String::new() } else { object.to_string() };
        let request = api.client.request(method, &path, "application/json", Bytes::from(body));
        let (parts, made) = api.client.send(request).await;
        assert!(parts.status.is_success(), "{made}");
        parts.headers.get("warning").map(|text| text.to_str().unwrap().to_owned())
    };
    let rules = "/apis/networking.istio.io/v1/namespaces/default/destinationrules";
    let rule = |name: &str| {
        json!({
            "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
            "metadata": { "name": name }, "spec": { "host": "echo" },
        })
    };
    let (user, program) = ("kubectl-client-side-apply", "controller");
    let told = warned("POST", rules, user, rule("a")).await;
    assert_eq!(told.as_deref(), Some("299 - \"DestinationRule a stored harms\""));
    assert_eq!(
        warned("POST", rules, program, rule("b")).await,
        None,
        "a program reads no warnings"
    );
    let not_of_the_mesh = config_map("c", json!({}));
    assert_eq!(warned("POST", CONFIGS, user, not_of_the_mesh).await, None);
    let settings = |name: &str| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": {},
            "metadata": { "name": name, "namespace": "istio-system" },
        })
    };
    let of_mesh = "/api/v1/namespaces/istio-system/configmaps";
    for name in ["istio", "istio-canary"] {
        let told = warned("POST", of_mesh, user, settings(name)).await;
        assert_eq!(told, Some(format!("299 - \"ConfigMap {name} stored harms\"")));
    }
    assert_eq!(warned("POST", of_mesh, user, settings("istiod")).await, None);
    let services = "/api/v1/namespaces/default/services";
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "s" },
        "spec": { "ports": [{ "port": 80 }] },
    });
    let told = warned("POST", services, user, service).await;
    assert_eq!(told.as_deref(), Some("299 - \"Service s stored harms\""));
    let told = warned("DELETE", &format!("{services}/s"), "kubectl", Value::Null).await;
    assert_eq!(told.as_deref(), Some("299 - \"Service s removed harms\""));
    let told = warned("DELETE", &format!("{rules}/a"), "kubectl", Value::Null).await;
    assert_eq!(told.as_deref(), Some("299 - \"DestinationRule a removed harms\""));
    assert_eq!(warned("DELETE", &format!("{rules}/b"), program, Value::Null).await, None);
    assert_eq!(warned("DELETE", &format!("{CONFIGS}/c"), "kubectl", Value::Null).await, None);
    let begun = Instant::now();
    assert_eq!(warned("POST", rules, user, rule("slow")).await, None);
    assert_eq!(warned("DELETE", rules, "kubectl", Value::Null).await, None, "all at once");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn users_are_warned_of_those_objects_only_that_they_may_read() {
    let dir = tempfile::tempdir().unwrap();
    let api = Api::start(dir.path()).await;
    let foresee = |kind: &'static Kind, _: Intent| {
        let said: futures::future::BoxFuture<'static, _> = Box::pin(async move {
            let rule = ObjectRef::new(kind.group, kind.kind, "secret", "own-kind");
            let entry = ObjectRef::new(kind.group, "ServiceEntry", "secret", "no-right");
            let unknown = ObjectRef::new("example.com", "Thing", "secret", "no-kind");
            [rule, entry, unknown].map(|object| (object.clone(), object.to_string())).to_vec()
        });
        said
    };
    assert!(api.foresight.set(Arc::new(foresee)).is_ok());
    let rules = json!([{
        "verbs": ["get", "create"], "apiGroups": ["networking.istio.io"],
        "resources": ["destinationrules"],
    }]);
    let user = crate::rights::account_with(&api, rules).await;
    let object = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
        "metadata": { "name": "d" }, "spec": { "host": "echo" },
    });
    let path = "/apis/networking.istio.io/v1/namespaces/default/destinationrules\
                ?fieldManager=kubectl-create";
    let request = user.request("POST", path, "application/json", Bytes::from(object.to_string()));
    let (parts, made) = user.send(request).await;
    assert_eq!(parts.status, 201, "{made}");
    let told: Vec<_> = parts.headers.get_all("warning").iter().collect();
    assert_eq!(told, ["299 - \"DestinationRule secret/own-kind\""]);
}
