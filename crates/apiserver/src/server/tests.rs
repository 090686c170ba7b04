//! Requests whose client goes away while the store is at work, and starts that find work undone.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};

use super::Server;
use crate::catalog;
use crate::object;
use crate::store::{Expect, Key, Write};
use crate::{ApiServer, Config, system_clock};

const SERVICES: &str = "/api/v1/namespaces/default/services";

async fn open(dir: &std::path::Path) -> (Arc<Server>, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let api = ApiServer::open(Config {
        data_dir: dir.to_owned(),
        service_cidr: "10.96.0.0/16".parse().unwrap(),
        listener,
        public_url: "https://localhost".to_owned(),
        clock: system_clock(),
    });
    let ApiServer { server, admin_token, .. } = api.await.unwrap();
    (server, admin_token)
}

fn request(token: &str, method: &str, path: &str, body: &Value) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {token}"))
        .body(Full::new(Bytes::from(body.to_string())))
        .unwrap()
}

/// Sends a request and goes away as soon as it waits for something; returns when the store has moved.
async fn abandon(server: &Arc<Server>, request: Request<Full<Bytes>>) {
    let mut changes = server.store.changes();
    changes.borrow_and_update();
    let mut answer = Box::pin(Arc::clone(server).answer(request));
    assert!(futures::poll!(&mut answer).is_pending(), "the store answers from its own thread");
    drop(answer);
    changes.changed().await.unwrap();
    server.owned.drain().await;
}

fn key(kind: &str, namespace: &str, name: &str) -> Key {
    catalog::key(crate::seed::kind("", kind), namespace, name)
}

fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"clusterIP": "10.96.0.77", "ports": [{"port": 80}]},
    })
}

#[tokio::test]
async fn a_service_whose_client_went_away_keeps_its_address_to_itself() {
    let dir = tempfile::tempdir().unwrap();
    let (server, token) = open(dir.path()).await;
    abandon(&server, request(&token, "POST", SERVICES, &service("a"))).await;
    assert!(server.store.get(&key("Service", "default", "a")).is_some());
    let second = request(&token, "POST", SERVICES, &service("b"));
    assert_eq!(Arc::clone(&server).answer(second).await.status(), 422);
    let path = format!("{SERVICES}/a");
    abandon(&server, request(&token, "DELETE", &path, &json!({}))).await;
    let second = request(&token, "POST", SERVICES, &service("b"));
    assert_eq!(Arc::clone(&server).answer(second).await.status(), 201, "it was given back");
}

#[tokio::test]
async fn the_addresses_in_use_are_known_after_a_start() {
    let dir = tempfile::tempdir().unwrap();
    let (server, token) = open(dir.path()).await;
    let first = request(&token, "POST", SERVICES, &service("a"));
    assert_eq!(Arc::clone(&server).answer(first).await.status(), 201);
    drop(server);
    let (server, token) = open(dir.path()).await;
    let second = request(&token, "POST", SERVICES, &service("b"));
    assert_eq!(server.answer(second).await.status(), 422);
}

#[tokio::test]
async fn a_namespace_comes_with_its_account_in_one_commit() {
    let dir = tempfile::tempdir().unwrap();
    let (server, token) = open(dir.path()).await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}});
    let before = server.store.revision();
    abandon(&server, request(&token, "POST", "/api/v1/namespaces", &namespace)).await;
    assert_eq!(server.store.revision(), before + 3);
    assert!(server.store.get(&key("ServiceAccount", "x", "default")).is_some());
    assert!(server.store.get(&key("ConfigMap", "x", "kube-root-ca.crt")).is_some());
}

#[tokio::test]
async fn a_namespace_without_its_account_gets_it_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let (server, _) = open(dir.path()).await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "old"}});
    let write = Write {
        key: key("Namespace", "", "old"),
        expect: Expect::Absent,
        object: Some(object::normalize(namespace, "v1", "Namespace")),
    };
    server.store.write(write).await.unwrap();
    drop(server);
    let (server, _) = open(dir.path()).await;
    assert!(server.store.get(&key("ServiceAccount", "old", "default")).is_some());
}
