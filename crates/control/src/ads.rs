//! ADS sessions: one per proxy's stream. In: a node, snapshots, what the proxy accepted or refused.
//! Out: views of its resources, issues on the objects that they come from, and the proxies' page.

mod refusals;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use envoy_types::pb::envoy::config::core::v3::Node;
use lateen_api::issue::{Code, Issue, ObjectRef};
use lateen_api::xds::ResourceType;
use lateen_model::Snapshot;
use lateen_translate::{Proxy, translate};
use lateen_xds::passed::{Origin, Refused};
use lateen_xds::server::delivery::Delivery;
use lateen_xds::server::peer::{Peer, Refusal};
use lateen_xds::server::{Collection, Protocol, Replica, Resource, Session, Source, View, Want};
use tokio::sync::watch;

use crate::debug::Proxies;
use crate::findings::{Finder, Findings};
use crate::published::Published;
use crate::pushes::{Course, Pushes};
use crate::replicas::{Attendance, OwnAccount, Passing, Places, Replicas, Taken};
use crate::selectors::Gateways;
use crate::witness::Witness;
pub use refusals::TOLD;
use refusals::{Name, Refusals};

/// A proxy refused a resource that comes from this object.
pub const REFUSED: Code = Code("LTN0101");
/// A proxy cannot listen, because another program has the port.
const PORT_TAKEN: Code = Code("LTN0102");
/// Objects of which a refusal of one resource is told.
pub const ORIGINS: usize = 256;
/// How often a listener is tried again whose port is taken.
const PORT_RETRY: Duration = Duration::from_secs(3);

/// Opens the sessions.
pub struct Door {
    parts: Parts,
    /// Where the proxies' traffic goes, and to the other replicas.
    traffic: Option<Arc<dyn Collection>>,
    next: Arc<AtomicU64>,
}

/// What sessions read and write.
#[derive(Default)]
pub struct Parts {
    pub published: Arc<Published>,
    pub findings: Arc<Findings>,
    pub proxies: Arc<Proxies>,
    pub pushes: Arc<Pushes>,
    pub gateways: Arc<Gateways>,
    pub replicas: Arc<Replicas>,
    pub traffic: Option<Arc<dyn Collection>>,
    /// Who this control plane is, if it has replicas.
    pub own: Option<OwnAccount>,
}

impl Door {
    pub fn new(parts: Parts) -> Self {
        let passing = |inner: &Arc<dyn Collection>| -> Arc<dyn Collection> {
            Arc::new(Passing { replicas: parts.replicas.clone(), inner: inner.clone() })
        };
        let traffic = parts.traffic.as_ref().map(passing);
        Self { traffic, parts, next: Arc::new(AtomicU64::new(1)) }
    }
}

impl Source for Door {
    fn open(
        &self,
        node: &Node,
        protocol: Protocol,
        peer: &Peer,
    ) -> Result<Arc<dyn Session>, Refusal> {
        let proxy = Arc::new(Proxy::from_node(node).map_err(Refusal::Invalid)?);
        fits(&proxy, peer)?;
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        tracing::info!(session = id, proxy = proxy.id, ?protocol, ?peer, "proxy connected");
        let Parts { published, findings, proxies, pushes, gateways, replicas, .. } = &self.parts;
        proxies.connected(id, &proxy, protocol);
        gateways.connected(id, &proxy);
        Ok(Arc::new(Seat {
            id,
            proxy,
            published: published.clone(),
            findings: findings.clone(),
            proxies: proxies.clone(),
            pushes: pushes.clone(),
            course: Arc::default(),
            gateways: gateways.clone(),
            refused: Mutex::default(),
            attendance: replicas.session(node),
        }))
    }

    fn collect(&self, node: &Node, peer: &Peer) -> Result<Arc<dyn Collection>, Refusal> {
        let unserved = || Refusal::Unserved("this control plane collects no telemetry".to_owned());
        let traffic = self.traffic.as_ref().ok_or_else(unserved)?;
        fits(&Proxy::from_node(node).map_err(Refusal::Invalid)?, peer)?;
        let Peer::ServiceAccount(account) = peer else { return Ok(traffic.clone()) };
        let (namespace, inner) = (account.namespace.clone(), traffic.clone());
        Ok(Arc::new(Witness { namespace, inner, proxies: self.parts.proxies.clone() }))
    }

    fn overweight(&self) {
        self.parts.proxies.overweight();
    }

    fn replica(&self, name: &str, peer: &Peer) -> Result<Box<dyn Replica>, Refusal> {
        let Parts { proxies, findings, gateways, traffic, replicas, own, .. } = &self.parts;
        let unserved = || Refusal::Unserved("this control plane has no replicas".to_owned());
        own.as_ref().ok_or_else(unserved)?.admit(name, peer)?;
        let places = Places {
            proxies: proxies.clone(),
            findings: findings.clone(),
            gateways: gateways.clone(),
            traffic: traffic.clone(),
            sessions: self.next.clone(),
        };
        Ok(Box::new(Taken::new(replicas, name, places)))
    }
}

