//! The graph for a terminal. In: a graph. Out: a line per edge, by the source.

use std::collections::HashMap;
use std::fmt::Write;

use crate::view::{Edge, Graph, Node, State, Traffic};

/// One line per edge; nothing for a graph without any.
pub fn text(graph: &Graph) -> String {
    let nodes: HashMap<&str, &Node> = graph.nodes.iter().map(|node| (&*node.id, node)).collect();
    let name = |id: &str| nodes.get(id).map_or(id.to_owned(), |node| label(node));
    let rows: Vec<[String; 4]> = graph
        .edges
        .iter()
        .map(|edge| [name(&edge.source), name(&edge.target), flow(&edge.traffic), state(edge)])
        .collect();
    let width =
        |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let [source, target, flow] = [width(0), width(1), width(2)];
    let mut out = String::new();
    for [from, to, what, state] in &rows {
        let line = format!("{from:source$} -> {to:target$}  {what:flow$}  {state}");
        writeln!(out, "{}", line.trim_end()).expect("writing to a string does not fail");
    }
    out
}

fn label(node: &Node) -> String {
    let version = node.version.as_deref().map(|version| format!(" {version}")).unwrap_or_default();
    match &node.namespace {
        Some(namespace) => format!("{}{version} ({namespace})", node.name),
        None => node.name.clone(),
    }
}

fn flow(traffic: &Traffic) -> String {
    let mut parts = Vec::new();
    if let Some(tcp) = &traffic.tcp {
        let bytes = bytes(tcp.sent + tcp.received);
        parts.push(format!("tcp {:.2} conn/s, {bytes}/s", tcp.opened));
    }
    for (name, http) in [("http", &traffic.http), ("grpc", &traffic.grpc)] {
        if let Some(http) = http {
            let errors = http.error_share * 100.0;
            parts.push(format!("{name} {:.2} req/s, {errors:.1} % errors", http.requests));
        }
    }
    parts.join("; ")
}

fn state(edge: &Edge) -> String {
    match edge.health.state {
        State::Idle | State::Healthy => String::new(),
        State::Degraded | State::Failing => edge.health.reasons.join("; "),
    }
}

/// `1.5 KiB`.
fn bytes(count: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB"];
    let mut value = count;
    for unit in &units[..3] {
        if value < 1000.0 {
            return format!("{value:.0} {unit}");
        }
        value /= 1024.0;
    }
    format!("{value:.1} {}", units[3])
}
