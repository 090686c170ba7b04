//! The graph of a range of steps. In: the store and what is asked for. Out: nodes and edges.
//!
//! Both ends of a connection may report it. The client's report counts, because it knows of what never
//! arrived; the server's counts where the client has no proxy, and it alone tells whether TLS was mutual.

mod nodes;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use lateen_telemetry::labels::Reporter;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::key::{Key, Party, Protocol, Service};
use crate::store::{STEP, Store, Sum};
use crate::tally::Tally;
use crate::view::{Edge, Graph, GraphType, Node, NodeKind};
use nodes::Places;

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
    /// What was asked for, and how often; nearly always one.
    services: Vec<(Option<Arc<str>>, u64)>,
}

impl Way {
    fn led_to(&mut self, service: Option<&Arc<str>>, began: u64) {
        let known = self.services.iter_mut().find(|(known, _)| known.as_ref() == service);
        match known {
            Some((_, count)) => *count = count.saturating_add(began),
            None => self.services.push((service.cloned(), began)),
        }
    }
}

/// Edges of the graph by the numbers of their ends, and their protocol.
type Ways = FxHashMap<(usize, usize, Protocol), Way>;

/// The way of a key, whoever reports it and however what it counts ended. Comparing texts again and again would
/// cost more than all the rest: each party and each service has a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    source: u32,
    destination: u32,
    service: u32,
    protocol: Protocol,
}

/// The numbers of what is in the keys of one graph.
#[derive(Default)]
pub struct Numbers<'k> {
    parties: FxHashMap<&'k Party, u32>,
    services: FxHashMap<&'k Service, u32>,
}

impl<'k> Numbers<'k> {
    pub fn route(&mut self, key: &'k Key) -> Route {
        let mut party = |party| {
            let next = self.parties.len() as u32;
            *self.parties.entry(party).or_insert(next)
        };
        let (source, destination) = (party(&key.source), party(&key.destination));
        let next = self.services.len() as u32;
        let service = *self.services.entry(&key.service).or_insert(next);
        Route { source, destination, service, protocol: key.protocol }
    }
}

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
    let mut numbers = Numbers::default();
    let sums: Vec<(&Key, Route, Sum)> = store
        .sums(query.first(), query.at)
        .filter(|(_, sum)| query.idle || !sum.points.is_empty())
        .filter(|(key, _)| query.shown(key).is_some())
        .map(|(key, sum)| (&**key, numbers.route(key), sum))
        .collect();
    let by_client = by_client(sums.iter().map(|(key, route, _)| (*key, *route)));
    let secured = secured(&sums);
    let mut ways = Ways::default();
    let mut places = Places::new(query);
    for (key, route, sum) in &sums {
        if !counts(key, *route, &by_client) {
            continue;
        }
        let security = secured.get(route).copied().unwrap_or_default();
        let Some(seen) = query.visible(key) else { continue };
        // What is hidden has no number of its own.
        let route = matches!(seen, Cow::Borrowed(_)).then_some(*route);
        let service = Some(&seen.service.host).filter(|host| !host.is_empty());
        for (from, to) in places.hops(&seen, route) {
            let way = ways.entry((from, to, seen.protocol)).or_default();
            way.tally.add(&seen, sum);
            way.mutual = way.mutual.saturating_add(security.0);
            way.plain = way.plain.saturating_add(security.1);
            way.led_to(service, sum.points.opened.saturating_add(sum.points.requests));
        }
    }
    assemble(query, &ways, places.into_nodes())
}

/// The ids of the neighbours that a key leads through.
pub fn neighbours(query: &Query, key: &Key) -> Vec<(String, String)> {
    let mut places = Places::new(query);
    let hops: Vec<_> = places.hops(key, None).collect();
    let nodes = places.into_nodes();
    hops.into_iter().map(|(from, to)| (nodes[from].id.clone(), nodes[to].id.clone())).collect()
}

/// The routes that clients report.
pub fn by_client<'k>(routes: impl Iterator<Item = (&'k Key, Route)>) -> FxHashSet<Route> {
    let of_clients = routes.filter(|(key, _)| key.reporter == Reporter::Source);
    of_clients.map(|(_, route)| route).collect()
}