/// Whether a proxy is who it says it is, as Istio asks it: a token speaks for its namespace and for its
/// ServiceAccount, if the proxy names one; and besides for the pod that it is bound to, if it is to one.
fn fits(proxy: &Proxy, peer: &Peer) -> Result<(), Refusal> {
    let Peer::ServiceAccount(account) = peer else { return Ok(()) };
    let said = proxy.service_account.as_ref().unwrap_or(&account.name);
    let pod = account.pod.as_ref().unwrap_or(&proxy.name);
    let text = if proxy.namespace != account.namespace || *said != account.name {
        format!(
            "proxy {} says that it is ServiceAccount {}/{said}, but its token is of {}/{}: check NAMESPACE and \
             SERVICE_ACCOUNT in its node metadata",
            proxy.id, proxy.namespace, account.namespace, account.name
        )
    } else if *pod != proxy.name {
        let id = &proxy.id;
        format!("proxy {id} has the token of pod {pod}: check POD_NAME, by which it names itself")
    } else if proxy.id_namespace().is_some_and(|named| named != account.namespace) {
        let (id, namespace) = (&proxy.id, &account.namespace);
        format!(
            "proxy {id} has a token of namespace {namespace}: check POD_NAMESPACE, which its id names"
        )
    } else {
        return Ok(());
    };
    tracing::warn!("refused: {text}");
    Err(Refusal::Forbidden(text))
}

/// One proxy's session.
struct Seat {
    id: u64,
    proxy: Arc<Proxy>,
    published: Arc<Published>,
    findings: Arc<Findings>,
    proxies: Arc<Proxies>,
    pushes: Arc<Pushes>,
    course: Arc<Mutex<Course>>,
    gateways: Arc<Gateways>,
    /// What the proxy refuses at the moment, and the message, so that each is told once.
    refused: Mutex<Refusals>,
    /// Tells the other replicas.
    attendance: Attendance,
}

/// One proxy's resources by one snapshot.
struct Pinned {
    session: u64,
    snapshot: Arc<Snapshot>,
    proxy: Arc<Proxy>,
    findings: Arc<Findings>,
    pushes: Arc<Pushes>,
    course: Arc<Mutex<Course>>,
}

impl View for Pinned {
    fn version(&self) -> u64 {
        self.snapshot.version()
    }

    fn resources(&self, kind: ResourceType, want: Want<'_>) -> Vec<Resource> {
        let (want, whole) = match want {
            Want::All => (lateen_translate::Want::All, true),
            Want::Names(names) => (lateen_translate::Want::Names(names), false),
        };
        let began = Instant::now();
        let output = translate(&self.snapshot, &self.proxy, kind, want);
        locked(&self.course).translated(&self.pushes, kind, began.elapsed());
        let finder = Finder::Translation { session: self.session, kind, whole };
        self.findings.set(finder, output.issues);
        let resources = output.resources.into_iter();
        resources.map(|named| Resource { name: named.name, body: named.body }).collect()
    }
}

impl Session for Seat {
    fn view(&self) -> Arc<dyn View> {
        let snapshot = self.published.snapshot();
        let age = self.published.age(snapshot.version());
        locked(&self.course).begin(age);
        Arc::new(Pinned {
            session: self.id,
            snapshot,
            proxy: self.proxy.clone(),
            findings: self.findings.clone(),
            pushes: self.pushes.clone(),
            course: self.course.clone(),
        })
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.published.changes()
    }

    fn made(&self, kind: ResourceType, delivery: &Delivery, pushed: bool) {
        locked(&self.course).made(&self.pushes, (kind, delivery), pushed, Instant::now());
    }

    fn sent(&self, kind: ResourceType, delivery: &Delivery) {
        locked(&self.course).sent(&self.pushes, delivery, Instant::now());
        self.proxies.sent(self.id, kind, delivery);
    }

    fn accepted(&self, kind: ResourceType, delivery: &Delivery) {
        let pushed = self.answered(kind, delivery);
        let age = self.published.age(delivery.view);
        self.proxies.accepted(self.id, kind, delivery, age, pushed);
        self.heard(kind, delivery.names.iter().chain(&delivery.removed), &[], "");
    }

    fn rejected(
        &self,
        kind: ResourceType,
        delivery: &Delivery,
        blamed: &[String],
        message: &str,
    ) -> Option<Duration> {
        self.answered(kind, delivery);
        self.proxies.rejected(self.id, kind, delivery, message);
        let named: BTreeSet<&String> = blamed.iter().collect();
        let spoken_of = delivery.names.iter().chain(&delivery.removed);
        self.heard(kind, spoken_of.filter(|name| !named.contains(name)), blamed, message);
        is_port_taken(message).then_some(PORT_RETRY)
    }

    fn dropped(&self, kind: ResourceType, names: &[String]) {
        self.heard(kind, names.iter(), &[], "");
    }
}

