//! A control plane elsewhere, whose connections end at any time.

use std::sync::atomic::{AtomicUsize, Ordering};

use lateen_runtime::pages::{Refusal, Secret, User, at_once};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::serve::Token;

/// Knows one token and no other.
struct Jane;

impl Access for Jane {
    fn authenticate<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Reader, Refusal>> {
        let (name, groups) = ("jane".to_owned(), Vec::new());
        let user = User { name, groups, token: Secret::new(token), namespaces: None };
        let known = if token == "janes" {
            Ok(Reader::User(user))
        } else {
            Err(Refusal::Unknown("no".into()))
        };
        Box::pin(std::future::ready(known))
    }

    fn invitation(&self) -> &str {
        "ask jane"
    }
}

/// Goes to an address, and counts how often.
struct Direct {
    to: std::net::SocketAddr,
    made: Arc<AtomicUsize>,
}

impl Way for Direct {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Bidirectional>, Trouble>> {
        self.made.fetch_add(1, Ordering::Relaxed);
        Box::pin(async {
            let stream = TcpStream::connect(self.to).await.map_err(other)?;
            Ok(Box::new(stream) as Box<dyn Bidirectional>)
        })
    }

    fn token(&self) -> BoxFuture<'_, Result<Arc<str>, Trouble>> {
        Box::pin(std::future::ready(Ok("janes".into())))
    }
}

async fn bound() -> (TcpListener, std::net::SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// The control plane's own server.
async fn control_plane() -> std::net::SocketAddr {
    let (listener, address) = bound().await;
    let pages = at_once(|ask| match &*ask.path {
        "/api/v1/graph" => {
            Some(Page::text(format!("{:?} {} {}", ask.reader.user(), ask.query, ask.body.len())))
        }
        _ => None,
    });
    tokio::spawn(crate::serve::serve(listener, Arc::new(Jane), pages));
    address
}

async fn ask(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap_or((request.trim_end(), ""));
    let head = format!("{head}\r\nhost: x\r\nconnection: close\r\n\r\n{body}");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn whoever_shows_the_own_token_is_asked_for_by_the_readers() {
    let (listener, address) = bound().await;
    let made = Arc::new(AtomicUsize::new(0));
    let way = Direct { to: control_plane().await, made: made.clone() };
    let relay = Arc::new(Relay::new(Box::new(way)));
    tokio::spawn(serve(listener, Arc::new(Token::new("own")), relay));
    for head in ["", "authorization: Bearer janes\r\n"] {
        let refused = ask(address, &format!("GET /api/v1/graph HTTP/1.1\r\n{head}")).await;
        assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    }
    assert_eq!(made.load(Ordering::Relaxed), 0, "strangers reach the control plane");
    let own = "authorization: Bearer own\r\n";
    let answer = ask(address, &format!("GET /api/v1/graph?type=app HTTP/1.1\r\n{own}")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("Some(\"jane\") type=app 0"), "{answer}");
    let tag = answer.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    let again = format!("GET /api/v1/graph?type=app HTTP/1.1\r\n{own}if-none-match: {tag}\r\n");
    assert!(ask(address, &again).await.starts_with("HTTP/1.1 304"));
    let posted = format!("POST /api/v1/graph HTTP/1.1\r\n{own}content-length: 3\r\n\r\nabc");
    assert!(ask(address, &posted).await.ends_with(" 3"));
    let missing = ask(address, &format!("GET /api/v1/nothing HTTP/1.1\r\n{own}")).await;
    assert!(missing.starts_with("HTTP/1.1 404"), "{missing}");
    let page = ask(address, "GET / HTTP/1.1\r\n").await;
    assert!(page.contains("content-security-policy: default-src 'self'"), "{page}");
    assert_eq!(made.load(Ordering::Relaxed), 1, "one connection serves them one after the other");
}

/// A cluster that does not know its user any more.
struct Ended;

impl Way for Ended {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Bidirectional>, Trouble>> {
        Box::pin(std::future::ready(Err(Trouble::Unknown("401 <b>Unauthorized</b>".to_owned()))))
    }

    fn token(&self) -> BoxFuture<'_, Result<Arc<str>, Trouble>> {
        Box::pin(std::future::ready(Ok("old".into())))
    }
}

/// Reaches a control plane that does not know the token any more.
struct Stale(Direct);

impl Way for Stale {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Bidirectional>, Trouble>> {
        self.0.connect()
    }

    fn token(&self) -> BoxFuture<'_, Result<Arc<str>, Trouble>> {
        Box::pin(std::future::ready(Ok("old".into())))
    }
}

#[tokio::test]
async fn a_token_that_has_ended_is_told_with_what_to_do() {
    let made = Arc::new(AtomicUsize::new(0));
    let stale = Stale(Direct { to: control_plane().await, made });
    let ways: [Box<dyn Way>; 2] = [Box::new(Ended), Box::new(stale)];
    for way in ways {
        let (listener, address) = bound().await;
        tokio::spawn(serve(listener, Arc::new(Token::new("own")), Arc::new(Relay::new(way))));
        let called = "GET /api/v1/graph HTTP/1.1\r\nauthorization: Bearer own\r\n";
        let called = ask(address, &format!("{called}accept: text/html\r\n")).await;
        assert!(called.starts_with("HTTP/1.1 424") && called.contains("\"message\""), "{called}");
        assert!(called.contains("start `lateen dashboard` again"), "{called}");
    }
}

#[tokio::test]
async fn a_browser_is_shown_a_page_where_a_script_is_sent_json() {
    let (listener, address) = bound().await;
    let relay = Arc::new(Relay::new(Box::new(Ended)));
    tokio::spawn(serve(listener, Arc::new(Token::new("own")), relay));
    let accept = "accept: text/html,application/xhtml+xml;q=0.9\r\n";
    let page = ask(address, &format!("GET / HTTP/1.1\r\n{accept}")).await;
    assert!(page.contains("content-type: text/html; charset=utf-8"), "{page}");
    assert!(page.contains("start `lateen dashboard` again (401 &lt;b&gt;Unauthor"), "{page}");
    assert!(page.contains("content-security-policy: default-src 'self'"), "{page}");
    let script = ask(address, "GET / HTTP/1.1\r\n").await;
    assert!(script.contains("content-type: application/json"), "{script}");
}

/// Answers one request on each connection and ends it without a word.
async fn forgetful(listener: TcpListener) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            stream.read_buf(&mut asked).await.unwrap();
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_that_is_gone_is_made_again() {
    let (listener, to) = bound().await;
    let server = tokio::spawn(forgetful(listener));
    let made = Arc::new(AtomicUsize::new(0));
    let relay = Relay::new(Box::new(Direct { to, made: made.clone() }));
    for times in 1..=3 {
        assert_eq!(relay.get("/api/v1/graph").await.unwrap().body(), "ok");
        assert_eq!(made.load(Ordering::Relaxed), times);
    }
    server.abort();
    assert!(server.await.unwrap_err().is_cancelled());
    assert!(relay.get("/").await.is_err(), "nobody is there any more");
}