/// Whether a key is shown, and not only another report of what is shown.
pub fn counts(key: &Key, route: Route, by_client: &FxHashSet<Route>) -> bool {
    key.reporter == Reporter::Source || !by_client.contains(&route)
}

/// How much of each route was mutual TLS, and how much was not, as the servers' proxies say.
fn secured(sums: &[(&Key, Route, Sum)]) -> FxHashMap<Route, (u64, u64)> {
    let mut secured: FxHashMap<Route, (u64, u64)> = FxHashMap::default();
    for (key, route, sum) in sums.iter().filter(|(key, ..)| key.reporter == Reporter::Destination) {
        let Sum { points, .. } = sum;
        let began = points.opened.saturating_add(points.requests);
        let count = began.saturating_add(points.closed);
        let (mutual, plain) = secured.entry(*route).or_default();
        let own = if key.mutual_tls { mutual } else { plain };
        *own = own.saturating_add(count);
    }
    secured
}

fn assemble(query: &Query, ways: &Ways, mut nodes: Vec<Node>) -> Graph {
    let seconds = query.duration as f64;
    let mut sides: Vec<(Tally, Tally)> = vec![Default::default(); nodes.len()];
    let mut weights: FxHashMap<(usize, Option<&str>), u64> = FxHashMap::default();
    for ((from, to, _), way) in ways {
        sides[*to].0.merge(&way.tally);
        sides[*from].1.merge(&way.tally);
        for (service, count) in &way.services {
            let weight = weights.entry((*from, service.as_deref())).or_default();
            *weight = u64::saturating_add(*weight, *count);
        }
    }
    let ranks = ranks(&nodes);
    let mut sorted: Vec<_> = ways.iter().collect();
    sorted.sort_by_key(|((from, to, protocol), _)| (ranks[*from], ranks[*to], *protocol));
    let mut edges: Vec<Edge> = Vec::with_capacity(ways.len());
    for ((from, to, protocol), way) in sorted {
        // Of several services none is told: what is said would be of one of them alone.
        let only = match &way.services[..] {
            [(service, count)] => Some((service.as_deref(), *count)),
            _ => None,
        };
        let share = only.and_then(|(service, count)| {
            let whole = weights[&(*from, service)];
            (whole > 0).then(|| count as f64 / whole as f64)
        });
        let (source, target) = (&nodes[*from].id, &nodes[*to].id);
        edges.push(Edge {
            id: format!("{source}>{target}#{}", word(*protocol)),
            source: source.clone(),
            target: target.clone(),
            protocol: word(*protocol),
            service: only.and_then(|(service, _)| service).map(str::to_owned),
            mtls: match (way.mutual, way.plain) {
                (0, _) => "none",
                (_, 0) => "full",
                _ => "partial",
            },
            traffic: way.tally.traffic(seconds),
            share,
            health: way.tally.health(),
        });
    }
    for (node, (into, out)) in nodes.iter_mut().zip(&sides) {
        node.r#in = into.traffic(seconds);
        node.out = out.traffic(seconds);
        // What goes wrong is the server's matter, and a client's that has nothing coming in.
        node.health = if into.is_empty() { out.health() } else { into.health() };
    }
    nodes.sort_by(|a, b| order(a).cmp(&order(b)));
    Graph {
        api_version: API_VERSION,
        r#type: query.r#type,
        at: u64::from(query.at + 1) * STEP * 1000,
        duration: query.duration,
        edges,
        nodes,
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

/// By kinds, namespaces and names: the same for the same mesh.
fn order(node: &Node) -> (NodeKind, &str) {
    (node.kind, &node.id)
}

/// Where each node will be when they are sorted.
fn ranks(nodes: &[Node]) -> Vec<usize> {
    let mut sorted: Vec<usize> = (0..nodes.len()).collect();
    sorted.sort_by(|a, b| order(&nodes[*a]).cmp(&order(&nodes[*b])));
    let mut ranks = vec![0; nodes.len()];
    for (rank, number) in sorted.into_iter().enumerate() {
        ranks[number] = rank;
    }
    ranks
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
