//! The graph as Kiali's own API has it, for what reads that. In: a graph. Out: Cytoscape elements with rates as
//! texts. Source: Kiali's graph API (`/api/namespaces/graph`), format version 1.

use serde_json::{Map, Value, json};

use crate::view::{Edge, Graph, GraphType, Http, Node, NodeKind, Tcp, Traffic};

pub fn kiali(graph: &Graph) -> Value {
    let data = |data: Value| json!({ "data": data });
    json!({
        "timestamp": graph.at / 1000,
        "duration": graph.duration,
        "graphType": graph_type(graph.r#type),
        "elements": {
            "nodes": graph.nodes.iter().map(|one| data(node(one))).collect::<Vec<_>>(),
            "edges": graph.edges.iter().map(|one| data(edge(one))).collect::<Vec<_>>(),
        },
    })
}

fn graph_type(r#type: GraphType) -> &'static str {
    match r#type {
        GraphType::Workload => "workload",
        GraphType::App => "app",
        GraphType::VersionedApp => "versionedApp",
        GraphType::Service => "service",
    }
}

fn node(node: &Node) -> Value {
    let kind = match node.kind {
        NodeKind::Workload => "workload",
        NodeKind::App => "app",
        NodeKind::Service | NodeKind::ServiceEntry => "service",
        NodeKind::Outside | NodeKind::Client | NodeKind::BlackHole => "unknown",
    };
    let mut all = json!({
        "id": node.id,
        "nodeType": kind,
        "cluster": node.cluster.as_deref().unwrap_or("unknown"),
        "namespace": node.namespace.as_deref().unwrap_or("unknown"),
    });
    let service = node.service.as_ref().map(|_| &node.name);
    for (field, value) in [
        ("workload", node.workload.as_ref()),
        ("app", node.app.as_ref()),
        ("version", node.version.as_ref()),
        ("service", service),
    ] {
        if let Some(value) = value {
            all[field] = json!(value);
        }
    }
    if node.kind == NodeKind::ServiceEntry {
        all["isServiceEntry"] = json!({ "hosts": [node.service], "location": "MESH_EXTERNAL" });
        all["isOutside"] = json!(true);
    }
    if node.r#in == Traffic::default() {
        all["isRoot"] = json!(true);
    }
    all["traffic"] = Value::Array(node_traffic(node));
    all
}

fn node_traffic(node: &Node) -> Vec<Value> {
    let mut all = Vec::new();
    let mut add = |protocol: &str, into: Option<f64>, out: Option<f64>| {
        let mut rates = Map::new();
        for (side, rate) in [("In", into), ("Out", out)] {
            if let Some(rate) = rate.filter(|rate| *rate > 0.0) {
                rates.insert(format!("{protocol}{side}"), json!(two_decimals(rate)));
            }
        }
        if !rates.is_empty() {
            all.push(json!({ "protocol": protocol, "rates": rates }));
        }
    };
    let bytes = |tcp: &Option<Tcp>| tcp.as_ref().map(|tcp| tcp.sent + tcp.received);
    let requests = |http: &Option<Http>| http.as_ref().map(|http| http.requests);
    add("tcp", bytes(&node.r#in.tcp), bytes(&node.out.tcp));
    add("http", requests(&node.r#in.http), requests(&node.out.http));
    add("grpc", requests(&node.r#in.grpc), requests(&node.out.grpc));
    all
}

fn edge(edge: &Edge) -> Value {
    let (rates, responses, latency) = match &edge.traffic {
        Traffic { tcp: Some(tcp), .. } => {
            (json!({ "tcp": two_decimals(tcp.sent + tcp.received) }), ends(tcp, edge), None)
        }
        Traffic { http: Some(http), .. } => {
            (requests("http", http), codes(http, edge), http.latency)
        }
        Traffic { grpc: Some(grpc), .. } => {
            (requests("grpc", grpc), codes(grpc, edge), grpc.latency)
        }
        _ => return json!({ "id": edge.id, "source": edge.source, "target": edge.target }),
    };
    let mut all = json!({
        "id": edge.id,
        "source": edge.source,
        "target": edge.target,
        "traffic": { "protocol": edge.protocol, "rates": rates, "responses": responses },
    });
    if edge.mtls == "full" {
        all["isMTLS"] = json!("100");
    }
    if let Some(latency) = latency {
        all["responseTime"] = json!(format!("{:.0}", latency.p95));
    }
    all
}

/// How connections ended, by their flags, in percent of those that ended.
fn ends(tcp: &Tcp, edge: &Edge) -> Value {
    let flagged: f64 = tcp.flags.values().sum();
    let ended = tcp.closed.max(flagged);
    let plain = ("-", ended - flagged);
    let all = tcp.flags.iter().map(|(flags, rate)| (flags.as_str(), *rate)).chain([plain]);
    let parts = all.filter(|(_, rate)| *rate > 0.0);
    let flags: Map<String, Value> =
        parts.map(|(flags, rate)| (flags.to_owned(), json!(percent(rate / ended)))).collect();
    json!({ "-": { "flags": flags, "hosts": hosts(edge, 1.0) } })
}

/// How requests were answered, by code, in percent of all.
fn codes(http: &Http, edge: &Edge) -> Value {
    let response = |(code, rate): (&String, &f64)| {
        let part = rate / http.requests;
        let flags = json!({ "-": percent(part) });
        (code.clone(), json!({ "flags": flags, "hosts": hosts(edge, part) }))
    };
    Value::Object(http.codes.iter().map(response).collect())
}

fn hosts(edge: &Edge, part: f64) -> Map<String, Value> {
    edge.service.iter().map(|host| (host.clone(), json!(percent(part)))).collect()
}

fn percent(part: f64) -> String {
    format!("{:.1}", part * 100.0)
}

fn requests(protocol: &str, http: &Http) -> Value {
    let mut rates = Map::new();
    rates.insert(protocol.to_owned(), json!(two_decimals(http.requests)));
    if http.error_share > 0.0 {
        let percent = two_decimals(http.error_share * 100.0);
        rates.insert(format!("{protocol}PercentErr"), json!(percent));
    }
    Value::Object(rates)
}

fn two_decimals(rate: f64) -> String {
    format!("{rate:.2}")
}
