//! Ranges, an hour, and a budget.

use std::collections::BTreeMap;

use envoy_types::pb::io::prometheus::client::LabelPair;
use lateen_telemetry::labels::Reporter;
use proptest::prelude::*;

use super::{CHUNK, KEPT, KEYS, STEP, Store, step_of};
use crate::key::tests::tcp;
use crate::key::{Key, Party, Service};
use crate::point::Point;
use crate::point::tests::points;
use crate::texts::Texts;

const START: u64 = 1_800_000_000;

fn key(name: &str) -> Key {
    let source = Party { workload: name.into(), ..Party::default() };
    tcp(source, Service::default(), Party::default())
}

fn opened(count: u64) -> Point {
    Point { opened: count, ..Point::default() }
}

/// The same if they have ended.
fn ended(count: u64) -> Point {
    Point { closed: count, ..opened(count) }
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
        |key, _| (&*key.source.workload == "a").then_some(()),
        |_, (), step, point| {
            steps.push((step - first, point.opened));
        },
    );
    assert_eq!(steps, [(0, 3), (1, 4), (140, 24)]);
}

#[test]
fn reports_that_were_held_up_are_of_the_steps_that_they_were_made_in() {
    let mut store = Store::new(1 << 20, START);
    let first = step_of(START);
    let span = store.begin(0, true).later();
    let mut tell = |at: u64, name: &str, ago: u32| {
        store.advance(START + at * STEP);
        store.tell(key(name), &ended(10), span.made(ago)).unwrap();
        let (mut a, mut b) = (Vec::new(), Vec::new());
        store.points(
            0,
            u32::MAX,
            |key, _| Some(&*key.source.workload == "a"),
            |_, is_a, step, point| {
                let steps = if *is_a { &mut a } else { &mut b };
                steps.push((step - first, point.opened));
            },
        );
        (a, b)
    };
    tell(0, "a", 0);
    tell(5, "b", 0);
    // Nobody looked for four steps; then all of them come.
    for ago in [4, 3, 2, 1] {
        tell(5, "a", ago);
    }
    let (a, _) = tell(5, "a", 0);
    assert_eq!(a, [0, 1, 2, 3, 4, 5].map(|step| (step, 10)));
    // Another stream of the same key has told of later steps.
    let (_, b) = tell(5, "b", 2);
    assert_eq!(b, [(3, 10), (5, 10)]);
    let (a, _) = tell(6, "a", 3);
    assert_eq!(a[3..], [(3, 20), (4, 10), (5, 10)]);
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
    store.add(START, key("old"), &ended(1));
    for minute in 0..66 {
        store.add(START + minute * 60, key("a"), &ended(1));
    }
    let (oldest, now) = store.range();
    assert_eq!(now - oldest, KEPT);
    assert_eq!(total(&store, "a", oldest + 1, now), 60);
    assert_eq!(store.fill().edges, 1, "the old one is gone");
    store.advance(START + 3 * 3600);
    store.advance(START + 4 * 3600);
    assert_eq!((store.fill().edges, store.fill().bytes), (0, 0));
}

/// So many connections of a key began, or ended.
fn net(store: &mut Store, seconds: u64, key: &Key, [opened, closed]: [u64; 2]) {
    store.add(seconds, key.clone(), &Point { opened, closed, ..Point::default() });
}

fn open(store: &Store) -> i64 {
    store.sums(0, u32::MAX).map(|(_, sum)| sum.open).sum()
}

#[test]
fn connections_that_are_quiet_for_hours_are_open_until_they_end() {
    let mut store = Store::new(1 << 20, START);
    net(&mut store, START, &key("a"), [100, 0]);
    for hours in 2..5 {
        store.advance(START + hours * 3600);
        assert_eq!((store.fill().edges, open(&store)), (1, 100), "after {hours} hours");
    }
    assert_eq!(decoded(&store, 0, u32::MAX), Point::default(), "what it carried is forgotten");
    store.add(START + 5 * 3600, key("a"), &Point { sent: 1, ..Point::default() });
    net(&mut store, START + 6 * 3600, &key("a"), [0, 100]);
    assert_eq!(open(&store), 0);
    store.advance(START + 8 * 3600);
    store.advance(START + 9 * 3600);
    assert_eq!((store.fill().edges, store.fill().bytes), (0, 0));
}

