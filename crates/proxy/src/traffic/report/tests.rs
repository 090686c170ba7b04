//! Reports to a control plane that ends and refuses streams.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use envoy_types::pb::envoy::service::discovery::v3 as discovery;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use envoy_types::pb::envoy::service::metrics::v3::StreamMetricsResponse;
use envoy_types::pb::envoy::service::metrics::v3::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use futures::stream::{self, Pending};
use lateen_telemetry::labels::Reporter as Side;
use lateen_telemetry::parts::PART;
use lateen_telemetry::standard::{COVERED, FIRST, LASTED, MORE, Metric, NUMBER, OPEN};
use lateen_xds::client::{AdsAddress, Event, connect};
use prost::Message;
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Request, Response, Status, Streaming};

use super::{Node, Reporter, StreamMetricsMessage, Uplink};
use crate::options::{Options, Role, Source, StaticResources};
use crate::start::{Handle, Proxy};
use crate::traffic::{Asked, End, Key, Meter, Text};

const PATIENCE: Duration = Duration::from_secs(20);

/// What the control plane does with a stream.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// Takes one report, and ends it in order.
    Takes,
    /// Takes one report, and fails.
    Fails,
    /// Takes the first part of a report, and ends it in order.
    Stops,
    /// Refuses it at once.
    Refuses,
}

/// Takes streams in one way. It has no configuration for anybody.
#[derive(Clone)]
struct Server {
    /// Parts of reports, with who sent them.
    messages: mpsc::UnboundedSender<StreamMetricsMessage>,
    way: Arc<Mutex<Way>>,
}

#[tonic::async_trait]
impl MetricsService for Server {
    async fn stream_metrics(
        &self,
        request: Request<Streaming<StreamMetricsMessage>>,
    ) -> Result<Response<StreamMetricsResponse>, Status> {
        let way = *self.way.lock().unwrap();
        if way == Way::Refuses {
            return Err(Status::resource_exhausted("no place"));
        }
        let mut stream = request.into_inner();
        let who = stream.message().await?.unwrap();
        assert!(who.envoy_metrics.is_empty(), "it may be refused yet");
        while let Some(part) = stream.message().await? {
            assert_eq!(part.identifier, None);
            let goes_on = sum(&part, MORE).is_some();
            let identifier = who.identifier.clone();
            self.messages.send(StreamMetricsMessage { identifier, ..part }).unwrap();
            if !goes_on || way == Way::Stops {
                break;
            }
        }
        match way {
            Way::Fails => Err(Status::internal("it fails")),
            Way::Takes | Way::Stops | Way::Refuses => Ok(Response::new(StreamMetricsResponse {})),
        }
    }
}

type Nothing<T> = Pending<Result<T, Status>>;

#[tonic::async_trait]
impl AggregatedDiscoveryService for Server {
    type StreamAggregatedResourcesStream = Nothing<discovery::DiscoveryResponse>;
    type DeltaAggregatedResourcesStream = Nothing<discovery::DeltaDiscoveryResponse>;

    async fn stream_aggregated_resources(
        &self,
        _: Request<Streaming<discovery::DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented("deltas alone"))
    }

    async fn delta_aggregated_resources(
        &self,
        _: Request<Streaming<discovery::DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        Ok(Response::new(stream::pending()))
    }
}

impl Server {
    fn new() -> (Self, mpsc::UnboundedReceiver<StreamMetricsMessage>) {
        let (sender, messages) = mpsc::unbounded_channel();
        (Self { messages: sender, way: Arc::new(Mutex::new(Way::Takes)) }, messages)
    }

    fn serve(self, listener: UnixListener) {
        let router = tonic::transport::Server::builder()
            .add_service(AggregatedDiscoveryServiceServer::new(self.clone()))
            .add_service(MetricsServiceServer::new(self));
        tokio::spawn(router.serve_with_incoming(UnixListenerStream::new(listener)));
    }
}

struct Rig {
    reporter: Reporter,
    messages: mpsc::UnboundedReceiver<StreamMetricsMessage>,
    way: Arc<Mutex<Way>>,
    _proxy: Handle,
    _home: TempDir,
}

