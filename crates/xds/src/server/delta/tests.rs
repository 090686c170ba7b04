//! The delta state machine, scripted: no sockets, no time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use envoy_types::pb::envoy::service::discovery::v3 as discovery;
use envoy_types::pb::google::rpc::Status;
use lateen_api::xds::ResourceType::{self, Cluster, Endpoint, Listener, Route};
use proptest::prelude::*;
use prost::Message as _;

use super::super::testing::Script;
use super::super::{Event, Limits, Machine, Phase, Resource, View, Violation, Want};
use super::{Delta, discovery::DeltaDiscoveryResponse as Answer};

fn request(kind: ResourceType) -> discovery::DeltaDiscoveryRequest {
    discovery::DeltaDiscoveryRequest { type_url: kind.type_url().to_owned(), ..Default::default() }
}

fn subscribe(kind: ResourceType, names: &[&str]) -> discovery::DeltaDiscoveryRequest {
    discovery::DeltaDiscoveryRequest {
        resource_names_subscribe: names.iter().map(|name| (*name).to_owned()).collect(),
        ..request(kind)
    }
}

fn unsubscribe(kind: ResourceType, names: &[&str]) -> discovery::DeltaDiscoveryRequest {
    discovery::DeltaDiscoveryRequest {
        resource_names_unsubscribe: names.iter().map(|name| (*name).to_owned()).collect(),
        ..request(kind)
    }
}

fn ack(answer: &Answer) -> discovery::DeltaDiscoveryRequest {
    discovery::DeltaDiscoveryRequest {
        type_url: answer.type_url.clone(),
        response_nonce: answer.nonce.clone(),
        ..Default::default()
    }
}

fn nack(answer: &Answer, message: &str) -> discovery::DeltaDiscoveryRequest {
    discovery::DeltaDiscoveryRequest {
        error_detail: Some(Status { code: 13, message: message.to_owned(), details: Vec::new() }),
        ..ack(answer)
    }
}

/// A stream and what it answers with.
struct Stream(Delta);

impl Stream {
    fn new() -> Self {
        Self(Delta::new(Limits::default()))
    }

    /// A request that changes a subscription, and its answer.
    fn ask(&mut self, view: &Script, request: discovery::DeltaDiscoveryRequest) -> Option<Answer> {
        let kind = ResourceType::from_type_url(&request.type_url).unwrap();
        let events = self.0.request(request).unwrap();
        assert_eq!(events, [Event::Changed(kind)]);
        self.answer(view, kind)
    }

    fn answer(&mut self, view: &Script, kind: ResourceType) -> Option<Answer> {
        self.0.answer(kind, view, Phase::Whole).map(|(answer, delivery)| {
            assert_eq!(delivery.bytes, answer.encoded_len());
            answer
        })
    }

    /// What a push sends: type, names, removed names.
    fn push(&mut self, view: &Script) -> Vec<(ResourceType, Vec<String>, Vec<String>)> {
        let responses = self.0.push(view);
        responses.into_iter().map(|(kind, _, sent)| (kind, sent.names, sent.removed)).collect()
    }
}

fn names(answer: &Answer) -> Vec<&str> {
    answer.resources.iter().map(|resource| resource.name.as_str()).collect()
}

#[test]
fn a_subscription_without_names_means_all_listeners() {
    let mut view = Script::default();
    view.put(Listener, "a", "1").put(Listener, "b", "1").put(Listener, "hidden", "1");
    let answer = Stream::new().ask(&view, request(Listener)).unwrap();
    assert_eq!(names(&answer), ["a", "b"]);
    assert_eq!(answer.type_url, Listener.type_url());
    assert!(!answer.nonce.is_empty() && answer.removed_resources.is_empty());
}

#[test]
fn a_subscription_without_names_to_routes_means_none() {
    let mut view = Script::default();
    view.put(Route, "a", "1");
    let mut stream = Stream::new();
    assert_eq!(stream.0.request(request(Route)), Ok(vec![]));
    assert_eq!(stream.answer(&view, Route), None);
}

