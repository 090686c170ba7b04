//! Stages of pushes, by moments that the tests choose.

use std::time::{Duration, Instant};

use lateen_api::xds::ResourceType::{Cluster, Endpoint};
use lateen_xds::server::delivery::Delivery;

use super::{Course, Making, Pushes, Stage};

fn delivery(nonce: &str) -> Delivery {
    Delivery { nonce: nonce.to_owned(), view: 1, ..Delivery::default() }
}

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[test]
fn a_push_is_taken_apart_and_the_longest_stage_is_named() {
    let (pushes, mut course, zero) = (Pushes::default(), Course::default(), Instant::now());
    let making = Some(Making { debounce: ms(10), snapshot: ms(2) });
    course.begin(Some(ms(5)));
    course.translated(&pushes, Cluster, ms(3));
    course.translated(&pushes, Endpoint, ms(4));
    course.made(&pushes, (Cluster, &delivery("1")), true, zero + ms(7));
    course.made(&pushes, (Endpoint, &delivery("2")), true, zero + ms(7));
    course.sent(&pushes, &delivery("1"), zero + ms(8));
    course.sent(&pushes, &delivery("2"), zero + ms(1507));
    let first = course.answered(&pushes, &delivery("1"), making, zero + ms(38)).unwrap();
    assert_eq!((first.whole(), first.longest()), (ms(10 + 2 + 5 + 3 + 1 + 30), Stage::Acknowledge));
    let second = course.answered(&pushes, &delivery("2"), making, zero + ms(1508)).unwrap();
    assert_eq!((second.longest(), second.whole()), (Stage::Send, ms(10 + 2 + 5 + 4 + 1500 + 1)));
    assert!(second.text().ends_with("translate 4 ms, send 1500 ms, acknowledge 1 ms"));
    let times = pushes.times();
    let counts = Stage::ALL.map(|stage| times.of(stage).count);
    assert_eq!(
        counts,
        [0, 0, 1, 2, 2, 2],
        "the writer counts its own, and a queue is waited in once"
    );
    assert_eq!(times.by_type["EDS"].count, 1);
}

#[test]
fn what_a_proxy_asked_for_is_no_push() {
    let (pushes, mut course, now) = (Pushes::default(), Course::default(), Instant::now());
    course.begin(Some(ms(60_000)));
    course.made(&pushes, (Cluster, &delivery("1")), false, now);
    course.sent(&pushes, &delivery("1"), now);
    let making = Some(Making::default());
    assert_eq!(course.answered(&pushes, &delivery("1"), making, now), None);
    assert_eq!(pushes.times().of(Stage::Queue).count, 0);
    assert_eq!(course.answered(&pushes, &delivery("1"), making, now), None, "answered once");
}

#[test]
fn answers_that_never_come_are_forgotten() {
    let (pushes, mut course, now) = (Pushes::default(), Course::default(), Instant::now());
    for nonce in 0..1000 {
        course.made(&pushes, (Cluster, &delivery(&nonce.to_string())), true, now);
    }
    assert_eq!(course.legs.len(), super::LEGS);
}

#[test]
fn slow_pushes_are_told_now_and_then() {
    let (pushes, now) = (Pushes::default(), Instant::now());
    let slow = super::Stages([ms(0), ms(0), ms(0), ms(0), ms(2000), ms(0)]);
    let untold = || pushes.told.lock().unwrap().untold;
    pushes.arrived("a", Cluster, super::Stages::default(), now);
    assert!(pushes.told.lock().unwrap().last.is_none());
    pushes.arrived("a", Cluster, slow, now);
    pushes.arrived("b", Cluster, slow, now + ms(9000));
    assert_eq!(untold(), 1);
    pushes.arrived("c", Cluster, slow, now + ms(10_000));
    assert_eq!(untold(), 0);
}
