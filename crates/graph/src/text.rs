//! The graph for a terminal. In: a graph. Out: a line per edge, by the source, and what should be known of them.

use std::collections::HashMap;
use std::fmt::Write;

use lateen_runtime::printable::printable;
use lateen_telemetry::labels::cut;

use crate::view::{Edge, Graph, Node, ShareOf, State};
use crate::words::{bytes, number, percent};

/// A share that is all but the whole is not worth a word.
const SHOWN_BELOW: f64 = 0.9995;

/// Bytes of a name, and of what went wrong.
const LONGEST_NAME: usize = 100;
const LONGEST_STATE: usize = 300;
const LONGEST_NOTICE: usize = 400;

/// The parts of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts<'t> {
    /// One per edge.
    pub edges: &'t str,
    /// One each.
    pub notices: &'t str,
}

impl<'t> Parts<'t> {
    /// Takes apart what [`text`] has made. No line of an edge is empty.
    pub fn of(text: &'t str) -> Self {
        match text.strip_prefix('\n') {
            Some(notices) => Self { edges: "", notices },
            None => {
                let end = text.find("\n\n").map_or(text.len(), |at| at + 1);
                Self { edges: &text[..end], notices: text[end..].trim_start_matches('\n') }
            }
        }
    }
}

/// One line per edge; then, if there are notices, an empty line and one per notice.
pub fn text(graph: &Graph) -> String {
    let nodes: HashMap<&str, &Node> = graph.nodes.iter().map(|node| (&*node.id, node)).collect();
    let name = |id: &str| nodes.get(id).map_or_else(|| shown(id, LONGEST_NAME), |node| label(node));
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
    for (number, notice) in graph.notices.iter().enumerate() {
        let gap = if number == 0 { "\n" } else { "" };
        let notice = shown(notice, LONGEST_NOTICE);
        writeln!(out, "{gap}{notice}").expect("writing to a string does not fail");
    }
    out
}

fn label(node: &Node) -> String {
    let name = shown(&node.name, LONGEST_NAME);
    let part = |text: &String| shown(text, LONGEST_NAME);
    let version = node.version.as_ref().map(|text| format!(" {}", part(text))).unwrap_or_default();
    match &node.namespace {
        Some(namespace) => format!("{name}{version} ({})", part(namespace)),
        None => name,
    }
}

/// Proxies name what they like.
fn shown(text: &str, longest: usize) -> String {
    cut(&printable(text), longest).into_owned()
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
        State::Degraded | State::Failing => shown(&edge.health.reasons.join("; "), LONGEST_STATE),
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_NAME, Parts, text};
    use crate::graph::{Query, graph};
    use crate::key::tests::tcp;
    use crate::key::{Key, Party, Service};
    use crate::point::Point;
    use crate::store::{Store, step_of};
    use crate::view::GraphType;

    #[test]
    fn names_neither_rule_a_terminal_nor_forge_a_row_nor_widen_it_without_end() {
        let named = |name: &str| Party { workload: name.into(), ..Party::default() };
        let (source, destination) = (named("a\u{1b}[2J\nforged -> row"), named(&"x".repeat(400)));
        let key = tcp(source, Service::default(), destination);
        let key = Key { flags: "\u{1b}[31mUF".into(), ..key };
        let (mut store, now) = (Store::new(1 << 20, 1000), 1000);
        store.add(now, key, &Point { opened: 1, closed: 1, ..Point::default() });
        let query = Query {
            r#type: GraphType::Workload,
            namespaces: None,
            confined_to: None,
            duration: 5,
            at: step_of(now),
            services: true,
            idle: false,
        };
        let mut told = graph(&store, &query);
        let shown = text(&told);
        assert_eq!(shown.lines().count(), 1, "{shown}");
        assert!(shown.starts_with("a\\u{1b}[2J\\nforged -> row -> xxx"), "{shown}");
        assert!(!shown.trim_end().contains(char::is_control), "{shown:?}");
        assert!(shown.chars().count() < 3 * LONGEST_NAME, "{shown}");

        told.notices = vec!["one\n\nforged".into(), "two".into()];
        let notices = "one\\n\\nforged\ntwo\n";
        let with = text(&told);
        assert_eq!(Parts::of(&with), Parts { edges: &shown, notices });
        told.edges.clear();
        assert_eq!(Parts::of(&text(&told)), Parts { edges: "", notices });
        assert_eq!(Parts::of(&shown), Parts { edges: &shown, notices: "" });
        assert_eq!(Parts::of(""), Parts { edges: "", notices: "" });
    }
}
