//! Over which time rates are, where not all of it is known.

use super::{START, connections, party, query, service};
use crate::graph::{Query, graph, notices};
use crate::key::Key;
use crate::key::tests::tcp;
use crate::series::series;
use crate::store::{Store, step_of};
use crate::view::GraphType;

#[test]
fn all_of_an_hour_is_known_while_the_report_of_a_step_is_awaited() {
    let mut store = Store::new(1 << 20, START);
    for step in 0..=720 {
        store.add(START + 5 * step, from("a"), &connections(10));
    }
    let now = START + 5 * 721;
    store.advance(now);
    let hour = Query { at: step_of(now), duration: 3600, ..query(GraphType::Service) };
    let graph = graph(&store, &hour);
    assert_eq!(graph.edges[0].traffic.tcp.as_ref().unwrap().opened, 2.0);
    assert!(graph.notices.is_empty(), "{:?}", graph.notices);
    let course = series(&store, &graph.edges[0].id, &Query { at: hour.at - 1, ..hour });
    assert_eq!(course.outbound["tcp.opened"], [Some(2.0); 720]);
}

#[test]
fn rates_are_over_the_time_that_something_is_known_of() {
    let key = || tcp(party("a", "v1"), service("tcp-echo-server"), party("b", "v1"));
    let mut store = Store::new(1 << 20, START);
    let span = store.begin(15_000, false);
    store.tell(key(), &connections(30), span);
    let query = Query { at: step_of(START), ..query(GraphType::Workload) };
    let young = graph(&store, &query);
    assert_eq!(young.edges[0].traffic.tcp.as_ref().unwrap().opened, 2.0);
    assert_eq!(young.notices, ["rates are over the 15 s of these 60 s that are known"]);
    store.add(START + 60, key(), &connections(30));
    let grown = graph(&store, &Query { at: step_of(START + 60), ..query });
    assert_eq!(grown.edges[0].traffic.tcp.as_ref().unwrap().opened, 0.5);
    assert!(grown.notices.is_empty());
}

/// The connections per second that each client opens, in the order of their names.
fn opened(store: &Store, at: u64) -> Vec<f64> {
    let query = Query { at: step_of(at), ..query(GraphType::Service) };
    let edges = graph(store, &query).edges;
    edges.iter().map(|edge| edge.traffic.tcp.as_ref().unwrap().opened).collect()
}

fn from(client: &str) -> Key {
    tcp(party(client, "v1"), service("tcp-echo-server"), party("b", "v1"))
}

