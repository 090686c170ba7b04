//! Connections that are open and that nothing went over in the time that is asked for.

use lateen_telemetry::labels::Reporter;

use super::{START, connections, edges, party, query, service};
use crate::graph::{Query, graph};
use crate::key::Key;
use crate::key::tests::tcp;
use crate::point::Point;
use crate::series::series;
use crate::store::{Store, step_of};
use crate::view::{Edge, Graph, GraphType, ShareOf, State};

const LATER: u64 = START + 600;

fn to(server: &str) -> Key {
    tcp(party("a", "v1"), service("echo"), party(server, "v1"))
}

/// So many connections to a server that were quiet for ten minutes.
fn quiet(opened: &[(&str, u64)]) -> Store {
    let mut store = Store::new(1 << 20, START - 60);
    for (server, opened) in opened {
        store.add(START, to(server), &Point { opened: *opened, sent: 10, ..Point::default() });
    }
    store.advance(LATER);
    store
}

fn later() -> Query {
    Query { at: step_of(LATER), ..query(GraphType::Workload) }
}

fn edge<'g>(graph: &'g Graph, target: &str) -> &'g Edge {
    graph.edges.iter().find(|edge| edge.target.ends_with(target)).unwrap()
}

fn active(edge: &Edge) -> u64 {
    edge.traffic.tcp.as_ref().unwrap().active
}

#[test]
fn what_is_open_is_counted_beside_an_attempt_that_failed_or_was_reset() {
    for (flags, opened, active_then) in [("UF,URX", 1, 50), ("UR", 0, 49)] {
        let mut store = quiet(&[("s", 50)]);
        let ended = Point { opened, closed: 1, ..Point::default() };
        store.add(LATER, Key { flags: flags.into(), ..to("s") }, &ended);
        for query in
            [later(), Query { services: false, ..later() }, Query { idle: true, ..later() }]
        {
            let shown = graph(&store, &query);
            let into = &shown.nodes.iter().find(|node| node.name == "s").unwrap().r#in;
            assert_eq!(into.tcp.as_ref().unwrap().active, active_then, "{flags}: {query:?}");
            for edge in &shown.edges {
                assert_eq!(active(edge), active_then, "{flags}: {query:?}");
                let course = series(&store, &edge.id, &query).outbound;
                let last = course["tcp.active"].last().copied().flatten();
                assert_eq!(last, Some(active_then as f64), "as in its chart");
                assert_eq!(edge.health.state, State::Failing);
            }
        }
    }
}

#[test]
fn what_is_quiet_alone_has_no_edge_and_is_part_of_what_is_shown_nevertheless() {
    let mut store = quiet(&[("s", 30), ("quiet", 10)]);
    assert!(edges(&store, &later()).is_empty());
    store.add(LATER, to("s"), &Point { sent: 10, ..Point::default() });
    let shown = graph(&store, &later());
    assert_eq!(shown.edges.len(), 2, "{:?}", shown.edges);
    assert!(shown.nodes.iter().all(|node| node.name != "quiet"), "{:?}", shown.nodes);
    assert_eq!((active(edge(&shown, "/echo")), active(edge(&shown, "/s"))), (40, 30));
    let share = |edge: &Edge| (edge.share, edge.share_of);
    assert_eq!(share(edge(&shown, "/s")), (Some(0.75), Some(ShareOf::Open)));
}

#[test]
fn what_both_ends_have_open_is_counted_once() {
    let mut store = quiet(&[("s", 30)]);
    let seen = Key { reporter: Reporter::Destination, mutual_tls: true, ..to("s") };
    store.stand(seen.clone(), 30);
    for (key, refused) in [(to("s"), true), (seen, false)] {
        let flags = if refused { "UF" } else { "" };
        store.add(LATER, Key { flags: flags.into(), ..key }, &connections(1));
        let shown = graph(&store, &later());
        assert_eq!(active(edge(&shown, "/s")), 30, "refused: {refused}");
    }
}

#[test]
fn a_client_that_fails_is_not_idle_for_what_is_open_to_it() {
    let mut store = quiet(&[("s", 30)]);
    let database = tcp(party("s", "v1"), service("db"), party("db", "v1"));
    store.add(LATER, Key { flags: "UF".into(), ..database }, &connections(3));
    let shown = graph(&store, &later());
    let node = shown.nodes.iter().find(|node| node.name == "s").unwrap();
    assert_eq!((node.health.state, shown.edges.len()), (State::Failing, 2));
}
