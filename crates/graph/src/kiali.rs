//! The graph as Kiali's own API has it, for what reads that. In: a graph. Out: Cytoscape elements with rates as
//! texts. Source: Kiali's graph API (`/api/namespaces/graph`), format version 1.

use std::borrow::Cow;

use serde::{Serialize, Serializer};

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
    /// By code; `-` is none.
    responses: Pairs<&'g str, Response<'g>>,
}

/// In percent of all.
#[derive(Debug, Serialize)]
struct Response<'g> {
    flags: Pairs<&'g str, Number>,
    hosts: Pairs<&'g str, Number>,
}

/// A map that is only written. A graph has tens of thousands of them, nearly all with one pair.
#[derive(Debug)]
struct Pairs<K, V>(Vec<(K, V)>);

type Rates = Pairs<&'static str, Number>;

/// A number as a text.
type Number = Cow<'static, str>;

impl<K: Serialize, V: Serialize> Serialize for Pairs<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

impl<K, V> FromIterator<(K, V)> for Pairs<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

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
    told.into_iter().filter(|one| !one.rates.0.is_empty()).collect()
}

fn edge(edge: &Edge) -> EdgeData<'_> {
    let of = match &edge.traffic {
        Traffic { tcp: Some(tcp), .. } => {
            Some((Pairs(vec![("tcp", short(tcp.sent + tcp.received))]), ends(tcp, edge), None))
        }
        Traffic { http: Some(http), .. } => {
            Some((requests(["http", "httpPercentErr"], http), codes(http, edge), http.latency))
        }
        Traffic { grpc: Some(grpc), .. } => {
            Some((requests(["grpc", "grpcPercentErr"], grpc), codes(grpc, edge), grpc.latency))
        }
        _ => None,
    };
    let latency = of.as_ref().and_then(|(.., latency)| *latency);
    let traffic =
        of.map(|(rates, responses, _)| EdgeTraffic { protocol: edge.protocol, rates, responses });
    EdgeData {
        id: &edge.id,
        source: &edge.source,
        target: &edge.target,
        mutual_tls: traffic.as_ref().and_then(|_| (edge.mtls == "full").then_some("100")),
        response_time: latency.map(|latency| format!("{:.0}", latency.p95)),
        traffic,
    }
}

/// How connections ended, by their flags.
fn ends<'g>(tcp: &'g Tcp, edge: &'g Edge) -> Pairs<&'g str, Response<'g>> {
    let flagged: f64 = tcp.flags.values().sum();
    let ended = tcp.closed.max(flagged);
    let all = tcp.flags.iter().map(|(flags, rate)| (flags.as_str(), *rate));
    let all = [("-", ended - flagged)].into_iter().chain(all).filter(|(_, rate)| *rate > 0.0);
    let flags = all.map(|(flags, rate)| (flags, percent(rate / ended))).collect();
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

/// The rate, and the part that failed, if any did.
fn requests([all, failed]: [&'static str; 2], http: &Http) -> Rates {
    let mut rates = vec![(all, short(http.requests))];
    if http.error_share > 0.0 {
        rates.push((failed, short(http.error_share * 100.0)));
    }
    Pairs(rates)
}

/// With two decimals.
fn short(rate: f64) -> Number {
    Cow::Owned(decimal(rate, 2))
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
mod tests {
    use super::{decimal, percent};

    #[test]
    fn numbers_have_their_decimals() {
        for number in [0.0, 0.004, 0.005, 1.0, 16.6666, 99.996, 123_456.789, 1e17, -1.5, f64::NAN] {
            assert_eq!(decimal(number, 2), format!("{number:.2}"), "{number}");
        }
        assert_eq!([percent(1.0), percent(0.0006), percent(2.0 / 3.0)], ["100.0", "0.1", "66.7"]);
    }
}
