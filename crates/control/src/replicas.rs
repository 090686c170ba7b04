//! What replicas of the control plane tell each other. In: what the own proxies open, close and tell; what others
//! pass on ([`Taken`]). Out: a queue of messages for each other replica, which begins with what is open at that
//! moment; what is open at others, where the own is.
//!
//! **Invariant:** what another replica tells is not passed on, so that nothing goes round.

mod links;
mod own;
mod taken;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::data::accesslog::v3::TcpAccessLogEntry;
use envoy_types::pb::google::protobuf::Struct;
use envoy_types::pb::io::prometheus::client::MetricFamily;
use futures::Stream;
use lateen_telemetry::parts::{PART, parts};
use lateen_xds::passed::{Entries, Families, News, Passed, Refused, Standing, encoded};
use lateen_xds::server::{Collection, Collector};

use crate::ads::TOLD;
pub use links::Counts;
use links::Links;
pub use own::OwnAccount;
use taken::Takers;
pub use taken::{Places, Taken};

/// What others need of a node's metadata to know which workload it is; of gateways, to which Gateways they belong.
const NAMES: [&str; 2] = ["NAME", "NAMESPACE"];
const LABELS: &str = "LABELS";

/// What the own proxies have open, and whom it is told. Locks are taken in this order, those of the reports
/// themselves before the links.
#[derive(Default)]
pub struct Replicas {
    reports: Mutex<BTreeMap<u64, Arc<Telling>>>,
    sessions: Mutex<BTreeMap<u64, Sitting>>,
    links: Mutex<Links>,
    takers: Takers,
    last: AtomicU64,
}

/// A proxy that is connected.
struct Sitting {
    node: Node,
    /// What it refuses, by type and name.
    refused: BTreeMap<(String, String), Refused>,
}

/// A session that is over when this is dropped.
pub struct Attendance {
    replicas: Arc<Replicas>,
    stream: u64,
}

/// Where the own proxies' traffic goes: where it went, and to the others.
pub struct Passing {
    pub replicas: Arc<Replicas>,
    pub inner: Arc<dyn Collection>,
}

/// A stream of one proxy's metrics.
struct Report {
    replicas: Arc<Replicas>,
    stream: u64,
    telling: Arc<Telling>,
}

/// Where a stream's metrics go. While one message is told nobody links up, so that it is either told or open by then;
/// streams do not wait for each other.
struct Telling {
    /// The proxy's node id.
    proxy: String,
    inner: Arc<dyn Collector>,
    turn: Mutex<()>,
}

impl Replicas {
    /// A proxy is connected.
    pub fn session(self: &Arc<Self>, node: &Node) -> Attendance {
        let (stream, node) = (self.number(), trimmed(node));
        let mut sessions = locked(&self.sessions);
        locked(&self.links).send(|| passed(stream, session(&node)));
        sessions.insert(stream, Sitting { node, refused: BTreeMap::new() });
        Attendance { replicas: self.clone(), stream }
    }

    /// A queue for another replica, which has no other one.
    pub fn link(&self) -> impl Stream<Item = Bytes> + Send + use<> {
        let (reports, sessions) = (locked(&self.reports), locked(&self.sessions));
        let _turns: Vec<_> = reports.values().map(|telling| locked(&telling.turn)).collect();
        let here = sessions.iter().flat_map(|(stream, Sitting { node, refused })| {
            let refused = refused.values().cloned().map(News::Refusal);
            std::iter::once(session(node)).chain(refused).map(|news| passed(*stream, news))
        });
        let open = reports.iter().flat_map(|(stream, telling)| {
            let mut standing = parts(telling.inner.standing(), PART).into_iter();
            let first = News::Reports(telling.standing(standing.next().unwrap_or_default()));
            let others = standing.map(|all| News::Metrics(Families { all }));
            std::iter::once(first).chain(others).map(|news| passed(*stream, news))
        });
        locked(&self.links).open(&mut here.chain(open))
    }

    /// These are the other replicas that there are.
    pub fn expect(&self, others: BTreeSet<String>) {
        locked(&self.links).others = others;
    }