impl Seat {
    /// Takes the time of an answer; whether it is the answer to a push.
    fn answered(&self, kind: ResourceType, delivery: &Delivery) -> bool {
        let (now, making) = (Instant::now(), self.published.making(delivery.view));
        let stages = locked(&self.course).answered(&self.pushes, delivery, making, now);
        if let Some(stages) = stages {
            self.pushes.arrived(&self.proxy.id, kind, stages, now);
        }
        stages.is_some()
    }

    /// Takes what the proxy says of resources: it refuses these for one reason, and those it refuses no more.
    fn heard<'a>(
        &self,
        kind: ResourceType,
        over: impl Iterator<Item = &'a String>,
        blamed: &[String],
        message: &str,
    ) {
        let mut refusals = self.refused.lock().expect("no panic while the refusals are held");
        let news = refusals.take(kind, over, blamed, message);
        drop(refusals);
        let (proxy, short) = (&self.proxy.id, kind.short_name());
        if news.refused > 0 {
            let (first, count) = (&blamed[0], news.refused);
            tracing::warn!(proxy, kind = short, resource = first, count, message, "proxy refused");
        }
        if news.cleared > 0 {
            tracing::info!(proxy, kind = short, count = news.cleared, "refused no more");
        }
        for (kind, resource) in news.over {
            self.pass(kind, &resource, None, &BTreeSet::new());
            self.findings.set(Finder::Refusal { session: self.id, kind, resource }, Vec::new());
        }
        if !news.told.is_empty() {
            self.tell(news.told);
        }
    }

    /// Of the objects that the resources come from.
    fn tell(&self, told: Vec<(Name, Arc<str>)>) {
        let mut wanted: BTreeMap<ResourceType, BTreeSet<String>> = BTreeMap::new();
        for ((kind, name), _) in &told {
            wanted.entry(*kind).or_default().insert(name.clone());
        }
        let snapshot = self.published.snapshot();
        let mut origins: BTreeMap<Name, BTreeSet<ObjectRef>> = BTreeMap::new();
        for (kind, names) in &wanted {
            let want = lateen_translate::Want::Names(names);
            for resource in translate(&snapshot, &self.proxy, *kind, want).resources {
                let of = origins.entry((*kind, resource.name)).or_default();
                // In their order, so that another time it is the same ones.
                of.extend(BTreeSet::from_iter(resource.origins).into_iter().take(ORIGINS));
            }
        }
        for (name, message) in told {
            let origins = origins.remove(&name).unwrap_or_default();
            let (kind, resource) = name;
            self.pass(kind, &resource, Some(&message), &origins);
            let issues = refusal(origins, kind, &resource, &message, &self.proxy.name);
            self.findings.set(Finder::Refusal { session: self.id, kind, resource }, issues);
        }
    }

    /// Tells other replicas what the proxy says of a resource: nothing, if it refuses it no more.
    fn pass(&self, kind: ResourceType, name: &str, said: Option<&str>, of: &BTreeSet<ObjectRef>) {
        let origin = |ObjectRef { group, kind, namespace, name }: ObjectRef| Origin {
            group,
            kind,
            namespace,
            name,
        };
        self.attendance.refusal(Refused {
            kind: kind.type_url().to_owned(),
            resource: name.to_owned(),
            message: said.map(str::to_owned),
            origins: of.iter().cloned().map(origin).collect(),
        });
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        tracing::info!(session = self.id, proxy = self.proxy.id, "proxy disconnected");
        self.proxies.disconnected(self.id);
        self.gateways.disconnected(self.id);
        self.findings.clear_session(self.id);
    }
}

fn locked(course: &Mutex<Course>) -> MutexGuard<'_, Course> {
    course.lock().expect("no panic while the course is held")
}

fn is_port_taken(message: &str) -> bool {
    message.to_ascii_lowercase().contains("address already in use")
}

/// The issues of a refusal, on the objects that the resource comes from. A port that is taken is the
/// Gateways' concern only: what is routed behind it has no part in it.
pub fn refusal(
    origins: BTreeSet<ObjectRef>,
    kind: ResourceType,
    resource: &str,
    message: &str,
    proxy: &str,
) -> Vec<Issue> {
    let taken = kind == ResourceType::Listener && is_port_taken(message);
    let gateways: BTreeSet<ObjectRef> =
        origins.iter().filter(|origin| origin.kind == "Gateway").cloned().collect();
    let (blamed, path, code, text) = if taken && !gateways.is_empty() {
        let (address, port) = resource.rsplit_once('_').unwrap_or(("", resource));
        let text = format!(
            "port {port} of {address} is in use by another program on the machine of proxy {proxy}: \
             stop that program or choose another port; it is tried again every {} seconds",
            PORT_RETRY.as_secs()
        );
        (gateways, "spec.servers", PORT_TAKEN, text)
    } else {
        let text = format!("proxy {proxy} refused {} {resource}: {message}", kind.short_name());
        (origins, "", REFUSED, text)
    };
    blamed.into_iter().map(|object| Issue::error(object, path, code, text.clone())).collect()
}
