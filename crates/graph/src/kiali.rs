//! The graph as Kiali's own API has it, for what reads that. In: a graph. Out: Cytoscape elements with rates as
//! texts. Source: Kiali's graph API (`/api/namespaces/graph`), format version 1.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::view::{Edge, Graph, GraphType, Http, Node, NodeKind, Tcp, Traffic};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Kiali<'g> {
    timestamp: u64,
    duration: u64,
    graph_type: &'static str,
    elements: Elements<'g>,
}

#[derive(Debug, Serialize)]
struct Elements<'g> {
    nodes: Vec<Data<NodeData<'g>>>,
    edges: Vec<Data<EdgeData<'g>>>,
}

#[derive(Debug, Serialize)]
struct Data<T> {
    data: T,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct NodeData<'g> {
    id: &'g str,
    node_type: &'static str,
    cluster: &'g str,
    namespace: &'g str,
    #[serde(skip_serializing_if = "Option::is_none")]
    workload: Option<&'g str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<&'g str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'g str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'g str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_service_entry: Option<ServiceEntry<'g>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_outside: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_root: Option<bool>,
    traffic: Vec<NodeTraffic>,
}

#[derive(Debug, Serialize)]
struct ServiceEntry<'g> {
    hosts: [Option<&'g str>; 1],
    location: &'static str,
}

#[derive(Debug, Serialize)]
struct NodeTraffic {
    protocol: &'static str,
    rates: Rates,
}

#[derive(Debug, Serialize)]
struct EdgeData<'g> {
    id: &'g str,
    source: &'g str,
    target: &'g str,
    #[serde(skip_serializing_if = "Option::is_none")]
    traffic: Option<EdgeTraffic<'g>>,
    #[serde(rename = "isMTLS", skip_serializing_if = "Option::is_none")]
    mutual_tls: Option<&'static str>,
    #[serde(rename = "responseTime", skip_serializing_if = "Option::is_none")]
    response_time: Option<String>,
}

#[derive(Debug, Serialize)]
struct EdgeTraffic<'g> {
    protocol: &'static str,
    rates: Rates,
    responses: Responses<'g>,
}

/// Kiali has them by code; `-` is none.
#[derive(Debug, Serialize)]
struct Responses<'g> {
    #[serde(rename = "-")]
    none: Response<'g>,
}

#[derive(Debug, Serialize)]
struct Response<'g> {
    flags: BTreeMap<&'g str, String>,
}

type Rates = BTreeMap<&'static str, String>;

pub fn kiali(graph: &Graph) -> Kiali<'_> {
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
            nodes: graph.nodes.iter().map(|one| Data { data: node(one) }).collect(),
            edges: graph.edges.iter().map(|one| Data { data: edge(one) }).collect(),
        },
    }
}

fn node(node: &Node) -> NodeData<'_> {
    let entry = (node.kind == NodeKind::ServiceEntry)
        .then_some(ServiceEntry { hosts: [node.service.as_deref()], location: "MESH_EXTERNAL" });
    NodeData {
        id: &node.id,
        node_type: match node.kind {
            NodeKind::Workload => "workload",
            NodeKind::App => "app",
            NodeKind::Service | NodeKind::ServiceEntry => "service",
            NodeKind::Outside | NodeKind::Client | NodeKind::BlackHole => "unknown",
        },
        cluster: node.cluster.as_deref().unwrap_or("unknown"),
        namespace: node.namespace.as_deref().unwrap_or("unknown"),
        workload: node.workload.as_deref(),
        app: node.app.as_deref(),
        version: node.version.as_deref(),
        service: node.service.as_ref().map(|_| &*node.name),
        is_outside: entry.as_ref().map(|_| true),
        is_service_entry: entry,
        is_root: (node.r#in == Traffic::default()).then_some(true),
        traffic: node_traffic(node),
    }
}

fn node_traffic(node: &Node) -> Vec<NodeTraffic> {
    let bytes = |tcp: &Option<Tcp>| tcp.as_ref().map(|tcp| tcp.sent + tcp.received);
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

fn edge(edge: &Edge) -> EdgeData<'_> {
    let of = match &edge.traffic {
        Traffic { tcp: Some(tcp), .. } => {
            Some((Rates::from([("tcp", short(tcp.sent + tcp.received))]), &tcp.flags, None))
        }
        Traffic { http: Some(http), .. } => {
            Some((requests(["http", "httpPercentErr"], http), &http.flags, http.latency))
        }
        Traffic { grpc: Some(grpc), .. } => {
            Some((requests(["grpc", "grpcPercentErr"], grpc), &grpc.flags, grpc.latency))
        }
        _ => None,
    };
    let latency = of.as_ref().and_then(|(.., latency)| *latency);
    let traffic = of.map(|(rates, flags, _)| {
        let flags = flags.iter().map(|(flag, rate)| (flag.as_str(), short(*rate))).collect();
        let responses = Responses { none: Response { flags } };
        EdgeTraffic { protocol: edge.protocol, rates, responses }
    });
    EdgeData {
        id: &edge.id,
        source: &edge.source,
        target: &edge.target,
        mutual_tls: traffic.as_ref().and_then(|_| (edge.mtls == "full").then_some("100")),
        response_time: latency.map(|latency| format!("{:.0}", latency.p95)),
        traffic,
    }
}

/// The rate, and the part that failed, if any did.
fn requests([all, failed]: [&'static str; 2], http: &Http) -> Rates {
    let mut rates = Rates::from([(all, short(http.requests))]);
    if http.error_share > 0.0 {
        rates.insert(failed, short(http.error_share * 100.0));
    }
    rates
}

/// With two decimals.
fn short(rate: f64) -> String {
    format!("{rate:.2}")
}
