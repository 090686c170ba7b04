//! The graph of a range of steps. In: the store and what is asked for. Out: nodes and edges.

mod nodes;
mod reports;
mod shares;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::key::{Key, Protocol};
use crate::store::{STEP, STEP_MS, Store, Sum};
use crate::tally::Tally;
use crate::view::{Edge, Graph, GraphType, Node, NodeKind, State};
use nodes::Places;
pub use reports::{Reports, ends};
use shares::{Load, Wholes};

pub const API_VERSION: &str = "graph.lateen.io/v1";
/// The cluster with nothing behind it, as Istio has it: what may not leave the mesh goes there.
pub const BLACK_HOLE: &str = "BlackHoleCluster";
/// The service of what was dialled by an address that no service has.
pub const PASSTHROUGH: &str = "PassthroughCluster";
/// Where somebody is of whom nobody knows anything.
pub const OUTSIDE: &str = "outside the mesh";

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
    /// What was asked for, and how much; nearly always one.
    services: Vec<(Option<Arc<str>>, Load)>,
    /// Something went over it, or what is idle is shown, too.
    is_shown: bool,
}

impl Way {
    fn led_to(&mut self, service: Option<&Arc<str>>, load: Load) {
        let known = self.services.iter_mut().find(|(known, _)| known.as_ref() == service);
        match known {
            Some((_, own)) => own.add(load),
            None => self.services.push((service.cloned(), load)),
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

    pub fn shown<'k>(&self, key: &'k Key) -> Option<Cow<'k, Key>> {
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
    let is_shown = |sum: &Sum| query.idle || !sum.points.is_empty();
    // A connection that nothing went over lately is open nevertheless.
    let is_open = |sum: &Sum| sum.open != 0 || query.idle;
    let sums: Vec<(&Key, Sum)> = store
        .sums(query.first(), query.at)
        .filter(|(_, sum)| !sum.points.is_empty() || (is_open(sum) && !sum.is_lost()))
        .filter(|(key, _)| query.shown(key).is_some())
        .map(|(key, sum)| (&**key, sum))
        .collect();
    let reports = Reports::of(&sums);
    let mut ways = Ways::default();
    let mut places = Places::new(query);
    for (key, sum) in &sums {
        let Some(heard) = reports.counted(key, sum.route) else { continue };
        let Some(mut seen) = query.visible(key) else { continue };
        // What is hidden has no number of its own.
        let route = matches!(seen, Cow::Borrowed(_)).then_some(sum.route);
        if let Some(flags) = reports.cause(key, sum.route) {
            seen = Cow::Owned(Key { flags: flags.clone(), ..seen.into_owned() });
        }
        let service = Some(&seen.service.host).filter(|host| !host.is_empty());
        for (from, to) in places.hops(&seen, route) {
            let way = ways.between((from, to, seen.protocol));
            way.tally.add(&seen, sum);
            way.mutual = way.mutual.saturating_add(heard.mutual);
            way.plain = way.plain.saturating_add(heard.plain);
            way.led_to(service, Load::of(sum));
            way.is_shown |= is_shown(sum);
        }
    }
    let shown = sums.iter().filter(|(_, sum)| is_shown(sum));
    let known = shown.map(|(_, sum)| sum.steps).filter(|steps| *steps > 0);
    let known = known.clone().min().zip(known.max()).map(|(least, most)| [least, most]);
    assemble(query, notices(query, known), ways.all, places.into_nodes())
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

fn assemble(
    query: &Query,
    notices: Vec<String>,
    mut ways: Vec<(Ends, Way)>,
    mut nodes: Vec<Node>,
) -> Graph {
    let mut sides: Vec<(Tally, Tally)> = vec![Default::default(); nodes.len()];
    let mut wholes = Wholes::default();
    let ranks = ranks(&nodes);
    ways.sort_unstable_by_key(|((from, to, protocol), _)| (ranks[*from], ranks[*to], *protocol));
    for ((from, to, protocol), way) in &ways {
        sides[*to].0.merge(&way.tally);
        sides[*from].1.merge(&way.tally);
        for (service, load) in &way.services {
            wholes.add(*from, *protocol, service.as_deref(), *load);
        }
    }
    let edge = |((from, to, protocol), way): &(Ends, Way)| {
        // Of several services none is told: what is said would be of one of them alone.
        let only = match &way.services[..] {
            [(service, load)] => Some((service.as_deref(), *load)),
            _ => None,
        };
        // What asked for no service is no part of anything.
        let share =
            only.and_then(|(service, load)| wholes.share(*from, *protocol, Some(service?), load));
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
            traffic: way.tally.traffic(),
            share: share.as_ref().map(|share| share.part),
            share_of: share.map(|share| share.of),
            health: way.tally.health(),
        }
    };
    let shown = || ways.iter().filter(|(_, way)| way.is_shown);
    let edges = shown().map(edge).collect();
    let ends: FxHashSet<usize> = shown().flat_map(|((from, to, _), _)| [*from, *to]).collect();
    for (node, (into, out)) in nodes.iter_mut().zip(&sides) {
        node.r#in = into.traffic();
        node.out = out.traffic();
        // What goes wrong is the server's matter, and a client's that has nothing coming in.
        let served = Some(into.health()).filter(|health| health.state != State::Idle);
        node.health = served.unwrap_or_else(|| out.health());
    }
    let ranked = ranks.into_iter().zip(nodes).enumerate();
    let mut ranked: Vec<(usize, Node)> =
        ranked.filter(|(number, _)| ends.contains(number)).map(|(_, node)| node).collect();
    ranked.sort_unstable_by_key(|(rank, _)| *rank);
    Graph {
        api_version: API_VERSION,
        r#type: query.r#type,
        at: u64::from(query.at + 1) * STEP_MS,
        duration: query.duration,
        edges,
        nodes: ranked.into_iter().map(|(_, node)| node).collect(),
        notices,
    }
}

/// `known`: the fewest and the most steps that something is known of.
fn notices(query: &Query, known: Option<[u32; 2]>) -> Vec<String> {
    let mut notices: Vec<String> =
        query.confined_to.iter().map(|namespaces| left_out(namespaces)).collect();
    let known = known.map(|steps| steps.map(|steps| u64::from(steps) * STEP));
    if let Some([least, most]) = known.filter(|[least, _]| *least < query.duration) {
        let (known, most) = (lasting(least), lasting(most));
        let to = if most == known { String::new() } else { format!(" to {most}") };
        let wanted = match query.duration {
            whole if whole.is_multiple_of(60) => lasting(whole),
            seconds => format!("{seconds} s"),
        };
        notices.push(format!("rates are over the {known}{to} of these {wanted} that are known"));
    }
    notices
}

/// Rounded down.
pub(crate) fn lasting(seconds: u64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        _ => format!("{} min", seconds / 60),
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
