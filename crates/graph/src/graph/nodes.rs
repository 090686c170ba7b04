//! The nodes that keys lead through. In: keys and the type of the graph. Out: nodes, and who is next to whom.

use rustc_hash::FxHashMap;

use super::{BLACK_HOLE, OUTSIDE, Query};
use crate::key::{Key, Party, Service};
use crate::store::Route;
use crate::view::{GraphType, Health, Node, NodeKind, Traffic};

/// The nodes of a graph, by number. A mesh has far fewer of them than keys.
pub struct Places {
    r#type: GraphType,
    /// Whether services stand between clients and workloads.
    services: bool,
    nodes: Vec<Node>,
    by_id: FxHashMap<String, usize>,
    /// Those that are known already, by the numbers in routes.
    parties: FxHashMap<u32, usize>,
    asked: FxHashMap<(u32, bool), Option<usize>>,
    elsewhere: FxHashMap<u32, usize>,
}

impl Places {
    pub fn new(query: &Query) -> Self {
        Self {
            r#type: query.r#type,
            services: query.services || query.r#type == GraphType::Service,
            nodes: Vec::new(),
            by_id: FxHashMap::default(),
            parties: FxHashMap::default(),
            asked: FxHashMap::default(),
            elsewhere: FxHashMap::default(),
        }
    }

    pub fn into_nodes(self) -> Vec<Node> {
        self.nodes
    }

    /// The pairs of neighbours that a key leads through. With its route it is found sooner.
    pub fn hops(
        &mut self,
        key: &Key,
        route: Option<Route>,
    ) -> impl Iterator<Item = (usize, usize)> + use<> {
        let source = self.party(&key.source, route.map(|route| route.source));
        let service = self.services.then(|| self.service(key, route)).flatten();
        let target = match service {
            Some(_) if self.r#type == GraphType::Service => None,
            None if !key.destination.is_known() => Some(self.end(key, route)),
            _ if key.destination.is_known() => {
                Some(self.party(&key.destination, route.map(|route| route.destination)))
            }
            _ => None,
        };
        let hops = match (service, target) {
            (Some(service), Some(target)) => [Some((source, service)), Some((service, target))],
            (Some(next), None) | (None, Some(next)) => [Some((source, next)), None],
            (None, None) => [None, None],
        };
        hops.into_iter().flatten()
    }

    fn party(&mut self, party: &Party, number: Option<u32>) -> usize {
        if let Some(known) = number.and_then(|number| self.parties.get(&number)) {
            return *known;
        }
        let node = match party.is_known() {
            true => self::party(self.r#type, party),
            false => bare(NodeKind::Client, "", "clients outside the mesh"),
        };
        let place = self.add(node);
        self.parties.extend(number.map(|number| (number, place)));
        place
    }

    fn service(&mut self, key: &Key, route: Option<Route>) -> Option<usize> {
        let at = route.map(|route| (route.service, key.destination.is_known()));
        if let Some(known) = at.and_then(|at| self.asked.get(&at)) {
            return *known;
        }
        let place = service(key).map(|node| self.add(node));
        self.asked.extend(at.map(|at| (at, place)));
        place
    }

    /// Where a way ends of which no workload is known: at its service, if there is one.
    fn end(&mut self, key: &Key, route: Option<Route>) -> usize {
        if let Some(service) = self.service(key, route) {
            return service;
        }
        let number = route.map(|route| route.service);
        if let Some(known) = number.and_then(|number| self.elsewhere.get(&number)) {
            return *known;
        }
        let place = self.add(outside(&key.service));
        self.elsewhere.extend(number.map(|number| (number, place)));
        place
    }

    /// Parties that differ in what this graph does not show are one node. Where they are several workloads it has the
    /// name of none: Kiali, whose nodes of versions are one per workload, never has one of theirs for another's.
    fn add(&mut self, node: Node) -> usize {
        if let Some(number) = self.by_id.get(&node.id) {
            let known = &mut self.nodes[*number];
            known.workload =
                known.workload.take().filter(|own| node.workload.as_ref() == Some(own));
            return *number;
        }
        let number = self.nodes.len();
        self.by_id.insert(node.id.clone(), number);
        self.nodes.push(node);
        number
    }
}

/// A workload, or what stands for it in this type of graph.
fn party(r#type: GraphType, party: &Party) -> Node {
    let Party { namespace, workload, app, version, .. } = party;
    let (kind, name, version) = match r#type {
        GraphType::Workload => (NodeKind::Workload, workload, None),
        GraphType::App | GraphType::Service => (NodeKind::App, app, None),
        GraphType::VersionedApp => (NodeKind::App, app, Some(version)),
    };
    let node = bare(kind, namespace, name);
    let version = version.filter(|version| !version.is_empty());
    Node {
        id: version.map_or_else(|| node.id.clone(), |version| format!("{}/{version}", node.id)),
        cluster: some(&party.cluster),
        workload: some(workload)
            .filter(|_| matches!(r#type, GraphType::Workload | GraphType::VersionedApp)),
        app: some(app),
        version: some(&party.version).filter(|_| r#type != GraphType::App),
        principal: some(&party.principal),
        r#box: some(app).filter(|_| r#type == GraphType::VersionedApp),
        ..node
    }
}

/// The service that was asked for, where there is one.
fn service(key: &Key) -> Option<Node> {
    let Service { host, name, namespace } = &key.service;
    if host.is_empty() {
        return None;
    }
    let inside = !namespace.is_empty() && key.destination.is_known() || host.contains(".svc.");
    let kind = if inside { NodeKind::Service } else { NodeKind::ServiceEntry };
    Some(Node { service: some(host), ..bare(kind, namespace, name) })
}

/// Where nobody knows who is.
fn outside(service: &Service) -> Node {
    match &*service.name {
        BLACK_HOLE => bare(NodeKind::BlackHole, "", BLACK_HOLE),
        "" => bare(NodeKind::Outside, "", OUTSIDE),
        name => bare(NodeKind::Outside, "", name),
    }
}

/// Its id is stable, and the same in every graph of a type.
fn bare(kind: NodeKind, namespace: &str, name: &str) -> Node {
    let word = match kind {
        NodeKind::Workload => "workload",
        NodeKind::App => "app",
        NodeKind::Service => "service",
        NodeKind::ServiceEntry => "serviceEntry",
        NodeKind::Outside => "outside",
        NodeKind::Client => "client",
        NodeKind::BlackHole => "blackHole",
    };
    Node {
        id: format!("{word}/{namespace}/{name}"),
        kind,
        cluster: None,
        namespace: some(namespace),
        name: name.to_owned(),
        workload: None,
        app: None,
        version: None,
        service: None,
        principal: None,
        gateway: None,
        r#box: None,
        health: Health::default(),
        r#in: Traffic::default(),
        out: Traffic::default(),
        out_of_mesh: false,
        issues: None,
        badges: Vec::new(),
        configured: Default::default(),
    }
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
