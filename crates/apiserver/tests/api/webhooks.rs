//! Admission webhooks, against a small HTTPS server in this process.

use std::convert::Infallible;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use lateen_identity::{Ca, server_config};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::harness::{Api, CONFIGS, config_map};

/// `/mutate` adds a label; `/deepen` makes a chain and copies it onto its own end; `/validate` refuses
/// data with the key `bad`.
async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let review: Value = serde_json::from_slice(&body).unwrap();
    let mut response = json!({"uid": review["request"]["uid"], "allowed": true});
    if path == "/mutate" {
        let patch = json!([{"op": "add", "path": "/metadata/labels", "value": {"added": "yes"}}]);
        response["patchType"] = json!("JSONPatch");
        response["patch"] = json!(STANDARD.encode(patch.to_string()));
        response["warnings"] = json!(["labelled"]);
    } else if path == "/deepen" {
        let chain = (0..80).fold(json!({}), |inner, _| json!({"a": inner}));
        let patch = json!([
            {"op": "add", "path": "/a", "value": chain},
            {"op": "copy", "from": "/a", "path": "/a".repeat(82)},
        ]);
        response["patchType"] = json!("JSONPatch");
        response["patch"] = json!(STANDARD.encode(patch.to_string()));
    } else if review["request"]["object"]["data"]["bad"].is_string() {
        response["allowed"] = json!(false);
        response["status"] = json!({"message": "bad is bad"});
    }
    let review = json!({
        "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response,
    });
    Ok(Response::new(Full::new(Bytes::from(review.to_string()))))
}

async fn webhook_server(ca: &Ca, tasks: &mut JoinSet<()>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let tls = server_config(ca.issue_server(&["localhost"]).unwrap(), &[b"http/1.1"]).unwrap();
    let acceptor = TlsAcceptor::from(Arc::clone(&tls));
    tasks.spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let Ok(stream) = acceptor.accept(socket).await else { continue };
            let connection = hyper::server::conn::http1::Builder::new();
            let _ = connection.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
        }
    });
    port
}

fn configuration(kind: &str, url: &str, ca: &str) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
        "metadata": {"name": "hook"},
        "webhooks": [{
            "name": "hook.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "clientConfig": {"url": url, "caBundle": STANDARD.encode(ca)},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"],
                       "operations": ["CREATE", "UPDATE"]}],
        }],
    })
}

const GROUP: &str = "/apis/admissionregistration.k8s.io/v1";

#[tokio::test]
async fn webhooks_change_and_refuse_objects_of_the_namespaces_they_select() {
    let (dir, keys) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let api = Api::start(dir.path()).await;
    let ca = Ca::load_or_create(keys.path(), "hooks").unwrap();
    let mut tasks = JoinSet::new();
    let port = webhook_server(&ca, &mut tasks).await;
    for (kind, path) in
        [("MutatingWebhookConfiguration", "mutate"), ("ValidatingWebhookConfiguration", "validate")]
    {
        let plural = format!("{}s", kind.to_lowercase());
        let url = format!("https://localhost:{port}/{path}");
        let value = configuration(kind, &url, ca.pem());
        let (code, body) = api.client.call("POST", &format!("{GROUP}/{plural}"), value).await;
        assert_eq!(code, 201, "{body}");
    }
    let body = Bytes::from(config_map("c", json!({})).to_string());
    let request = api.client.request("POST", CONFIGS, "application/json", body);
    let (parts, made) = api.client.send(request).await;
    assert_eq!(made["metadata"]["labels"]["added"], "yes", "{made}");
    assert_eq!(parts.headers["warning"], "299 - \"labelled\"");
    let bad = config_map("d", json!({"bad": "x"}));
    let (code, status) = api.client.call("POST", CONFIGS, bad.clone()).await;
    let expected = "admission webhook \"hook.example.com\" denied the request: bad is bad";
    assert_eq!((code, status["message"].as_str()), (403, Some(expected)));
    assert_eq!(api.client.get(&format!("{CONFIGS}/d")).await.0, 404);
    let elsewhere = "/api/v1/namespaces/istio-system/configmaps";
    assert_eq!(api.client.call("POST", elsewhere, bad).await.0, 201);
}

#[tokio::test]
async fn a_webhook_that_would_nest_an_object_too_deeply_is_refused() {
    let (dir, keys) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let api = Api::start(dir.path()).await;
    let ca = Ca::load_or_create(keys.path(), "hooks").unwrap();
    let mut tasks = JoinSet::new();
    let port = webhook_server(&ca, &mut tasks).await;
    let url = format!("https://localhost:{port}/deepen");
    let value = configuration("MutatingWebhookConfiguration", &url, ca.pem());
    api.client.call("POST", &format!("{GROUP}/mutatingwebhookconfigurations"), value).await;
    let (code, status) = api.client.call("POST", CONFIGS, config_map("c", json!({}))).await;
    let message = status["message"].as_str().unwrap();
    assert!(code == 500 && message.contains("the patch of webhook hook.example.com"), "{message}");
}

#[tokio::test]
async fn a_webhook_that_cannot_be_reached_or_trusted_fails_as_its_policy_says() {
    let (dir, keys, others) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let api = Api::start(dir.path()).await;
    let ca = Ca::load_or_create(keys.path(), "hooks").unwrap();
    let other = Ca::load_or_create(others.path(), "others").unwrap();
    let mut tasks = JoinSet::new();
    let port = webhook_server(&ca, &mut tasks).await;
    let kind = "ValidatingWebhookConfiguration";
    let plural = format!("{GROUP}/validatingwebhookconfigurations");
    let url = format!("https://localhost:{port}/validate");
    let distrusted = configuration(kind, &url, other.pem());
    let (_, made) = api.client.call("POST", &plural, distrusted).await;
    let (code, status) = api.client.call("POST", CONFIGS, config_map("c", json!({}))).await;
    let message = status["message"].as_str().unwrap();
    assert!(
        code == 500 && message.contains("failed calling webhook \"hook.example.com\""),
        "{message}"
    );
    let mut lenient = made;
    lenient["webhooks"][0]["failurePolicy"] = json!("Ignore");
    assert_eq!(api.client.call("PUT", &format!("{plural}/hook"), lenient).await.0, 200);
    assert_eq!(api.client.call("POST", CONFIGS, config_map("c", json!({}))).await.0, 201);
}
