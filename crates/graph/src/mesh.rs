//! Traffic and configuration joined. In: a graph, and what the control plane knows. Out: the graph's nodes with what
//! acts on them; the health of what the lists have.

use std::collections::BTreeMap;

use lateen_control::acts::Acts;
use serde_json::{Value, json};

use crate::graph::{Query, graph};
use crate::store::Store;
use crate::view::{Graph, GraphType, Health, Node, State};

/// Seconds of traffic that the lists' health is told by.
pub const HEALTH_OVER: u64 = 60;
/// Reasons that a namespace repeats of what is in it.
const REASONS: usize = 5;

/// Puts on the nodes what acts on them. Without services in the graph their objects are shown where they lead. A graph
/// of the past has no objects: which there were then is not known.
pub fn mark(graph: &mut Graph, acts: &Acts, services: bool, is_past: bool) {
    for node in &mut graph.nodes {
        let Some(place) = acts.place(&node.id) else { continue };
        node.gateway = place.gateway;
        if is_past {
            continue;
        }
        let (badges, issues) = acts.marks(place, !services);
        node.badges = badges;
        node.configured = acts.traffic(place, !services);
        node.issues = Some(issues);
        node.out_of_mesh = place.is_out_of_mesh();
    }
}

/// The health of nodes and of namespaces by their ids.
pub struct Healths(BTreeMap<String, Health>);

impl Healths {
    /// Of the nodes of one type of graph, at this moment.
    pub fn of(store: &Store, r#type: GraphType) -> Self {
        let (_, at) = store.range();
        let query = Query {
            r#type,
            namespaces: None,
            confined_to: None,
            duration: HEALTH_OVER,
            at,
            services: true,
            idle: false,
        };
        let mut all: BTreeMap<String, Health> = BTreeMap::new();
        for node in graph(store, &query).nodes {
            let namespace = node.namespace.as_ref().map(|name| format!("namespace/{name}"));
            if let Some(namespace) = namespace {
                all.entry(namespace).or_default().include(&node);
            }
            all.insert(node.id, node.health);
        }
        Self(all)
    }

    /// Of connections that were to go to these, each as often as it was dialled, and went nowhere: it is failing if it had
    /// no others.
    pub fn lost(&mut self, ids: impl Iterator<Item = String>) {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        ids.for_each(|id| *counts.entry(id).or_default() += 1);
        for (id, count) in counts {
            let health = self.0.entry(id).or_default();
            if health.state == State::Idle {
                let reason = format!("connections to it that led nowhere: {count}");
                *health = Health { state: State::Failing, reasons: vec![reason] };
            }
        }
    }

    /// What has had no traffic is idle.
    pub fn get(&self, id: &str) -> Value {
        json!(self.0.get(id).cloned().unwrap_or_default())
    }
}

impl Health {
    /// As bad as the worst that is in it.
    fn include(&mut self, node: &Node) {
        let Health { state, reasons } = &node.health;
        if *state > self.state {
            self.state = *state;
            self.reasons.clear();
        }
        if *state == self.state {
            let own = reasons.iter().map(|reason| format!("{}: {reason}", node.name));
            self.reasons.extend(own);
            self.reasons.truncate(REASONS);
        }
    }
}