#[test]
fn connections_that_ended_under_another_key_do_not_come_back_when_that_is_forgotten() {
    for is_busy in [true, false] {
        let mut store = Store::new(1 << 20, START);
        let (mutual, reset) =
            (Key { mutual_tls: true, ..key("a") }, Key { flags: "UR".into(), ..key("a") });
        net(&mut store, START, &key("a"), [60, 0]);
        net(&mut store, START, &mutual, [40, 0]);
        net(&mut store, START, &reset, [0, 90]);
        for minutes in (0..240).step_by(5) {
            let point = Point { sent: u64::from(is_busy), ..Point::default() };
            store.add(START + minutes * 60, key("a"), &point);
            assert_eq!(open(&store), 10, "after {minutes} minutes, busy: {is_busy}");
        }
        assert!(store.keys().all(|key| key.flags.is_empty()), "it is forgotten");
        net(&mut store, START + 4 * 3600, &reset, [0, 10]);
        for hours in 5..10 {
            store.advance(START + hours * 3600);
            assert_eq!(open(&store), 0);
        }
        assert_eq!(store.fill().edges, 0);
    }
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
    assert!(now - oldest < KEPT && now - oldest >= CHUNK, "{oldest} to {now}");
    assert_eq!(total(&store, "e7", now - CHUNK + 2, now), 1000 * u64::from(CHUNK - 1));
}

#[test]
fn keys_without_room_are_counted() {
    let mut store = Store::new(1 << 30, START);
    for edge in 0..KEYS + 7 {
        store.add(START, key(&format!("e{edge}")), &opened(1));
    }
    let fill = store.fill();
    assert_eq!((fill.edges, fill.dropped, fill.lately), (KEYS, 7, 7));
    store.advance(START + 300);
    assert_eq!((store.fill().dropped, store.fill().lately), (7, 0), "that is over");
}

/// The labels of a series of the standard metrics between a client and a workload that is there for a moment.
fn labels(reporter: &str, flags: &str, workload: u32) -> Vec<LabelPair> {
    let pair =
        |(name, value): (&str, String)| LabelPair { name: Some(name.into()), value: Some(value) };
    let all = [
        ("reporter", reporter.to_owned()),
        ("request_protocol", "tcp".to_owned()),
        ("source_workload", "client".to_owned()),
        ("destination_workload", format!("job-{workload}")),
        ("destination_principal", format!("spiffe://cluster.local/ns/jobs/sa/job-{workload}")),
        ("destination_service", format!("job-{workload}.jobs.svc.cluster.local")),
        ("response_flags", flags.to_owned()),
    ];
    all.into_iter().map(pair).collect()
}

#[test]
fn ten_thousand_short_lived_workloads_in_an_hour_are_bounded_and_leave_nothing_behind() {
    const WORKLOADS: u32 = 10_000;
    let limit = 32 << 20;
    let mut store = Store::new(limit, START);
    let at = |workload: u32| START + u64::from(workload) * 3600 / u64::from(WORKLOADS);
    for workload in 0..WORKLOADS {
        for (reporter, flags) in [
            ("source", "-"),
            ("source", "UC"),
            ("source", "UF,URX"),
            ("destination", "-"),
            ("destination", "DC"),
        ] {
            let labels = labels(reporter, flags, workload);
            let key = Key::of(&labels, &mut Texts::default()).unwrap();
            store.add(at(workload), key, &ended(1));
        }
        let fill = store.fill();
        assert!(fill.bytes <= limit + limit / 4 && fill.edges <= KEYS, "{fill:?}");
    }
    let (fill, (oldest, now)) = (store.fill(), store.range());
    assert!(fill.is_short && fill.dropped == 0, "the oldest make room for the newest: {fill:?}");
    assert!(now - oldest >= CHUNK, "{oldest} to {now}");
    let newest = store.sums(now - 1, now).filter(|(_, sum)| sum.points.opened > 0).count();
    assert!(newest > 0, "the present is whole");
    assert!(store.texts.count() <= 3 * fill.edges / 5 + 10, "{} texts", store.texts.count());

    store.advance(START + 3 * 3600);
    let fill = store.fill();
    assert_eq!((fill.edges, fill.bytes, fill.is_short), (0, 0, false));
    assert_eq!(store.texts.count(), 0, "no name outlives the last that has it");
}