impl Rig {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("ads.sock");
        let (server, messages) = Server::new();
        let way = server.way.clone();
        server.serve(UnixListener::bind(&path).unwrap());
        let node = Node { id: "sidecar~a".to_owned(), ..Default::default() };
        let nothing = StaticResources { listeners: vec![], clusters: vec![], endpoints: vec![] };
        let source = Source::Static(Box::new(nothing));
        let options = Options { workers: 1, ..Options::new(node.clone(), Role::Gateway, source) };
        let proxy = Proxy::start(options).await.unwrap();
        let mut reporter = Reporter::new(proxy.view().shared.clone(), node);
        reporter.settled = Duration::ZERO;
        reporter.connected(Some(uplink(&path).await));
        Self { reporter, messages, way, _proxy: proxy, _home: home }
    }

    fn opened(&self, count: usize) -> Vec<Meter> {
        let key = key();
        let interval = Duration::from_secs(5);
        let open = || self.reporter.shared.traffic.open(0, key.clone(), interval);
        (0..count).map(|_| open()).collect()
    }

    fn closed(&self, meters: impl IntoIterator<Item = Meter>) {
        for meter in meters {
            self.reporter.shared.traffic.closed(0, &meter, meter.key());
        }
    }

    /// Until the server's end of the stream has come here.
    async fn ended(&mut self) {
        let open = self.reporter.stream.as_ref().unwrap();
        tokio::time::timeout(PATIENCE, open.reports.closed()).await.unwrap();
    }

    /// What becomes of the next streams, of which the first is open now.
    fn streams(&mut self, way: Way) {
        *self.way.lock().unwrap() = way;
        self.reporter.connected(self.reporter.uplink.clone());
    }

    /// Until the reporter knows that its stream is over.
    async fn over(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        let opened = |reporter: &Reporter| reporter.stream.as_ref().map(|stream| stream.opened);
        let first = opened(&self.reporter);
        while opened(&self.reporter) == first {
            assert!(Instant::now() < deadline);
            self.reporter.reopen();
            tokio::task::yield_now().await;
        }
    }

    /// Opens a connection to each of so many workloads with long names.
    fn opened_to(&self, count: usize) -> Vec<Meter> {
        let (traffic, name) = (&self.reporter.shared.traffic, "w".repeat(400));
        let key = |index| to(&format!("{name}-{index}"));
        (0..count).map(|index| traffic.open(0, key(index), Duration::from_secs(5))).collect()
    }

    fn unsent(&self) -> u64 {
        self.reporter.shared.traffic.unsent.load(Ordering::Relaxed)
    }

    /// The next message, which a tick brings.
    async fn told(&mut self) -> StreamMetricsMessage {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.reporter.tick();
            let next = tokio::time::timeout(Duration::from_millis(20), self.messages.recv());
            if let Ok(message) = next.await {
                return message.unwrap();
            }
            assert!(Instant::now() < deadline, "no message came");
        }
    }
}

async fn uplink(path: &Path) -> Uplink {
    let (mut events, link) = connect(AdsAddress::Unix(path.to_owned()), 1);
    let event = tokio::time::timeout(PATIENCE, async {
        tokio::select! {
            event = events.recv() => event,
            () = link => None,
        }
    });
    let Ok(Some(Event::Connected(_, uplink))) = event.await else { panic!("no connection") };
    uplink
}

fn key() -> Key {
    to("db")
}

