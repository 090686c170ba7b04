//! The writer's loop, in paused time.

use std::sync::Arc;
use std::time::Duration;

use futures::stream;
use lateen_api::kinds::{KINDS, Source, by_kind};
use lateen_kube::watch::Event;
use lateen_model::World;
use lateen_runtime::pages::Reader;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::{Debounce, Meters, WATCHED, Why, Writer, kinds};
use crate::findings::Findings;
use crate::published::Published;
use crate::pushes::Stage;
use crate::whatif::{Present, Question, Unanswered, WhatIf};

const DEBOUNCE: Debounce =
    Debounce { quiet: Duration::from_millis(10), longest: Duration::from_millis(100) };

struct Rig {
    events: mpsc::UnboundedSender<Event>,
    published: Arc<Published>,
    findings: Arc<Findings>,
    meters: Meters,
    whatif: WhatIf,
    synced: oneshot::Receiver<()>,
}

impl Rig {
    /// A writer on a stream that the test feeds.
    fn new() -> Self {
        let (whatif, questions) = WhatIf::new(Arc::default());
        Self { whatif, ..Self::asked(questions) }
    }

    /// A writer that is asked what the test sends.
    fn asked(questions: mpsc::Receiver<Question>) -> Self {
        let (events, receiver) = mpsc::unbounded_channel();
        let (sender, synced) = oneshot::channel();
        let published = Arc::new(Published::default());
        let findings = Arc::new(Findings::default());
        let meters = Meters::default();
        let (whatif, _) = WhatIf::new(Arc::default());
        let writer = Writer::new(
            World::new(),
            published.clone(),
            findings.clone(),
            meters.clone(),
            DEBOUNCE,
            sender,
        );
        let stream =
            stream::unfold(receiver, |mut receiver: mpsc::UnboundedReceiver<Event>| async {
                Some((receiver.recv().await?, receiver))
            });
        tokio::spawn(async move { writer.run(Box::pin(stream), questions).await });
        Self { events, published, findings, meters, whatif, synced }
    }

    fn send(&self, event: Event) {
        self.events.send(event).unwrap();
    }

    fn list_all(&self) {
        for kind in kinds() {
            self.send(Event::Replace(kind, Vec::new()));
        }
    }

    /// Lists everything and waits for the first snapshot.
    async fn synced() -> Self {
        let mut rig = Self::new();
        rig.list_all();
        (&mut rig.synced).await.unwrap();
        rig
    }
}

fn service(name: &str) -> Event {
    let value = json!({
        "metadata": { "namespace": "default", "name": name },
        "spec": { "clusterIP": "10.96.0.9", "ports": [{ "name": "tcp", "port": 80 }] },
    });
    Event::Put(by_kind("", "Service").unwrap(), value)
}

fn gateway(spec: Value) -> Event {
    let metadata = json!({ "namespace": "default", "name": "g", "generation": 3 });
    let value = json!({ "metadata": metadata, "spec": spec, "status": { "x": 1 } });
    Event::Put(by_kind("networking.istio.io", "Gateway").unwrap(), value)
}

#[tokio::test(start_paused = true)]
async fn nothing_is_published_before_every_kind_has_been_listed() {
    let mut rig = Rig::new();
    let mut kinds = kinds().into_iter();
    let last = kinds.next_back().unwrap();
    kinds.for_each(|kind| rig.send(Event::Replace(kind, Vec::new())));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!rig.published.is_published());
    rig.send(Event::Unserved(last));
    (&mut rig.synced).await.unwrap();
    assert!(rig.published.is_published());
}

