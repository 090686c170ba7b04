//! The graph as Kiali's own API has it, for what reads that. In: a graph. Out: Cytoscape elements with rates as
//! texts. Source: Kiali's graph API (`/api/namespaces/graph`), format version 1.

mod boxes;
mod parameters;
mod shapes;
mod told;

use std::borrow::Cow;
use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use crate::graph::OUTSIDE;
use crate::view::{Edge, Graph, GraphType, Http, Node, NodeKind, Tcp, Traffic};
use boxes::by_app;
pub use parameters::{TcpRate, is_parameter, translate};
use shapes::{
    Data, EdgeData, EdgeTraffic, Elements, Gateway, Hosts, Kiali, NodeData, NodeTraffic, Number,
    Pairs, Rates, Response, ServiceEntry,
};
use told::Told;

/// Decimals of a rate; a smaller one has as many as show a digit of it.
const DECIMALS: u32 = 2;
const MOST_DECIMALS: u32 = 5;
/// Of what nobody knows.
const UNKNOWN: &str = "unknown";
/// Those that a graph was asked for of; without them it is of all.
type Namespaces<'q> = Option<&'q BTreeSet<String>>;
/// By id.
type Nodes<'g> = FxHashMap<&'g str, &'g Node>;
/// What Kiali calls our badges.
const MARKS: &[(&str, &str)] = &[
    ("circuitBreaker", "hasCB"),
    ("faultInjection", "hasFaultInjection"),
    ("mirroring", "hasMirroring"),
    ("timeout", "hasRequestTimeout"),
];

pub fn kiali<'g>(graph: &'g Graph, asked: Namespaces<'_>, tcp: TcpRate) -> Kiali<'g> {
    let nodes: Nodes<'_> = graph.nodes.iter().map(|node| (&*node.id, node)).collect();
    let told = Told::of(graph, &nodes);
    let node = |one| Data { data: node(one, &told, asked, tcp) };
    let nodes_told = graph.nodes.iter().map(node).collect();
    let is_boxed = graph.r#type == GraphType::VersionedApp;
    Kiali {
        timestamp: graph.at / 1000,
        duration: graph.duration,
        graph_type: match graph.r#type {
            GraphType::Workload => "workload",
            GraphType::App => "app",
            GraphType::VersionedApp => "versionedApp",
            GraphType::Service => "service",
        },
        elements: Elements {
            nodes: if is_boxed { by_app(nodes_told) } else { nodes_told },
            edges: graph.edges.iter().map(|one| Data { data: edge(one, &nodes, tcp) }).collect(),
        },
    }
}

fn node<'g>(node: &'g Node, told: &Told<'g>, asked: Namespaces<'_>, tcp: TcpRate) -> NodeData<'g> {
    let entry = (node.kind == NodeKind::ServiceEntry).then_some(ServiceEntry {
        hosts: [node.service.as_deref()],
        location: "MESH_EXTERNAL",
        namespace: node.namespace.as_deref().unwrap_or(UNKNOWN),
    });
    let [served, routed] =
        [&node.configured.served, &node.configured.routed].map(|hostnames| Hosts { hostnames });
    NodeData {
        id: Cow::Borrowed(&node.id),
        parent: None,
        node_type: match node.kind {
            NodeKind::Workload => "workload",
            NodeKind::App => "app",
            NodeKind::Service
            | NodeKind::ServiceEntry
            | NodeKind::Outside
            | NodeKind::BlackHole => "service",
            NodeKind::Client => "unknown",
        },
        cluster: told.cluster(node),
        namespace: node.namespace.as_deref().unwrap_or(UNKNOWN),
        workload: node.workload.as_deref(),
        app: node.app.as_deref(),
        version: node.version.as_deref(),
        service: service(node),
        dest_services: told.asked_for(node),
        is_service_entry: entry,
        is_gateway: node.gateway.map(|gateway| match gateway {
            "egress" => Gateway::EgressInfo(served),
            _ => Gateway::IngressInfo(served),
        }),
        has_virtual_service: node.badges.contains(&"virtualService").then_some(routed),
        marks: marks(node, asked),
        is_box: None,
        health_data: (),
        traffic: node_traffic(node, tcp),
    }
}