fn to(workload: &str) -> Key {
    let about = Text(format!(r#"{{"workload":"{workload};data;db;v2;Kubernetes"}}"#).into());
    let (source, destination) = (End::Own, End::Endpoint(about));
    let asked = Asked::Nothing;
    Key {
        reporter: Side::Source,
        source,
        destination,
        asked,
        flags: &[],
        untaken: false,
        shown: None,
    }
}

/// The sum of a family's values; none without it.
fn sum(message: &StreamMetricsMessage, name: &str) -> Option<f64> {
    let family = message.envoy_metrics.iter().find(|family| family.name() == name)?;
    let gauge =
        family.metric.iter().filter_map(|sample| sample.gauge.as_ref()).map(|one| one.value());
    let count = family.metric.iter().filter_map(|sample| sample.counter.as_ref());
    Some(gauge.chain(count.map(|one| one.value())).sum())
}

fn counts(message: &StreamMetricsMessage) -> [Option<f64>; 3] {
    let name = |metric: Metric| metric.about().name;
    [name(Metric::TcpOpened), name(Metric::TcpClosed), OPEN].map(|name| sum(message, name))
}

#[tokio::test]
async fn a_stream_that_ends_is_opened_again_and_nothing_is_lost() {
    let mut rig = Rig::new().await;
    let mut meters = rig.opened(3);
    let first = rig.told().await;
    assert_eq!(counts(&first), [Some(3.0), None, Some(3.0)]);
    rig.ended().await;
    meters.extend(rig.opened(4));
    rig.closed(meters.drain(..2));
    let second = rig.told().await;
    assert!(second.identifier.is_some(), "it is another stream");
    assert_eq!(counts(&second), [Some(4.0), Some(2.0), Some(5.0)]);
    rig.ended().await;
    rig.closed(meters);
    let third = rig.told().await;
    assert_eq!(counts(&third), [None, Some(5.0), None]);
    let said = |name| [&first, &second, &third].map(|message| sum(message, name).is_some());
    assert_eq!((said(COVERED), said(FIRST)), ([true; 3], [true, false, false]));
    let numbers = [&first, &second, &third].map(|message| sum(message, NUMBER));
    assert_eq!(numbers, [0.0, 1.0, 2.0].map(Some));
    assert_eq!(rig.unsent(), 0);
}

#[tokio::test]
async fn the_last_report_has_been_taken_when_the_proxy_ends() {
    let mut rig = Rig::new().await;
    rig.told().await;
    rig.ended().await;
    let meters = rig.opened(2);
    rig.closed(meters);
    rig.reporter.finish().await;
    let last = rig.messages.try_recv().expect("it was waited for");
    assert_eq!(counts(&last)[..2], [Some(2.0), Some(2.0)]);
}

#[tokio::test]
async fn a_refused_stream_is_tried_again_after_growing_pauses() {
    let mut rig = Rig::new().await;
    // As long as a refusal may take here.
    rig.reporter.settled = 2 * PATIENCE;
    rig.streams(Way::Refuses);
    let _meters = rig.opened(1);
    for pause in [5, 10, 20] {
        rig.reporter.again.0 = Instant::now();
        let deadline = Instant::now() + PATIENCE;
        while rig.reporter.again.0 <= Instant::now() {
            assert!(Instant::now() < deadline);
            rig.reporter.tick();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(rig.reporter.stream.is_none());
        let left = rig.reporter.again.0 - Instant::now();
        assert!((pause - 1..=pause).contains(&left.as_secs()), "{left:?} of {pause} s");
    }
    rig.reporter.settled = Duration::ZERO;
    rig.streams(Way::Takes);
    let told = rig.told().await;
    assert_eq!(counts(&told), [Some(1.0), None, Some(1.0)]);
    assert!(sum(&told, FIRST).is_some(), "nothing was told to those that refused");
    assert_eq!(rig.unsent(), 0);
}

#[tokio::test]
async fn reports_that_are_lost_with_their_stream_are_counted() {
    let mut rig = Rig::new().await;
    rig.streams(Way::Fails);
    let _meters = rig.opened(1);
    rig.told().await;
    rig.over().await;
    assert_eq!(rig.unsent(), 1, "the last one may not have come");
    rig.streams(Way::Takes);
    let _more = rig.opened(1);
    assert_eq!(counts(&rig.told().await), [Some(1.0), None, Some(2.0)]);
    rig.over().await;
    assert_eq!(rig.unsent(), 1);
    // Larger than what may be on its way.
    let _many = rig.opened_to(6000);
    rig.streams(Way::Stops);
    rig.told().await;
    rig.over().await;
    assert_eq!(rig.unsent(), 2, "it was not taken whole");
}

#[tokio::test]
async fn a_young_stream_waits_for_a_moment_unless_the_proxy_ends() {
    let mut rig = Rig::new().await;
    rig.reporter.settled = 2 * PATIENCE;
    rig.streams(Way::Takes);
    let _meters = rig.opened(2);
    let due = rig.reporter.tick().expect("it is not settled");
    assert!(due > Instant::now() + PATIENCE && due <= Instant::now() + 2 * PATIENCE);
    assert_eq!(rig.reporter.stream.as_ref().unwrap().handed, 0);
    rig.reporter.finish().await;
    let last = rig.messages.try_recv().expect("it was waited for");
    assert_eq!(counts(&last)[..1], [Some(2.0)]);
}

#[tokio::test]
async fn a_stream_that_is_left_for_another_connection_takes_what_it_was_handed() {
    let mut rig = Rig::new().await;
    let _meters = rig.opened(3);
    assert_eq!(rig.reporter.tick(), None);
    assert_eq!(rig.reporter.stream.as_ref().unwrap().handed, 1);
    rig.reporter.connected(rig.reporter.uplink.clone());
    let first = tokio::time::timeout(PATIENCE, rig.messages.recv()).await.unwrap().unwrap();
    assert_eq!(counts(&first), [Some(3.0), None, Some(3.0)]);
    while !rig.reporter.left.is_empty() {
        rig.reporter.tick();
        tokio::task::yield_now().await;
    }
    assert_eq!(rig.unsent(), 0);
}

#[tokio::test]
async fn a_large_report_is_told_in_parts() {
    let mut rig = Rig::new().await;
    let meters = rig.opened_to(700);
    let mut parts = vec![rig.told().await];
    while sum(parts.last().unwrap(), MORE).is_some() {
        let next = tokio::time::timeout(PATIENCE, rig.messages.recv()).await;
        parts.push(next.unwrap().unwrap());
    }
    assert!(parts.len() > 1 && parts.iter().all(|part| part.encoded_len() < PART + 1024));
    assert!(sum(&parts[0], COVERED).is_some() && sum(&parts[0], FIRST).is_some());
    let all = |name: &str| parts.iter().filter_map(|part| sum(part, name)).sum::<f64>();
    let opened = Metric::TcpOpened.about().name;
    assert_eq!([all(opened), all(OPEN), all(FIRST)], [700.0, 700.0, 1.0]);
    assert_eq!((meters.len(), rig.unsent()), (700, 0));
}

#[tokio::test]
async fn what_could_not_be_told_for_long_is_counted_and_what_is_open_is_told() {
    let mut rig = Rig::new().await;
    let mut meters = rig.opened(5);
    rig.closed(meters.drain(..3));
    rig.reporter.told -= Duration::from_secs(40);
    let message = rig.told().await;
    assert_eq!(counts(&message), [None, None, Some(2.0)]);
    assert_eq!(rig.unsent(), 8);
    let said = [COVERED, NUMBER].map(|name| sum(&message, name));
    assert_eq!(said, [Some(0.0), Some(1.0)], "what was given up has a number of its own");
}

#[tokio::test]
async fn a_report_says_what_it_is_over_unless_that_is_a_step() {
    let rig = Rig::new().await;
    let said = |is_new, millis| {
        let envoy_metrics = rig.reporter.about(is_new, Duration::from_millis(millis));
        let message = StreamMetricsMessage { identifier: None, envoy_metrics };
        [COVERED, LASTED].map(|name| sum(&message, name))
    };
    assert_eq!(said(true, 5000), [Some(5.0), None]);
    assert_eq!(said(false, 5900), [None; 2]);
    assert_eq!([said(false, 9000), said(false, 1000)], [[None, Some(9.0)], [None, Some(1.0)]]);
}

/// The socket is there before anybody serves it: a supervisor keeps it while the control plane is away.
#[tokio::test]
async fn what_happened_before_anybody_answered_is_told_once_and_with_its_time() {
    const HELD: Duration = Duration::from_secs(1);
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("ads.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let node = Node { id: "sidecar~a".to_owned(), ..Default::default() };
    let source = Source::Ads(AdsAddress::Unix(path));
    let options = Options { workers: 1, ..Options::new(node, Role::Gateway, source) };
    let began = Instant::now();
    let proxy = Proxy::start(options).await.unwrap();
    let shared = proxy.view().shared.clone();
    let open = || shared.traffic.open(0, key(), Duration::from_millis(20));
    let _meters: Vec<Meter> = (0..3).map(|_| open()).collect();
    tokio::time::sleep(HELD).await;
    let (server, mut messages) = Server::new();
    server.serve(listener);
    let mut told = async || tokio::time::timeout(PATIENCE, messages.recv()).await.unwrap().unwrap();
    let first = told().await;
    assert_eq!(counts(&first), [Some(3.0), None, Some(3.0)]);
    assert!(sum(&first, FIRST).is_some());
    let mut covered = sum(&first, COVERED).unwrap();
    assert!(covered > 0.8 * HELD.as_secs_f64(), "it is said to be of {covered} s");
    let _another = open();
    loop {
        let next = told().await;
        covered += sum(&next, COVERED).unwrap();
        assert!(covered <= began.elapsed().as_secs_f64(), "time is told twice");
        assert_eq!(sum(&next, FIRST), None);
        let [opened, ..] = counts(&next);
        if let Some(opened) = opened {
            assert_eq!(opened, 1.0, "what was told is told again");
            return;
        }
    }
}
