//! The one writer. In: events of the watches. Out: snapshots, published when the events pause, and
//! what reading the objects found.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use jiff::Timestamp;
use lateen_api::issue::ObjectRef;
use lateen_api::kinds::{Kind, Source, by_kind};
use lateen_api::resource::{Key, Resource};
use lateen_kube::watch::Event;
use lateen_model::host::Domain;
use lateen_model::{Change, Snapshot, World};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::acts::Reach;
use crate::events::Events;
use crate::findings::{Facts, Finder, Findings, Given};
use crate::published::Published;
use crate::pushes::{Making, Pushes, Stage};
use crate::reading::{Reading, reading};
use crate::whatif::{Present, Question};

/// How events are gathered into one snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Debounce {
    /// A snapshot is published after this long without an event,
    pub quiet: Duration,
    /// or this long after the first event, whatever comes.
    pub longest: Duration,
}

impl Default for Debounce {
    fn default() -> Self {
        Self { quiet: Duration::from_millis(10), longest: Duration::from_millis(100) }
    }
}

/// Where the writer's work is counted.
#[derive(Clone, Default)]
pub struct Meters {
    pub pushes: Arc<Pushes>,
    pub events: Arc<Events>,
}

pub struct Writer {
    world: World,
    domain: Domain,
    published: Arc<Published>,
    findings: Arc<Findings>,
    meters: Meters,
    debounce: Debounce,
    /// Kinds of which no list has arrived yet; nothing is published while there are any.
    unseen: BTreeSet<&'static Kind>,
    synced: Option<oneshot::Sender<()>>,
    /// First and last event since the last publication.
    pending: Option<(Instant, Instant)>,
}

/// Why a kind is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// The model is made of it.
    Model,
    /// New pods are injected by it; what is wrong with an object is told.
    Injection,
    /// Nothing follows it yet; that an object has no effect, and what else is wrong with it, is told.
    Status,
}

/// Every kind that is watched. Each costs a list and a stream for as long as the process lives, so one
/// that nothing here reads is left out. The installed roles grant exactly these.
const WATCHED: [(&str, &str, Why); 26] = [
    ("", "ConfigMap", Why::Model),
    ("", "Namespace", Why::Model),
    ("", "Pod", Why::Model),
    ("", "Service", Why::Model),
    ("discovery.k8s.io", "EndpointSlice", Why::Model),
    ("extensions.istio.io", "TrafficExtension", Why::Status),
    ("extensions.istio.io", "WasmPlugin", Why::Status),
    ("gateway.networking.k8s.io", "Gateway", Why::Status),
    ("gateway.networking.k8s.io", "GRPCRoute", Why::Status),
    ("gateway.networking.k8s.io", "HTTPRoute", Why::Status),
    ("gateway.networking.k8s.io", "TCPRoute", Why::Status),
    ("gateway.networking.k8s.io", "TLSRoute", Why::Status),
    ("gateway.networking.k8s.io", "UDPRoute", Why::Status),
    ("networking.istio.io", "DestinationRule", Why::Model),
    ("networking.istio.io", "EnvoyFilter", Why::Status),
    ("networking.istio.io", "Gateway", Why::Model),
    ("networking.istio.io", "ProxyConfig", Why::Injection),
    ("networking.istio.io", "ServiceEntry", Why::Model),
    ("networking.istio.io", "Sidecar", Why::Model),
    ("networking.istio.io", "VirtualService", Why::Model),
    ("networking.istio.io", "WorkloadEntry", Why::Model),
    ("networking.istio.io", "WorkloadGroup", Why::Status),
    ("security.istio.io", "AuthorizationPolicy", Why::Status),
    ("security.istio.io", "PeerAuthentication", Why::Status),
    ("security.istio.io", "RequestAuthentication", Why::Status),
    ("telemetry.istio.io", "Telemetry", Why::Model),
];

/// Whether anything comes of the objects of a kind.
pub fn follows(kind: &Kind) -> bool {
    WATCHED
        .iter()
        .any(|(group, name, why)| (*group, *name) == (kind.group, kind.kind) && *why != Why::Status)
}

/// The kinds to watch.
pub fn kinds() -> BTreeSet<&'static Kind> {
    WATCHED.iter().filter_map(|(group, kind, _)| by_kind(group, kind)).collect()
}

impl Writer {
    /// `world` says where the mesh's settings are.
    pub fn new(
        mut world: World,
        published: Arc<Published>,
        findings: Arc<Findings>,
        meters: Meters,
        debounce: Debounce,
        synced: oneshot::Sender<()>,
    ) -> Self {
        Self {
            domain: world.snapshot().domain().clone(),
            world,
            published,
            findings,
            meters,
            debounce,
            unseen: kinds(),
            synced: Some(synced),
            pending: None,
        }
    }

