//! One request at a time to a server that answers as told, or not at all.

use std::time::Duration;

use kube::Config;
use lateen_api::kinds::by_kind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{ANSWER_TIMEOUT, Client, Error};

/// A client and the server's side, bound to loopback.
async fn pair(answer_timeout: Duration) -> (Client, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let config = Config::new(format!("http://{address}").parse().unwrap());
    (Client::new(config, answer_timeout).unwrap(), listener)
}

/// Reads one request to the end of its body; the stream comes back open.
async fn request(listener: &TcpListener) -> (TcpStream, String) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut bytes = Vec::new();
    loop {
        let read = stream.read_buf(&mut bytes).await.unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        let length = text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
        });
        let complete = text
            .split_once("\r\n\r\n")
            .is_some_and(|(_, body)| body.len() >= length.unwrap_or(0usize));
        if complete || read == 0 {
            return (stream, text);
        }
    }
}

async fn answer(listener: &TcpListener, code: u16) -> String {
    let (mut stream, text) = request(listener).await;
    let state = if code == 200 { "Success" } else { "Failure" };
    let body = format!(
        r#"{{"kind":"Status","apiVersion":"v1","status":"{state}","code":{code},"reason":"x","message":"m"}}"#
    );
    let head = format!(
        "HTTP/1.1 {code} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    text
}

#[tokio::test]
async fn an_exact_deletion_names_the_uid_and_leaves_a_successor_alone() {
    let (client, listener) = pair(ANSWER_TIMEOUT).await;
    let kind = by_kind("networking.istio.io", "WorkloadEntry").unwrap();
    for (code, deleted) in [(200, true), (404, false), (409, false)] {
        let deletion = client.delete_exact(kind, Some("default"), "echo", "u1");
        let (done, text) = tokio::join!(deletion, answer(&listener, code));
        assert_eq!(done.unwrap(), deleted, "{code}");
        assert!(text.starts_with("DELETE ") && text.contains(r#""uid":"u1""#), "{text}");
    }
}

#[tokio::test]
async fn an_api_that_accepts_and_never_answers_is_given_up() {
    let (client, listener) = pair(Duration::from_millis(50)).await;
    let kind = by_kind("", "Service").unwrap();
    let accepting = async {
        let mut held = Vec::new();
        loop {
            held.push(listener.accept().await.unwrap());
        }
    };
    let asked = async {
        let patch = serde_json::json!({});
        let object = serde_json::json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": "a", "namespace": "default" },
        });
        let space = Some("default");
        vec![
            client.get(kind, space, "a").await.map(|_| ()),
            client.create(kind, object.clone()).await.map(|_| ()),
            client.apply(&object, "test").await,
            client.patch(kind, space, "a", &patch).await,
            client.patch_status(kind, space, "a", &patch).await,
            client.delete_exact(kind, space, "a", "u").await.map(|_| ()),
        ]
    };
    let all = tokio::select! {
        () = accepting => unreachable!("the server never ends"),
        all = tokio::time::timeout(Duration::from_secs(30), asked) => all.expect("a call hangs"),
    };
    for result in all {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Silent { .. }) && error.is_transient(), "{error}");
    }
}
