//! The server over a real Unix socket, with tonic's own client as the peer.

use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use discovery::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient as Client;
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3 as discovery;
use envoy_types::pb::envoy::service::metrics::v3::StreamMetricsMessage;
use envoy_types::pb::envoy::service::metrics::v3::metrics_service_client::MetricsServiceClient as Metrics;
use envoy_types::pb::google::rpc;
use envoy_types::pb::io::prometheus::client::{Metric, MetricFamily};
use hyper_util::rt::TokioIo;
use lateen_api::xds::ResourceType::{self, Listener};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Streaming};

use super::super::delivery::Delivery;
use super::super::peer::{Authenticate, Peer as Who, Refusal, ServiceAccount, Verdict};
use super::super::testing::Script;
use super::super::{Limits, Protocol, Session, Source, View};
use super::{Door as Entry, jittered, serve};

/// One configuration for every proxy, changed by the test.
struct Mesh {
    script: Mutex<Script>,
    changes: watch::Sender<u64>,
    reports: mpsc::UnboundedSender<String>,
    retry: Option<Duration>,
}

struct Seat(Arc<Mesh>);

struct Door(Arc<Mesh>);

impl Source for Door {
    fn open(&self, node: &Node, _: Protocol, peer: &Who) -> Result<Arc<dyn Session>, Refusal> {
        match (node.id.as_str(), peer) {
            ("stranger", _) => Err(Refusal::Invalid("no such proxy".to_owned())),
            (id, Who::ServiceAccount(account)) if id != account.name => {
                Err(Refusal::Forbidden(format!("{id} is not {}", account.name)))
            }
            _ => Ok(Arc::new(Seat(self.0.clone()))),
        }
    }

    fn overweight(&self) {
        self.0.reports.send("overweight".to_owned()).unwrap();
    }
}

impl Session for Seat {
    fn view(&self) -> Arc<dyn View> {
        Arc::new(self.0.script.lock().unwrap().clone())
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    fn sent(&self, _: ResourceType, _: &Delivery) {}

    fn accepted(&self, kind: ResourceType, delivery: &Delivery) {
        let report = format!("accepted {} {:?}", kind.short_name(), delivery.names);
        self.0.reports.send(report).unwrap();
    }

    fn rejected(
        &self,
        kind: ResourceType,
        _: &Delivery,
        blamed: &[String],
        message: &str,
    ) -> Option<Duration> {
        let report = format!("rejected {} {blamed:?} {message}", kind.short_name());
        self.0.reports.send(report).unwrap();
        self.0.retry
    }
}

struct Rig {
    path: PathBuf,
    mesh: Arc<Mesh>,
    reports: mpsc::UnboundedReceiver<String>,
    stop: watch::Sender<bool>,
    server: JoinHandle<Result<(), super::Error>>,
}

impl Rig {
    fn new(name: &str, limits: Limits) -> Self {
        let file = format!("lateen-ads-{}-{name}.sock", std::process::id());
        let path = std::env::temp_dir().join(file);
        let doors = vec![Entry::Unix(StdListener::bind(&path).unwrap())];
        Self::with(path, doors, limits)
    }

    fn with(path: PathBuf, doors: Vec<Entry>, limits: Limits) -> Self {
        let (sender, reports) = mpsc::unbounded_channel();
        let mesh = Arc::new(Mesh {
            script: Mutex::new(Script::default()),
            changes: watch::Sender::new(0),
            reports: sender,
            retry: Some(Duration::from_millis(1)),
        });
        let (stop, stopping) = watch::channel(false);
        let source = Arc::new(Door(mesh.clone()));
        let server = tokio::spawn(serve(doors, source, limits, stopping));
        Self { path, mesh, reports, stop, server }
    }

    fn put(&self, name: &str, content: &str) {
        self.mesh.script.lock().unwrap().put(Listener, name, content);
        self.mesh.changes.send_modify(|version| *version += 1);
    }

