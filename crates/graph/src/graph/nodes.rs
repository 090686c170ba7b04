//! The nodes that a key leads through. In: a key and the type of the graph. Out: places, and what is shown of
//! them.

use std::collections::BTreeMap;

use super::Query;
use crate::key::{Key, Party, Service};
use crate::view::{GraphType, Health, Node, NodeKind, Traffic};

/// The cluster names under which nothing is behind, as Istio has them.
const BLACK_HOLE: &str = "BlackHoleCluster";

/// A node's identity; its order is the order of the nodes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    kind: NodeKind,
    namespace: String,
    name: String,
    version: String,
}

impl Place {
    /// Stable, and the same in every graph of a type.
    pub fn id(&self) -> String {
        let Self { namespace, name, version, .. } = self;
        let kind = match self.kind {
            NodeKind::Workload => "workload",
            NodeKind::App => "app",
            NodeKind::Service => "service",
            NodeKind::ServiceEntry => "serviceEntry",
            NodeKind::Outside => "outside",
            NodeKind::Client => "client",
            NodeKind::BlackHole => "blackHole",
        };
        match version.is_empty() {
            true => format!("{kind}/{namespace}/{name}"),
            false => format!("{kind}/{namespace}/{name}/{version}"),
        }
    }
}

/// The pairs of neighbours that a key leads through.
pub fn hops(query: &Query, key: &Key, known: &mut BTreeMap<Place, Node>) -> Vec<(Place, Place)> {
    let mut add = |(place, node): (Place, Node)| {
        known.entry(place.clone()).or_insert(node);
        place
    };
    let source = match key.source.is_known() {
        true => party(query.r#type, &key.source),
        false => bare(NodeKind::Client, "", "clients outside the mesh"),
    };
    let source = add(source);
    let service = (query.services || query.r#type == GraphType::Service)
        .then(|| service(key))
        .flatten()
        .map(&mut add);
    if query.r#type == GraphType::Service
        && let Some(service) = service
    {
        return vec![(source, service)];
    }
    let target = key.destination.is_known().then(|| add(party(query.r#type, &key.destination)));
    match (service, target) {
        (Some(service), Some(target)) => vec![(source, service.clone()), (service, target)],
        (Some(service), None) => vec![(source, service)],
        (None, Some(target)) => vec![(source, target)],
        (None, None) => {
            let nowhere = add(outside(&key.service));
            vec![(source, nowhere)]
        }
    }
}

/// A workload, or what stands for it in this type of graph.
fn party(r#type: GraphType, party: &Party) -> (Place, Node) {
    let Party { namespace, workload, app, version, .. } = party;
    let (kind, name, version) = match r#type {
        GraphType::Workload => (NodeKind::Workload, workload, None),
        GraphType::App | GraphType::Service => (NodeKind::App, app, None),
        GraphType::VersionedApp => (NodeKind::App, app, Some(version)),
    };
    let (place, node) = bare(kind, namespace, name);
    let place = Place { version: version.map(ToString::to_string).unwrap_or_default(), ..place };
    let node = Node {
        id: place.id(),
        cluster: some(&party.cluster),
        workload: some(workload).filter(|_| kind == NodeKind::Workload),
        app: some(app),
        version: some(&party.version).filter(|_| r#type != GraphType::App),
        principal: some(&party.principal),
        r#box: some(app).filter(|_| r#type == GraphType::VersionedApp),
        ..node
    };
    (place, node)
}

/// The service that was asked for, where there is one.
fn service(key: &Key) -> Option<(Place, Node)> {
    let Service { host, name, namespace } = &key.service;
    if host.is_empty() {
        return None;
    }
    let inside = !namespace.is_empty() && key.destination.is_known() || host.contains(".svc.");
    let kind = if inside { NodeKind::Service } else { NodeKind::ServiceEntry };
    let (place, node) = bare(kind, namespace, name);
    Some((place, Node { service: some(host), ..node }))
}

/// Where nobody knows who is.
fn outside(service: &Service) -> (Place, Node) {
    match &*service.name {
        BLACK_HOLE => bare(NodeKind::BlackHole, "", BLACK_HOLE),
        "" => bare(NodeKind::Outside, "", "outside the mesh"),
        name => bare(NodeKind::Outside, "", name),
    }
}

fn bare(kind: NodeKind, namespace: &str, name: &str) -> (Place, Node) {
    let place = Place {
        kind,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        version: String::new(),
    };
    let node = Node {
        id: place.id(),
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
    };
    (place, node)
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
