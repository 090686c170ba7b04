//! Bad peers: too much, too strange, and nothing at all.

use bytes::Bytes;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Api, CONFIGS, config_map};

#[tokio::test]
async fn a_body_beyond_the_limit_and_one_of_a_strange_type_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let api = Api::start(dir.path()).await;
    let big = config_map("c", json!({"x": "y".repeat(4 << 20)}));
    assert_eq!(api.client.call("POST", CONFIGS, big).await.0, 413);
    let media = "application/vnd.kubernetes.protobuf";
    let request = api.client.request("POST", CONFIGS, media, Bytes::from_static(b"k8s\0"));
    assert_eq!(api.client.send(request).await.0.status, 415);
    let request =
        api.client.request("POST", CONFIGS, "application/json", Bytes::from_static(b"{nonsense"));
    assert_eq!(api.client.send(request).await.0.status, 400);
    assert_eq!(api.client.get(CONFIGS).await.0, 200);
}

#[tokio::test]
async fn garbage_on_the_port_is_closed_and_the_next_client_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let api = Api::start(dir.path()).await;
    let mut socket = TcpStream::connect(api.client.address).await.unwrap();
    let garbage = vec![0xa5; 1 << 20];
    let _ = socket.write_all(&garbage).await;
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer).await;
    assert!(answer.len() < 64, "an alert at most, then the end");
    assert_eq!(api.client.get(CONFIGS).await.0, 200);
}
