//! The graph for a terminal. In: a graph. Out: a line per edge, by the source.

use std::collections::HashMap;
use std::fmt::Write;

use crate::view::{Edge, Graph, Node, ShareOf, State};
use crate::words::{bytes, number, percent};

/// A share that is all but the whole is not worth a word.
const SHOWN_BELOW: f64 = 0.9995;

/// One line per edge; nothing for a graph without any.
pub fn text(graph: &Graph) -> String {
    let nodes: HashMap<&str, &Node> = graph.nodes.iter().map(|node| (&*node.id, node)).collect();
    let name = |id: &str| nodes.get(id).map_or(id.to_owned(), |node| label(node));
    let rows: Vec<[String; 4]> = graph
        .edges
        .iter()
        .map(|edge| [name(&edge.source), name(&edge.target), flow(edge), state(edge)])
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

/// What goes over an edge, and its share of a split.
fn flow(edge: &Edge) -> String {
    let Edge { traffic, share, share_of, .. } = edge;
    let mut parts = Vec::new();
    if let Some(tcp) = &traffic.tcp {
        let opened = match (tcp.opened > 0.0, tcp.active) {
            (false, open) if open > 0 => format!("{open} open"),
            _ => format!("{} conn/s", number(tcp.opened)),
        };
        parts.push(format!("tcp {opened}, {}/s", bytes(tcp.sent + tcp.received)));
    }
    for (name, unit, http) in [("http", "req", &traffic.http), ("grpc", "rpc", &traffic.grpc)] {
        if let Some(http) = http {
            let errors = percent(http.error_share);
            parts.push(format!("{name} {} {unit}/s, {errors} errors", number(http.requests)));
        }
    }
    let share = share.filter(|share| *share < SHOWN_BELOW).map(percent).zip(*share_of);
    let share = share.map(|(share, of)| format!(", {share} of {}", whole(of))).unwrap_or_default();
    parts.join("; ") + &share
}

fn whole(of: ShareOf) -> &'static str {
    match of {
        ShareOf::Requests => "requests",
        ShareOf::Opened => "new connections",
        ShareOf::Open => "open connections",
    }
}

fn state(edge: &Edge) -> String {
    match edge.health.state {
        State::Idle | State::Healthy => String::new(),
        State::Degraded | State::Failing => edge.health.reasons.join("; "),
    }
}
