//! What is counted, for whom, and when.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lateen_api::xds::{Address, Workload, address};
use lateen_routing::Changes;
use lateen_telemetry::Flag;
use lateen_telemetry::cel::{Expression, Value};
use lateen_telemetry::exposition::{Exposition, Format};
use lateen_telemetry::labels::Reporter;
use lateen_telemetry::peer::Peer;
use lateen_telemetry::plugin::MetricConfig;
use prost::Message;
use serde_json::json;
use tokio::sync::mpsc;

use super::own::Own;
use super::{
    Asked, End, Key, Lookup, OPEN, PATIENCE, Peers, Place, STALE, Shown, Stale, Text, Traffic,
};

const CLIENT: [u8; 4] = [10, 0, 0, 7];
const INTERVAL: Duration = Duration::from_secs(5);

fn traffic() -> (Traffic, mpsc::Receiver<IpAddr>) {
    let (questions, asked) = mpsc::channel(8);
    let peer = Arc::new(Peer::from_compact("echo-server;shop;echo;v1;Kubernetes"));
    let metadata = [("CLUSTER_ID".into(), Value::text("west"))].into();
    let node = [("metadata".into(), Value::Map(Arc::new(metadata)))].into();
    let own = Own { peer, node: Value::Map(Arc::new(node)) };
    (Traffic::new(own, Peers::new(Some(questions)), 2), asked)
}

fn text(text: &str) -> Text {
    Text(text.into())
}

fn asked() -> Asked {
    let services =
        r#"{"services":[{"host":"echo.shop.svc.cluster.local","name":"echo","namespace":"shop"}]}"#;
    Asked::Cluster { name: text("inbound|8020||"), origin: Some(text(services)) }
}

fn inbound(source: End) -> Key {
    let (reporter, destination) = (Reporter::Destination, End::Own);
    Key { reporter, source, destination, asked: asked(), flags: &[], untaken: false, shown: None }
}

fn outbound(destination: End) -> Key {
    let (reporter, source) = (Reporter::Source, End::Own);
    Key { reporter, source, destination, asked: asked(), flags: &[], untaken: false, shown: None }
}

/// The values of a metric whose labels include all of these.
fn values(traffic: &Traffic, metric: &str, labels: &[&str]) -> Vec<u64> {
    let mut out = Exposition::new(Format::Text);
    traffic.unwritten().write(&mut out, usize::MAX);
    traffic.totals(&mut out);
    let page = String::from_utf8(out.finish()).unwrap();
    let start = format!("istio_tcp_{metric}_total{{");
    let lines = page
        .lines()
        .filter(|line| line.starts_with(&start) && labels.iter().all(|label| line.contains(label)));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect()
}

fn workload() -> Vec<u8> {
    workload_of("client")
}