    /// Runs until the stream ends, which watches never do. Who asks gets a copy of the world as it was published last.
    pub async fn run(
        mut self,
        mut events: impl Stream<Item = Event> + Unpin,
        mut questions: mpsc::Receiver<Question>,
    ) {
        loop {
            let due = self.due();
            let publish = async {
                match due {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = publish => self.publish(),
                // Before events, which may come without a pause; whoever asks does so one question at a time.
                Some(question) = questions.recv(), if self.is_published() => {
                    let said = self.findings.said(&Finder::Mesh);
                    // Who is gone does not want to know any more.
                    let _ = question.send(Present { world: self.world.clone(), said });
                }
                event = events.next() => match event {
                    Some(event) => self.take(event),
                    None => return,
                },
            }
        }
    }

    /// Whether nothing has come since the last publication, which was one of a whole world.
    fn is_published(&self) -> bool {
        self.unseen.is_empty() && self.pending.is_none()
    }

    /// When the next snapshot is due; never before every kind has been listed.
    fn due(&self) -> Option<Instant> {
        let (first, last) = self.pending.filter(|_| self.unseen.is_empty())?;
        Some((last + self.debounce.quiet).min(first + self.debounce.longest))
    }

    fn take(&mut self, event: Event) {
        let now = Instant::now();
        let first = self.pending.map_or(now, |(first, _)| first);
        self.pending = Some((first, now));
        match event {
            Event::Put(kind, value) => {
                let (key, resource) = self.read(kind, value);
                self.meters.events.put(&key);
                self.world.apply(match resource {
                    Some(resource) => Change::Put(Box::new(resource)),
                    // What cannot be read has no effect, and neither has what it said before.
                    None => Change::Delete(key),
                });
            }
            Event::Delete(kind, value) => {
                let key = Key::of(kind, &value);
                self.meters.events.delete(&key);
                self.findings.delete_object(&key);
                self.world.apply(Change::Delete(key));
            }
            Event::Replace(kind, values) => {
                let read: Vec<_> = values.into_iter().map(|value| self.read(kind, value)).collect();
                let present = read.iter().map(|(key, _)| key.clone()).collect();
                self.meters.events.replace(kind, read.iter().map(|(key, _)| key));
                self.findings.keep_objects(kind, &present);
                let resources = read.into_iter().filter_map(|(_, resource)| resource).collect();
                self.world.apply(Change::Replace(kind, resources));
                self.unseen.remove(kind);
            }
            Event::Unserved(kind) => {
                self.meters.events.replace(kind, std::iter::empty());
                self.findings.keep_objects(kind, &BTreeSet::new());
                self.world.apply(Change::Replace(kind, Vec::new()));
                self.unseen.remove(kind);
            }
        }
    }

    fn read(&self, kind: &'static Kind, value: Value) -> (Key, Option<Resource>) {
        let key = Key::of(kind, &value);
        let facts = (kind.source == Source::Istio).then(|| facts(kind, &value, &self.domain));
        let Reading { object, resource, issues, status } = reading(kind, value);
        if let Some(facts) = facts {
            self.findings.put_object(key.clone(), Facts { status, ..facts });
        }
        self.findings.set(Finder::Reading(object), issues.into_iter().collect());
        (key, resource)
    }

    fn publish(&mut self) {
        let first = self.pending.take().map(|(first, _)| first);
        let debounce = first.map(|first| first.elapsed()).unwrap_or_default();
        let began = std::time::Instant::now();
        let snapshot = self.world.snapshot();
        self.findings.set(Finder::Mesh, lateen_translate::mesh_issues(&snapshot));
        self.findings.set_addresses(automatic(&snapshot));
        if !self.published.is_published()
            || snapshot.version() != self.published.snapshot().version()
        {
            self.findings.set_view(snapshot.clone());
            let making = Making { debounce, snapshot: began.elapsed() };
            self.meters.pushes.observe(Stage::Debounce, making.debounce);
            self.meters.pushes.observe(Stage::Snapshot, making.snapshot);
            self.meters.events.pushed();
            self.published.publish(snapshot, making);
        }
        if let Some(synced) = self.synced.take() {
            // The receiver is gone only while the process stops.
            let _ = synced.send(());
        }
    }
}

/// What its status is computed from, but for that status.
fn facts(kind: &'static Kind, value: &Value, domain: &Domain) -> Facts {
    let generation = value["metadata"]["generation"].as_i64();
    let created = value["metadata"]["creationTimestamp"].as_str();
    let created = created.and_then(|time| time.parse::<Timestamp>().ok());
    let created = created.map_or(0, Timestamp::as_millisecond);
    let reach = Arc::new(Reach::read(kind, value, domain));
    Facts { generation, created, status: Value::Null, reach }
}

/// The automatic addresses, by object.
fn automatic(snapshot: &Snapshot) -> BTreeMap<ObjectRef, Given> {
    let mut found: BTreeMap<ObjectRef, Given> = BTreeMap::new();
    for service in snapshot.services().all() {
        if let Some(ip) = service.auto_address {
            let given = found.entry(service.meta.object.clone()).or_default();
            given.push((service.hostname.clone(), ip));
        }
    }
    found
}