#[test]
fn the_first_wildcard_request_is_answered_even_if_there_is_nothing() {
    let answer = Stream::new().ask(&Script::default(), request(Listener)).unwrap();
    assert!(answer.resources.is_empty() && answer.removed_resources.is_empty());
}

#[test]
fn a_name_that_does_not_exist_is_answered_as_removed_once_and_sent_when_it_appears() {
    let mut view = Script::default();
    let mut stream = Stream::new();
    let answer = stream.ask(&view, subscribe(Listener, &["10.0.0.1_80"])).unwrap();
    assert_eq!(answer.removed_resources, ["10.0.0.1_80"]);
    assert_eq!(stream.push(&view), []);
    view.put(Listener, "10.0.0.1_80", "1");
    assert_eq!(stream.push(&view), [(Listener, vec!["10.0.0.1_80".to_owned()], vec![])]);
}

#[test]
fn nothing_is_sent_when_nothing_changed_and_only_the_change_when_something_did() {
    let mut view = Script::default();
    view.put(Listener, "a", "1").put(Listener, "b", "1");
    let mut stream = Stream::new();
    let answer = stream.ask(&view, request(Listener)).unwrap();
    stream.0.request(ack(&answer)).unwrap();
    view.put(Listener, "a", "1");
    assert_eq!(stream.push(&view), []);
    view.put(Listener, "b", "2").remove(Listener, "a");
    let expected = (Listener, vec!["b".to_owned()], vec!["a".to_owned()]);
    assert_eq!(stream.push(&view), [expected]);
    assert_eq!(stream.push(&view), []);
}

#[test]
fn a_nonce_is_accepted_once_and_a_foreign_one_never() {
    let mut view = Script::default();
    view.put(Listener, "a", "1");
    let mut stream = Stream::new();
    let answer = stream.ask(&view, request(Listener)).unwrap();
    let events = stream.0.request(ack(&answer)).unwrap();
    let [Event::Accepted { kind: Listener, delivery }] = events.as_slice() else {
        panic!("{events:?}");
    };
    assert_eq!(delivery.names, ["a"]);
    assert_eq!(delivery.view, view.version);
    let stale = Event::Stale { kind: Listener, nonce: answer.nonce.clone() };
    assert_eq!(stream.0.request(ack(&answer)), Ok(vec![stale]));
}

#[test]
fn a_stale_nonce_does_not_lose_the_names_that_come_with_it() {
    let mut view = Script::default();
    view.put(Endpoint, "a", "1").put(Endpoint, "b", "1");
    let mut stream = Stream::new();
    stream.ask(&view, subscribe(Endpoint, &["a"])).unwrap();
    let mut request = subscribe(Endpoint, &["b"]);
    request.response_nonce = "from another stream".to_owned();
    let events = stream.0.request(request).unwrap();
    assert_eq!(events.last(), Some(&Event::Changed(Endpoint)));
    assert_eq!(names(&stream.answer(&view, Endpoint).unwrap()), ["b"]);
}

#[test]
fn a_refused_resource_is_not_sent_again_until_it_changes_or_a_retry_is_asked_for() {
    let mut view = Script::default();
    view.put(Listener, "a_1", "1").put(Listener, "b_2", "1");
    let mut stream = Stream::new();
    let answer = stream.ask(&view, request(Listener)).unwrap();
    let events = stream.0.request(nack(&answer, "a_1: address already in use")).unwrap();
    let [Event::Rejected { blamed, message, .. }] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(
        (blamed.as_slice(), message.as_str()),
        (&["a_1".to_owned()][..], "a_1: address already in use")
    );
    assert_eq!(stream.push(&view), []);
    stream.0.retry(Listener);
    let answer = stream.answer(&view, Listener).unwrap();
    assert_eq!(names(&answer), ["a_1"]);
    stream.0.request(ack(&answer)).unwrap();
    stream.0.retry(Listener);
    assert_eq!(stream.answer(&view, Listener), None);
}