fn workload_of(name: &str) -> Vec<u8> {
    let workload = Workload {
        namespace: "web".into(),
        workload_name: name.into(),
        canonical_name: "front".into(),
        canonical_revision: "v3".into(),
        cluster_id: "Kubernetes".into(),
        ..Workload::default()
    };
    Address { r#type: Some(address::Type::Workload(workload)) }.encode_to_vec()
}

#[test]
fn a_connection_is_counted_from_its_start_to_its_end() {
    let (traffic, _asked) = traffic();
    let about = text(r#"{"workload":"db;data;db;v2;Kubernetes"}"#);
    let key = outbound(End::Endpoint(about));
    let meter = traffic.open(0, key.clone(), INTERVAL);
    let to_db = ["destination_workload=\"db\"", "source_workload=\"echo-server\""];
    assert_eq!(values(&traffic, "connections_opened", &to_db), [1]);
    meter.add(5, 700);
    meter.add(1, 0);
    traffic.tick(Instant::now());
    assert_eq!(values(&traffic, "received_bytes", &to_db), [6]);
    meter.add(10, 3);
    traffic.closed(1, &meter, &key);
    traffic.tick(Instant::now());
    assert_eq!(values(&traffic, "received_bytes", &to_db), [16]);
    assert_eq!(values(&traffic, "sent_bytes", &to_db), [703]);
    assert_eq!(values(&traffic, "connections_closed", &to_db), [1]);
    let service = ["destination_service=\"echo.shop.svc.cluster.local\"", "response_flags=\"-\""];
    assert_eq!(values(&traffic, "connections_closed", &service), [1]);
}

#[test]
fn a_refused_connection_has_its_flags() {
    let (traffic, _asked) = traffic();
    let flags: &[Flag] = &[Flag::UpstreamConnectionFailure, Flag::UpstreamRetryLimitExceeded];
    traffic.refused(0, &outbound(End::Unknown).with_flags(flags));
    let flagged = ["response_flags=\"UF,URX\"", "destination_workload=\"unknown\""];
    assert_eq!(values(&traffic, "connections_opened", &flagged), [1]);
    assert_eq!(values(&traffic, "connections_closed", &flagged), [1]);
}

#[test]
fn the_far_end_is_told_where_its_address_says_who_it_is() {
    let (traffic, mut asked) = traffic();
    let client = End::Address(CLIENT.into());
    let far = |key: &Key| traffic.far(key).map(|peer| peer.workload.to_string());
    let (came, went) = (inbound(client.clone()), outbound(client));
    assert_eq!(far(&came), None, "nobody has answered yet");
    assert_eq!(asked.try_recv(), Ok(IpAddr::from(CLIENT)));
    traffic.peers.answer(CLIENT.into(), Some(&workload())).unwrap();
    assert_eq!([far(&came), far(&went)], [Some("client".into()), Some("client".into())]);
    let about = text(r#"{"workload":"db;data;db;v2;Kubernetes"}"#);
    assert_eq!([far(&outbound(End::Endpoint(about))), far(&outbound(End::Unknown))], [None, None]);
}

#[test]
fn what_no_chain_took_is_in_reports_alone_as_envoy_counts_no_such_connection() {
    let (traffic, _asked) = traffic();
    let key = Key { untaken: true, asked: Asked::Hole, ..outbound(End::Unknown) };
    traffic.refused(0, &key.with_flags(&[Flag::NoRouteFound]));
    assert_eq!(values(&traffic, "connections_opened", &[]), [0; 0]);
    let mut out = Exposition::new(Format::Text);
    traffic.registry.changes(&mut out);
    let report = String::from_utf8(out.finish()).unwrap();
    let opened =
        report.lines().find(|line| line.starts_with("istio_tcp_connections_opened")).unwrap();
    let labels = ["destination_service_name=\"BlackHoleCluster\"", "response_flags=\"NR\""];
    assert!(labels.iter().all(|label| opened.contains(label)), "{report}");
}

#[test]
fn a_connection_whose_peer_is_another_at_its_end_stands_no_more() {
    let (traffic, _asked) = traffic();
    let key = inbound(End::Address(CLIENT.into()));
    let standing = || {
        let mut out = Exposition::new(Format::Text);
        traffic.changes(true, &mut out);
        let page = String::from_utf8(out.into_bytes()).unwrap();
        page.lines().filter(|line| line.starts_with(OPEN)).map(str::to_owned).collect::<Vec<_>>()
    };
    let meter = traffic.open(0, key.clone(), INTERVAL);
    traffic.peers.answer(CLIENT.into(), Some(&workload())).unwrap();
    traffic.peers_changed();
    let open = standing();
    assert!(open.len() == 1 && open[0].contains("source_workload=\"client\""), "{open:?}");
    assert!(open[0].ends_with(" 1"), "{open:?}");
    traffic.peers.answer(CLIENT.into(), Some(&workload_of("another"))).unwrap();
    traffic.peers_changed();
    traffic.closed(0, &meter, &key);
    drop(meter);
    assert_eq!(values(&traffic, "connections_closed", &["source_workload=\"another\""]), [1]);
    assert_eq!(standing(), Vec::<String>::new());
}

/// As when all clients of a server come again at once.
#[test]
fn peers_that_cannot_be_asked_for_at_once_are_asked_for_at_a_later_tick() {
    let (traffic, mut asked) = traffic();
    let clients = (1..=20).map(|last| IpAddr::from([10, 0, 1, last]));
    let _meters: Vec<_> =
        clients.map(|client| traffic.open(0, inbound(End::Address(client)), INTERVAL)).collect();
    let mut answered = 0;
    while let Ok(client) = asked.try_recv() {
        traffic.peers.answer(client, Some(&workload())).unwrap();
        answered += 1;
        traffic.tick(Instant::now());
    }
    assert_eq!(answered, 20);
    let opened = |labels: &[&str]| values(&traffic, "connections_opened", labels);
    assert_eq!((opened(&["source_workload=\"client\""]), opened(&[])), (vec![20], vec![20]));
}

#[test]
fn what_a_peer_does_waits_until_it_is_known() {
    let (traffic, mut asked) = traffic();
    let key = inbound(End::Address(CLIENT.into()));
    for _ in 0..3 {
        let meter = traffic.open(0, key.clone(), INTERVAL);
        meter.add(2, 4);
        traffic.closed(0, &meter, &key);
    }
    assert_eq!(
        values(&traffic, "connections_opened", &[]),
        [0; 0],
        "nothing is counted for unknown"
    );
    assert_eq!(asked.try_recv().unwrap(), IpAddr::from(CLIENT));
    assert!(asked.try_recv().is_err(), "asked once");
    traffic.peers.answer(CLIENT.into(), Some(&workload())).unwrap();
    traffic.peers_changed();
    let known = [
        "reporter=\"destination\"",
        "source_workload=\"client\"",
        "source_workload_namespace=\"web\"",
        "source_app=\"front\"",
        "source_canonical_revision=\"v3\"",
        "connection_security_policy=\"none\"",
    ];
    assert_eq!(values(&traffic, "connections_closed", &known), [3]);
    assert_eq!(values(&traffic, "sent_bytes", &known), [12]);
}

#[test]
fn a_peer_that_nobody_knows_is_counted_as_unknown() {
    let (traffic, _asked) = traffic();
    let stranger = inbound(End::Address([192, 0, 2, 1].into()));
    traffic.refused(0, &stranger);
    traffic.peers.answer([192, 0, 2, 1].into(), None).unwrap();
    // The control plane does not answer about another.
    traffic.refused(0, &inbound(End::Address(CLIENT.into())));
    traffic.peers_changed();
    traffic.tick(Instant::now());
    let unknown = ["source_workload=\"unknown\""];
    assert_eq!(values(&traffic, "connections_closed", &unknown), [0; 0], "it may just have begun");
    traffic.tick(Instant::now() + PATIENCE);
    assert_eq!(values(&traffic, "connections_closed", &["source_workload=\"unknown\""]), [2]);
}

#[test]
fn an_address_that_gets_another_owner_is_counted_for_that_one() {
    let (traffic, _asked) = traffic();
    let key = inbound(End::Address(CLIENT.into()));
    traffic.refused(0, &key);
    traffic.peers.answer(CLIENT.into(), Some(&workload())).unwrap();
    traffic.peers_changed();
    traffic.refused(0, &key);
    traffic.peers.answer(CLIENT.into(), Some(&workload_of("another"))).unwrap();
    traffic.peers_changed();
    traffic.refused(0, &key);
    assert_eq!(values(&traffic, "connections_closed", &["source_workload=\"client\""]), [2]);
    assert_eq!(values(&traffic, "connections_closed", &["source_workload=\"another\""]), [1]);
}

#[test]
fn what_a_workload_did_last_is_its_own_and_its_address_nobody_s_later() {
    let (traffic, _asked) = traffic();
    let key = inbound(End::Address(CLIENT.into()));
    traffic.refused(0, &key);
    traffic.peers.answer(CLIENT.into(), Some(&workload())).unwrap();
    for _ in 0..2 {
        traffic.peers.answer(CLIENT.into(), None).unwrap();
        traffic.peers_changed();
        traffic.refused(0, &key);
    }
    traffic.tick(Instant::now() + 2 * PATIENCE);
    traffic.refused(0, &key);
    traffic.tick(Instant::now() + 3 * PATIENCE);
    assert_eq!(values(&traffic, "connections_closed", &["source_workload=\"client\""]), [3]);
    assert_eq!(values(&traffic, "connections_closed", &["source_workload=\"unknown\""]), [1]);
}

#[test]
fn an_answer_that_cannot_be_read_is_refused_with_its_reason() {
    let (traffic, _asked) = traffic();
    assert_eq!(traffic.peers.look(CLIENT.into()), Lookup::Pending);
    let error = traffic.peers.answer(CLIENT.into(), Some(&[0xff])).unwrap_err();
    assert!(error.contains("no Address"), "{error}");
    assert_eq!(traffic.peers.look(CLIENT.into()), Lookup::Pending, "for a moment more");
}

#[test]
fn an_answer_that_comes_at_once_is_not_lost() {
    let (questions, mut asked) = mpsc::channel(4096);
    let peers = Arc::new(Peers::new(Some(questions)));
    let answering = peers.clone();
    let answers = std::thread::spawn(move || {
        while let Some(address) = asked.blocking_recv() {
            answering.answer(address, Some(&workload())).unwrap();
            if address == IpAddr::from([10, 1, 255, 255]) {
                return;
            }
        }
    });
    let all = || (0x0a01_f000..=0x0a01_ffff_u32).map(std::net::Ipv4Addr::from);
    all().for_each(|address| drop(peers.look(address.into())));
    answers.join().unwrap();
    assert!(all().all(|address| matches!(peers.look(address.into()), Lookup::Known(_))));
}

#[test]
fn the_addresses_that_were_not_needed_for_longest_are_forgotten() {
    let (questions, mut asked) = mpsc::channel(8192);
    let peers = Peers::new(Some(questions));
    for at in 0..5000_u32 {
        peers.look(std::net::Ipv4Addr::from(0x0a00_0000 + at).into());
    }
    let gone = peers.surplus();
    assert_eq!(gone.len(), 5000 - 3072);
    assert!(peers.surplus().is_empty());
    while asked.try_recv().is_ok() {}
    peers.look(gone[0]);
    assert_eq!(asked.try_recv().unwrap(), gone[0], "and asked for again");
}

#[test]
fn what_waits_for_a_peer_is_counted_when_the_proxy_ends() {
    let (traffic, _asked) = traffic();
    let meter = traffic.open(0, outbound(End::Address(CLIENT.into())), INTERVAL);
    meter.add(3, 4);
    traffic.tick(Instant::now());
    assert_eq!(values(&traffic, "connections_opened", &[]), [0; 0]);
    traffic.finish();
    let unknown = ["destination_workload=\"unknown\""];
    assert_eq!(values(&traffic, "connections_opened", &unknown), [1]);
    assert_eq!(values(&traffic, "received_bytes", &unknown), [3]);
}

#[tokio::test]
async fn an_answer_on_its_way_is_waited_for() {
    let (traffic, _asked) = traffic();
    assert_eq!(traffic.peers.look(CLIENT.into()), Lookup::Pending);
    let waits = traffic.peers.settled(Duration::from_secs(60));
    let answers = async { traffic.peers.answer(CLIENT.into(), Some(&workload())) };
    let (_, answered) = tokio::join!(waits, answers);
    answered.unwrap();
    assert!(matches!(traffic.peers.look(CLIENT.into()), Lookup::Known(_)));
    traffic.peers.settled(Duration::from_secs(60)).await;
}

#[test]
fn of_many_peers_that_come_and_go_every_connection_is_counted_and_not_every_name() {
    let (questions, mut asked) = mpsc::channel(8192);
    let own = Own { peer: Arc::default(), node: Value::Null };
    let traffic = Traffic::new(own, Peers::new(Some(questions)), 1);
    let count = 25_000_u32;
    for at in 0..count {
        let address = IpAddr::from((0x0a00_0000 + at).to_be_bytes());
        traffic.refused(0, &inbound(End::Address(address)));
        // The engine answers, and drops what is too much.
        while let Ok(question) = asked.try_recv() {
            let workload = Workload {
                workload_name: format!("job-{question}"),
                namespace: "jobs".into(),
                ..Workload::default()
            };
            let answer = Address { r#type: Some(address::Type::Workload(workload)) };
            traffic.peers.answer(question, Some(&answer.encode_to_vec())).unwrap();
        }
        if at % 1000 == 0 {
            traffic.peers_changed();
            traffic.peers.surplus();
        }
    }
    traffic.tick(Instant::now() + 2 * PATIENCE);
    let all = values(&traffic, "connections_closed", &[]);
    assert_eq!(all.iter().sum::<u64>(), u64::from(count), "none is lost");
    assert!(all.len() <= super::SERIES / 2 + 1, "{} series", all.len());
    let rest = values(&traffic, "connections_closed", &["source_workload=\"overflow\""]);
    assert!(rest[0] > 10_000, "{rest:?}");
    assert!(traffic.registry.len() <= super::SERIES, "{}", traffic.registry.len());
}

#[test]
fn what_is_too_long_ago_is_lost_if_there_is_any() {
    let (traffic, _asked) = traffic();
    traffic.refused(0, &outbound(End::Own));
    assert_eq!(traffic.forget_stale(STALE), Stale::Nothing);
    let longer = STALE + Duration::from_secs(1);
    assert_eq!(traffic.forget_stale(longer), Stale::Lost);
    assert_eq!(traffic.forget_stale(longer), Stale::Quiet, "it is gone");
}

#[test]
fn a_service_is_found_in_a_clusters_name_where_nothing_else_says_it() {
    let peer = Peer::default();
    let of = |name: &str| {
        let service = Asked::Cluster { name: text(name), origin: None }.service(&peer);
        [service.host, service.name, service.namespace].map(|part| part.to_string())
    };
    let mesh = of("outbound|80|v1|web.shop.svc.cluster.local");
    assert_eq!(mesh, ["web.shop.svc.cluster.local", "web", "shop"]);
    assert_eq!(
        of("outbound|3306||db.example.com"),
        ["db.example.com", "db.example.com", "unknown"]
    );
    assert_eq!(of("PassthroughCluster"), ["unknown", "PassthroughCluster", "unknown"]);
    let _: Arc<str> = Asked::Nothing.service(&peer).name;
}

#[test]
fn a_missing_cluster_is_for_the_service_that_its_chain_names() {
    let chain =
        r#"{"services":[{"host":"db.example.com","name":"db.example.com","namespace":"shop"}]}"#;
    let namespace = |name: &str, chain: Option<&str>| {
        let asked = Asked::Missing { name: text(name), chain: chain.map(text) };
        asked.service(&Peer::default()).namespace.to_string()
    };
    assert_eq!(namespace("outbound|3306||db.example.com", Some(chain)), "shop");
    assert_eq!(namespace("outbound|3306||db.example.com", None), "unknown");
    assert_eq!(namespace("outbound|3306||other.example.com", Some(chain)), "unknown");
    assert_eq!(namespace("outbound|80||web.front.svc.cluster.local", Some(chain)), "front");
    assert_eq!(namespace("BlackHoleCluster", Some(chain)), "unknown");
}

#[test]
fn changed_metrics_are_of_the_page_and_reports_keep_the_standard_ones() {
    let (traffic, _asked) = traffic();
    let tags = [
        ("peer", "upstream_peer.app + '/' + string(destination.port)"),
        ("cluster", "node.metadata['CLUSTER_ID']"),
        ("host", "request.host"),
    ];
    let tags = tags.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let removed = vec!["source_version".to_owned()];
    let name = "tcp_sent_bytes_total".to_owned();
    let sent =
        MetricConfig { name, dimensions: tags, tags_to_remove: removed, ..Default::default() };
    let name = "tcp_connections_opened_total".to_owned();
    let opened = MetricConfig { name, drop: true, ..Default::default() };
    let changes = Arc::new(Changes::compile(&[sent, opened], &mut Vec::new()).unwrap());
    let at = |port: u16| {
        let place = Place { destination: Some(([10, 0, 0, 1], port).into()), ..Place::default() };
        Shown { changes: changes.clone(), place: Box::new(place) }
    };
    let about = text(r#"{"workload":"db;data;db;v2;Kubernetes"}"#);
    for (port, bytes) in [(3306, 5), (3307, 7), (3306, 10)] {
        let key = Key { shown: Some(at(port)), ..outbound(End::Endpoint(about.clone())) };
        let meter = traffic.open(0, key.clone(), INTERVAL);
        meter.add(1, bytes);
        traffic.closed(0, &meter, &key);
    }
    let labels = ["peer=\"db/3306\"", "cluster=\"west\"", "host=\"unknown\""];
    assert_eq!(values(&traffic, "sent_bytes", &labels), [15]);
    assert_eq!(values(&traffic, "sent_bytes", &["peer=\"db/3307\""]), [7]);
    assert_eq!(values(&traffic, "sent_bytes", &["source_version"]), [0; 0]);
    assert_eq!(values(&traffic, "connections_opened", &[]), [0; 0]);
    assert_eq!(values(&traffic, "connections_closed", &["source_version=\"v1\""]), [3]);
    let mut out = Exposition::new(Format::Text);
    traffic.registry.changes(&mut out);
    let report = String::from_utf8(out.finish()).unwrap();
    let opened =
        report.lines().find(|line| line.starts_with("istio_tcp_connections_opened")).unwrap();
    assert!(opened.contains("source_version=\"v1\"") && opened.ends_with(" 3"), "{report}");
    assert!(!report.contains("peer=") && report.contains("istio_tcp_sent_bytes_total"), "{report}");
}

#[test]
fn labels_have_what_they_are_said_to_have_and_nothing_that_logs_alone_have() {
    let known = [
        "connection.mtls",
        "connection.requested_server_name",
        "destination.address",
        "destination.port",
        "filter_state.upstream_peer",
        "node.metadata",
        "response.flags",
        "source.address",
        "source.port",
        "upstream.address",
        "upstream.port",
        "upstream_peer.workload",
        "xds.cluster_name",
        "xds.listener_direction",
        "xds.node",
    ];
    let logged = [
        "connection.id",
        "request.duration",
        "request.size",
        "request.total_size",
        "response.size",
        "response.total_size",
        "upstream.cx_pool_ready_duration",
        "upstream.local_address",
        "upstream.request_attempt_count",
        "upstream.transport_failure_reason",
        "xds.filter_chain_name",
    ];
    for (names, is_logged) in [(&known[..], false), (&logged, true)] {
        for name in names {
            assert_eq!(Expression::parse(name).unwrap().logged().len(), usize::from(is_logged));
        }
    }
    let (traffic, _asked) = traffic();
    let tag = |(at, name): (usize, &&str)| {
        (format!("tag_{at}"), format!("has({name}) ? 'known' : 'absent'"))
    };
    let dimensions = known.iter().chain(&logged).enumerate().map(tag).collect();
    let name = "tcp_sent_bytes_total".to_owned();
    let sent = MetricConfig { name, dimensions, ..Default::default() };
    let changes = Arc::new(Changes::compile(&[sent], &mut Vec::new()).unwrap());
    let address = Some(([10, 0, 0, 1], 80).into());
    let (source, destination, upstream) = (address, address, address);
    let place = Place { source, destination, upstream, server_name: Some("a".into()) };
    let about = text(r#"{"workload":"db;data;db;v2;Kubernetes"}"#);
    let shown = Some(Shown { changes, place: Box::new(place) });
    let key = Key { shown, ..outbound(End::Endpoint(about)) };
    let meter = traffic.open(0, key.clone(), INTERVAL);
    meter.add(1, 5);
    traffic.closed(0, &meter, &key);
    for at in 0..known.len() + logged.len() {
        let value = if at < known.len() { "known" } else { "absent" };
        assert_eq!(
            values(&traffic, "sent_bytes", &[&format!("tag_{at}=\"{value}\"")]),
            [5],
            "{at}"
        );
    }
}

#[test]
fn a_label_without_end_is_cut_and_marked_on_the_page_and_in_reports() {
    let (traffic, _asked) = traffic();
    let workload = json!({ "workload": format!("{};data;db;v2;Kubernetes", "x".repeat(100_000)) });
    let key = outbound(End::Endpoint(text(&workload.to_string())));
    let meter = traffic.open(0, key.clone(), INTERVAL);
    traffic.closed(0, &meter, &key);
    assert_eq!(values(&traffic, "connections_closed", &["xxx…\""]), [1]);
    let (mut page, mut report) = (Exposition::new(Format::Text), Exposition::new(Format::Text));
    traffic.unwritten().write(&mut page, usize::MAX);
    traffic.totals(&mut page);
    traffic.registry.changes(&mut report);
    for text in [page, report].map(|out| String::from_utf8(out.finish()).unwrap()) {
        assert!(text.contains("xxx…\"") && text.len() < 16_384, "{}", text.len());
    }
}