    async fn delta(
        &self,
    ) -> Peer<discovery::DeltaDiscoveryRequest, discovery::DeltaDiscoveryResponse> {
        let (requests, outbound) = mpsc::channel(8);
        let mut client = connect(&self.path).await;
        let answers = client.delta_aggregated_resources(ReceiverStream::new(outbound)).await;
        Peer { requests, answers: answers.unwrap().into_inner() }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.server.abort();
        // Only those over a Unix socket have a file.
        let _ = std::fs::remove_file(&self.path);
    }
}

struct Peer<Q, A> {
    requests: mpsc::Sender<Q>,
    answers: Streaming<A>,
}

async fn connect(path: &Path) -> Client<Channel> {
    Client::new(channel(path).await)
}

async fn channel(path: &Path) -> Channel {
    let path = path.to_owned();
    let connector = tower::service_fn(move |_: Uri| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_static("http://ads.invalid");
    endpoint.connect_with_connector(connector).await.unwrap()
}

fn first(id: &str) -> discovery::DeltaDiscoveryRequest {
    discovery::DeltaDiscoveryRequest {
        node: Some(Node { id: id.to_owned(), ..Default::default() }),
        type_url: Listener.type_url().to_owned(),
        ..Default::default()
    }
}

fn reply(nonce: &str, error: Option<&str>) -> discovery::DeltaDiscoveryRequest {
    discovery::DeltaDiscoveryRequest {
        type_url: Listener.type_url().to_owned(),
        response_nonce: nonce.to_owned(),
        error_detail: error
            .map(|message| rpc::Status { message: message.to_owned(), ..Default::default() }),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_delta_stream_answers_pushes_and_reports() {
    let mut rig = Rig::new("delta", Limits::default());
    rig.put("a", "1");
    let mut peer = rig.delta().await;
    peer.requests.send(first("proxy")).await.unwrap();
    let answer = peer.answers.message().await.unwrap().unwrap();
    assert_eq!(answer.resources[0].name, "a");
    peer.requests.send(reply(&answer.nonce, None)).await.unwrap();
    assert_eq!(rig.reports.recv().await.unwrap(), r#"accepted LDS ["a"]"#);
    rig.put("b", "1");
    let answer = peer.answers.message().await.unwrap().unwrap();
    assert_eq!((answer.resources.len(), answer.resources[0].name.as_str()), (1, "b"));
}

#[tokio::test]
async fn what_was_refused_is_sent_again_when_the_session_says_so() {
    let mut rig = Rig::new("retry", Limits::default());
    rig.put("a", "1");
    let mut peer = rig.delta().await;
    peer.requests.send(first("proxy")).await.unwrap();
    let answer = peer.answers.message().await.unwrap().unwrap();
    peer.requests.send(reply(&answer.nonce, Some("a: no"))).await.unwrap();
    assert_eq!(rig.reports.recv().await.unwrap(), r#"rejected LDS ["a"] a: no"#);
    let again = peer.answers.message().await.unwrap().unwrap();
    assert_eq!(again.resources, answer.resources);
    assert_ne!(again.nonce, answer.nonce);
}

#[tokio::test]
async fn a_state_of_the_world_stream_carries_the_full_set() {
    let rig = Rig::new("sotw", Limits::default());
    rig.put("a", "1");
    rig.put("b", "1");
    let (requests, outbound) = mpsc::channel(8);
    let mut client = connect(&rig.path).await;
    let answers = client.stream_aggregated_resources(ReceiverStream::new(outbound)).await;
    let mut answers = answers.unwrap().into_inner();
    let request = discovery::DiscoveryRequest {
        node: Some(Node { id: "envoy".to_owned(), ..Default::default() }),
        type_url: Listener.type_url().to_owned(),
        ..Default::default()
    };
    requests.send(request).await.unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap().resources.len(), 2);
    rig.put("c", "1");
    assert_eq!(answers.message().await.unwrap().unwrap().resources.len(), 3);
}

#[tokio::test]
async fn a_stream_without_a_node_or_of_an_unknown_proxy_is_ended_with_the_reason() {
    let rig = Rig::new("node", Limits::default());
    let mut peer = rig.delta().await;
    peer.requests.send(reply("", None)).await.unwrap();
    let status = peer.answers.message().await.unwrap_err();
    assert_eq!(status.message(), "the first request of a stream must carry the node");
    let mut peer = rig.delta().await;
    peer.requests.send(first("stranger")).await.unwrap();
    let status = peer.answers.message().await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "no such proxy"));
}

#[tokio::test]
async fn one_stream_more_than_the_limit_is_refused_until_another_ends() {
    let rig = Rig::new("limit", Limits { streams: 1, ..Limits::default() });
    rig.put("a", "1");
    let mut held = rig.delta().await;
    held.requests.send(first("one")).await.unwrap();
    held.answers.message().await.unwrap().unwrap();
    let (_requests, outbound) = mpsc::channel::<discovery::DeltaDiscoveryRequest>(1);
    let mut client = connect(&rig.path).await;
    let refused = client.delta_aggregated_resources(ReceiverStream::new(outbound)).await;
    assert_eq!(refused.unwrap_err().code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn telemetry_takes_no_place_of_configuration() {
    let rig = Rig::new("telemetry", Limits { streams: 1, telemetry: 1, ..Limits::default() });
    rig.put("a", "1");
    let mut clients =
        [Metrics::new(channel(&rig.path).await), Metrics::new(channel(&rig.path).await)];
    // They hold their place until they have said who they are.
    let streams = clients.each_mut().map(|client| {
        Box::pin(client.stream_metrics(tokio_stream::pending::<StreamMetricsMessage>()))
    });
    let (refused, _, held) = futures::future::select_all(streams).await;
    assert_eq!(refused.unwrap_err().message(), "1 streams of telemetry are open; try again later");
    let mut peer = rig.delta().await;
    peer.requests.send(first("proxy")).await.unwrap();
    assert_eq!(peer.answers.message().await.unwrap().unwrap().resources[0].name, "a");
    drop(held);
}

#[tokio::test]
async fn telemetry_that_would_take_too_much_memory_is_not_read_and_counted() {
    let limits = Limits { request_bytes: 1 << 20, ..Limits::default() };
    let mut rig = Rig::new("overweight", limits);
    let told = |samples: usize| {
        let metric = vec![Metric::default(); samples];
        let family = MetricFamily { metric, ..MetricFamily::default() };
        StreamMetricsMessage { envoy_metrics: vec![family], ..StreamMetricsMessage::default() }
    };
    let mut client = Metrics::new(channel(&rig.path).await);
    let mut tell =
        async |samples| client.stream_metrics(tokio_stream::once(told(samples))).await.unwrap_err();
    let read = tell(100).await;
    assert_eq!(
        (read.code(), read.message()),
        (Code::InvalidArgument, "the first message names no node")
    );
    let refused = tell(100_000).await;
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.message().contains("tell less at once"), "{}", refused.message());
    assert_eq!(rig.reports.recv().await.as_deref(), Some("overweight"));
}

#[tokio::test]
async fn shutdown_ends_open_streams_and_the_server() {
    let mut rig = Rig::new("shutdown", Limits::default());
    rig.put("a", "1");
    let mut peer = rig.delta().await;
    peer.requests.send(first("proxy")).await.unwrap();
    peer.answers.message().await.unwrap().unwrap();
    rig.stop.send(true).unwrap();
    assert!(peer.answers.message().await.unwrap().is_none());
    drop(peer);
    (&mut rig.server).await.unwrap().unwrap();
}

/// Knows one token.
struct Guard;

impl Authenticate for Guard {
    fn authenticate<'a>(&'a self, token: &'a str) -> Verdict<'a> {
        let verdict = match token {
            "token-of-a" => Ok(ServiceAccount {
                namespace: "default".to_owned(),
                name: "a".to_owned(),
                pod: None,
            }),
            _ => Err(Refusal::Unauthenticated("no such token".to_owned())),
        };
        Box::pin(std::future::ready(verdict))
    }
}

/// A server behind a door that asks for tokens, and connections to it.
fn guarded(max_age: Option<Duration>) -> (Rig, mpsc::UnboundedSender<tokio::io::DuplexStream>) {
    let (connections, accepted) = mpsc::unbounded_channel::<tokio::io::DuplexStream>();
    let incoming = futures::stream::unfold(accepted, |mut accepted| async move {
        let stream = accepted.recv().await?;
        Some((Ok(Box::new(stream) as Box<dyn super::Connection>), accepted))
    });
    let incoming = Box::pin(incoming);
    let door = Entry::Secure { incoming, authenticate: Arc::new(Guard), max_age };
    (Rig::with(PathBuf::new(), vec![door], Limits::default()), connections)
}

/// A client over a connection of its own.
async fn dialled(connections: &mpsc::UnboundedSender<tokio::io::DuplexStream>) -> Client<Channel> {
    let (near, far) = tokio::io::duplex(1 << 16);
    connections.send(far).unwrap();
    let mut near = Some(near);
    let connector = tower::service_fn(move |_: Uri| {
        let gone = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let near = near.take().ok_or_else(gone);
        std::future::ready(near.map(TokioIo::new))
    });
    let endpoint = Endpoint::from_static("http://ads.invalid");
    Client::new(endpoint.connect_with_connector(connector).await.unwrap())
}

/// Opens a stream that carries `authorization`, if any.
async fn opened(
    connections: &mpsc::UnboundedSender<tokio::io::DuplexStream>,
    authorization: Option<&str>,
) -> Result<Peer<discovery::DeltaDiscoveryRequest, discovery::DeltaDiscoveryResponse>, tonic::Status>
{
    opened_by(&mut dialled(connections).await, authorization).await
}

async fn opened_by(
    client: &mut Client<Channel>,
    authorization: Option<&str>,
) -> Result<Peer<discovery::DeltaDiscoveryRequest, discovery::DeltaDiscoveryResponse>, tonic::Status>
{
    let (requests, outbound) = mpsc::channel(8);
    let mut request = tonic::Request::new(ReceiverStream::new(outbound));
    if let Some(value) = authorization {
        request.metadata_mut().insert("authorization", value.parse().unwrap());
    }
    let answers = client.delta_aggregated_resources(request).await?.into_inner();
    Ok(Peer { requests, answers })
}

#[tokio::test]
async fn a_secure_door_serves_the_holder_of_a_token_and_nobody_else() {
    let (rig, connections) = guarded(None);
    rig.put("x", "1");
    for authorization in [None, Some("Bearer of-nobody")] {
        let status = opened(&connections, authorization).await.err().unwrap();
        assert_eq!(status.code(), Code::Unauthenticated, "{status}");
    }
    let mut peer = opened(&connections, Some("Bearer token-of-a")).await.unwrap();
    peer.requests.send(first("a")).await.unwrap();
    assert_eq!(peer.answers.message().await.unwrap().unwrap().resources[0].name, "x");
}

#[tokio::test]
async fn the_holder_of_a_token_cannot_be_another_proxy() {
    let (_rig, connections) = guarded(None);
    let mut peer = opened(&connections, Some("Bearer token-of-a")).await.unwrap();
    peer.requests.send(first("b")).await.unwrap();
    let status = peer.answers.message().await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::PermissionDenied, "b is not a"));
}

#[tokio::test]
async fn a_stream_ends_in_order_at_its_age() {
    let (rig, connections) = guarded(Some(Duration::from_millis(200)));
    rig.put("x", "1");
    let mut peer = opened(&connections, Some("Bearer token-of-a")).await.unwrap();
    peer.requests.send(first("a")).await.unwrap();
    peer.answers.message().await.unwrap().unwrap();
    assert!(peer.answers.message().await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn the_streams_of_a_connection_end_together() {
    let age = Duration::from_secs(1000);
    let (rig, connections) = guarded(Some(age));
    rig.put("x", "1");
    let mut client = dialled(&connections).await;
    let begun = tokio::time::Instant::now();
    let mut early = opened_by(&mut client, Some("Bearer token-of-a")).await.unwrap();
    tokio::time::sleep(age / 2).await;
    let mut late = opened_by(&mut client, Some("Bearer token-of-a")).await.unwrap();
    for peer in [&mut early, &mut late] {
        peer.requests.send(first("a")).await.unwrap();
        peer.answers.message().await.unwrap().unwrap();
    }
    let mut ends = Vec::new();
    for peer in [&mut early, &mut late] {
        assert!(peer.answers.message().await.unwrap().is_none());
        ends.push(begun.elapsed().as_secs());
    }
    assert_eq!(ends[0], ends[1]);
    assert!((900..=1100).contains(&ends[0]), "{ends:?}");
}

#[test]
fn ages_differ_by_a_tenth_at_most() {
    let age = Duration::from_secs(1000);
    let ages: Vec<Duration> = (0..100).map(|_| jittered(age)).collect();
    assert!(ages.iter().all(|age| (900..=1100).contains(&age.as_secs())), "{ages:?}");
    assert!(ages.iter().any(|age| *age != ages[0]));
}