#[test]
fn a_refused_resource_that_goes_is_taken_back() {
    let mut view = Script::default();
    view.put(Listener, "a", "1");
    let mut stream = Stream::new();
    let answer = stream.ask(&view, request(Listener)).unwrap();
    stream.0.request(nack(&answer, "a")).unwrap();
    stream.0.retry(Listener);
    view.remove(Listener, "a");
    assert_eq!(stream.push(&view), [(Listener, vec![], vec!["a".to_owned()])]);
}

#[test]
fn a_refused_resource_that_is_not_asked_for_any_more_is_dropped() {
    let mut view = Script::default();
    view.put(Route, "a", "1").put(Route, "b", "1");
    let mut stream = Stream::new();
    let answer = stream.ask(&view, subscribe(Route, &["a", "b"])).unwrap();
    stream.0.request(nack(&answer, "a and b are wrong")).unwrap();
    let dropped = |name: &str| Event::Dropped { kind: Route, names: vec![name.to_owned()] };
    assert_eq!(stream.0.request(unsubscribe(Route, &["a"])).unwrap(), [dropped("a")]);
    assert_eq!(stream.0.request(unsubscribe(Route, &["a"])).unwrap(), []);
    // The refusal may come when nobody asks any more for what was sent.
    let answer = stream.ask(&view, subscribe(Route, &["a"])).unwrap();
    assert_eq!(stream.0.request(unsubscribe(Route, &["a"])).unwrap(), []);
    let events = stream.0.request(nack(&answer, "a is wrong")).unwrap();
    assert!(
        matches!(&events[..], [Event::Rejected { .. }, gone] if *gone == dropped("a")),
        "{events:?}"
    );
}

#[test]
fn a_reconnected_peer_is_sent_only_what_it_lacks() {
    let mut view = Script::default();
    view.put(Listener, "same", "1").put(Listener, "changed", "1").put(Listener, "gone", "1");
    let before = Stream::new().ask(&view, request(Listener)).unwrap();
    let kept: std::collections::HashMap<String, String> =
        before.resources.iter().map(|r| (r.name.clone(), r.version.clone())).collect();
    let again =
        discovery::DeltaDiscoveryRequest { initial_resource_versions: kept, ..request(Listener) };
    let mut stream = Stream::new();
    assert_eq!(stream.ask(&view, again.clone()), None);

    view.put(Listener, "changed", "2").remove(Listener, "gone").put(Listener, "new", "1");
    let answer = Stream::new().ask(&view, again).unwrap();
    assert_eq!(names(&answer), ["changed", "new"]);
    assert_eq!(answer.removed_resources, ["gone"]);
}

#[test]
fn names_with_initial_versions_are_compared_and_foreign_versions_are_renewed() {
    let mut view = Script::default();
    view.put(Endpoint, "a", "1").put(Endpoint, "b", "1");
    let before = Stream::new().ask(&view, subscribe(Endpoint, &["a"])).unwrap();
    let mut again = subscribe(Endpoint, &["a", "b", "c"]);
    again.initial_resource_versions = [
        ("a".to_owned(), before.resources[0].version.clone()),
        ("b".to_owned(), "another server's".to_owned()),
        ("c".to_owned(), "another server's".to_owned()),
    ]
    .into();
    let answer = Stream::new().ask(&view, again).unwrap();
    assert_eq!(names(&answer), ["b"]);
    assert_eq!(answer.removed_resources, ["c"]);
}

#[test]
fn a_name_asked_for_again_is_sent_again() {
    let mut view = Script::default();
    view.put(Endpoint, "a", "1");
    let mut stream = Stream::new();
    stream.ask(&view, subscribe(Endpoint, &["a"])).unwrap();
    assert_eq!(names(&stream.ask(&view, subscribe(Endpoint, &["a"])).unwrap()), ["a"]);
}

/// Counts the resources that are looked at.
struct Counted<'a>(&'a Script, AtomicUsize);

impl View for Counted<'_> {
    fn version(&self) -> u64 {
        self.0.version()
    }

    fn resources(&self, kind: ResourceType, want: Want<'_>) -> Vec<Resource> {
        let resources = self.0.resources(kind, want);
        self.1.fetch_add(resources.len(), Relaxed);
        resources
    }
}

