//! The queue of the status writer, and who may write.

use std::time::{Duration, Instant};

use lateen_api::kinds::by_kind;
use lateen_api::resource::Key;
use serde_json::json;
use tokio::sync::watch;

use super::{Queue, is};

fn key(name: &str) -> Key {
    let kind = by_kind("networking.istio.io", "Gateway").unwrap();
    Key { kind, namespace: "default".to_owned(), name: name.to_owned() }
}

#[test]
fn a_newer_patch_takes_the_place_of_the_older_one() {
    let mut queue = Queue::default();
    queue.put(key("a"), json!(1));
    queue.put(key("b"), json!(2));
    queue.put(key("a"), json!(3));
    assert_eq!(queue.pop(), Some((key("a"), json!(3))));
    assert_eq!(queue.pop(), Some((key("b"), json!(2))));
    assert_eq!(queue.pop(), None);
}

#[test]
fn a_patch_that_failed_gives_way_to_a_newer_one() {
    let mut queue = Queue::default();
    queue.put(key("a"), json!(1));
    let (taken, old) = queue.pop().unwrap();
    queue.put(key("a"), json!(2));
    queue.put_back(taken, old);
    assert_eq!(queue.pop(), Some((key("a"), json!(2))));
    assert_eq!(queue.pop(), None);
}

#[test]
fn many_objects_at_once_are_taken_in_a_moment_and_in_their_order() {
    let (mut queue, begun) = (Queue::default(), Instant::now());
    for index in 0..50_000 {
        queue.put(key(&format!("o{index}")), json!(index));
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    for index in 0..50_000 {
        assert_eq!(queue.pop(), Some((key(&format!("o{index}")), json!(index))));
    }
    assert_eq!(queue.pop(), None);
}

#[test]
fn a_forgotten_object_is_not_written() {
    let mut queue = Queue::default();
    queue.put(key("a"), json!(1));
    queue.forget(&key("a"));
    assert_eq!(queue.pop(), None);
    queue.put(key("a"), json!(2));
    assert_eq!(queue.pop(), Some((key("a"), json!(2))));
}

#[test]
fn what_was_broken_off_is_written_later_unless_it_is_no_longer_right() {
    let mut queue = Queue::default();
    queue.put(key("a"), json!(1));
    queue.pop();
    queue.resume();
    assert_eq!(queue.pop(), Some((key("a"), json!(1))));
    queue.put(key("a"), json!(2));
    queue.resume();
    assert_eq!(queue.pop(), Some((key("a"), json!(2))));
    queue.forget(&key("a"));
    queue.resume();
    assert_eq!(queue.pop(), None);
}

#[tokio::test(start_paused = true)]
async fn the_right_to_write_lasts_when_nobody_is_left_to_take_it() {
    let (_, mut may) = watch::channel(true);
    is(&mut may, true).await;
    let an_hour = Duration::from_secs(3600);
    assert!(tokio::time::timeout(an_hour, is(&mut may, false)).await.is_err());
}
