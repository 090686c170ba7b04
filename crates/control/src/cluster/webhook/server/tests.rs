//! The server over real TLS, and its bounds.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use lateen_identity::{Ca, client_config, server_config};
use lateen_runtime::tasks::Supervisor;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::super::counters::Counters;
use super::super::settings::Injector;
use super::{CROWD, QUESTION, Server};

struct Served {
    address: SocketAddr,
    trusted: String,
    settings: watch::Sender<Option<Injector>>,
    counters: Arc<Counters>,
    supervisor: Supervisor,
    _tls: watch::Sender<Arc<rustls::ServerConfig>>,
}

async fn served() -> Served {
    let dir = tempfile::tempdir().unwrap();
    let ca = Ca::load_or_create(dir.path(), "test").unwrap();
    let issued = ca.issue_server(&["istiod.istio-system.svc"]).unwrap();
    let (tls, tls_now) = watch::channel(server_config(issued, &[b"h2", b"http/1.1"]).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (settings, published) = watch::channel(None);
    let counters = Arc::new(Counters::default());
    let supervisor = Supervisor::new();
    let server = Server::new(published, Arc::default(), counters.clone(), supervisor.tasks());
    supervisor.tasks().essential("webhook server", server.serve(listener, tls_now));
    let trusted = ca.pem().to_owned();
    Served { address, trusted, settings, counters, supervisor, _tls: tls }
}

impl Served {
    /// One question over one connection of HTTP/1.1.
    async fn ask(&self, request: Request<Full<Bytes>>) -> (u16, Bytes) {
        let stream = self.shake(TcpStream::connect(self.address).await.unwrap()).await;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let exchange = async {
            let response = sender.send_request(request).await.unwrap();
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            drop(sender);
            (status, body)
        };
        tokio::join!(exchange, connection).0
    }

    async fn shake(&self, socket: TcpStream) -> TlsStream<TcpStream> {
        let tls = TlsConnector::from(client_config(self.trusted.as_bytes()).unwrap());
        let name = "istiod.istio-system.svc".try_into().unwrap();
        tls.connect(name, socket).await.unwrap()
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Bytes) {
        self.ask(request("POST", path, "application/json", body.to_string())).await
    }
}

/// One of so many peers that each has as many connections as it may.
fn peer(at: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 1, u8::try_from(at / CROWD.of_one_peer).unwrap())
}

async fn connect(to: SocketAddr, from: Ipv4Addr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    socket.connect(to).await.unwrap()
}

/// Sooner than a peer that does nothing is given up.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(5), work).await.expect("an answer")
}

fn request(method: &str, path: &str, content: &str, body: String) -> Request<Full<Bytes>> {
    let request = Request::builder().method(method).uri(path).header("host", "istiod");
    request.header("content-type", content).body(Full::new(Bytes::from(body))).unwrap()
}

fn question(kind: Value, object: Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {"uid": "u", "kind": kind, "operation": "CREATE", "namespace": "shop",
                    "object": object},
    })
}

fn pod() -> Value {
    let pod = json!({"metadata": {}, "spec": {"containers": [{"name": "a", "image": "b"}]}});
    question(json!({"group": "", "version": "v1", "kind": "Pod"}), pod)
}

#[tokio::test]
async fn pods_are_injected_once_the_settings_are_known_and_objects_validated() {
    let served = served().await;
    let (status, body) = served.post("/inject", pod()).await;
    assert_eq!(status, 503, "{body:?}");
    served.settings.send_replace(Some(Injector::default()));
    for path in ["/inject", "/inject/", "/inject/cluster/east/net/n1"] {
        let (status, body) = served.post(path, pod()).await;
        assert_eq!(status, 200, "{path}: {body:?}");
        let answer: Value = serde_json::from_slice(&body).unwrap();
        assert!(answer["response"]["patch"].is_string(), "{answer}");
    }
    let kind = json!({"group": "networking.istio.io", "version": "v1", "kind": "Gateway"});
    let (status, body) = served.post("/validate", question(kind, json!({"spec": {}}))).await;
    let answer: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, answer["response"]["allowed"].clone()), (200, json!(false)));
    let counts = served.counters.counts();
    assert_eq!((counts.injection_requests, counts.injection_successes), (4, 3));
    assert_eq!(counts.injection_failures, 1, "before the settings were known");
    assert_eq!((counts.validations_passed, counts.validations_failed), (0, 1));
    assert!(served.supervisor.stop(Duration::from_secs(5)).await);
}

