//! Collectors on loopback: what they get, and that one which is away holds nothing up.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use envoy_types::pb::envoy::config::accesslog::v3::{AccessLog, access_log};
use envoy_types::pb::envoy::config::core::v3::{GrpcService, Node, grpc_service};
use envoy_types::pb::envoy::config::listener::v3::{Listener, filter};
use envoy_types::pb::envoy::extensions::access_loggers::grpc::v3::{
    CommonGrpcAccessLogConfig, TcpGrpcAccessLogConfig,
};
use envoy_types::pb::envoy::extensions::access_loggers::open_telemetry::v3::OpenTelemetryAccessLogConfig;
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
use envoy_types::pb::envoy::service::accesslog::v3::access_log_service_server::{
    AccessLogService, AccessLogServiceServer,
};
use envoy_types::pb::envoy::service::accesslog::v3::stream_access_logs_message::LogEntries;
use envoy_types::pb::envoy::service::accesslog::v3::{
    StreamAccessLogsMessage, StreamAccessLogsResponse,
};
use envoy_types::pb::google::protobuf::Any;
use envoy_types::pb::opentelemetry::proto::common::v1::{AnyValue, any_value};
use lateen_telemetry::exposition::{Exposition, Format};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, Streaming};

use crate::common;
use crate::options::{Options, Role, Source, StaticResources};
use crate::start::{Handle, Proxy};

const PATIENCE: Duration = Duration::from_secs(20);

/// Envoy's access log service, which tells of every message.
struct Als(mpsc::UnboundedSender<StreamAccessLogsMessage>);

#[tonic::async_trait]
impl AccessLogService for Als {
    async fn stream_access_logs(
        &self,
        request: Request<Streaming<StreamAccessLogsMessage>>,
    ) -> Result<Response<StreamAccessLogsResponse>, Status> {
        let mut messages = request.into_inner();
        while let Some(message) = messages.message().await? {
            self.0.send(message).unwrap();
        }
        Ok(Response::new(StreamAccessLogsResponse {}))
    }
}

fn serve(listener: TcpListener) -> mpsc::UnboundedReceiver<StreamAccessLogsMessage> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let service = AccessLogServiceServer::new(Als(sender));
    let server = tonic::transport::Server::builder().add_service(service);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    receiver
}

/// Where a logger finds the cluster `als`.
fn service() -> GrpcService {
    let to = grpc_service::EnvoyGrpc { cluster_name: "als".to_owned(), ..Default::default() };
    GrpcService {
        target_specifier: Some(grpc_service::TargetSpecifier::EnvoyGrpc(to)),
        ..Default::default()
    }
}

/// Envoy's access log service there.
pub(super) fn als() -> Any {
    let common_config = Some(CommonGrpcAccessLogConfig {
        log_name: "connections".to_owned(),
        grpc_service: Some(service()),
        ..Default::default()
    });
    common::any(&TcpGrpcAccessLogConfig { common_config })
}

/// A listener to the cluster `back` whose connections are logged.
fn logged(at: SocketAddr, logger: Any) -> Listener {
    let mut listener = common::listener("front", at, "back");
    let filter = &mut listener.filter_chains[0].filters[0];
    let Some(filter::ConfigType::TypedConfig(any)) = &mut filter.config_type else { panic!() };
    let mut proxy = TcpProxy::decode(any.value.as_slice()).unwrap();
    proxy.access_log = vec![AccessLog {
        name: "als".to_owned(),
        config_type: Some(access_log::ConfigType::TypedConfig(logger)),
        ..Default::default()
    }];
    *any = common::any(&proxy);
    listener
}

async fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// A proxy whose connections are all refused by their upstream, and where it listens. They are logged to `als`.
pub(super) async fn refusing(als: SocketAddr, logger: Any) -> (Handle, SocketAddr) {
    let (at, nowhere) = (free_address().await, free_address().await);
    let source = Source::Static(Box::new(StaticResources {
        listeners: vec![logged(at, logger)],
        clusters: vec![common::cluster("back", &[nowhere]), common::cluster("als", &[als])],
        endpoints: Vec::new(),
    }));
    let node = Node { id: "sidecar~a".to_owned(), ..Default::default() };
    let proxy = Proxy::start(Options { workers: 1, ..Options::new(node, Role::Gateway, source) });
    let proxy = proxy.await.unwrap();
    proxy.ready().await;
    (proxy, at)
}

pub(super) async fn connect(at: SocketAddr, count: usize) {
    for _ in 0..count {
        // It may be reset before the client has seen that it is there, and ends in whatever way.
        if let Ok(mut client) = TcpStream::connect(at).await {
            let _ = client.read(&mut [0]).await;
        }
    }
}

/// Counters of entries: written and dropped.
pub(super) fn counts(proxy: &Handle) -> [u64; 2] {
    counts_of(proxy, "grpc")
}

fn counts_of(proxy: &Handle, service: &str) -> [u64; 2] {
    let mut out = Exposition::new(Format::Text);
    proxy.view().shared.collectors.write(&mut out);
    let page = String::from_utf8(out.finish()).unwrap();
    ["written", "dropped"].map(|what| {
        let name = format!("\nenvoy_access_logs_{service}_access_log_logs_{what} ");
        let value = page.split(&name).nth(1).unwrap();
        value.lines().next().unwrap().parse().unwrap()
    })
}

