//! The graph of a range of steps. In: the store and what is asked for. Out: nodes and edges.
//!
//! Both ends of a connection may report it. The client's report counts, because it knows of what never
//! arrived; the server's counts where the client has no proxy, and it alone tells whether TLS was mutual.

mod nodes;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lateen_telemetry::labels::Reporter;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::key::{Key, Party, Protocol, Service};
use crate::store::{STEP, Store, Sum};
use crate::tally::Tally;
use crate::view::{Edge, Graph, GraphType, Node};
use nodes::Place;

pub const API_VERSION: &str = "graph.lateen.io/v1";

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    pub r#type: GraphType,
    /// `None`: all.
    pub namespaces: Option<BTreeSet<String>>,
    /// The only namespaces that the reader may look into; `None` for all.
    pub confined_to: Option<Arc<BTreeSet<String>>>,
    /// Seconds.
    pub duration: u64,
    /// The last step.
    pub at: u32,
    /// Whether services stand between clients and workloads.
    pub services: bool,
    /// Whether what had no traffic is shown.
    pub idle: bool,
}

/// What has gone one way.
#[derive(Default)]
struct Way {
    tally: Tally,
    mutual: u64,
    plain: u64,
    service: Option<String>,
}

/// Edges of the graph by their ends and their protocol.
type Ways = BTreeMap<(Place, Place, Protocol), Way>;

/// The keys that the same edge is counted under.
pub type Route<'k> = (&'k Party, &'k Party, &'k Service, Protocol);

impl Query {
    pub fn first(&self) -> u32 {
        self.at.saturating_sub((self.duration / STEP).saturating_sub(1) as u32)
    }

    /// A key as the reader may see it.
    pub fn visible<'k>(&self, key: &'k Key) -> Option<Cow<'k, Key>> {
        match &self.confined_to {
            None => Some(Cow::Borrowed(key)),
            Some(namespaces) => key.seen_in(namespaces).map(Cow::Owned),
        }
    }

    fn shown<'k>(&self, key: &'k Key) -> Option<Cow<'k, Key>> {
        self.visible(key).filter(|key| self.shows(key))
    }

    fn shows(&self, key: &Key) -> bool {
        self.namespaces.as_ref().is_none_or(|namespaces| {
            let of = [&key.source.namespace, &key.destination.namespace, &key.service.namespace];
            of.into_iter().any(|namespace| namespaces.contains(&**namespace))
        })
    }
}

/// The graph, with nodes and edges in a stable order.
pub fn graph(store: &Store, query: &Query) -> Graph {
    let sums: Vec<(&Key, Sum)> = store
        .sums(query.first(), query.at)
        .filter(|(_, sum)| query.idle || !sum.points.is_empty())
        .filter(|(key, _)| query.shown(key).is_some())
        .map(|(key, sum)| (&**key, sum))
        .collect();
    let by_client = by_client(sums.iter().map(|(key, _)| *key));
    let secured = secured(&sums);
    let mut ways = Ways::new();
    let mut known: BTreeMap<Place, Node> = BTreeMap::new();
    for (key, sum) in &sums {
        if !counts(key, &by_client) {
            continue;
        }
        let security = secured.get(&route(key)).copied().unwrap_or_default();
        let Some(key) = query.visible(key) else { continue };
        for (from, to) in nodes::hops(query, &key, &mut known) {
            let way = ways.entry((from, to, key.protocol)).or_default();
            way.tally.add(&key, sum);
            way.mutual = way.mutual.saturating_add(security.0);
            way.plain = way.plain.saturating_add(security.1);
            way.service = Some(key.service.host.to_string()).filter(|host| !host.is_empty());
        }
    }
    assemble(query, &ways, known)
}

/// The ids of the neighbours that a key leads through.
pub fn neighbours(query: &Query, key: &Key) -> Vec<(String, String)> {
    let hops = nodes::hops(query, key, &mut BTreeMap::new());
    hops.into_iter().map(|(from, to)| (from.id(), to.id())).collect()
}

