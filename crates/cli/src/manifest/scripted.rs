//! An API for tests that answers what it is told to. In: codes and bodies. Out: the requests that it was sent.

use std::sync::atomic::{AtomicU32, Ordering};

use lateen_kube::{Client, Source};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A client of an API at the listener.
pub async fn client(listener: &TcpListener) -> Client {
    let server = format!("http://{}", listener.local_addr().unwrap());
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("lateen-scripted-{}-{next}", std::process::id());
    let file = std::env::temp_dir().join(name);
    let config = json!({
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {}}], "current-context": "c",
    });
    std::fs::write(&file, config.to_string()).unwrap();
    let client = Client::connect(Source::Kubeconfig(file.clone())).await.unwrap();
    std::fs::remove_file(file).unwrap();
    client
}

/// Answers one request after the other, and then no more. A refusal's body is its message.
pub async fn answer(listener: TcpListener, answers: Vec<(u16, Value)>) -> Vec<String> {
    let mut requests = Vec::new();
    for (code, body) in answers {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !is_whole(&request) {
            stream.read_buf(&mut request).await.unwrap();
        }
        let body = match code {
            200 | 201 => body.to_string(),
            _ => json!({"kind": "Status", "status": "Failure", "code": code, "message": body})
                .to_string(),
        };
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {code} x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
             connection: close\r\n\r\n"
        );
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        requests.push(String::from_utf8(request).unwrap());
    }
    requests
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then(|| value.parse().unwrap())
    });
    body.len() >= length.unwrap_or(0)
}
