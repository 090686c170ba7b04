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

use crate::key::{Key, Protocol};
use crate::store::{Route, STEP, Store, Sum};
use crate::tally::Tally;
use crate::view::{Edge, Graph, GraphType, Node, NodeKind};
use nodes::Places;

pub const API_VERSION: &str = "graph.lateen.io/v1";
/// The cluster with nothing behind it, as Istio has it: what may not leave the mesh goes there.
pub const BLACK_HOLE: &str = "BlackHoleCluster";
/// The service of what was dialled by an address that no service has.
pub const PASSTHROUGH: &str = "PassthroughCluster";

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
#[derive(Default)]
struct Ways {
    all: Vec<(Ends, Way)>,
    numbers: FxHashMap<Ends, usize>,
}

type Ends = (usize, usize, Protocol);

/// What the ends of a route say of it.
#[derive(Default)]
struct Reports {
    /// How much of it was mutual TLS, and how much was not, as the servers' proxies say.
    mutual: u64,
    plain: u64,
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
    let sums: Vec<(&Key, Sum)> = store
        .sums(query.first(), query.at)
        .filter(|(_, sum)| query.idle || !sum.points.is_empty())
        .filter(|(key, _)| query.shown(key).is_some())
        .map(|(key, sum)| (&**key, sum))
        .collect();
    let reports = reports(&sums);
    let by_client = by_client(sums.iter().map(|(key, sum)| (*key, sum.route)));
    let mut ways = Ways::default();
    let mut places = Places::new(query);
    for (key, sum) in &sums {
        let about = &reports[&sum.route];
        if !counts(key, sum.route, &by_client) {
            continue;
        }
        let Some(seen) = query.visible(key) else { continue };
        // What is hidden has no number of its own.
        let route = matches!(seen, Cow::Borrowed(_)).then_some(sum.route);
        let service = Some(&seen.service.host).filter(|host| !host.is_empty());
        for (from, to) in places.hops(&seen, route) {
            let way = ways.between((from, to, seen.protocol));
            way.tally.add(&seen, sum);
            way.mutual = way.mutual.saturating_add(about.mutual);
            way.plain = way.plain.saturating_add(about.plain);
            way.led_to(service, sum.points.opened.saturating_add(sum.points.requests));
        }
    }
    assemble(query, ways.all, places.into_nodes())
}

impl Ways {
    fn between(&mut self, ends: Ends) -> &mut Way {
        let next = self.all.len();
        let number = *self.numbers.entry(ends).or_insert(next);
        if number == next {
            self.all.push((ends, Way::default()));
        }
        &mut self.all[number].1
    }
}

/// The ids of the neighbours that a key leads through.
pub fn neighbours(query: &Query, key: &Key) -> Vec<(String, String)> {
    let mut places = Places::new(query);
    let hops: Vec<_> = places.hops(key, None).collect();
    let nodes = places.into_nodes();
    hops.into_iter().map(|(from, to)| (nodes[from].id.clone(), nodes[to].id.clone())).collect()
}

/// What clients report.
#[derive(Debug, Default)]
pub struct ByClient {
    routes: FxHashSet<Route>,
    /// Ends between which workloads' own addresses are dialled: only the server knows of which service they are.
    direct: FxHashSet<(u32, u32, Protocol)>,
}

pub fn by_client<'k>(routes: impl Iterator<Item = (&'k Key, Route)>) -> ByClient {
    let mut all = ByClient::default();
    for (key, route) in routes.filter(|(key, _)| key.reporter == Reporter::Source) {
        all.routes.insert(route);
        if &*key.service.name == PASSTHROUGH && key.destination.is_known() {
            all.direct.insert((route.source, route.destination, route.protocol));
        }
    }
    all
}

/// Whether a key is shown, and not only another report of what is shown.
pub fn counts(key: &Key, route: Route, by_client: &ByClient) -> bool {
    let ends = (route.source, route.destination, route.protocol);
    key.reporter == Reporter::Source
        || !(by_client.routes.contains(&route) || by_client.direct.contains(&ends))
}

/// What there is of each route.
fn reports(sums: &[(&Key, Sum)]) -> FxHashMap<Route, Reports> {
    let mut all: FxHashMap<Route, Reports> = FxHashMap::default();
    for (key, Sum { route, points, .. }) in sums {
        let own = all.entry(*route).or_default();
        if key.reporter == Reporter::Source {
            continue;
        }
        let began = points.opened.saturating_add(points.requests);
        let count = began.saturating_add(points.closed);
        let side = if key.mutual_tls { &mut own.mutual } else { &mut own.plain };
        *side = side.saturating_add(count);
    }
    all
}

fn assemble(query: &Query, mut ways: Vec<(Ends, Way)>, mut nodes: Vec<Node>) -> Graph {
    let seconds = query.duration as f64;
    let mut sides: Vec<(Tally, Tally)> = vec![Default::default(); nodes.len()];
    let mut weights: FxHashMap<(usize, Option<&str>), u64> = FxHashMap::default();
    let ranks = ranks(&nodes);
    ways.sort_unstable_by_key(|((from, to, protocol), _)| (ranks[*from], ranks[*to], *protocol));
    for ((from, to, _), way) in &ways {
        sides[*to].0.merge(&way.tally);
        sides[*from].1.merge(&way.tally);
        for (service, count) in &way.services {
            let weight = weights.entry((*from, service.as_deref())).or_default();
            *weight = u64::saturating_add(*weight, *count);
        }
    }
    let edge = |((from, to, protocol), way): &(Ends, Way)| {
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
        Edge {
            id: format!("{source}>{target}#{}", protocol.name()),
            source: source.clone(),
            target: target.clone(),
            protocol: protocol.name(),
            service: only.and_then(|(service, _)| service).map(str::to_owned),
            mtls: match (way.mutual, way.plain) {
                (0, _) => "none",
                (_, 0) => "full",
                _ => "partial",
            },
            traffic: way.tally.traffic(seconds),
            share,
            health: way.tally.health(),
        }
    };
    let edges = ways.iter().map(edge).collect();
    for (node, (into, out)) in nodes.iter_mut().zip(&sides) {
        node.r#in = into.traffic(seconds);
        node.out = out.traffic(seconds);
        // What goes wrong is the server's matter, and a client's that has nothing coming in.
        node.health = if into.is_empty() { out.health() } else { into.health() };
    }
    let mut ranked: Vec<(usize, Node)> = ranks.into_iter().zip(nodes).collect();
    ranked.sort_unstable_by_key(|(rank, _)| *rank);
    Graph {
        api_version: API_VERSION,
        r#type: query.r#type,
        at: u64::from(query.at + 1) * STEP * 1000,
        duration: query.duration,
        edges,
        nodes: ranked.into_iter().map(|(_, node)| node).collect(),
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

#[cfg(test)]
mod tests;
