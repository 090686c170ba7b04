//! Ranges, an hour, and a budget.

use lateen_telemetry::labels::Reporter;

use super::{CHUNK, KEPT, KEYS, STEP, Store, step_of};
use crate::key::{Key, Party, Protocol, Service};
use crate::point::Point;

const START: u64 = 1_800_000_000;

fn key(name: &str) -> Key {
    Key {
        reporter: Reporter::Source,
        source: Party { workload: name.into(), ..Party::default() },
        destination: Party::default(),
        service: Service::default(),
        protocol: Protocol::Tcp,
        mutual_tls: false,
        flags: "".into(),
        code: "".into(),
    }
}

fn opened(count: u64) -> Point {
    Point { opened: count, ..Point::default() }
}

fn total(store: &Store, name: &str, first: u32, last: u32) -> u64 {
    let mut found = store.sums(first, last).filter(|(key, _)| &*key.source.workload == name);
    found.next().map_or(0, |(_, sum)| sum.points.opened)
}

#[test]
fn the_points_of_a_step_are_one_and_ranges_are_exact() {
    let mut store = Store::new(1 << 20, START);
    let first = step_of(START);
    for (after, count) in [(0, 1), (1, 2), (5, 4), (700, 8), (701, 16)] {
        store.add(START + after, key("a"), &opened(count));
    }
    store.add(START + 701, key("b"), &opened(32));
    assert_eq!(total(&store, "a", first, first), 3);
    assert_eq!(total(&store, "a", first + 1, first + 139), 4);
    assert_eq!(total(&store, "a", first + 140, first + 140), 24);
    assert_eq!(total(&store, "a", first, first + 200), 31);
    assert_eq!(total(&store, "b", first, first + 200), 32);
    let mut steps = Vec::new();
    store.points(
        0,
        u32::MAX,
        |key| (&*key.source.workload == "a").then_some(()),
        |_, (), step, point| {
            steps.push((step - first, point.opened));
        },
    );
    assert_eq!(steps, [(0, 3), (1, 4), (140, 24)]);
}

#[test]
fn a_rate_does_not_fall_while_the_report_of_a_step_is_awaited() {
    let mut store = Store::new(1 << 20, START);
    let first = step_of(START);
    for step in 0..4 {
        store.add(START + step * STEP + 2, key("a"), &opened(10));
        assert_eq!(total(&store, "a", first + step as u32, first + step as u32), 10);
    }
    store.advance(START + 4 * STEP);
    assert_eq!(total(&store, "a", first + 3, first + 4), 20, "as before the step began");
    store.add(START + 4 * STEP + 2, key("a"), &opened(10));
    assert_eq!(total(&store, "a", first + 3, first + 4), 20);
    store.advance(START + 6 * STEP);
    assert_eq!(total(&store, "a", first + 5, first + 6), 10, "it has ended");
    assert_eq!(total(&store, "a", first + 6, first + 6), 0);
}

#[test]
fn what_was_open_at_a_time_is_not_what_is_open_now() {
    let mut store = Store::new(1 << 20, START);
    let first = step_of(START);
    let chunk = u64::from(CHUNK);
    for (step, open, close) in [(0, 3, 0), (1, 4, 1), (3, 0, 5), (chunk, 7, 0), (2 * chunk, 0, 4)] {
        let point = Point { opened: open, closed: close, ..Point::default() };
        store.add(START + step * STEP, key("a"), &point);
    }
    let open = |after: u32| store.sums(first, first + after).next().unwrap().1.open;
    assert_eq!([0, 1, 2, 3, CHUNK, CHUNK + 1, 2 * CHUNK].map(open), [3, 6, 6, 1, 8, 8, 4]);
}

#[test]
fn a_clock_that_goes_back_loses_nothing() {
    let mut store = Store::new(1 << 20, START);
    store.add(START + 100, key("a"), &opened(1));
    store.add(START, key("a"), &opened(2));
    let now = step_of(START + 100);
    assert_eq!(total(&store, "a", now, now), 3);
}

#[test]
fn what_is_older_than_an_hour_is_forgotten() {
    let mut store = Store::new(1 << 20, START);
    store.add(START, key("old"), &opened(1));
    for minute in 0..65 {
        store.add(START + minute * 60, key("a"), &opened(1));
    }
    let (oldest, now) = store.range();
    assert_eq!(now - oldest, KEPT - 1);
    assert_eq!(total(&store, "a", oldest, now), 60);
    assert_eq!(store.fill().edges, 1, "the old one is gone");
    store.advance(START + 3 * 3600);
    store.advance(START + 4 * 3600);
    assert_eq!((store.fill().edges, store.fill().bytes), (0, 0));
}

#[test]
fn a_full_store_forgets_the_oldest_first() {
    let limit = 400 << 10;
    let mut store = Store::new(limit, START);
    for step in 0..u64::from(KEPT) {
        for edge in 0..100 {
            let point = Point { sent: 1 << 40, received: 1 << 40, ..opened(1000) };
            store.add(START + step * STEP, key(&format!("e{edge}")), &point);
        }
    }
    let (oldest, now) = store.range();
    let fill = store.fill();
    assert!(fill.bytes <= limit + limit / 4, "{fill:?}");
    assert!(now - oldest < KEPT - 1 && now - oldest >= CHUNK, "{oldest} to {now}");
    assert_eq!(total(&store, "e7", now - CHUNK + 2, now), 1000 * u64::from(CHUNK - 1));
}

#[test]
fn keys_without_room_are_counted() {
    let mut store = Store::new(1 << 30, START);
    for edge in 0..KEYS + 7 {
        store.add(START, key(&format!("e{edge}")), &opened(1));
    }
    assert_eq!((store.fill().edges, store.fill().dropped), (KEYS, 7));
}
