//! Peers that never say who they are, against a server with small limits.

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::client::TlsStream;

use super::{Limits, serve_within};
use crate::{ApiServer, Config, system_clock};

/// Longer than anything here takes, shorter than the handshake's limit below.
const PATIENCE: Duration = Duration::from_secs(20);

struct Peers {
    address: std::net::SocketAddr,
    ca: String,
    token: String,
    tasks: JoinSet<()>,
    _dir: tempfile::TempDir,
}

impl Peers {
    async fn of(limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let api = ApiServer::open(Config {
            data_dir: dir.path().to_owned(),
            service_cidr: "10.96.0.0/16".parse().unwrap(),
            listener,
            public_url: format!("https://{address}"),
            clock: system_clock(),
        })
        .await
        .unwrap();
        let (ca, token) = (api.ca_pem().to_owned(), api.admin_token().to_owned());
        let mut tasks = JoinSet::new();
        let ApiServer { server, listener, tls, .. } = api;
        tasks.spawn(serve_within(limits, server, listener, tls, std::future::pending()));
        Self { address, ca, token, tasks, _dir: dir }
    }

    async fn tls(&self) -> TlsStream<TcpStream> {
        let tls = lateen_identity::client_config(self.ca.as_bytes()).unwrap();
        let socket = TcpStream::connect(self.address).await.unwrap();
        let name = "localhost".try_into().unwrap();
        tokio_rustls::TlsConnector::from(Arc::clone(&tls)).connect(name, socket).await.unwrap()
    }

    async fn client(&mut self) -> SendRequest<Empty<bytes::Bytes>> {
        let stream = TokioIo::new(self.tls().await);
        let (sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        self.tasks.spawn(async move { drop(connection.await) });
        sender
    }

    async fn get(&self, sender: &mut SendRequest<Empty<bytes::Bytes>>) -> u16 {
        let request = Request::get("/api")
            .header("host", "localhost")
            .header("authorization", format!("Bearer {}", self.token))
            .body(Empty::new())
            .unwrap();
        let response = tokio::time::timeout(PATIENCE, sender.send_request(request)).await;
        let response = response.unwrap().unwrap();
        let code = response.status().as_u16();
        response.into_body().collect().await.unwrap();
        code
    }
}

fn limits() -> Limits {
    Limits { newcomers: 4, known: 2, handshake: 2 * PATIENCE, introduction: 2 * PATIENCE }
}

#[tokio::test]
async fn peers_that_never_finish_the_handshake_do_not_keep_others_out() {
    let mut peers = Peers::of(limits()).await;
    let mut silent = Vec::new();
    for _ in 0..32 {
        silent.push(TcpStream::connect(peers.address).await.unwrap());
    }
    let mut client = peers.client().await;
    assert_eq!(peers.get(&mut client).await, 200);
    let end = tokio::time::timeout(PATIENCE, silent[0].read(&mut [0])).await;
    assert!(matches!(end.unwrap(), Ok(0) | Err(_)), "the oldest had to go");
}

#[tokio::test]
async fn a_peer_that_never_authenticates_has_to_go_and_a_known_one_stays() {
    let introduction = Duration::from_millis(300);
    let mut peers = Peers::of(Limits { introduction, ..limits() }).await;
    let mut known = peers.client().await;
    assert_eq!(peers.get(&mut known).await, 200);
    let mut silent = peers.tls().await;
    let end = tokio::time::timeout(PATIENCE, silent.read(&mut [0])).await;
    assert!(matches!(end.unwrap(), Ok(0) | Err(_)));
    assert_eq!(peers.get(&mut known).await, 200, "its introduction began earlier");
}

#[tokio::test]
async fn known_connections_are_limited_too_and_a_place_is_given_back() {
    let mut peers = Peers::of(limits()).await;
    let (mut one, mut two) = (peers.client().await, peers.client().await);
    assert_eq!((peers.get(&mut one).await, peers.get(&mut two).await), (200, 200));
    let mut three = peers.client().await;
    assert_eq!(peers.get(&mut three).await, 429);
    assert_eq!(peers.get(&mut two).await, 200);
    drop(one);
    let served = async { while peers.get(&mut three).await != 200 {} };
    tokio::time::timeout(PATIENCE, served).await.unwrap();
}