    /// Others that tell nothing, so that nothing is known of their proxies.
    pub fn silent(&self) -> Vec<String> {
        let others = locked(&self.links).others.clone();
        others.into_iter().filter(|name| !self.takers.has(name)).collect()
    }

    pub fn counts(&self) -> Counts {
        locked(&self.links).counts()
    }

    fn number(&self) -> u64 {
        self.last.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl Telling {
    fn standing(&self, all: Vec<MetricFamily>) -> Standing {
        Standing { all, proxy: self.proxy.clone() }
    }
}

impl Attendance {
    /// The proxy refuses a resource, or does not any more. What others would not take of it is not told them.
    pub fn refusal(&self, refused: Refused) {
        let mut sessions = locked(&self.replicas.sessions);
        let Some(sitting) = sessions.get_mut(&self.stream) else { return };
        let resource = (refused.kind.clone(), refused.resource.clone());
        let is_known = sitting.refused.contains_key(&resource);
        if !is_known && (refused.message.is_none() || sitting.refused.len() >= TOLD) {
            return;
        }
        let news = || News::Refusal(refused.clone());
        locked(&self.replicas.links).send(|| passed(self.stream, news()));
        match refused.message {
            Some(_) => drop(sitting.refused.insert(resource, refused)),
            None => drop(sitting.refused.remove(&resource)),
        }
    }
}

impl Drop for Attendance {
    fn drop(&mut self) {
        let mut sessions = locked(&self.replicas.sessions);
        sessions.remove(&self.stream);
        locked(&self.replicas.links).send(|| passed(self.stream, News::Over(())));
    }
}

impl Collection for Passing {
    fn stream(&self, node: &Node) -> Option<Arc<dyn Collector>> {
        let inner = self.inner.stream(node)?;
        let (replicas, stream) = (self.replicas.clone(), self.replicas.number());
        let telling = Telling { proxy: node.id.clone(), inner, turn: Mutex::default() };
        let mut reports = locked(&replicas.reports);
        let news = || News::Reports(telling.standing(Vec::new()));
        locked(&replicas.links).send(|| passed(stream, news()));
        let telling = Arc::new(telling);
        reports.insert(stream, telling.clone());
        drop(reports);
        Some(Arc::new(Report { replicas, stream, telling }))
    }

    fn connections(&self, node: &Node, entries: Vec<TcpAccessLogEntry>) {
        let news = || Entries { proxy: node.id.clone(), all: entries.clone() };
        locked(&self.replicas.links).send(|| passed(0, News::Connections(news())));
        self.inner.connections(node, entries);
    }
}

impl Collector for Report {
    fn metrics(&self, families: Vec<MetricFamily>) {
        if families.is_empty() {
            return;
        }
        let _turn = locked(&self.telling.turn);
        let is_wanted = locked(&self.replicas.links).is_wanted();
        let news = || News::Metrics(Families { all: families.clone() });
        // Others wait for the links: a message is made before they are held.
        let message = is_wanted.then(|| encoded(&passed(self.stream, news())));
        locked(&self.replicas.links).pass(message);
        self.telling.inner.metrics(families);
    }

    fn standing(&self) -> Vec<MetricFamily> {
        self.telling.inner.standing()
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        let mut reports = locked(&self.replicas.reports);
        reports.remove(&self.stream);
        locked(&self.replicas.links).send(|| passed(self.stream, News::Over(())));
    }
}

fn passed(stream: u64, news: News) -> Passed {
    Passed { stream, news: Some(news) }
}

fn session(node: &Node) -> News {
    News::Session(Box::new(node.clone()))
}

fn trimmed(node: &Node) -> Node {
    let is_gateway = !node.id.starts_with("sidecar~");
    let needed = |name: &str| NAMES.contains(&name) || (is_gateway && name == LABELS);
    let metadata = node.metadata.as_ref().map(|metadata| {
        let fields = metadata.fields.iter().filter(|(name, _)| needed(name));
        Struct { fields: fields.map(|(name, value)| (name.clone(), value.clone())).collect() }
    });
    Node { id: node.id.clone(), metadata, ..Node::default() }
}

fn locked<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().expect("no panic while what replicas share is held")
}