#[test]
fn one_more_name_costs_one_name_until_the_view_changes() {
    let mut view = Script::default();
    let many: Vec<String> = (0..100).map(|number| format!("e{number}")).collect();
    for name in &many {
        view.put(Endpoint, name, "1");
    }
    let mut stream = Delta::new(Limits::default());
    let mut looked_at = |view: &Script, names: &[&str]| {
        stream.request(subscribe(Endpoint, names)).unwrap();
        let counted = Counted(view, AtomicUsize::new(0));
        let sent = stream.answer(Endpoint, &counted, Phase::Whole).unwrap().1;
        (counted.1.into_inner(), sent.names.len() + sent.removed.len())
    };
    let most: Vec<&str> = many[1..].iter().map(String::as_str).collect();
    assert_eq!(looked_at(&view, &most), (99, 99));
    assert_eq!(looked_at(&view, &["e0"]), (1, 1));
    assert_eq!(looked_at(&view, &["missing"]), (0, 1));
    view.put(Endpoint, "e7", "2");
    assert_eq!(looked_at(&view, &["e0"]), (100, 2));
}

/// What happens to a stream and to the configuration behind it.
#[derive(Clone, Debug)]
enum Step {
    Subscribe(&'static str),
    Unsubscribe(&'static str),
    Put(&'static str, &'static str),
    Remove(&'static str),
    Push,
}

fn step() -> impl Strategy<Value = Step> {
    let name = || prop_oneof![Just("a"), Just("b"), Just("hidden"), Just("missing")];
    let asked = || prop_oneof![4 => name(), 1 => Just("*")];
    prop_oneof![
        asked().prop_map(Step::Subscribe),
        asked().prop_map(Step::Unsubscribe),
        (name(), prop_oneof![Just("1"), Just("2")])
            .prop_filter("missing", |(name, _)| *name != "missing")
            .prop_map(|(name, content)| Step::Put(name, content)),
        name().prop_map(Step::Remove),
        Just(Step::Push),
    ]
}

/// What a peer has after it has taken the answers in.
fn take(peer: &mut BTreeMap<String, Vec<u8>>, answer: &Answer) {
    for resource in &answer.resources {
        peer.insert(resource.name.clone(), resource.resource.clone().unwrap().value);
    }
    for name in &answer.removed_resources {
        peer.remove(name);
    }
}

proptest! {
    #[test]
    fn a_peer_has_what_it_asked_for_after_every_push(steps in prop::collection::vec(step(), 0..40)) {
        let (mut view, mut stream, mut peer) = (Script::default(), Stream::new(), BTreeMap::new());
        let (mut wanted, mut wildcard) = (BTreeSet::new(), false);
        for step in steps.into_iter().chain([Step::Push]) {
            let request = match step {
                Step::Put(name, content) => {
                    view.put(Endpoint, name, content);
                    continue;
                }
                Step::Remove(name) => {
                    view.remove(Endpoint, name);
                    continue;
                }
                Step::Push => {
                    for (_, answer, _) in stream.0.push(&view) {
                        take(&mut peer, &answer);
                    }
                    let want = if wildcard { Want::All } else { Want::Names(&wanted) };
                    let mut have = view.resources(Endpoint, want);
                    have.extend(view.resources(Endpoint, Want::Names(&wanted)));
                    let have = have.into_iter().map(|r| (r.name, r.body.value)).collect();
                    prop_assert_eq!(&peer, &have);
                    continue;
                }
                Step::Subscribe(name) => {
                    wildcard |= name == "*";
                    if name != "*" {
                        wanted.insert(name.to_owned());
                    }
                    subscribe(Endpoint, &[name])
                }
                Step::Unsubscribe(name) => {
                    wildcard &= name != "*";
                    wanted.remove(name);
                    unsubscribe(Endpoint, &[name])
                }
            };
            // What a peer lets go of, it drops itself.
            if !stream.0.request(request).unwrap().is_empty()
                && let Some(answer) = stream.answer(&view, Endpoint)
            {
                take(&mut peer, &answer);
            }
            if !wildcard {
                peer.retain(|name, _| wanted.contains(name));
            }
        }
    }
}

#[test]
fn wildcard_and_names_together_give_everything_and_the_named() {
    let mut view = Script::default();
    view.put(Cluster, "a", "1").put(Cluster, "hidden", "1");
    let mut stream = Stream::new();
    let answer = stream.ask(&view, subscribe(Cluster, &["*", "hidden", "missing"])).unwrap();
    assert_eq!(names(&answer), ["a", "hidden"]);
    assert_eq!(answer.removed_resources, ["missing"]);
    let answer = stream.ask(&view, unsubscribe(Cluster, &["hidden"])).unwrap();
    assert!(answer.resources.is_empty());
    assert_eq!(answer.removed_resources, ["hidden"]);
}

#[test]
fn unsubscribing_from_everything_leaves_the_names() {
    let mut view = Script::default();
    view.put(Listener, "a", "1").put(Listener, "b", "1");
    let mut stream = Stream::new();
    stream.ask(&view, subscribe(Listener, &["*", "a"])).unwrap();
    assert_eq!(stream.0.request(unsubscribe(Listener, &["*"])), Ok(vec![]));
    view.put(Listener, "a", "2").put(Listener, "b", "2");
    assert_eq!(stream.push(&view), [(Listener, vec!["a".to_owned()], vec![])]);
}

#[test]
fn a_push_adds_along_the_references_and_takes_clusters_away_last() {
    let mut view = Script::default();
    view.put_eds_cluster("old", "1").put(Endpoint, "new", "1").put(Listener, "l", "1");
    view.put(Route, "r", "1");
    let mut stream = Stream::new();
    for kind in [Listener, Route, Endpoint, Cluster] {
        let names: &[&str] = match kind {
            Listener | Cluster => &[],
            _ => &["r", "new"],
        };
        let _ = stream.ask(&view, subscribe(kind, names));
    }
    view.put_eds_cluster("new", "1").remove(Cluster, "old").put(Endpoint, "new", "2");
    view.put(Listener, "l", "2").put(Route, "r", "2");
    let one = |name: &str| vec![name.to_owned()];
    let expected = [
        (Cluster, one("new"), vec![]),
        (Endpoint, one("new"), vec![]),
        (Listener, one("l"), vec![]),
        (Route, one("r"), vec![]),
        (Cluster, vec![], one("old")),
    ];
    assert_eq!(stream.push(&view), expected);
}

#[test]
fn a_changed_cluster_brings_its_unchanged_endpoints_along() {
    let mut view = Script::default();
    view.put_eds_cluster("a", "1").put_eds_cluster("b", "1");
    view.put(Endpoint, "a", "1").put(Endpoint, "b", "1");
    let mut stream = Stream::new();
    stream.ask(&view, request(Cluster)).unwrap();
    stream.ask(&view, subscribe(Endpoint, &["a", "b"])).unwrap();
    view.put_eds_cluster("a", "2");
    let one = |name: &str| vec![name.to_owned()];
    assert_eq!(stream.push(&view), [(Cluster, one("a"), vec![]), (Endpoint, one("a"), vec![])]);
}

#[test]
fn more_names_than_the_limit_end_the_stream() {
    let limits = Limits { names: 3, ..Limits::default() };
    let mut stream = Delta::new(limits);
    stream.request(subscribe(Endpoint, &["a", "b"])).unwrap();
    let refused = stream.request(subscribe(Route, &["a", "b"]));
    assert_eq!(refused, Err(Violation::TooManyNames { limit: 3 }));
}

#[test]
fn a_type_that_is_not_served_is_said_to_be_unknown() {
    let request =
        discovery::DeltaDiscoveryRequest { type_url: "x/y".to_owned(), ..Default::default() };
    let events = Delta::new(Limits::default()).request(request);
    assert_eq!(events, Ok(vec![Event::UnknownType("x/y".to_owned())]));
}