#[test]
fn a_young_store_waits_for_the_present_step_without_lower_rates() {
    let mut store = Store::new(1 << 20, START);
    for step in 0..3 {
        let now = START + 5 * step;
        store.advance(now);
        let expected = if step == 0 { [].as_slice() } else { &[2.0] };
        assert_eq!(opened(&store, now), expected, "before the report of step {step}");
        store.add(now, from("a"), &connections(10));
        assert_eq!(opened(&store, now), [2.0], "after that of step {step}");
    }
    store.add(START + 15, from("other"), &connections(40));
    assert_eq!(opened(&store, START + 15), [2.0, 2.0], "one waits, the other does not");
    let young = graph(&store, &Query { at: step_of(START + 15), ..query(GraphType::Workload) });
    assert_eq!(young.notices, ["rates are over the 15 s to 20 s of these 60 s that are known"]);
    let server = young.nodes.iter().find(|node| node.name == "b").unwrap();
    assert_eq!(server.r#in.tcp.as_ref().unwrap().opened, 4.0);
}

#[test]
fn a_range_whose_ends_read_alike_is_told_as_one_time() {
    for (duration, wanted) in [(300, "5 min"), (130, "130 s")] {
        let query = Query { duration, ..query(GraphType::Workload) };
        let told = notices(&query, Some([24, 25]));
        assert_eq!(told, [format!("rates are over the 2 min of these {wanted} that are known")]);
        let told = notices(&query, Some([23, 24])).remove(0);
        assert!(told.starts_with("rates are over the 115 s to 2 min of"), "{told}");
    }
}

/// A client that opens ten connections per second, as it is shown at a time: all rates and the steps of its course.
fn shown_of_ten(store: &Store, at: u64) -> (Vec<f64>, Vec<Option<f64>>) {
    let query = |duration| Query { at: step_of(at), duration, ..query(GraphType::Service) };
    let rates = [5, 10, 15, 20, 30, 60, 3600].into_iter().flat_map(|duration| {
        let edges = graph(store, &query(duration)).edges;
        edges.into_iter().map(|edge| edge.traffic.tcp.unwrap().opened)
    });
    let course = series(store, "mesh", &query(60)).outbound.remove("tcp.opened");
    (rates.collect(), course.unwrap_or_default())
}

#[test]
fn the_first_report_after_an_absence_gives_the_true_rate_and_no_step_that_is_not_known() {
    let is_ten = |rate: &f64| (rate - 10.0).abs() < 0.5;
    for (tenths, steps) in [(30, 0), (49, 1), (51, 1), (70, 1), (99, 2), (120, 2), (330, 6)] {
        let mut store = Store::new(1 << 20, START);
        store.advance(START + 7);
        let span = store.begin(tenths * 100, false);
        store.tell(from("a"), &connections(tenths), span);
        for told in 0..5 {
            let now = START + 7 + 5 * told as u64;
            let (rates, course) = shown_of_ten(&store, now);
            let about =
                format!("{tenths} tenths of a second, {told} reports later: {rates:?} {course:?}");
            assert!(rates.iter().all(is_ten), "{about}");
            assert_eq!(rates.len(), if steps + told == 0 { 0 } else { 7 }, "{about}");
            let known = 12usize.saturating_sub(steps + told);
            assert!(course.iter().take(known).all(Option::is_none), "{about}");
            assert!(course.iter().skip(known).flatten().all(is_ten), "{about}");
            assert!(course.iter().skip(known).all(Option::is_some), "{about}");
            store.advance(now + 5);
            let (awaited, _) = shown_of_ten(&store, now + 5);
            assert!(awaited.len() == rates.len() && awaited.iter().all(is_ten), "{awaited:?}");
            store.tell(from("a"), &connections(50), span.later());
        }
    }
}

#[test]
fn what_several_proxies_tell_together_is_known_since_all_of_them_tell_it() {
    for other in ["a", "b"] {
        let mut store = Store::new(1 << 20, START);
        let spans = [12, 7, 33].map(|seconds| (seconds, store.begin(seconds * 1000, false)));
        for (seconds, span) in spans {
            let key = if seconds == 7 { from(other) } else { from("a") };
            store.tell(key, &connections(10 * seconds), span);
        }
        let rates: f64 = opened(&store, START).into_iter().sum();
        assert!((rates - 30.0).abs() < 1.0, "{rates}");
        let course = series(&store, "mesh", &query(GraphType::Service)).outbound;
        let opened = &course["tcp.opened"];
        assert!(opened[..11].iter().all(Option::is_none), "{opened:?}");
        assert!((opened[11].unwrap() - 30.0).abs() < 1.0, "{opened:?}");
    }
}

#[test]
fn a_proxy_that_reaches_back_changes_nobody_elses_rates() {
    let mut store = Store::new(1 << 20, START);
    let (long, short) = (store.begin(30_000, false), store.begin(5_000, false));
    store.tell(from("a"), &connections(60), long);
    store.tell(from("b"), &connections(10), short);
    // Of one workload there are two.
    store.tell(from("c"), &connections(60), long);
    store.tell(from("c"), &connections(10), short);
    assert_eq!(opened(&store, START), [2.0, 2.0, 4.0]);
    for (client, count) in [("a", 10), ("b", 10), ("c", 20)] {
        store.add(START + 5, from(client), &connections(count));
    }
    assert_eq!(opened(&store, START + 5), [2.0, 2.0, 4.0]);
}

#[test]
fn what_was_before_a_proxy_that_comes_later_is_known() {
    let mut store = Store::new(1 << 20, START);
    store.add(START + 40, from("old"), &connections(45));
    let late = store.begin(5_000, false);
    store.tell(from("new"), &connections(45), late);
    assert_eq!(opened(&store, START + 40), [1.0, 1.0]);
    // Nor one that says so, however young the store is.
    let mut store = Store::new(1 << 20, START);
    store.add(START + 15, from("old"), &connections(40));
    let first = store.begin(5_000, true);
    store.tell(from("old"), &connections(40), first);
    assert_eq!(opened(&store, START + 15), [4.0]);
}

#[test]
fn what_a_proxy_told_on_another_stream_is_known_unless_something_is_missing_in_between() {
    // Until the proxy is lost where it was, another replica passes on what it tells.
    for (proxy, silence, known) in
        [(Some(1), 10, 4), (Some(1), 15, 2), (Some(2), 10, 2), (None, 10, 2)]
    {
        let mut store = Store::new(1 << 20, START);
        let passed = store.begin(5_000, false);
        let passed = store.goes_on(Some(1), passed);
        for step in 0..2 {
            store.advance(START + 5 * step);
            store.tell(from("a"), &connections(10), passed);
        }
        store.ends(Some(1));
        let now = START + 5 + silence;
        store.advance(now);
        // It may be told what is open before.
        let silent = store.begin(0, false);
        store.goes_on(proxy, silent);
        let own = store.begin(10_000, false);
        let own = store.goes_on(proxy, own);
        store.tell(from("a"), &connections(20), own);
        let about = format!("{proxy:?}, {silence} s");
        assert_eq!(opened(&store, now), [2.0], "{about}");
        let course =
            series(&store, "mesh", &Query { at: step_of(now), ..query(GraphType::Service) });
        let opened = &course.outbound["tcp.opened"];
        let unknown = opened.iter().take_while(|rate| rate.is_none()).count();
        assert_eq!(opened.len() - unknown, known, "{about}: {opened:?}");
    }
}

#[test]
fn a_stream_from_before_the_clock_was_set_back_is_known_after_it() {
    let mut store = Store::new(1 << 20, START + 3600);
    let span = store.begin(5_000, true);
    store.advance(START);
    let span = store.goes_on(Some(1), span.later());
    store.tell(from("a"), &connections(10), span);
    assert_eq!(opened(&store, START), [2.0]);
}