/// The routes that clients report.
pub fn by_client<'k>(keys: impl Iterator<Item = &'k Key>) -> FxHashSet<Route<'k>> {
    keys.filter(|key| key.reporter == Reporter::Source).map(route).collect()
}

/// Whether a key is shown, and not only another report of what is shown.
pub fn counts(key: &Key, by_client: &FxHashSet<Route<'_>>) -> bool {
    key.reporter == Reporter::Source || !by_client.contains(&route(key))
}

fn route(key: &Key) -> Route<'_> {
    (&key.source, &key.destination, &key.service, key.protocol)
}

/// How much of each route was mutual TLS, and how much was not, as the servers' proxies say.
fn secured<'k>(sums: &[(&'k Key, Sum)]) -> FxHashMap<Route<'k>, (u64, u64)> {
    let mut secured: FxHashMap<Route<'k>, (u64, u64)> = FxHashMap::default();
    for (key, sum) in sums.iter().filter(|(key, _)| key.reporter == Reporter::Destination) {
        let Sum { points, .. } = sum;
        let began = points.opened.saturating_add(points.requests);
        let count = began.saturating_add(points.closed);
        let (mutual, plain) = secured.entry(route(key)).or_default();
        let own = if key.mutual_tls { mutual } else { plain };
        *own = own.saturating_add(count);
    }
    secured
}

fn assemble(query: &Query, ways: &Ways, mut known: BTreeMap<Place, Node>) -> Graph {
    let seconds = query.duration as f64;
    let mut into: BTreeMap<&Place, Tally> = BTreeMap::new();
    let mut out: BTreeMap<&Place, Tally> = BTreeMap::new();
    let mut weights: BTreeMap<(&Place, Option<&str>), u64> = BTreeMap::new();
    for ((from, to, _), way) in ways {
        into.entry(to).or_default().merge(&way.tally);
        out.entry(from).or_default().merge(&way.tally);
        let weight = weights.entry((from, way.service.as_deref())).or_default();
        *weight = u64::saturating_add(*weight, way.tally.weight());
    }
    for (place, node) in &mut known {
        let none = Tally::default();
        let (into, out) = (into.get(place).unwrap_or(&none), out.get(place).unwrap_or(&none));
        node.r#in = into.traffic(seconds);
        node.out = out.traffic(seconds);
        // What goes wrong is the server's matter, and a client's that has nothing coming in.
        node.health = if into.is_empty() { out.health() } else { into.health() };
    }
    let edges = ways.iter().map(|((from, to, protocol), way)| {
        let whole = weights[&(from, way.service.as_deref())];
        Edge {
            id: format!("{}>{}#{}", from.id(), to.id(), word(*protocol)),
            source: from.id(),
            target: to.id(),
            protocol: word(*protocol),
            service: way.service.clone(),
            mtls: match (way.mutual, way.plain) {
                (0, _) => "none",
                (_, 0) => "full",
                _ => "partial",
            },
            traffic: way.tally.traffic(seconds),
            share: (whole > 0).then(|| way.tally.weight() as f64 / whole as f64),
            health: way.tally.health(),
        }
    });
    Graph {
        api_version: API_VERSION,
        r#type: query.r#type,
        at: u64::from(query.at + 1) * STEP * 1000,
        duration: query.duration,
        edges: edges.collect(),
        nodes: known.into_values().collect(),
        notices: query.confined_to.iter().map(|namespaces| left_out(namespaces)).collect(),
    }
}

/// Said to a reader who may not see everything.
pub fn left_out(namespaces: &BTreeSet<String>) -> String {
    format!(
        "you may list the services of {} of the mesh's namespaces: what is in others is left out",
        namespaces.len()
    )
}

pub fn word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Http => "http",
        Protocol::Grpc => "grpc",
    }
}

#[cfg(test)]
mod tests;