#[test]
fn ways_are_told_apart_by_their_numbers_whatever_has_been_forgotten() {
    let mut store = Store::new(1 << 20, START);
    let to = |name: &str, to: &str| Key {
        destination: Party { workload: to.into(), ..Party::default() },
        ..key(name)
    };
    store.add(START, to("old", "b"), &ended(1));
    store.add(START + 300, to("a", "b"), &ended(1));
    store.add(START + 305, Key { reporter: Reporter::Destination, ..to("a", "b") }, &ended(1));
    store.add(START + 310, to("b", "a"), &ended(1));
    let before = store.fill();
    store.advance(START + 3900);
    let after = store.fill();
    assert_eq!((before.edges, after.edges), (4, 3));
    assert!(after.bytes < before.bytes, "{before:?} {after:?}");
    let mut routes: Vec<_> = store.sums(0, u32::MAX).map(|(key, sum)| (key, sum.route)).collect();
    routes.sort_by(|(a, _), (b, _)| a.source.cmp(&b.source));
    let [(_, one), (_, other), (_, back)] = routes[..] else { panic!("{routes:?}") };
    assert_eq!(one, other);
    assert_eq!((back.source, back.destination), (one.destination, one.source));
    assert_ne!(one.source, one.destination);
}

/// What was added in the steps from `first` to `last`.
fn expected(added: &[(u32, Point)], first: u32, last: u32) -> Point {
    let mut total = Point::default();
    let asked = added.iter().filter(|(step, _)| (first..=last).contains(step));
    asked.for_each(|(_, point)| total.add(point));
    total
}

/// What the store's points of these steps come to.
fn decoded(store: &Store, first: u32, last: u32) -> Point {
    let mut decoded = Point::default();
    let take = |_: &Key, (): &(), _, point: &Point| decoded.add(point);
    store.points(first, last, |_, _| Some(()), take);
    decoded
}

proptest! {
    #[test]
    fn sums_are_what_the_points_add_up_to(
        all in prop::collection::vec((0u64..40, points()), 1..60),
        from in 0u32..KEPT,
        length in 1u32..KEPT,
    ) {
        let mut store = Store::new(1 << 24, START);
        let (mut seconds, mut added) = (START, Vec::new());
        for (gap, point) in all {
            seconds += gap * STEP;
            store.add(seconds, key("a"), &point);
            added.push((step_of(seconds), point));
        }
        let (oldest, _) = store.range();
        let (first, last) = (oldest + from, oldest + from + length - 1);
        for (first, last) in [(first, last), (oldest, last), (oldest, u32::MAX), (first, u32::MAX)] {
            let expected = expected(&added, first, last);
            prop_assert_eq!(&decoded(&store, first, last), &expected);
            let summed = store.sums(first, last).next().map(|(_, sum)| sum.points);
            prop_assert_eq!(summed, Some(expected));
        }
    }
}

proptest! {
    #[test]
    fn what_is_spread_is_found_in_the_steps_that_it_is_of(
        all in prop::collection::vec((0u64..40, 0u64..40_000, points()), 1..40),
        from in 0u32..KEPT,
        length in 1u32..KEPT,
    ) {
        let mut store = Store::new(1 << 24, START - 3600);
        let (mut seconds, mut added) = (START, Vec::new());
        for (gap, covered, point) in all {
            seconds += gap * STEP;
            store.advance(seconds);
            let (span, now) = (store.begin(covered, false), store.range().1);
            store.tell(key("a"), &point, span);
            let over = span.over.max(1);
            for ago in 0..over.min(30_000).div_ceil(5000) {
                let end = over - ago * 5000;
                let time = end.saturating_sub(5000)..end;
                added.push((now - ago as u32, point.part(time, over)));
            }
        }
        let (oldest, _) = store.range();
        let bytes: usize = store.lines.values().map(|line| line.cost() + super::KEY_BYTES).sum();
        prop_assert_eq!(store.bytes, bytes);
        let (first, last) = (oldest + from, oldest + from + length - 1);
        for (first, last) in [(first, last), (oldest, u32::MAX)] {
            let expected = expected(&added, first, last);
            prop_assert_eq!(&decoded(&store, first, last), &expected);
            prop_assert_eq!(store.lines[&key("a")].sum(first, last), expected);
        }
    }
}

