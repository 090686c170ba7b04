//! What edges tell of nodes. In: a graph. Out: the services that were asked for, and the cluster of a service: that of
//! whoever is behind it, else that of whoever asks.

use rustc_hash::FxHashMap;

use super::shapes::ServiceName;
use super::{Nodes, UNKNOWN, is_nowhere, service};
use crate::view::{Edge, Graph, Node, NodeKind};

pub struct Told<'g> {
    clusters: FxHashMap<&'g str, &'g str>,
    /// The services by their hosts, and the hosts by where they led.
    services: FxHashMap<&'g str, &'g Node>,
    hosts: FxHashMap<&'g str, Vec<&'g str>>,
}

impl<'g> Told<'g> {
    pub fn of(graph: &'g Graph, nodes: &Nodes<'g>) -> Self {
        let cluster = |id: &str| nodes.get(id)?.cluster.as_deref();
        let (mut clusters, mut hosts) = (FxHashMap::default(), FxHashMap::default());
        for edge in &graph.edges {
            if let Some(cluster) = cluster(&edge.source) {
                clusters.entry(&*edge.target).or_insert(cluster);
            }
            if let Some(host) = &edge.service {
                let own: &mut Vec<&str> = hosts.entry(&*edge.target).or_default();
                own.push(host);
            }
        }
        let behind = |edge: &'g Edge| Some((&*edge.source, cluster(&edge.target)?));
        clusters.extend(graph.edges.iter().filter_map(behind));
        let of = |node: &'g Node| Some((node.service.as_deref()?, node));
        Self { clusters, services: graph.nodes.iter().filter_map(of).collect(), hosts }
    }

    pub fn cluster(&self, node: &'g Node) -> &'g str {
        let is_service = matches!(node.kind, NodeKind::Service | NodeKind::ServiceEntry);
        let told = self.clusters.get(&*node.id).copied().filter(|_| is_service);
        node.cluster.as_deref().or(told).unwrap_or(UNKNOWN)
    }

    pub fn asked_for(&self, node: &'g Node) -> Vec<ServiceName<'g>> {
        if is_nowhere(node) {
            let own = service(node).filter(|name| *name != UNKNOWN);
            let named = |name| ServiceName { cluster: UNKNOWN, namespace: UNKNOWN, name };
            return own.map(named).into_iter().collect();
        }
        let hosts = self.hosts.get(&*node.id).into_iter().flatten();
        let mut all: Vec<_> = hosts.map(|host| self.named(host, node)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// By its own node, else as Kubernetes has such hosts.
    fn named(&self, host: &'g str, at: &'g Node) -> ServiceName<'g> {
        if let Some(node) = self.services.get(host) {
            let namespace = node.namespace.as_deref().unwrap_or(UNKNOWN);
            return ServiceName { cluster: self.cluster(node), namespace, name: &node.name };
        }
        let inside = host.split_once(".svc.").and_then(|(service, _)| service.split_once('.'));
        let (name, namespace) = inside.unwrap_or((host, UNKNOWN));
        ServiceName { cluster: self.cluster(at), namespace, name }
    }
}
