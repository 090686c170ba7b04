//! Who is served what.

use std::net::SocketAddr;
use std::sync::Arc;

use lateen_runtime::admin::{Handler, Page};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Token, serve};

async fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let api: Handler = Arc::new(|path, query| {
        (path == "/api/v1/graph").then(|| Page::text(format!("asked {query}")))
    });
    tokio::spawn(serve(listener, Token::new("secret"), api));
    address
}

async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("{request}host: x\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn the_api_asks_for_the_token_and_the_page_does_not() {
    let address = start().await;
    for head in ["", "authorization: Bearer secre\r\n", "authorization: Basic secret\r\n"] {
        let refused = ask(address, &format!("GET /api/v1/graph HTTP/1.1\r\n{head}")).await;
        assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
        assert!(refused.contains("a token is needed"), "{refused}");
    }
    let right = "GET /api/v1/graph?type=app HTTP/1.1\r\nauthorization: Bearer secret\r\n";
    let answer = ask(address, right).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("asked type=app"), "{answer}");
    let page = ask(address, "GET / HTTP/1.1\r\n").await;
    assert!(page.contains("content-security-policy: default-src 'self'"), "{page}");
    assert!(!page.starts_with("HTTP/1.1 401"), "{page}");
}

#[tokio::test]
async fn what_is_not_there_and_what_is_not_read_are_told() {
    let address = start().await;
    let token = "authorization: Bearer secret\r\n";
    let missing = ask(address, &format!("GET /api/v1/nothing HTTP/1.1\r\n{token}")).await;
    assert!(missing.starts_with("HTTP/1.1 404"), "{missing}");
    let written = ask(address, &format!("POST /api/v1/graph HTTP/1.1\r\n{token}")).await;
    assert!(written.starts_with("HTTP/1.1 405"), "{written}");
}
