//! The whole proxy under a scripted control plane. Captured connections are handed to a worker's
//! context with an original destination of the test's choice, as netfilter would tell it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use envoy_types::pb::envoy::config::listener::v3::filter::ConfigType;
use envoy_types::pb::envoy::config::listener::v3::{Filter, Listener};
use envoy_types::pb::google::protobuf::{Any, BoolValue};
use futures::FutureExt;
use lateen_api::xds::ResourceType::{self, Cluster, Endpoint, Listener as LDS};
use lateen_telemetry::plugin::PluginConfig;
use lateen_xds::client::AdsAddress;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::{Handle, Proxy};
use crate::common;
use crate::connection::serve;
use crate::decide::Addresses;
use crate::options::{Options, Role, Source};
use crate::records::Place;
use ads::{Ads, PATIENCE};

mod ads;

const DESTINATION: ([u8; 4], u16) = ([10, 9, 9, 9], 80);
const EXACT: &str = "10.9.9.9_80";
const ANY: &str = "0.0.0.0_80";

/// A server that greets with a letter and then echoes.
struct Server {
    at: SocketAddr,
    _task: JoinHandle<()>,
}

impl Server {
    async fn start(letter: u8) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    stream.write_all(&[letter]).await?;
                    let (mut reader, mut writer) = stream.split();
                    tokio::io::copy(&mut reader, &mut writer).await
                });
            }
        });
        Self { at, _task: task }
    }
}

struct Rig {
    ads: Ads,
    proxy: Handle,
    home: TempDir,
}

async fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

fn eds_cluster(name: &str) -> envoy_types::pb::envoy::config::cluster::v3::Cluster {
    use envoy_types::pb::envoy::config::cluster::v3::cluster;
    envoy_types::pb::envoy::config::cluster::v3::Cluster {
        name: name.into(),
        cluster_discovery_type: Some(cluster::ClusterDiscoveryType::Type(
            cluster::DiscoveryType::Eds.into(),
        )),
        ..Default::default()
    }
}

impl Ads {
    /// A cluster over EDS and its one endpoint.
    fn cluster(&self, name: &str, host: SocketAddr) {
        self.set(Cluster, name, &eds_cluster(name));
        self.set(Endpoint, name, &common::endpoints(name, &[host]));
    }

    fn listener(&self, name: &str, at: SocketAddr, cluster: &str) {
        self.set(LDS, name, &common::listener(name, at, cluster));
    }

    /// A listener that takes connections from `virtualOutbound`.
    fn handed(&self, name: &str, at: ([u8; 4], u16), cluster: &str) {
        let bind_to_port = Some(BoolValue { value: false });
        let listener = common::listener(name, at.into(), cluster);
        self.set(LDS, name, &Listener { bind_to_port, ..listener });
    }

    async fn sidecar_listeners(&self, fallback: SocketAddr) {
        let outbound = common::listener("virtualOutbound", free_address().await, "fallback");
        let use_original_dst = Some(BoolValue { value: true });
        self.set(LDS, "virtualOutbound", &Listener { use_original_dst, ..outbound });
        self.listener("virtualInbound", free_address().await, "fallback");
        self.cluster("fallback", fallback);
    }
}

impl Rig {
    /// `script` fills the control plane before the proxy starts.
    async fn start(role: Role, script: impl AsyncFnOnce(&Ads)) -> Self {
        let home = tempfile::tempdir().unwrap();
        let ads = Ads::start(&home.path().join("ads.sock"));
        script(&ads).await;
        let proxy = launch(role, &home).await;
        Self { ads, proxy, home }
    }

    /// What a connection that was captured on its way to `original` is greeted with.
    async fn captured(&self, original: ([u8; 4], u16)) -> JoinHandle<std::io::Result<u8>> {
        let capture = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let local = capture.local_addr().unwrap();
        let mut client = TcpStream::connect(local).await.unwrap();
        let (stream, remote) = capture.accept().await.unwrap();
        let config = self.proxy.view.shared.config.load();
        let outbound = config.bound.values().find(|l| &*l.compiled.name == "virtualOutbound");
        let addresses = Addresses { remote, local, original: Some(original.into()) };
        let context = self.proxy.workers[0].context.clone();
        tokio::spawn(serve(context, outbound.unwrap().clone(), stream, addresses));
        tokio::spawn(async move { within(client.read_u8()).await })
    }

