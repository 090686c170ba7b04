//! The server over real TLS, and its bounds.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use lateen_identity::{Ca, client_config, server_config};
use lateen_runtime::tasks::Supervisor;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsConnector;

use super::super::counters::Counters;
use super::super::settings::Injector;
use super::{Activity, Busy, IDLE, QUESTION, Server};

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
        let socket = TcpStream::connect(self.address).await.unwrap();
        let tls = TlsConnector::from(client_config(self.trusted.as_bytes()).unwrap());
        let name = "istiod.istio-system.svc".try_into().unwrap();
        let stream = tls.connect(name, socket).await.unwrap();
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

    async fn post(&self, path: &str, body: Value) -> (u16, Bytes) {
        self.ask(request("POST", path, "application/json", body.to_string())).await
    }
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
    assert_eq!((counts.injection_requests, counts.injection_successes), (3, 3));
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
}

#[tokio::test]
async fn a_peer_that_does_not_speak_tls_holds_up_nobody() {
    let served = served().await;
    served.settings.send_replace(Some(Injector::default()));
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(served.address).await.unwrap());
    }
    assert_eq!(served.post("/inject", pod()).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_idle_when_nothing_is_asked_and_nothing_goes_on() {
    let activity = Arc::new(Activity::default());
    let idle = {
        let activity = activity.clone();
        tokio::spawn(async move { activity.idle().await })
    };
    let busy = Busy::start(activity.clone());
    tokio::time::sleep(IDLE * 3).await;
    assert!(!idle.is_finished(), "a question goes on");
    drop(busy);
    drop(Busy::start(activity.clone()));
    tokio::time::sleep(IDLE * 3).await;
    assert!(idle.is_finished());
}
