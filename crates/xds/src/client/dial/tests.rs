//! The whole link against a server of the test over TLS, which refuses every stream with the token that it
//! was sent, so that a client sees what the server saw.

use std::pin::Pin;

use discovery::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use envoy_types::pb::envoy::service::discovery::v3 as discovery;
use futures::Stream;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use lateen_identity::Ca;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tonic::{Request, Response, Status, Streaming};

use crate::client::{AdsAddress, Event, connect};

type Nothing<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Tells a client its own token.
#[derive(Clone)]
struct Mirror;

#[tonic::async_trait]
impl AggregatedDiscoveryService for Mirror {
    type StreamAggregatedResourcesStream = Nothing<discovery::DiscoveryResponse>;
    type DeltaAggregatedResourcesStream = Nothing<discovery::DeltaDiscoveryResponse>;

    async fn stream_aggregated_resources(
        &self,
        _: Request<Streaming<discovery::DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented("delta only"))
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<discovery::DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let sent = request.metadata().get("authorization");
        let sent = sent.and_then(|value| value.to_str().ok()).unwrap_or("nothing");
        Err(Status::unauthenticated(sent.to_owned()))
    }
}

/// A control plane named `localhost`, and the files that a pod has of it.
struct Rig {
    folder: TempDir,
    port: u16,
    _server: JoinHandle<()>,
}

impl Rig {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca = Ca::load_or_create(folder.path(), "test").unwrap();
        let issued = ca.issue_server(&["localhost"]).unwrap();
        let config = lateen_identity::server_config(issued, &[b"h2"]).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(serve(listener, TlsAcceptor::from(config)));
        let rig = Self { folder, port, _server: server };
        rig.write("roots.pem", ca.pem());
        rig.write("token", "first\n");
        rig
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.folder.path().join(name)).unwrap();
    }

    fn address(&self, host: &str) -> AdsAddress {
        let file = |name: &str| self.folder.path().join(name);
        let host = format!("{host}:{}", self.port);
        AdsAddress::Tls { host, roots: file("roots.pem"), token: file("token") }
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        connections.spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service = AggregatedDiscoveryServiceServer::new(Mirror);
            let server = auto::Builder::new(TokioExecutor::new()).http2_only();
            let service = TowerToHyperService::new(service);
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// A link, for as long as its task is held.
fn linked(address: AdsAddress) -> (mpsc::Receiver<Event>, JoinSet<()>) {
    let (events, link) = connect(address, 1);
    let mut task = JoinSet::new();
    task.spawn(link);
    (events, task)
}

/// Why one connection ended.
async fn lost(events: &mut mpsc::Receiver<Event>) -> String {
    loop {
        if let Event::Lost(reason) = events.recv().await.unwrap() {
            return reason;
        }
    }
}

#[tokio::test]
async fn the_token_is_sent_over_tls_and_read_anew_for_every_connection() {
    let rig = Rig::start().await;
    let (mut events, _task) = linked(rig.address("localhost"));
    assert_eq!(lost(&mut events).await, "the server said: Bearer first");
    rig.write("token", "second");
    let mut said = lost(&mut events).await;
    // A connection may have been on its way already.
    if said.ends_with("first") {
        said = lost(&mut events).await;
    }
    assert_eq!(said, "the server said: Bearer second");
}

#[tokio::test]
async fn a_server_of_other_roots_or_another_name_gets_no_token() {
    let rig = Rig::start().await;
    let (mut events, _task) = linked(rig.address("127.0.0.1"));
    let reason = lost(&mut events).await;
    assert!(reason.starts_with("tls: invalid peer certificate"), "{reason}");
    let elsewhere = tempfile::tempdir().unwrap();
    let other = Ca::load_or_create(elsewhere.path(), "other").unwrap();
    let right = std::fs::read_to_string(rig.folder.path().join("roots.pem")).unwrap();
    rig.write("roots.pem", other.pem());
    let (mut events, _task) = linked(rig.address("localhost"));
    let reason = lost(&mut events).await;
    assert!(reason.starts_with("tls: invalid peer certificate"), "{reason}");
    // The roots are read anew as well.
    rig.write("roots.pem", &right);
    while lost(&mut events).await != "the server said: Bearer first" {}
}

#[tokio::test]
async fn missing_files_and_useless_ones_are_named() {
    let rig = Rig::start().await;
    let reason = async |rig: &Rig| {
        let (mut events, _task) = linked(rig.address("localhost"));
        lost(&mut events).await
    };
    let at = |name: &str| rig.folder.path().join(name).display().to_string();
    rig.write("token", " \n");
    assert_eq!(
        reason(&rig).await,
        format!("{} holds no token that can be sent: check its content", at("token"))
    );
    rig.remove("token");
    let missing = format!("cannot read {}: no such file or directory", at("token"));
    assert_eq!(reason(&rig).await, missing);
    rig.write("roots.pem", "nonsense");
    let said = reason(&rig).await;
    assert!(said.starts_with(&at("roots.pem")) && said.contains("no certificate"), "{said}");
    rig.remove("roots.pem");
    let missing = format!("cannot read {}: no such file or directory", at("roots.pem"));
    assert_eq!(reason(&rig).await, missing);
}

#[tokio::test]
async fn a_server_that_is_silent_is_given_up_in_time() {
    let rig = Rig::start().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = Rig { port: silent.local_addr().unwrap().port(), ..rig };
    tokio::time::pause();
    let (mut events, _task) = linked(rig.address("localhost"));
    let reason = lost(&mut events).await;
    assert_eq!(reason, "no tls connection in time");
}