    async fn records(&self) -> Vec<lateen_telemetry::AccessRecord> {
        let mut records = Vec::new();
        until("a record", async || {
            records = self.proxy.view.shared.records.newest();
            !records.is_empty()
        })
        .await;
        records
    }
}

async fn launch(role: Role, home: &TempDir) -> Handle {
    let proxy = start(role, home).await;
    within(proxy.ready()).await;
    proxy
}

async fn start(role: Role, home: &TempDir) -> Handle {
    let source = Source::Ads(AdsAddress::Unix(home.path().join("ads.sock")));
    let options = Options {
        workers: 1,
        cache: Some(home.path().join("cache")),
        ..Options::new(Default::default(), role, source)
    };
    Proxy::start(options).await.unwrap()
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it takes too long")
}

async fn until(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let start = std::time::Instant::now();
    while !check().await {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A new connection and the letter that it is greeted with.
async fn dial(at: SocketAddr) -> std::io::Result<(TcpStream, u8)> {
    let mut stream = TcpStream::connect(at).await?;
    let letter = within(stream.read_u8()).await?;
    Ok((stream, letter))
}

async fn letter(at: SocketAddr) -> Option<char> {
    dial(at).await.ok().map(|(_, letter)| letter.into())
}

async fn echoes(stream: &mut TcpStream) {
    stream.write_all(b"!").await.unwrap();
    assert_eq!(within(stream.read_u8()).await.unwrap(), b'!');
}

#[tokio::test]
async fn a_gateway_asks_for_listeners_and_then_for_what_they_name_and_acknowledges() {
    let (a, at) = (Server::start(b'a').await, free_address().await);
    let rig = Rig::start(Role::Gateway, async |ads| {
        ads.listener("front", at, "back");
        ads.cluster("back", a.at);
        ads.cluster("unnamed", a.at);
    })
    .await;
    assert_eq!(letter(at).await, Some('a'));
    let first = rig.ads.request("request", |_| true).await;
    assert!(first.node.is_some());
    assert_eq!(
        (&*first.type_url, first.resource_names_subscribe),
        (LDS.type_url(), vec!["*".into()])
    );
    for kind in [LDS, Cluster, Endpoint] {
        let ack = |request: &ads::Asked| {
            request.type_url == kind.type_url() && !request.response_nonce.is_empty()
        };
        let ack = rig.ads.request("acknowledgement", ack).await;
        assert_eq!(ack.error_detail, None);
    }
    assert_eq!(rig.ads.subscription(Cluster, "back").await.resource_names_subscribe, ["back"]);
    assert_eq!(rig.ads.subscription(Endpoint, "back").await.resource_names_subscribe, ["back"]);
}

#[tokio::test]
async fn the_first_dial_to_an_address_waits_for_its_listener() {
    let (a, b) = (Server::start(b'a').await, Server::start(b'b').await);
    let rig = Rig::start(Role::Sidecar, async |ads| {
        ads.sidecar_listeners(b.at).await;
        ads.handed(EXACT, DESTINATION, "back");
        ads.cluster("back", a.at);
        ads.silence(EXACT);
    })
    .await;
    let waiting = rig.captured(DESTINATION).await;
    let asked = rig.ads.subscription(LDS, EXACT).await.resource_names_subscribe;
    assert_eq!(asked, [ANY, EXACT]);
    assert!(!waiting.is_finished());
    rig.ads.speak();
    assert_eq!(waiting.await.unwrap().unwrap(), b'a');
    let record = &rig.records().await[0];
    assert_eq!(record.downstream_local, DESTINATION.into(), "as Envoy restores it");
    rig.ads.forget();
    assert_eq!(rig.captured(DESTINATION).await.await.unwrap().unwrap(), b'a');
}

#[tokio::test]
async fn the_listener_of_every_address_takes_what_has_none_of_its_own() {
    let (a, b) = (Server::start(b'a').await, Server::start(b'b').await);
    let rig = Rig::start(Role::Sidecar, async |ads| {
        ads.sidecar_listeners(b.at).await;
        ads.handed(ANY, ([0, 0, 0, 0], 80), "back");
        ads.cluster("back", a.at);
    })
    .await;
    assert_eq!(rig.captured(DESTINATION).await.await.unwrap().unwrap(), b'a');
}

#[tokio::test]
async fn a_destination_that_does_not_exist_falls_to_the_catch_all() {
    let b = Server::start(b'b').await;
    let rig = Rig::start(Role::Sidecar, async |ads| ads.sidecar_listeners(b.at).await).await;
    assert_eq!(rig.captured(DESTINATION).await.await.unwrap().unwrap(), b'b');
}

#[tokio::test]
async fn a_port_that_is_taken_is_refused_by_name_and_the_others_serve() {
    let (a, at) = (Server::start(b'a').await, free_address().await);
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = Rig::start(Role::Gateway, async |ads| {
        ads.listener("front", at, "back");
        ads.listener("blocked", taken.local_addr().unwrap(), "back");
        ads.cluster("back", a.at);
    })
    .await;
    let reason = rig.ads.nack().await;
    assert!(reason.starts_with("blocked: address: ") && reason.contains("in use"), "{reason}");
    assert!(!reason.contains("front"), "{reason}");
    assert_eq!(letter(at).await, Some('a'));
}

#[tokio::test]
async fn a_sidecar_whose_port_another_has_is_not_ready() {
    let (a, taken) = (Server::start(b'a').await, TcpListener::bind("127.0.0.1:0").await.unwrap());
    let home = tempfile::tempdir().unwrap();
    let ads = Ads::start(&home.path().join("ads.sock"));
    ads.sidecar_listeners(a.at).await;
    ads.listener("virtualInbound", taken.local_addr().unwrap(), "fallback");
    let proxy = start(Role::Sidecar, &home).await;
    let reason = ads.nack().await;
    assert!(reason.starts_with("virtualInbound: address: "), "{reason}");
    // Everything else is answered by now.
    until("the other listener", async || {
        let config = proxy.view.shared.config.load();
        config.clusters.contains_key("fallback")
            && config.bound.values().any(|l| &*l.compiled.name == "virtualOutbound")
    })
    .await;
    assert!(proxy.ready().now_or_never().is_none(), "what is captured has nowhere to go");
}

#[tokio::test]
async fn an_open_socket_does_not_become_transparent_and_serves_as_before() {
    let (a, at) = (Server::start(b'a').await, free_address().await);
    let rig = Rig::start(Role::Gateway, async |ads| {
        ads.listener("front", at, "back");
        ads.cluster("back", a.at);
    })
    .await;
    let transparent = Some(BoolValue { value: true });
    let changed = Listener { transparent, ..common::listener("front", at, "back") };
    rig.ads.set(LDS, "front", &changed);
    rig.ads.push(LDS, "front");
    let reason = rig.ads.nack().await;
    assert!(reason.starts_with("front: transparent: cannot change"), "{reason}");
    assert_eq!(letter(at).await, Some('a'));
}

#[tokio::test]
async fn a_changed_route_and_a_removed_listener_leave_connections_alone() {
    let (a, b) = (Server::start(b'a').await, Server::start(b'b').await);
    let at = free_address().await;
    let rig = Rig::start(Role::Gateway, async |ads| {
        ads.listener("front", at, "one");
        ads.cluster("one", a.at);
        ads.cluster("two", b.at);
    })
    .await;
    let (mut old, greeting) = dial(at).await.unwrap();
    assert_eq!(greeting, b'a');
    rig.ads.listener("front", at, "two");
    rig.ads.push(LDS, "front");
    until("the new route", async || letter(at).await == Some('b')).await;
    let (mut newer, _) = dial(at).await.unwrap();
    rig.ads.unset(LDS, "front");
    rig.ads.push(LDS, "front");
    until("nobody listens", async || letter(at).await.is_none()).await;
    echoes(&mut old).await;
    echoes(&mut newer).await;
}

#[tokio::test]
async fn a_changed_route_keeps_its_old_cluster_until_the_new_one_is_there() {
    let (a, b) = (Server::start(b'a').await, Server::start(b'b').await);
    let at = free_address().await;
    let rig = Rig::start(Role::Gateway, async |ads| {
        ads.listener("front", at, "one");
        ads.cluster("one", a.at);
        ads.cluster("two", b.at);
        ads.silence("two");
    })
    .await;
    assert_eq!(letter(at).await, Some('a'));
    rig.ads.listener("front", at, "two");
    rig.ads.push(LDS, "front");
    rig.ads.subscription(Cluster, "two").await;
    // The answer of the old cluster comes at once, not after waiting in vain.
    assert_eq!(letter(at).await, Some('a'));
    rig.ads.speak();
    until("the new route", async || letter(at).await == Some('b')).await;
    let gone =
        |request: &ads::Asked| request.resource_names_unsubscribe.iter().any(|name| name == "one");
    rig.ads.request("end of the subscription to the old cluster", gone).await;
}

#[tokio::test]
async fn a_route_to_a_cluster_that_does_not_exist_resets() {
    let a = Server::start(b'a').await;
    let at = free_address().await;
    let rig = Rig::start(Role::Gateway, async |ads| {
        ads.listener("front", at, "one");
        ads.cluster("one", a.at);
    })
    .await;
    assert_eq!(letter(at).await, Some('a'));
    rig.ads.listener("front", at, "nowhere");
    rig.ads.push(LDS, "front");
    until("a reset", async || {
        dial(at).await.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
    })
    .await;
    let last = rig.records().await.pop().unwrap();
    assert_eq!((last.flags_text().as_str(), last.cluster.as_deref()), ("NC", Some("nowhere")));
    assert_eq!(&*last.close_reason, "cluster nowhere does not exist");
}

#[tokio::test]
async fn a_restart_serves_from_the_cache_without_a_control_plane() {
    let (a, at) = (Server::start(b'a').await, free_address().await);
    let mut rig = Rig::start(Role::Gateway, async |ads| {
        ads.listener("front", at, "back");
        ads.cluster("back", a.at);
    })
    .await;
    let cache = rig.home.path().join("cache");
    let complete = |bytes: Vec<u8>| {
        [LDS, Cluster, Endpoint].iter().all(|kind| {
            bytes.windows(kind.type_url().len()).any(|w| w == kind.type_url().as_bytes())
        })
    };
    until("a whole cache", async || std::fs::read(&cache).is_ok_and(complete)).await;
    rig.ads.stop().await;
    rig.proxy.drain_and_stop(Some(Duration::ZERO)).await;
    assert_eq!(letter(at).await, None);
    let _proxy = launch(Role::Gateway, &rig.home).await;
    assert_eq!(letter(at).await, Some('a'));
}

/// The inode of the socket that listens, which changes when it is bound again.
fn socket_at(at: SocketAddr) -> String {
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let wanted = format!(":{:04X}", at.port());
    let listens = |fields: &Vec<&str>| fields[1].ends_with(&wanted) && fields[3] == "0A";
    let mut rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.find(listens).expect("something listens")[9].to_owned()
}

#[tokio::test]
async fn a_control_plane_that_comes_back_is_told_what_is_held() {
    let (a, at) = (Server::start(b'a').await, free_address().await);
    let mut rig = Rig::start(Role::Gateway, async |ads| {
        ads.listener("front", at, "back");
        ads.cluster("back", a.at);
    })
    .await;
    let (mut open, _) = dial(at).await.unwrap();
    let socket = socket_at(at);
    rig.ads.stop().await;
    until("the loss is known", async || !rig.proxy.view.shared.linked.load(Ordering::Relaxed))
        .await;
    assert_eq!(letter(at).await, Some('a'));
    rig.ads.resume();
    let again = rig.ads.subscription(LDS, "*").await;
    assert!(rig.ads.request("request", |_| true).await.node.is_some());
    assert_eq!(again.initial_resource_versions.keys().collect::<Vec<_>>(), ["front"]);
    let clusters = rig.ads.subscription(Cluster, "back").await;
    assert_eq!(clusters.initial_resource_versions.keys().collect::<Vec<_>>(), ["back"]);
    let ack = |request: &ads::Asked| !request.response_nonce.is_empty();
    rig.ads.request("acknowledgement", ack).await;
    assert_eq!(socket_at(at), socket, "nothing was bound again");
    assert_eq!(letter(at).await, Some('a'));
    echoes(&mut open).await;
}

#[tokio::test]
async fn a_mebibyte_of_garbage_is_refused_and_changes_nothing() {
    let (a, at) = (Server::start(b'a').await, free_address().await);
    let rig = Rig::start(Role::Gateway, async |ads| {
        ads.listener("front", at, "back");
        ads.cluster("back", a.at);
    })
    .await;
    let garbage: Vec<u8> =
        (0..1u32 << 20).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for (kind, name) in [(LDS, "front"), (Cluster, "back"), (Endpoint, "back")] {
        rig.ads.forget();
        let any = Any { type_url: ResourceType::type_url(kind).into(), value: garbage.clone() };
        rig.ads.set_any(kind, name, any);
        rig.ads.push(kind, name);
        let reason = rig.ads.nack().await;
        assert!(reason.starts_with(name), "{reason}");
        assert_eq!(letter(at).await, Some('a'));
    }
}

#[tokio::test]
async fn garbage_on_the_ads_socket_is_no_end_of_the_proxy() {
    let (a, at) = (Server::start(b'a').await, free_address().await);
    let mut rig = Rig::start(Role::Gateway, async |ads| {
        ads.listener("front", at, "back");
        ads.cluster("back", a.at);
    })
    .await;
    rig.ads.stop().await;
    std::fs::remove_file(&rig.ads.path).unwrap();
    let impostor = tokio::net::UnixListener::bind(&rig.ads.path).unwrap();
    let (mut stream, _) = within(impostor.accept()).await.unwrap();
    // The proxy hangs up on it somewhere.
    let _ = stream.write_all(&vec![0xa5; 1 << 20]).await;
    drop((stream, impostor));
    assert_eq!(letter(at).await, Some('a'));
    rig.ads.resume();
    rig.ads.subscription(LDS, "*").await;
}

#[tokio::test]
async fn an_idle_connection_ends_at_its_timeout() {
    use envoy_types::pb::google::protobuf::Duration as Span;
    let (a, at) = (Server::start(b'a').await, free_address().await);
    let rig = Rig::start(Role::Gateway, async |ads| {
        let idle = Some(Span { seconds: 0, nanos: 50_000_000 });
        ads.set(LDS, "front", &common::listener_with_idle_timeout("front", at, "back", idle));
        ads.cluster("back", a.at);
    })
    .await;
    let (mut client, _) = dial(at).await.unwrap();
    assert!(matches!(within(client.read(&mut [0])).await, Ok(0) | Err(_)));
    assert_eq!(rig.records().await[0].flags, [lateen_telemetry::Flag::StreamIdleTimeout]);
}

#[test]
fn a_connection_needs_little_memory() {
    fn size<A, B, C, D, F: Future>(_: fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }
    let size = size(serve as fn(Arc<_>, Arc<_>, _, _) -> _);
    assert!(size <= 1024, "the future of a connection has {size} bytes");
}

#[tokio::test]
async fn a_refused_resource_is_an_answer_and_its_connections_are_refused_with_the_reason() {
    let (a, front, back) = (Server::start(b'a').await, free_address().await, free_address().await);
    let garbage = || Any { type_url: String::new(), value: vec![0xff; 8] };
    let rig = Rig::start(Role::Gateway, async |ads| {
        ads.listener("front", front, "bad");
        ads.listener("back", back, "hollow");
        ads.set_any(Cluster, "bad", garbage());
        ads.cluster("hollow", a.at);
        ads.set_any(Endpoint, "hollow", garbage());
    })
    .await;
    for (at, reason) in [(front, "cluster bad was refused"), (back, "cluster hollow was refused")] {
        let start = std::time::Instant::now();
        assert_eq!(letter(at).await, None);
        assert!(start.elapsed() < Duration::from_secs(4), "it is refused at once");
        let found = || {
            let records = rig.proxy.view.shared.records.newest();
            records.iter().any(|record| record.close_reason.contains(reason))
        };
        until(reason, async || found()).await;
    }
    rig.ads.cluster("bad", a.at);
    rig.ads.push(Cluster, "bad");
    until("the cluster is there", async || letter(front).await == Some('a')).await;
}

#[tokio::test]
async fn a_destination_whose_listener_was_refused_does_not_fall_through() {
    let b = Server::start(b'b').await;
    let rig = Rig::start(Role::Sidecar, async |ads| {
        ads.sidecar_listeners(b.at).await;
        ads.set_any(LDS, EXACT, Any { type_url: String::new(), value: vec![0xff; 8] });
    })
    .await;
    assert!(rig.captured(DESTINATION).await.await.unwrap().is_err());
    let reason = rig.records().await[0].close_reason.clone();
    assert!(reason.starts_with("the listener of 10.9.9.9:80 was refused"), "{reason}");
}

/// With Istio's stats filter in all its chains.
fn counted(mut listener: Listener) -> Listener {
    for chain in &mut listener.filter_chains {
        let config = ConfigType::TypedConfig(common::any(&PluginConfig::default()));
        chain.filters.insert(0, Filter { name: "istio.stats".into(), config_type: Some(config) });
    }
    listener
}

#[tokio::test]
async fn a_connection_that_no_chain_took_is_told_with_the_labels_of_one_to_nowhere() {
    let b = Server::start(b'b').await;
    let rig = Rig::start(Role::Sidecar, async |ads| {
        ads.sidecar_listeners(b.at).await;
        let outbound = common::listener("virtualOutbound", free_address().await, "fallback");
        let use_original_dst = Some(BoolValue { value: true });
        let outbound = Listener { use_original_dst, ..counted(outbound) };
        ads.set(LDS, "virtualOutbound", &outbound);
        ads.set_any(LDS, EXACT, Any { type_url: String::new(), value: vec![0xff; 8] });
    })
    .await;
    assert!(rig.captured(DESTINATION).await.await.unwrap().is_err());
    rig.records().await;
    let shared = &rig.proxy.view.shared;
    let told = shared.records.since(&mut Place::default(), 9, 9);
    let key = told[0].key.as_ref().expect("it is told with labels");
    let labels = shared.traffic.labels(key, true).unwrap();
    let value = |name| labels.iter().find(|label| label.name == name).map(|label| &*label.value);
    assert_eq!(value("reporter"), Some("source"));
    assert_eq!(value("destination_service_name"), Some("BlackHoleCluster"));
    assert_eq!(value("response_flags"), Some("NR"));
}

#[tokio::test]
async fn waiting_for_an_answer_publishes_nothing() {
    let b = Server::start(b'b').await;
    let rig = Rig::start(Role::Sidecar, async |ads| {
        ads.sidecar_listeners(b.at).await;
        ads.silence(EXACT);
    })
    .await;
    let waiting = [rig.captured(DESTINATION).await, rig.captured(DESTINATION).await];
    rig.ads.subscription(LDS, EXACT).await;
    let before = rig.proxy.view.shared.config.load().version;
    for _ in 0..20 {
        rig.ads.forget();
        rig.ads.push(Cluster, "fallback");
        let ack = |request: &ads::Asked| request.type_url == Cluster.type_url();
        rig.ads.request("acknowledgement", ack).await;
    }
    let published = rig.proxy.view.shared.config.load().version - before;
    assert!(published <= 22, "{published} times for 20 updates and the other name's answer");
    rig.ads.speak();
    for task in waiting {
        assert_eq!(task.await.unwrap().unwrap(), b'b');
    }
}

#[tokio::test]
async fn as_many_connections_as_a_cluster_may_have_are_served_and_no_more() {
    use envoy_types::pb::envoy::config::cluster::v3::{CircuitBreakers, circuit_breakers};
    use envoy_types::pb::google::protobuf::UInt32Value;
    let (a, at) = (Server::start(b'a').await, free_address().await);
    let rig = Rig::start(Role::Gateway, async |ads| {
        let max_connections = Some(UInt32Value { value: 2 });
        let threshold = circuit_breakers::Thresholds { max_connections, ..Default::default() };
        let breakers = CircuitBreakers { thresholds: vec![threshold], ..Default::default() };
        let cluster = common::cluster("back", &[a.at]);
        let circuit_breakers = Some(breakers);
        ads.listener("front", at, "back");
        let limited =
            envoy_types::pb::envoy::config::cluster::v3::Cluster { circuit_breakers, ..cluster };
        ads.set(Cluster, "back", &limited);
    })
    .await;
    let _first = dial(at).await.unwrap();
    let _second = dial(at).await.unwrap();
    assert_eq!(letter(at).await, None);
    assert_eq!(rig.records().await[0].flags_text(), "UO");
}

#[test]
fn seeds_differ() {
    assert_ne!(super::seed(), super::seed());
}

#[tokio::test]
async fn endpoints_that_go_before_their_cluster_leave_nobody_without_an_upstream() {
    let (a, b) = (Server::start(b'a').await, Server::start(b'b').await);
    let at = free_address().await;
    let rig = Rig::start(Role::Gateway, async |ads| {
        ads.listener("front", at, "old");
        ads.cluster("old", a.at);
    })
    .await;
    // The order of one push: endpoints go with the first step, what led to them with a later one.
    rig.ads.unset(Endpoint, "old");
    rig.ads.push(Endpoint, "old");
    rig.ads.listener("other", free_address().await, "new");
    rig.ads.cluster("new", b.at);
    rig.ads.push(LDS, "other");
    rig.ads.subscription(Endpoint, "new").await;
    assert_eq!(letter(at).await, Some('a'));
    rig.ads.listener("front", at, "new");
    rig.ads.push(LDS, "front");
    until("the new route", async || letter(at).await == Some('b')).await;
}

#[tokio::test]
async fn listeners_of_one_port_on_one_and_on_every_address_stand_side_by_side() {
    let (a, b) = (Server::start(b'a').await, Server::start(b'b').await);
    let one = free_address().await;
    let every = SocketAddr::from(([0, 0, 0, 0], one.port()));
    let _rig = Rig::start(Role::Gateway, async |ads| {
        ads.listener("every", every, "b");
        ads.listener("one", one, "a");
        ads.cluster("a", a.at);
        ads.cluster("b", b.at);
    })
    .await;
    assert_eq!(letter(one).await, Some('a'));
    assert_eq!(letter(SocketAddr::from(([127, 0, 0, 2], one.port()))).await, Some('b'));
}

/// The socket of a control plane that is being started again is held by others: it takes connections
/// and says nothing.
#[tokio::test]
async fn a_control_plane_that_says_nothing_is_away() {
    let home = tempfile::tempdir().unwrap();
    let held = tokio::net::UnixListener::bind(home.path().join("ads.sock")).unwrap();
    let source = Source::Ads(AdsAddress::Unix(home.path().join("ads.sock")));
    let proxy =
        Proxy::start(Options::new(Default::default(), Role::Gateway, source)).await.unwrap();
    let (mut accepted, _) = within(held.accept()).await.unwrap();
    // The client's HTTP/2 preface: it has connected.
    let mut preface = [0; 3];
    within(accepted.read_exact(&mut preface)).await.unwrap();
    assert_eq!(&preface, b"PRI");
    assert!(!proxy.view.shared.linked.load(Ordering::Relaxed));
}
