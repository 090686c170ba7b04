//! Who is served what.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;

use flate2::read::GzDecoder;
use lateen_runtime::admin::Page;
use lateen_runtime::pages::{MAX_BODY, at_once};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{LARGE, Token, serve};

const TOKEN: &str = "authorization: Bearer secret\r\n";

async fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let api = at_once(|ask| match &*ask.path {
        "/api/v1/graph" => Some(Page::text(format!("asked {}", ask.query))),
        "/api/v1/large" => Some(Page::text("lateen ".repeat(LARGE))),
        "/api/v1/written" => Some(match ask.json::<Vec<u8>>() {
            Ok(numbers) => Page::text(format!("{} {numbers:?}", ask.method)),
            Err(page) => page,
        }),
        _ => None,
    });
    tokio::spawn(serve(listener, Arc::new(Token::new("secret")), api));
    address
}

async fn ask(address: SocketAddr, request: &str) -> String {
    String::from_utf8(ask_bytes(address, request).await).unwrap()
}

/// Head and body of an answer.
fn split(answer: Vec<u8>) -> (String, Vec<u8>) {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    (String::from_utf8(answer[..end].to_vec()).unwrap(), answer[end + 4..].to_vec())
}

async fn ask_bytes(address: SocketAddr, request: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap_or((request.trim_end(), ""));
    let head = format!("{head}\r\nhost: x\r\nconnection: close\r\n\r\n{body}");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn the_api_asks_for_the_token_and_the_page_does_not() {
    let address = start().await;
    for (head, said) in [
        ("", "a token is needed"),
        ("authorization: Basic secret\r\n", "a token is needed"),
        ("authorization: Bearer secre\r\n", "this is not the token"),
    ] {
        let refused = ask(address, &format!("GET /api/v1/graph HTTP/1.1\r\n{head}")).await;
        assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
        assert!(refused.contains(said), "{refused}");
    }
    let right = format!("GET /api/v1/graph?type=app HTTP/1.1\r\n{TOKEN}");
    let answer = ask(address, &right).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("asked type=app"), "{answer}");
    let page = ask(address, "GET / HTTP/1.1\r\n").await;
    assert!(page.contains("content-security-policy: default-src 'self'; frame-"), "{page}");
    assert!(!page.contains("unsafe"), "{page}");
    assert!(!page.starts_with("HTTP/1.1 401"), "{page}");
}

#[tokio::test]
async fn what_is_not_there_and_what_is_not_read_are_told() {
    let address = start().await;
    let missing = ask(address, &format!("GET /api/v1/nothing HTTP/1.1\r\n{TOKEN}")).await;
    assert!(missing.starts_with("HTTP/1.1 404"), "{missing}");
    let unversioned = ask(address, &format!("GET /api/graph HTTP/1.1\r\n{TOKEN}")).await;
    assert!(unversioned.contains("the API begins with /api/v1/"), "{unversioned}");
    if super::assets::find("/").is_some() {
        let part = ask(address, "GET /assets/of-another-version.js HTTP/1.1\r\n").await;
        assert!(part.starts_with("HTTP/1.1 404") && part.contains("load it again"), "{part}");
        for (path, place) in [
            ("/workloads", "./#/workloads"),
            ("/config/Gateway/a/b?token=t", "./../../../#/config/Gateway/a/b?token=t"),
            ("//elsewhere/x", "./../../#//elsewhere/x"),
            ("*", "./#*"),
        ] {
            let own = ask(address, &format!("GET {path} HTTP/1.1\r\n")).await;
            let leads = own.contains(&format!("location: {place}\r\n"));
            assert!(own.starts_with("HTTP/1.1 302") && leads, "{own}");
        }
    }
    let written = ask(address, "POST / HTTP/1.1\r\n").await;
    assert!(written.starts_with("HTTP/1.1 405"), "{written}");
}

#[tokio::test]
async fn a_body_comes_whole_or_is_refused() {
    let address = start().await;
    let post = async |kind: &str, body: &str| {
        let length = body.len();
        let head = format!("POST /api/v1/written HTTP/1.1\r\n{TOKEN}content-type: {kind}");
        ask(address, &format!("{head}\r\ncontent-length: {length}\r\n\r\n{body}")).await
    };
    let taken = post("application/json; charset=utf-8", "[1, 2]").await;
    assert!(taken.starts_with("HTTP/1.1 200") && taken.ends_with("POST [1, 2]"), "{taken}");
    let refused = post("text/plain", "[1]").await;
    assert!(refused.starts_with("HTTP/1.1 415"), "{refused}");
    let long = format!("POST /api/v1/written HTTP/1.1\r\n{TOKEN}content-length: {}", MAX_BODY + 1);
    let refused = ask(address, &format!("{long}\r\n\r\n")).await;
    assert!(refused.starts_with("HTTP/1.1 413"), "{refused}");
}

#[tokio::test]
async fn a_large_answer_is_packed_for_whoever_unpacks_it() {
    let address = start().await;
    let get = async |path: &str, more: &str| {
        let head = format!("GET {path} HTTP/1.1\r\n{TOKEN}{more}");
        let (head, body) = split(ask_bytes(address, &head).await);
        (head.contains("content-encoding: gzip"), head, body)
    };
    let accepts = "accept-encoding: br, gzip;q=0.9\r\n";
    let (is_packed, head, plain) = get("/api/v1/large", "").await;
    assert!(!is_packed && plain.len() > LARGE, "{head}");
    let (is_packed, head, packed) = get("/api/v1/large", accepts).await;
    assert!(is_packed && packed.len() < plain.len() / 10, "{head}");
    assert!(head.contains("vary: accept-encoding"), "{head}");
    let mut unpacked = Vec::new();
    GzDecoder::new(&*packed).read_to_end(&mut unpacked).unwrap();
    assert!(unpacked == plain);
    let (is_packed, head, _) = get("/api/v1/large", "accept-encoding: gzip;q=0\r\n").await;
    assert!(!is_packed, "{head}");
    let (is_packed, head, _) = get("/api/v1/graph", accepts).await;
    assert!(!is_packed, "{head}");
}

#[tokio::test]
async fn who_has_the_answer_is_not_sent_it_again() {
    let address = start().await;
    let get = async |more: &str| {
        ask(address, &format!("GET /api/v1/graph?a HTTP/1.1\r\n{TOKEN}{more}")).await
    };
    let first = get("").await;
    let tag = first.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    let again = get(&format!("if-none-match: {tag}\r\n")).await;
    assert!(again.starts_with("HTTP/1.1 304") && !again.contains("asked"), "{again}");
    let other = get("if-none-match: \"0\"\r\n").await;
    assert!(other.starts_with("HTTP/1.1 200") && other.ends_with("asked a"), "{other}");
}
