//! Two replicas without a network between them.

use std::collections::BTreeSet;
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::time::Duration;

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::data::accesslog::v3::TcpAccessLogEntry;
use envoy_types::pb::google::protobuf::{Struct, Value, value};
use envoy_types::pb::io::prometheus::client::{LabelPair, Metric, MetricFamily};
use futures::{FutureExt, Stream, StreamExt};
use lateen_api::xds::ResourceType;
use lateen_testkit::fuzz;
use lateen_translate::Role;
use lateen_xds::passed::{News, Origin, Passed, Refused};
use lateen_xds::server::{Collection, Collector, Replica};
use prost::Message;

use super::links::{LARGEST, QUEUE};
use super::{Counts, Passing, Places, Replicas, Taken};

/// What a collection was told, in words.
#[derive(Default)]
struct Log(Mutex<Vec<String>>);

struct Notes(Arc<Log>, usize);

impl Log {
    fn say(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }

    fn said(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

struct Collected(Arc<Log>, usize);

impl Collection for Collected {
    fn stream(&self, node: &Node) -> Option<Arc<dyn Collector>> {
        let name = node.id.split(['~', '.']).nth(5).unwrap_or_default();
        self.0.say(format!("stream of {name}"));
        Some(Arc::new(Notes(self.0.clone(), self.1)))
    }

    fn connections(&self, node: &Node, entries: Vec<TcpAccessLogEntry>) {
        self.0.say(format!("{} connections of {}", entries.len(), node.id));
    }
}

fn names(families: &[MetricFamily]) -> String {
    families.iter().map(MetricFamily::name).collect::<Vec<_>>().join(",")
}

impl Collector for Notes {
    fn metrics(&self, families: Vec<MetricFamily>) {
        self.0.say(format!("metrics {}", names(&families)));
    }

    fn standing(&self) -> Vec<MetricFamily> {
        vec![standing(self.1)]
    }
}

impl Drop for Notes {
    fn drop(&mut self) {
        self.0.say("over".to_owned());
    }
}

fn standing(samples: usize) -> MetricFamily {
    MetricFamily { metric: vec![labelled(); samples], ..family("standing") }
}

/// A sample of about 2 KiB.
fn labelled() -> Metric {
    let label = LabelPair { name: None, value: Some("x".repeat(2000)) };
    Metric { label: vec![label], ..Metric::default() }
}

fn family(name: &str) -> MetricFamily {
    MetricFamily { name: Some(name.to_owned()), ..MetricFamily::default() }
}

fn sidecar(name: &str) -> Node {
    let id = format!("sidecar~10.0.0.1~{name}.shop~shop.svc.cluster.local");
    Node { id, ..Node::default() }
}

/// One replica.
struct Here {
    replicas: Arc<Replicas>,
    log: Arc<Log>,
    places: Places,
}

impl Here {
    fn new() -> Self {
        let log = Arc::<Log>::default();
        let traffic: Arc<dyn Collection> = Arc::new(Collected(log.clone(), 1));
        let places = Places {
            proxies: Arc::default(),
            findings: Arc::default(),
            gateways: Arc::default(),
            traffic: Some(traffic),
            sessions: Arc::default(),
        };
        Self { replicas: Arc::default(), log, places }
    }

    fn passing(&self) -> Passing {
        self.passing_of(1)
    }

    /// Of proxies with so many ways that are open.
    fn passing_of(&self, standing: usize) -> Passing {
        let inner = Arc::new(Collected(self.log.clone(), standing));
        Passing { replicas: self.replicas.clone(), inner }
    }

    fn taking(&self, name: &str) -> Taken {
        Taken::new(&self.replicas, name, self.places.clone())
    }

    /// What proxies refuse, as it is told of objects.
    fn refusals(&self) -> Vec<String> {
        let verdicts = self.places.findings.verdicts().into_values();
        verdicts.flat_map(|verdict| verdict.refusals).map(|issue| issue.to_string()).collect()
    }

    fn workloads(&self) -> Vec<(String, Role)> {
        let all = self.places.proxies.workloads();
        let mut all: Vec<_> = all.into_iter().map(|((_, name), role)| (name, role)).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }
}

/// What waits in a queue; whether that is its end.
fn waiting(queue: &mut (impl Stream<Item = Bytes> + Unpin)) -> (Vec<Passed>, bool) {
    let mut all = Vec::new();
    loop {
        match queue.next().now_or_never() {
            Some(Some(message)) => all.push(Passed::decode(message).unwrap()),
            Some(None) => return (all, true),
            None => return (all, false),
        }
    }
}

fn pass(queue: &mut (impl Stream<Item = Bytes> + Unpin), to: &mut Taken) {
    waiting(queue).0.into_iter().for_each(|passed| to.take(passed));
}

#[test]
fn what_one_is_told_the_other_hears_once_and_passes_nothing_on() {
    let (a, b) = (Here::new(), Here::new());
    let passing = a.passing();
    let web = a.replicas.session(&sidecar("web"));
    let stream = passing.stream(&sidecar("web")).unwrap();
    stream.metrics(vec![family("before")]);
    // The other one is told what is open, and nothing of what was before.
    let (mut queue, mut taken) = (a.replicas.link(), b.taking("a"));
    let mut back = b.replicas.link();
    pass(&mut queue, &mut taken);
    assert_eq!(b.log.said(), ["stream of web", "metrics standing"]);
    assert_eq!(b.workloads(), [("web".to_owned(), Role::Sidecar)]);
    assert!(a.workloads().is_empty(), "nobody told this one");
    stream.metrics(vec![family("after")]);
    stream.metrics(Vec::new());
    passing.connections(&sidecar("web"), vec![TcpAccessLogEntry::default(); 2]);
    let late = passing.stream(&sidecar("api")).unwrap();
    pass(&mut queue, &mut taken);
    let web_id = sidecar("web").id;
    assert_eq!(
        b.log.said(),
        ["metrics after", &format!("2 connections of {web_id}"), "stream of api", "metrics "]
    );
    drop((web, stream, late));
    pass(&mut queue, &mut taken);
    assert_eq!(b.log.said(), ["over", "over"]);
    assert!(b.workloads().is_empty());
    assert_eq!(waiting(&mut back), (Vec::new(), false), "it went round");
}

#[test]
fn what_a_replica_told_is_over_with_its_connection_and_with_its_next_one() {
    let (a, b) = (Here::new(), Here::new());
    let _web = a.replicas.session(&sidecar("web"));
    let _stream = a.passing().stream(&sidecar("web")).unwrap();
    let (mut old, mut first) = (a.replicas.link(), b.taking("a"));
    pass(&mut old, &mut first);
    assert_eq!(b.log.said(), ["stream of web", "metrics standing"]);
    let (mut new, mut second) = (a.replicas.link(), b.taking("a"));
    assert_eq!(b.log.said(), ["over"]);
    pass(&mut new, &mut second);
    // What the old one still brings counts for nothing.
    first.take(Passed { stream: 9, news: Some(News::Session(Box::new(sidecar("ghost")))) });
    assert_eq!(b.workloads(), [("web".to_owned(), Role::Sidecar)]);
    drop(first);
    assert_eq!(b.log.said(), ["stream of web", "metrics standing"]);
    b.replicas.expect(["a".to_owned()].into());
    assert!(b.replicas.silent().is_empty());
    drop(second);
    assert_eq!(b.log.said(), ["over"]);
    assert!(b.workloads().is_empty());
    assert_eq!(b.replicas.silent(), ["a"]);
}

#[test]
fn one_who_is_slow_is_cut_off_and_the_others_are_not() {
    let a = Here::new();
    a.replicas.expect(["b".to_owned(), "c".to_owned()].into());
    let (mut slow, mut quick) = (a.replicas.link(), a.replicas.link());
    let stream = a.passing().stream(&sidecar("web")).unwrap();
    let large = family(&"x".repeat(1 << 20));
    let mut sent = 1;
    for _ in 0..80 {
        stream.metrics(vec![large.clone()]);
        sent += 1;
        let (got, over) = waiting(&mut quick);
        assert!(!got.is_empty() && !over);
    }
    let (got, over) = waiting(&mut slow);
    assert!(over, "it is not told that it missed something");
    let bytes: usize = got.iter().map(Passed::encoded_len).sum();
    assert!(bytes <= QUEUE && bytes > QUEUE / 2, "{bytes}");
    let counts = a.replicas.counts();
    let (passed, dropped) = (sent + got.len() as u64, sent - got.len() as u64);
    assert_eq!(counts, Counts { others: 2, links: 1, passed, dropped });
    // It begins again with what is open.
    let (got, over) = waiting(&mut a.replicas.link());
    assert_eq!((got.len(), over), (1, false));
    assert!(matches!(got[0].news, Some(News::Reports(_))));
}

#[test]
fn a_proxy_that_tells_too_much_at_once_is_not_passed_on_and_harms_no_other() {
    let a = Here::new();
    a.replicas.expect(["b".to_owned()].into());
    let mut queue = a.replicas.link();
    let stream = a.passing().stream(&sidecar("web")).unwrap();
    stream.metrics(vec![family(&"x".repeat(LARGEST))]);
    stream.metrics(vec![family("small")]);
    let (got, over) = waiting(&mut queue);
    assert_eq!((got.len(), over), (2, false));
    assert_eq!(a.log.said().len(), 3, "it counts here");
    assert_eq!(a.replicas.counts(), Counts { others: 1, links: 1, passed: 2, dropped: 1 });
}

#[test]
fn however_much_is_open_another_replica_begins_with_it() {
    let (a, b) = (Here::new(), Here::new());
    let _stream = a.passing_of(4000).stream(&sidecar("web")).unwrap();
    let (got, over) = waiting(&mut a.replicas.link());
    assert!(!over && got.len() > 4, "{}", got.len());
    assert!(got.iter().all(|message| message.encoded_len() < LARGEST / 2));
    let mut taking = b.taking("a");
    let messages = got.len();
    got.into_iter().for_each(|message| taking.take(message));
    let said = b.log.said();
    assert_eq!(said.len(), messages + 1, "{said:?}");
    let (first, last) = (said[1].as_str(), said.last().map(String::as_str));
    assert_eq!((first, last), ("metrics standing,lateen_report_more", Some("metrics standing")));
    assert_eq!(a.replicas.counts().dropped, 0);
}

#[test]
fn those_who_cannot_be_reached_are_counted() {
    let a = Here::new();
    drop(a.replicas.session(&sidecar("web")));
    assert_eq!(a.replicas.counts(), Counts::default());
    a.replicas.expect(BTreeSet::from(["b".to_owned()]));
    let queue = a.replicas.link();
    drop(a.replicas.session(&sidecar("web")));
    assert_eq!(a.replicas.counts(), Counts { others: 1, links: 1, passed: 2, dropped: 0 });
    drop(queue);
    drop(a.replicas.session(&sidecar("web")));
    assert_eq!(a.replicas.counts(), Counts { others: 1, links: 0, passed: 2, dropped: 2 });
}

fn refused(resource: &str, message: Option<&str>) -> Refused {
    let text = str::to_owned;
    let (group, kind) = (text("networking.istio.io"), text("Gateway"));
    let origin = Origin { group, kind, namespace: text("shop"), name: text("front") };
    Refused {
        kind: ResourceType::Listener.type_url().to_owned(),
        resource: resource.to_owned(),
        message: message.map(str::to_owned),
        origins: vec![origin],
    }
}

#[test]
fn what_a_proxy_refuses_is_told_of_the_object_wherever_the_proxy_is_connected() {
    let (a, b) = (Here::new(), Here::new());
    let web = a.replicas.session(&sidecar("web"));
    web.refusal(refused("l1", Some("no filter chain")));
    web.refusal(refused("l2", Some("no such filter")));
    web.refusal(refused("l2", None));
    let (mut queue, mut taken) = (a.replicas.link(), b.taking("a"));
    pass(&mut queue, &mut taken);
    let said = b.refusals();
    assert_eq!(said.len(), 1, "what it refuses no more is none: {said:?}");
    assert!(said[0].contains("Gateway shop/front") && said[0].contains("proxy web refused LDS l1"));
    web.refusal(refused("l1", None));
    web.refusal(refused("l3", Some("too long")));
    pass(&mut queue, &mut taken);
    let said = b.refusals();
    assert!(said.len() == 1 && said[0].contains("LDS l3: too long"), "{said:?}");
    for number in 0..1000 {
        web.refusal(refused(&number.to_string(), Some("no")));
    }
    pass(&mut queue, &mut taken);
    assert_eq!(b.refusals().len(), 256, "of one proxy");
    // What the other one does not take it is not told, now or later.
    assert_eq!(waiting(&mut a.replicas.link()).0.len(), 1 + 256);
    web.refusal(refused("999", None));
    web.refusal(refused("0", None));
    web.refusal(refused("999", Some("too late")));
    assert_eq!(waiting(&mut queue).0.len(), 2);
    drop(web);
    pass(&mut queue, &mut taken);
    assert!(b.refusals().is_empty(), "it is gone");
}

#[test]
fn a_node_is_told_as_far_as_it_is_needed() {
    let text = |text: &str| Value { kind: Some(value::Kind::StringValue(text.to_owned())) };
    let labels = Struct { fields: [("istio".to_owned(), text("ingressgateway"))].into() };
    let labels = Value { kind: Some(value::Kind::StructValue(labels)) };
    let node = |id: &str| Node {
        id: id.to_owned(),
        metadata: Some(Struct {
            fields: [
                ("NAMESPACE".to_owned(), text("shop")),
                ("LABELS".to_owned(), labels.clone()),
                ("PROXY_CONFIG".to_owned(), text("much")),
            ]
            .into(),
        }),
        ..Node::default()
    };
    let names = |id: &str| {
        let fields = super::trimmed(&node(id)).metadata.unwrap().fields;
        fields.into_keys().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>()
    };
    assert_eq!(names("sidecar~10.0.0.1~a.shop~shop.svc.cluster.local"), ["NAMESPACE"]);
    assert_eq!(names("router~10.0.0.1~a.shop~shop.svc.cluster.local"), ["LABELS", "NAMESPACE"]);
}

/// Takes metrics only when another stream is being taken too.
struct Together(Arc<Barrier>);

impl Collection for Together {
    fn stream(&self, _: &Node) -> Option<Arc<dyn Collector>> {
        Some(Arc::new(Together(self.0.clone())))
    }

    fn connections(&self, _: &Node, _: Vec<TcpAccessLogEntry>) {}
}

impl Collector for Together {
    fn metrics(&self, _: Vec<MetricFamily>) {
        self.0.wait();
    }

    fn standing(&self) -> Vec<MetricFamily> {
        Vec::new()
    }
}

#[test]
fn a_report_that_is_being_read_keeps_no_other_waiting() {
    let inner = Arc::new(Together(Arc::new(Barrier::new(2))));
    let replicas = Arc::<Replicas>::default();
    let _queue = replicas.link();
    let passing = Passing { replicas, inner };
    let (done, told) = mpsc::channel();
    for name in ["web", "db"] {
        let (stream, done) = (passing.stream(&sidecar(name)).unwrap(), done.clone());
        std::thread::spawn(move || {
            stream.metrics(vec![family(name)]);
            done.send(()).unwrap();
        });
    }
    for _ in 0..2 {
        told.recv_timeout(Duration::from_secs(20)).expect("they are read at the same time");
    }
}

#[test]
fn no_message_of_another_replica_does_harm() {
    let (a, b) = (Here::new(), Here::new());
    let passing = a.passing();
    let web = a.replicas.session(&sidecar("web"));
    let stream = passing.stream(&sidecar("web")).unwrap();
    let mut queue = a.replicas.link();
    web.refusal(refused("l", Some("no filter chain")));
    stream.metrics(vec![family("after")]);
    passing.connections(&sidecar("web"), vec![TcpAccessLogEntry::default()]);
    drop(stream);
    let samples = waiting(&mut queue).0;
    assert_eq!(samples.len(), 6);
    let samples = samples.iter().map(Passed::encode_to_vec).collect();
    fuzz::fuzz(2000, fuzz::bytes(samples), |bytes| {
        let mut taken = b.taking("a");
        if let Ok(passed) = Passed::decode(bytes.as_slice()) {
            taken.take(passed);
        }
        drop(taken);
        assert!(b.workloads().is_empty() && b.refusals().is_empty());
    });
}