#[tokio::test(start_paused = true)]
async fn a_burst_becomes_one_snapshot_when_it_pauses() {
    let rig = Rig::synced().await;
    let before = rig.published.snapshot().version();
    let mut changes = rig.published.changes();
    let start = tokio::time::Instant::now();
    for name in ["a", "b", "c"] {
        rig.send(service(name));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    changes.changed().await.unwrap();
    assert_eq!(rig.published.snapshot().version(), before + 1);
    assert_eq!(start.elapsed(), Duration::from_millis(20));
}

#[tokio::test(start_paused = true)]
async fn a_burst_without_a_pause_is_published_at_the_limit() {
    let rig = Rig::synced().await;
    let mut changes = rig.published.changes();
    let start = tokio::time::Instant::now();
    let feed = async {
        for turn in 0.. {
            rig.send(service(&format!("s{turn}")));
            tokio::time::sleep(Duration::from_millis(7)).await;
        }
    };
    tokio::select! {
        () = feed => unreachable!("the feed is endless"),
        changed = changes.changed() => changed.unwrap(),
    }
    assert_eq!(start.elapsed(), DEBOUNCE.longest);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_a_finding_and_a_later_version_clears_it() {
    let rig = Rig::synced().await;
    let mut changes = rig.published.changes();
    rig.send(gateway(json!({ "servers": "none" })));
    rig.send(service("a"));
    changes.changed().await.unwrap();
    let verdicts = rig.findings.verdicts();
    let (object, verdict) = verdicts.first_key_value().expect("the gateway has an issue");
    assert_eq!(object.to_string(), "Gateway default/g");
    assert!(!verdict.validation.is_empty() && verdict.refusals.is_empty());
    let (key, facts) = rig.findings.objects().pop_first().unwrap();
    assert_eq!((key.name.as_str(), facts.generation), ("g", Some(3)));
    assert_eq!(facts.status, json!({ "x": 1 }));

    let server = json!({
        "port": { "number": 31400, "name": "tcp", "protocol": "TCP" },
        "hosts": ["*"],
    });
    rig.send(gateway(json!({ "selector": { "istio": "ingressgateway" }, "servers": [server] })));
    changes.changed().await.unwrap();
    assert!(rig.findings.verdicts().is_empty(), "{:?}", rig.findings.verdicts());
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_no_longer_served_leaves_no_findings() {
    let rig = Rig::synced().await;
    let mut changes = rig.published.changes();
    rig.send(gateway(json!({ "servers": "none" })));
    rig.send(service("a"));
    changes.changed().await.unwrap();
    assert_eq!((rig.findings.verdicts().len(), rig.findings.objects().len()), (1, 1));
    rig.send(Event::Unserved(by_kind("networking.istio.io", "Gateway").unwrap()));
    rig.send(service("b"));
    changes.changed().await.unwrap();
    assert!(rig.findings.verdicts().is_empty(), "{:?}", rig.findings.verdicts());
    assert!(rig.findings.objects().is_empty());
}

#[test]
fn istio_kinds_are_watched_for_their_status_and_others_only_for_the_model() {
    assert_eq!(kinds().len(), WATCHED.len(), "every kind of the table is known");
    for kind in KINDS.iter().filter(|kind| kind.source == Source::Istio) {
        assert!(kinds().contains(kind), "nobody tells what is wrong with a {}", kind.kind);
    }
    for (group, kind, why) in WATCHED {
        let source = by_kind(group, kind).unwrap().source;
        assert!(source != Source::Kubernetes || why == Why::Model, "{kind} is nothing to tell of");
    }
    assert!(!kinds().contains(by_kind("", "Secret").unwrap()));
}

#[tokio::test(start_paused = true)]
async fn objects_that_nothing_acts_on_are_told_and_policies_are_errors() {
    let rig = Rig::synced().await;
    let mut changes = rig.published.changes();
    let objects = [
        (
            "security.istio.io",
            "AuthorizationPolicy",
            "deny",
            json!({ "action": "DENY", "rules": [{}] }),
        ),
        (
            "security.istio.io",
            "PeerAuthentication",
            "lax",
            json!({ "mtls": { "mode": "PERMISSIVE" } }),
        ),
        (
            "security.istio.io",
            "PeerAuthentication",
            "strict",
            json!({ "mtls": { "mode": "STRICT" } }),
        ),
        (
            "gateway.networking.k8s.io",
            "Gateway",
            "g",
            json!({ "gatewayClassName": "istio", "listeners": [] }),
        ),
        ("networking.istio.io", "WorkloadGroup", "group", json!({ "template": {} })),
    ];
    for (group, kind, name, spec) in objects {
        let metadata = json!({ "namespace": "default", "name": name });
        let kind = by_kind(group, kind).unwrap();
        rig.send(Event::Put(kind, json!({ "metadata": metadata, "spec": spec })));
    }
    rig.send(service("a"));
    changes.changed().await.unwrap();
    let told = rig.findings.verdicts().into_iter().flat_map(|(object, verdict)| {
        let ours =
            verdict.validation.into_iter().filter(|issue| issue.code.to_string() == "LTN0001");
        ours.map(move |issue| format!("{object}: {}", issue.is_error())).collect::<Vec<_>>()
    });
    let expected = [
        "Gateway default/g: false",
        "AuthorizationPolicy default/deny: true",
        "PeerAuthentication default/strict: true",
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_workload_whose_condition_says_so_is_unhealthy() {
    let rig = Rig::synced().await;
    let mut changes = rig.published.changes();
    let kind = by_kind("networking.istio.io", "WorkloadEntry").unwrap();
    let entry = |healthy: &str| {
        let conditions = json!([
            { "type": "PassedValidation", "status": "True" },
            { "type": "Healthy", "status": healthy, "lastProbeTime": "2026-01-01T00:00:00Z" },
        ]);
        let value = json!({
            "apiVersion": "networking.istio.io/v1",
            "metadata": { "namespace": "default", "name": "w" },
            "spec": { "address": "10.0.0.1" },
            "status": { "conditions": conditions },
        });
        Event::Put(kind, value)
    };
    for (told, expected) in [("True", true), ("False", false)] {
        rig.send(entry(told));
        changes.changed().await.unwrap();
        let snapshot = rig.published.snapshot();
        let workload = snapshot.workload("10.0.0.1".parse().unwrap()).expect("it is known");
        assert_eq!(workload.healthy, expected);
    }
    assert!(rig.findings.verdicts().is_empty(), "{:?}", rig.findings.verdicts());
}

#[tokio::test(start_paused = true)]
async fn of_objects_that_the_mesh_does_not_see_nothing_is_told() {
    let rig = Rig::synced().await;
    let mut changes = rig.published.changes();
    rig.send(gateway(json!({ "servers": "none" })));
    let mesh = "discoverySelectors: [{matchLabels: {mesh: a}}]";
    let metadata = json!({ "name": "istio", "namespace": "istio-system" });
    let map = json!({ "metadata": metadata, "data": { "mesh": mesh } });
    rig.send(Event::Put(by_kind("", "ConfigMap").unwrap(), map));
    changes.changed().await.unwrap();
    assert!(rig.findings.verdicts().is_empty() && rig.findings.objects().is_empty());
    let namespace = json!({ "metadata": { "name": "default", "labels": { "mesh": "a" } } });
    rig.send(Event::Put(by_kind("", "Namespace").unwrap(), namespace));
    changes.changed().await.unwrap();
    assert_eq!((rig.findings.verdicts().len(), rig.findings.objects().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_snapshots_debounce_and_its_reasons_are_counted() {
    let rig = Rig::synced().await;
    let before = rig.meters.pushes.times();
    let mut changes = rig.published.changes();
    changes.mark_unchanged();
    rig.send(service("a"));
    rig.send(service("b"));
    changes.changed().await.unwrap();
    let times = rig.meters.pushes.times();
    let debounce = |times: &crate::pushes::Times| times.of(Stage::Debounce).clone();
    assert_eq!(debounce(&times).count, debounce(&before).count + 1);
    let waited = debounce(&times).sum - debounce(&before).sum;
    assert!((0.01..0.012).contains(&waited), "{waited}");
    let counts = rig.meters.events.counts();
    let added = counts.events.iter().filter(|((kind, _), _)| kind.kind == "Service");
    assert_eq!(added.map(|(_, count)| count).sum::<u64>(), 2);
    assert_eq!(counts.triggers["service"], 1);
}

#[tokio::test(start_paused = true)]
async fn what_would_be_said_of_an_object_is_told_and_nothing_comes_of_it() {
    let rig = Rig::new();
    let kind = by_kind("networking.istio.io", "VirtualService").unwrap();
    let route = json!({
        "metadata": { "namespace": "default", "name": "v" },
        "spec": { "hosts": ["a"], "tcp": [{ "route": [{ "destination": { "host": "gone" } }] }] },
    });
    let early = rig.whatif.ask(&Reader::Owner, kind, route.clone()).await;
    assert_eq!(early, Err(Unanswered::Busy), "the world is not whole yet");
    let mut rig = rig;
    rig.list_all();
    (&mut rig.synced).await.unwrap();
    let before = rig.published.snapshot().version();
    let mut changes = rig.published.changes();
    changes.mark_unchanged();
    rig.send(service("a"));
    let outlook = rig.whatif.ask(&Reader::Owner, kind, route).await.unwrap();
    let paths: Vec<&str> = outlook.own.iter().map(|issue| issue.path.as_str()).collect();
    assert_eq!(paths, ["spec.tcp[0].route[0].destination.host"]);
    changes.changed().await.unwrap();
    assert_eq!(rig.published.snapshot().version(), before + 1);
    assert!(rig.published.snapshot().routes().virtual_services().is_empty());
    assert!(rig.findings.verdicts().is_empty(), "{:?}", rig.findings.verdicts());
}

#[tokio::test(start_paused = true)]
async fn who_asks_gets_the_world_of_the_last_publication_with_what_was_said_of_it() {
    let (ask, questions) = mpsc::channel(1);
    let mut rig = Rig::asked(questions);
    rig.list_all();
    (&mut rig.synced).await.unwrap();
    let kind = by_kind("networking.istio.io", "VirtualService").unwrap();
    rig.send(Event::Put(kind, json!({
        "metadata": { "namespace": "default", "name": "v" },
        "spec": { "hosts": ["a"], "tcp": [{ "route": [{ "destination": { "host": "gone" } }] }] },
    })));
    tokio::task::yield_now().await;
    let (question, answer) = oneshot::channel();
    ask.send(question).await.unwrap();
    let Present { mut world, said } = answer.await.unwrap();
    let published = rig.published.snapshot();
    assert_eq!(published.routes().virtual_services().len(), 1, "events are published first");
    assert!(Arc::ptr_eq(&world.snapshot(), &published));
    assert!(!said.is_empty());
    assert_eq!(*said, *lateen_translate::mesh_issues(&published));
}