#[tokio::test]
async fn what_is_no_question_is_refused_with_its_status() {
    let served = served().await;
    let json = "application/json";
    for (expected, request) in [
        (404, request("POST", "/injected", json, "{}".to_owned())),
        (404, request("GET", "/", json, String::new())),
        (405, request("GET", "/inject", json, String::new())),
        (415, request("POST", "/inject", "text/plain", "{}".to_owned())),
        (400, request("POST", "/inject", "application/json; charset=utf-8", "{}".to_owned())),
        (400, request("POST", "/validate", json, "{".to_owned())),
        (413, request("POST", "/inject", json, " ".repeat(QUESTION + 1))),
    ] {
        let shown = format!("{} {}", request.method(), request.uri());
        let (status, body) = served.ask(request).await;
        assert_eq!(status, expected, "{shown}: {body:?}");
        assert!(!body.is_empty());
    }
    let counts = served.counters.counts();
    assert_eq!((counts.injection_requests, counts.injection_failures), (4, 4));
    assert_eq!(counts.unreadable, 1);
}

#[tokio::test]
async fn pods_that_are_refused_for_the_settings_are_counted() {
    let served = served().await;
    served.settings.send_replace(Some(Injector::troubled("global.hub: is not a string")));
    let (status, body) = served.post("/inject", pod()).await;
    assert_eq!(status, 500, "{body:?}");
    let counts = served.counters.counts();
    assert_eq!((counts.injection_requests, counts.injection_failures), (1, 1));
    assert!(counts.injection_time != Default::default(), "and how long it took");
}

/// A client that reads no answer before it has sent everything, as many do.
async fn send_then_read(served: &Served, head: &str, sent: usize) -> String {
    let mut stream = served.shake(TcpStream::connect(served.address).await.unwrap()).await;
    stream.write_all(head.as_bytes()).await.unwrap();
    let piece = vec![b' '; 1 << 20];
    for _ in 0..sent >> 20 {
        stream.write_all(&piece).await.unwrap();
    }
    stream.flush().await.unwrap();
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn what_is_far_too_long_is_answered_too() {
    let served = served().await;
    let head = |sent: usize| {
        format!(
            "POST /validate HTTP/1.1\r\nhost: istiod\r\ncontent-type: application/json\r\n\
             content-length: {sent}\r\n"
        )
    };
    for sent in [12 << 20, 100 << 20] {
        let answer = send_then_read(&served, &(head(sent) + "\r\n"), sent).await;
        assert_eq!(answer, "HTTP/1.1 413", "{sent} bytes");
    }
    let asks_first = head(100 << 20) + "expect: 100-continue\r\n\r\n";
    assert_eq!(soon(send_then_read(&served, &asks_first, 0)).await, "HTTP/1.1 413");
}

#[tokio::test]
async fn what_is_far_too_long_is_answered_over_http2() {
    let served = served().await;
    let stream = served.shake(TcpStream::connect(served.address).await.unwrap()).await;
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(executor, TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let body = Full::new(Bytes::from(vec![b' '; 12 << 20]));
    let asked = Request::post("https://istiod/inject").header("content-type", "application/json");
    let response = sender.send_request(asked.body(body).unwrap()).await.unwrap();
    assert_eq!(response.status(), 413);
    let said = response.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&said).contains("more than 6291456 bytes"), "{said:?}");
    drop(sender);
    connection.await.unwrap().unwrap();
}

#[tokio::test]
async fn peers_that_do_not_speak_tls_hold_up_nobody() {
    let served = served().await;
    served.settings.send_replace(Some(Injector::default()));
    let mut silent = Vec::new();
    for at in 0..CROWD.all {
        silent.push(connect(served.address, peer(at)).await);
    }
    assert_eq!(soon(served.post("/inject", pod())).await.0, 200);
}

#[tokio::test]
async fn idle_connections_make_room_for_the_api() {
    let served = served().await;
    served.settings.send_replace(Some(Injector::default()));
    let mut idle = Vec::new();
    for at in 0..CROWD.all {
        idle.push(served.shake(connect(served.address, peer(at)).await).await);
    }
    assert_eq!(soon(served.post("/inject", pod())).await.0, 200);
}

#[tokio::test]
async fn what_is_announced_and_does_not_come_takes_no_memory() {
    let served = served().await;
    served.settings.send_replace(Some(Injector::default()));
    let head = format!(
        "POST /inject HTTP/1.1\r\nhost: istiod\r\ncontent-type: application/json\r\n\
         content-length: {QUESTION}\r\n\r\n{{"
    );
    let mut slow = Vec::new();
    for at in 0..32 {
        let mut stream = served.shake(connect(served.address, peer(at)).await).await;
        stream.write_all(head.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    assert_eq!(soon(served.post("/inject", pod())).await.0, 200);
    let mut answer = Vec::new();
    soon(slow[0].read_to_end(&mut answer)).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&answer));
}