proptest! {
    #[test]
    fn what_scrapes_tell_is_found_in_its_steps(
        all in prop::collection::vec((0u64..40, prop::collection::btree_map(0u32..90, points(), 0..5)), 1..40),
        from in 0u32..KEPT,
        length in 1u32..KEPT,
    ) {
        let mut store = Store::of_scrapes(1 << 24, START - 3600);
        let (mut seconds, mut added) = (START, Vec::new());
        for (gap, told) in all {
            seconds += gap * STEP;
            store.advance(seconds);
            let now = store.range().1;
            let told: BTreeMap<u32, Point> = told.into_iter().map(|(ago, point)| (now - ago, point)).collect();
            added.extend(told.clone());
            store.put(key("a"), told);
        }
        let (oldest, _) = store.range();
        let bytes: usize = store.lines.values().map(|line| line.cost() + super::KEY_BYTES).sum();
        prop_assert_eq!(store.bytes, bytes);
        let (first, last) = (oldest + from, oldest + from + length - 1);
        for (first, last) in [(first, last), (oldest, u32::MAX)] {
            prop_assert_eq!(&decoded(&store, first, last), &expected(&added, first, last));
            prop_assert_eq!(store.lines[&key("a")].sum(first, last), expected(&added, first, last));
        }
    }
}

#[test]
fn texts_count_and_go_with_their_keys() {
    let mut store = Store::new(1 << 20, START);
    let long = "x".repeat(4000);
    for edge in 0..10_000 {
        store.add(START, key(&format!("{edge}{long}")), &ended(1));
    }
    let fill = store.fill();
    assert!(fill.bytes <= (1 << 20) + 8000, "{fill:?}");
    assert_eq!(fill.edges as u64 + fill.dropped, 10_000);
    assert!((200..300).contains(&fill.edges), "{fill:?}");
    // There is room again when they are old.
    store.advance(START + 600);
    store.add(START + 600, key("new"), &ended(1));
    let fill = store.fill();
    assert_eq!((fill.edges, total(&store, "new", 0, u32::MAX)), (1, 1));
    assert!(fill.bytes < 2000, "{fill:?}");
}

#[test]
fn the_step_that_is_not_over_counts_as_well() {
    let mut store = Store::new(1 << 20, START);
    let mut point = ended(1);
    point.latency.buckets = (0..280).map(|index| (index, 1)).collect();
    for edge in 0..1000 {
        store.add(START, key(&format!("e{edge}")), &point);
    }
    let fill = store.fill();
    assert!(fill.bytes <= (1 << 20) + 10_000 && fill.edges < 250, "{fill:?}");
    store.add(START + STEP, key("e0"), &point);
    store.advance(START + 7200);
    store.advance(START + 2 * 7200);
    assert_eq!(store.fill().bytes, 0);
}

#[test]
fn a_clock_that_was_ahead_leaves_nothing_in_the_future() {
    let mut store = Store::new(1 << 20, START);
    for step in 0..100 {
        store.add(START + step * STEP, key("a"), &opened(1));
    }
    store.stand(key("a"), 7);
    let now = step_of(START + 99 * STEP);
    store.add(START + 400 * STEP, key("a"), &opened(1000));
    store.add(START + 400 * STEP, key("b"), &ended(1));
    store.add(START + 99 * STEP, key("a"), &opened(1));
    assert_eq!(store.range().1, now);
    assert_eq!(total(&store, "a", 0, u32::MAX), 101);
    assert_eq!(total(&store, "a", now, now), 2);
    let open = store.sums(0, now).map(|(_, sum)| sum.open).sum::<i64>();
    assert_eq!(
        (store.fill().edges, open),
        (1, 1108),
        "connections are open whatever the clock says"
    );
    net(&mut store, START + 100 * STEP, &key("a"), [0, 1108]);
    store.advance(START + 7200);
    store.advance(START + 2 * 7200);
    assert_eq!((store.fill().edges, store.fill().bytes), (0, 0));
}