/// What Kiali calls a service: those of the mesh, Envoy's clusters for what has none, and what nobody knows.
fn service(node: &Node) -> Option<&str> {
    match node.kind {
        NodeKind::Outside if node.name == OUTSIDE => Some(UNKNOWN),
        NodeKind::Outside | NodeKind::BlackHole => Some(&node.name),
        _ => node.service.as_ref().map(|_| &*node.name),
    }
}

fn marks(node: &Node, asked: Namespaces<'_>) -> Pairs<&'static str, bool> {
    let (into, out) = (&node.r#in, &node.out);
    let own = [
        ("isRoot", is_idle(into) && *out != Traffic::default()),
        ("isIdle", [into, out].into_iter().all(is_idle)),
        ("isInaccessible", is_inaccessible(node)),
        ("isOutside", is_outside(node, asked)),
        ("isOutOfMesh", node.out_of_mesh),
        ("hasTrafficShifting", node.configured.shifts_requests),
        ("hasTCPTrafficShifting", node.configured.shifts_connections),
    ];
    let by_badge = MARKS.iter().map(|(badge, name)| (*name, node.badges.contains(badge)));
    own.into_iter().chain(by_badge).filter(|(_, is)| *is).collect()
}

/// Whether it is in no namespace and no cluster.
fn is_nowhere(node: &Node) -> bool {
    matches!(node.kind, NodeKind::Outside | NodeKind::BlackHole)
}

/// Whether nobody can look into it: it is a client outside the mesh, or a service of no namespace.
fn is_inaccessible(node: &Node) -> bool {
    let is_homeless = node.kind == NodeKind::ServiceEntry && node.namespace.is_none();
    is_homeless || is_nowhere(node) || node.kind == NodeKind::Client
}

/// Whether it is of a namespace that was not asked for, and shown because it talks with one that was.
fn is_outside(node: &Node, asked: Namespaces<'_>) -> bool {
    let own = node.namespace.as_ref();
    asked.zip(own).is_some_and(|(asked, own)| !asked.contains(own))
}

fn is_idle(traffic: &Traffic) -> bool {
    let tcp = traffic.tcp.as_ref().is_none_or(|tcp| tcp.opened + tcp.sent + tcp.received == 0.0);
    let http = [&traffic.http, &traffic.grpc];
    tcp && http.into_iter().flatten().all(|http| http.requests == 0.0)
}

fn node_traffic(node: &Node, tcp: TcpRate) -> Vec<NodeTraffic> {
    let bytes = |sum: &Option<Tcp>| sum.as_ref().map(|sum| tcp.of(sum));
    let requests = |http: &Option<Http>| http.as_ref().map(|http| http.requests);
    let (into, out) = (&node.r#in, &node.out);
    let all = [
        ("tcp", [("tcpIn", bytes(&into.tcp)), ("tcpOut", bytes(&out.tcp))]),
        ("http", [("httpIn", requests(&into.http)), ("httpOut", requests(&out.http))]),
        ("grpc", [("grpcIn", requests(&into.grpc)), ("grpcOut", requests(&out.grpc))]),
    ];
    let told = all.map(|(protocol, sides)| {
        let rates = sides.into_iter().filter_map(|(name, rate)| Some((name, rate?)));
        let rates = rates.filter(|(_, rate)| *rate > 0.0);
        NodeTraffic { protocol, rates: rates.map(|(name, rate)| (name, short(rate))).collect() }
    });
    told.into_iter().filter(|one| !one.rates.is_empty()).collect()
}

fn edge<'g>(edge: &'g Edge, nodes: &Nodes<'g>, tcp: TcpRate) -> EdgeData<'g> {
    let [source, target] = [&edge.source, &edge.target].map(|id| nodes.get(&**id).copied());
    let of = match &edge.traffic {
        Traffic { tcp: Some(sum), .. } => {
            let rate = Some(("tcp", tcp.of(sum))).filter(|(_, rate)| *rate > 0.0);
            let rates = rate.into_iter().map(|(name, rate)| (name, short(rate))).collect();
            Some((rates, ends(sum, edge), None))
        }
        Traffic { http: Some(http), .. } => {
            let all = source.and_then(|node| node.out.http.as_ref());
            let rates = requests(["http", "httpPercentErr", "httpPercentReq"], http, all);
            Some((rates, codes(http, edge), http.latency))
        }
        Traffic { grpc: Some(grpc), .. } => {
            let all = source.and_then(|node| node.out.grpc.as_ref());
            let rates = requests(["grpc", "grpcPercentErr", "grpcPercentReq"], grpc, all);
            Some((rates, codes(grpc, edge), grpc.latency))
        }
        _ => None,
    };
    let latency = of.as_ref().and_then(|(.., latency)| *latency);
    let has_traffic = of.is_some();
    let (rates, responses) = of.map(|(rates, responses, _)| (rates, responses)).unwrap_or_default();
    // What no byte went over may have failed.
    let is_flagged = edge.traffic.tcp.as_ref().is_some_and(|tcp| !tcp.flags.is_empty());
    let is_told = !rates.is_empty() || is_flagged;
    let responses = if is_told { responses } else { Pairs::default() };
    EdgeData {
        id: &edge.id,
        source: &edge.source,
        target: &edge.target,
        source_principal: source.and_then(|node| node.principal.as_deref()),
        dest_principal: target.and_then(|node| node.principal.as_deref()),
        mutual_tls: (has_traffic && edge.mtls == "full").then_some("100"),
        response_time: latency.map(|latency| format!("{:.0}", latency.p95)),
        traffic: EdgeTraffic { protocol: edge.protocol, rates, responses },
    }
}

/// How connections ended, by their flags; where none did, nothing is wrong with any.
fn ends<'g>(tcp: &'g Tcp, edge: &'g Edge) -> Pairs<&'g str, Response<'g>> {
    let flagged: f64 = tcp.flags.values().sum();
    let ended = tcp.closed.max(flagged);
    let all = tcp.flags.iter().map(|(flags, rate)| (flags.as_str(), *rate));
    let all = [("-", ended - flagged)].into_iter().chain(all).filter(|(_, rate)| *rate > 0.0);
    let mut flags: Pairs<_, _> = all.map(|(flags, rate)| (flags, percent(rate / ended))).collect();
    if flags.is_empty() {
        flags.0.push(("-", percent(1.0)));
    }
    Pairs(vec![("-", Response { flags, hosts: hosts(edge, 1.0) })])
}

/// How requests were answered, by code.
fn codes<'g>(http: &'g Http, edge: &'g Edge) -> Pairs<&'g str, Response<'g>> {
    let response = |(code, rate): (&'g String, &f64)| {
        let part = rate / http.requests;
        let flags = Pairs(vec![("-", percent(part))]);
        (code.as_str(), Response { flags, hosts: hosts(edge, part) })
    };
    http.codes.iter().map(response).collect()
}

fn hosts(edge: &Edge, part: f64) -> Pairs<&str, Number> {
    edge.service.iter().map(|host| (host.as_str(), percent(part))).collect()
}

fn percent(part: f64) -> Number {
    // What nearly every edge has.
    if part == 1.0 { Cow::Borrowed("100.0") } else { Cow::Owned(decimal(part * 100.0, 1)) }
}

/// The rate, the part that failed, if any did, and the part of all requests of its source.
fn requests([all, failed, part]: [&'static str; 3], http: &Http, of: Option<&Http>) -> Rates {
    let mut rates = vec![(all, short(http.requests))];
    if http.error_share > 0.0 {
        rates.push((failed, percent(http.error_share)));
    }
    if let Some(whole) = of.map(|of| of.requests).filter(|whole| *whole > 0.0) {
        rates.push((part, percent(http.requests / whole)));
    }
    Pairs(rates)
}

/// With two decimals, or as many as show a digit.
fn short(rate: f64) -> Number {
    let digit = (1..MOST_DECIMALS).find(|places| rate * 10_f64.powi(*places as i32) >= 1.0);
    Cow::Owned(decimal(rate, digit.unwrap_or(MOST_DECIMALS).max(DECIMALS)))
}

/// A number with so many decimals. The formatter of floats is exact, and several times as slow.
fn decimal(number: f64, places: u32) -> String {
    let scale = 10_u64.pow(places);
    let scaled = (number * scale as f64).round();
    if !(0.0..1e15).contains(&scaled) {
        return format!("{number:.*}", places as usize);
    }
    let (whole, part) = (scaled as u64 / scale, scaled as u64 % scale);
    format!("{whole}.{part:0>width$}", width = places as usize)
}

#[cfg(test)]
mod tests;
