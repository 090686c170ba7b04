//! The election without an API: what a replica would write, and until when it leads.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Candidate, Election, Times};

fn replica(identity: &str) -> Election {
    Election::new(Candidate {
        namespace: "istio-system".to_owned(),
        lease: "istio-leader".to_owned(),
        identity: identity.to_owned(),
        times: Times::default(),
    })
}

/// What the API makes of a write: the same with the next version.
fn stored(mut lease: Value, version: u32) -> Value {
    lease["metadata"]["resourceVersion"] = json!(version.to_string());
    lease
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn a_lease_that_is_not_there_is_taken_and_renewed_at_its_version() {
    let (mut one, start) = (replica("one"), Instant::now());
    let wanted = one.look(None, start).unwrap();
    assert_eq!(wanted["spec"]["holderIdentity"], "one");
    assert!(wanted["metadata"]["resourceVersion"].is_null());
    let lease = stored(wanted, 1);
    one.held(lease.clone(), start);
    assert!(one.is_leading(start + seconds(14)));
    let renewed = one.look(Some(lease.clone()), start + seconds(5)).unwrap();
    assert_eq!(renewed["metadata"]["resourceVersion"], "1");
    assert_eq!(renewed["spec"]["acquireTime"], lease["spec"]["acquireTime"]);
    assert_eq!(renewed["spec"]["leaseTransitions"], 0);
}

#[test]
fn a_leader_that_cannot_renew_stops_before_another_can_take_over() {
    let (mut one, mut two, start) = (replica("one"), replica("two"), Instant::now());
    let lease = stored(one.look(None, start).unwrap(), 1);
    one.held(lease.clone(), start);
    assert!(two.look(Some(lease.clone()), start).is_none());
    let taken_at = (1..60).map(|at| start + seconds(at));
    let taken_at = taken_at.into_iter().find(|at| two.look(Some(lease.clone()), *at).is_some());
    assert_eq!(taken_at, Some(start + seconds(30)));
    assert!(one.is_leading(start + seconds(14)) && !one.is_leading(start + seconds(15)));
}

#[test]
fn a_lease_that_is_renewed_is_not_taken_however_long_it_is_looked_at() {
    let (mut one, mut two, start) = (replica("one"), replica("two"), Instant::now());
    let mut lease = stored(one.look(None, start).unwrap(), 1);
    for round in 1..40_u32 {
        let now = start + seconds(5) * round;
        lease = stored(one.look(Some(lease.clone()), now).unwrap(), round + 1);
        assert!(two.look(Some(lease.clone()), now).is_none());
    }
}

#[test]
fn a_lease_given_back_is_taken_at_once_and_counted() {
    let (mut one, mut two, start) = (replica("one"), replica("two"), Instant::now());
    let lease = stored(one.look(None, start).unwrap(), 1);
    one.held(lease, start);
    let free = stored(one.release(), 2);
    assert_eq!(free["metadata"]["resourceVersion"], "2");
    let taken = two.look(Some(free), start).unwrap();
    assert_eq!(taken["spec"]["holderIdentity"], "two");
    assert_eq!(taken["spec"]["leaseTransitions"], 1);
}

#[test]
fn whoever_sees_another_holder_no_longer_leads() {
    let (mut one, start) = (replica("one"), Instant::now());
    let lease = stored(one.look(None, start).unwrap(), 1);
    one.held(lease.clone(), start);
    let mut stolen = stored(lease, 2);
    stolen["spec"]["holderIdentity"] = json!("two");
    assert!(one.look(Some(stolen), start + seconds(1)).is_none());
    assert!(!one.is_leading(start + seconds(1)));
}

#[test]
fn times_have_six_digits_after_the_second() {
    let time = super::micro_time();
    let (_, fraction) = time.split_once('.').unwrap();
    assert_eq!((fraction.len(), fraction.ends_with('Z')), (7, true), "{time}");
}