pub(super) async fn until(proxy: &Handle, fits: impl Fn([u64; 2]) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !fits(counts(proxy)) {
        assert!(Instant::now() < deadline, "{:?}", counts(proxy));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_collector_gets_an_entry_of_every_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let als = listener.local_addr().unwrap();
    let mut messages = serve(listener);
    let (proxy, at) = refusing(als, self::als()).await;
    connect(at, 5).await;
    let mut entries = Vec::new();
    let mut named = 0;
    while entries.len() < 5 {
        let message = tokio::time::timeout(PATIENCE, messages.recv()).await.unwrap().unwrap();
        if let Some(identifier) = message.identifier {
            named += 1;
            assert_eq!(identifier.log_name, "connections");
            assert_eq!(identifier.node.unwrap().id, "sidecar~a");
        }
        let Some(LogEntries::TcpLogs(logs)) = message.log_entries else { panic!() };
        entries.extend(logs.log_entry);
    }
    assert_eq!((entries.len(), named), (5, 1));
    for entry in entries {
        let common = entry.common_properties.unwrap();
        assert_eq!(common.upstream_cluster, "back");
        assert!(common.response_flags.unwrap().upstream_connection_failure);
        assert!(common.upstream_transport_failure_reason.contains("refused"));
    }
    until(&proxy, |counts| counts == [5, 0]).await;
}

#[tokio::test]
async fn a_collector_that_is_away_holds_nothing_up_and_what_it_misses_is_counted() {
    let als = free_address().await;
    let (proxy, at) = refusing(als, self::als()).await;
    // More than a queue, and a batch that is being sent.
    let count = super::WAITING + 1500;
    let begun = Instant::now();
    connect(at, count).await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    until(&proxy, |[written, dropped]| written == 0 && dropped > 0).await;
    // It comes, and what could wait arrives.
    let mut messages = serve(TcpListener::bind(als).await.unwrap());
    until(&proxy, |[written, dropped]| written + dropped == count as u64).await;
    let [written, _] = counts(&proxy);
    let mut arrived = 0;
    while arrived < written {
        let message = tokio::time::timeout(PATIENCE, messages.recv()).await.unwrap().unwrap();
        let Some(LogEntries::TcpLogs(logs)) = message.log_entries else { panic!() };
        arrived += logs.log_entry.len() as u64;
    }
    assert_eq!(arrived, written);
}

#[tokio::test]
async fn an_open_telemetry_collector_that_is_away_holds_nothing_up_either() {
    let body = AnyValue { value: Some(any_value::Value::StringValue("%DURATION%".to_owned())) };
    let logger = common::any(&OpenTelemetryAccessLogConfig {
        grpc_service: Some(service()),
        log_name: "connections".to_owned(),
        body: Some(body),
        ..Default::default()
    });
    let (proxy, at) = refusing(free_address().await, logger).await;
    let count = super::WAITING + 1500;
    let begun = Instant::now();
    connect(at, count).await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let deadline = Instant::now() + PATIENCE;
    // What a batch and the queue have room for waits; all else is dropped and counted.
    let least = (count - super::WAITING - 1024) as u64;
    loop {
        let [written, dropped] = counts_of(&proxy, "open_telemetry");
        if written == 0 && dropped >= least {
            break;
        }
        assert!(Instant::now() < deadline, "{written} were written, {dropped} dropped");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(counts(&proxy), [0, 0], "no other service's");
}

/// Takes connections and says what no HTTP/2 is.
async fn nonsense(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            // Whoever hears that hangs up.
            let _ = stream.write_all(&[0x5a; 4096]).await;
            let _ = stream.read(&mut [0; 4096]).await;
        });
    }
}

/// A service that wants no entries.
struct Unwilling;

#[tonic::async_trait]
impl AccessLogService for Unwilling {
    async fn stream_access_logs(
        &self,
        _messages: Request<Streaming<StreamAccessLogsMessage>>,
    ) -> Result<Response<StreamAccessLogsResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }
}

#[tokio::test]
async fn a_collector_that_answers_nonsense_or_refuses_holds_nothing_up_and_nothing_is_said_to_be_written()
 {
    let bind = || TcpListener::bind("127.0.0.1:0");
    let (strange, unwilling) = (bind().await.unwrap(), bind().await.unwrap());
    let (first, second) = (strange.local_addr().unwrap(), unwilling.local_addr().unwrap());
    tokio::spawn(nonsense(strange));
    let service = AccessLogServiceServer::new(Unwilling);
    let server = tonic::transport::Server::builder().add_service(service);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(unwilling)));
    for collector in [first, second] {
        let (proxy, at) = refusing(collector, als()).await;
        let count = super::WAITING + 1500;
        let begun = Instant::now();
        connect(at, count).await;
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        // A batch and the queue have room; the rest is dropped at once.
        let least = (count - super::WAITING - 1024) as u64;
        until(&proxy, |[written, dropped]| written == 0 && dropped >= least).await;
    }
}

#[tokio::test]
async fn what_waits_is_sent_before_the_proxy_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let als = listener.local_addr().unwrap();
    let mut messages = serve(listener);
    let (proxy, at) = refusing(als, self::als()).await;
    connect(at, 3).await;
    assert!(proxy.drain_and_stop(None).await);
    let mut arrived = 0;
    while arrived < 3 {
        let message = messages.recv().await.unwrap();
        let Some(LogEntries::TcpLogs(logs)) = message.log_entries else { panic!() };
        arrived += logs.log_entry.len();
    }
    assert_eq!(arrived, 3);
}
