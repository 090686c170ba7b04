//! The state-of-the-world machine, scripted: no sockets, no time.

use envoy_types::pb::envoy::service::discovery::v3 as discovery;
use envoy_types::pb::google::rpc::Status;
use lateen_api::xds::ResourceType::{self, Cluster, Endpoint, Listener};
use prost::Message as _;

use super::super::testing::Script;
use super::super::{Event, Limits, Machine, Phase};
use super::{Delivery, Sotw, discovery::DiscoveryResponse as Answer};

fn request(kind: ResourceType, names: &[&str]) -> discovery::DiscoveryRequest {
    discovery::DiscoveryRequest {
        type_url: kind.type_url().to_owned(),
        resource_names: names.iter().map(|name| (*name).to_owned()).collect(),
        ..Default::default()
    }
}

fn ack(answer: &Answer, names: &[&str]) -> discovery::DiscoveryRequest {
    let kind = ResourceType::from_type_url(&answer.type_url).unwrap();
    discovery::DiscoveryRequest {
        version_info: answer.version_info.clone(),
        response_nonce: answer.nonce.clone(),
        ..request(kind, names)
    }
}

fn nack(answer: &Answer, message: &str) -> discovery::DiscoveryRequest {
    discovery::DiscoveryRequest {
        error_detail: Some(Status { code: 13, message: message.to_owned(), details: Vec::new() }),
        ..ack(answer, &[])
    }
}

struct Stream(Sotw);

impl Stream {
    fn new() -> Self {
        Self(Sotw::new(Limits::default()))
    }

    fn ask(&mut self, view: &Script, request: discovery::DiscoveryRequest) -> (Answer, Delivery) {
        let kind = ResourceType::from_type_url(&request.type_url).unwrap();
        let events = self.0.request(request).unwrap();
        assert_eq!(events.last(), Some(&Event::Changed(kind)), "{events:?}");
        let (answer, delivery) = self.0.answer(kind, view, Phase::Whole).unwrap();
        assert_eq!(delivery.bytes, answer.encoded_len());
        (answer, delivery)
    }

    fn push(&mut self, view: &Script) -> Vec<(ResourceType, Vec<String>)> {
        let responses = self.0.push(view);
        responses.into_iter().map(|(kind, _, delivery)| (kind, delivery.names)).collect()
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn every_listener_response_carries_the_full_set() {
    let mut view = Script::default();
    view.put(Listener, "a", "1").put(Listener, "b", "1");
    let mut stream = Stream::new();
    let (answer, delivery) = stream.ask(&view, request(Listener, &[]));
    assert_eq!(delivery.names, ["a", "b"]);
    let events = stream.0.request(ack(&answer, &[])).unwrap();
    assert!(matches!(events.as_slice(), [Event::Accepted { kind: Listener, .. }]), "{events:?}");
    assert_eq!(stream.push(&view), []);
    view.put(Listener, "b", "2");
    assert_eq!(stream.push(&view), [(Listener, owned(&["a", "b"]))]);
}

#[test]
fn names_that_are_left_out_are_dropped() {
    let mut view = Script::default();
    view.put(Endpoint, "a", "1").put(Endpoint, "b", "1");
    let mut stream = Stream::new();
    let (answer, _) = stream.ask(&view, request(Endpoint, &["a", "b"]));
    let refused = discovery::DiscoveryRequest {
        resource_names: owned(&["a"]),
        ..nack(&answer, "b is wrong")
    };
    let events = stream.0.request(refused).unwrap();
    let gone = Event::Dropped { kind: Endpoint, names: owned(&["b"]) };
    assert!(matches!(&events[..], [Event::Rejected { .. }, last] if *last == gone), "{events:?}");
}

#[test]
fn an_acknowledgement_with_more_names_is_answered_and_one_with_fewer_is_not() {
    let mut view = Script::default();
    view.put(Endpoint, "a", "1").put(Endpoint, "b", "1");
    let mut stream = Stream::new();
    let (answer, _) = stream.ask(&view, request(Endpoint, &["a"]));
    let (answer, delivery) = stream.ask(&view, ack(&answer, &["a", "b"]));
    assert_eq!(delivery.names, ["a", "b"]);
    let events = stream.0.request(ack(&answer, &["b"])).unwrap();
    let gone = Event::Dropped { kind: Endpoint, names: owned(&["a"]) };
    assert!(matches!(&events[..], [Event::Accepted { .. }, last] if *last == gone), "{events:?}");
}

#[test]
fn names_that_do_not_exist_still_get_an_answer() {
    let (answer, _) = Stream::new().ask(&Script::default(), request(Endpoint, &["missing"]));
    assert!(answer.resources.is_empty());
}

#[test]
fn a_request_with_an_older_nonce_is_ignored() {
    let mut view = Script::default();
    view.put(Endpoint, "a", "1").put(Endpoint, "b", "1");
    let mut stream = Stream::new();
    let (first, _) = stream.ask(&view, request(Endpoint, &["a"]));
    view.put(Endpoint, "a", "2");
    stream.push(&view);
    let events = stream.0.request(ack(&first, &["a", "b"])).unwrap();
    assert_eq!(events, [Event::Stale { kind: Endpoint, nonce: first.nonce }]);
    view.put(Endpoint, "b", "2");
    assert_eq!(stream.push(&view), [], "b was asked for under an older nonce only");
}

#[test]
fn a_refusal_is_reported_once_and_the_set_is_sent_again_only_on_retry() {
    let mut view = Script::default();
    view.put(Listener, "a_1", "1").put(Listener, "b_2", "1");
    let mut stream = Stream::new();
    let (answer, _) = stream.ask(&view, request(Listener, &[]));
    let events = stream.0.request(nack(&answer, "b_2: address already in use")).unwrap();
    let [Event::Rejected { blamed, .. }] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(blamed, &["b_2"]);
    assert_eq!(stream.0.request(nack(&answer, "b_2")), Ok(vec![]));
    assert_eq!(stream.push(&view), []);
    stream.0.retry(Listener);
    assert_eq!(stream.push(&view), [(Listener, owned(&["a_1", "b_2"]))]);
}

#[test]
fn the_first_request_of_a_new_stream_is_answered_whatever_nonce_it_carries() {
    let mut view = Script::default();
    view.put(Listener, "a", "1");
    let (answer, _) = Stream::new().ask(&view, request(Listener, &[]));
    let (again, _) = Stream::new().ask(&view, ack(&answer, &[]));
    assert_eq!(again.version_info, answer.version_info);
}

#[test]
fn a_cluster_that_goes_stays_until_its_listeners_have_been_replaced() {
    let mut view = Script::default();
    view.put_eds_cluster("old", "1").put(Listener, "l", "old").put(Endpoint, "new", "1");
    let mut stream = Stream::new();
    stream.ask(&view, request(Cluster, &[]));
    stream.ask(&view, request(Endpoint, &["old"]));
    stream.ask(&view, request(Listener, &[]));
    view.put_eds_cluster("new", "1").remove(Cluster, "old").put(Listener, "l", "new");
    let expected = [
        (Cluster, owned(&["new", "old"])),
        (Endpoint, vec![]),
        (Listener, owned(&["l"])),
        (Cluster, owned(&["new"])),
    ];
    assert_eq!(stream.push(&view), expected);
}

#[test]
fn endpoints_follow_a_changed_cluster_even_if_they_are_the_same() {
    let mut view = Script::default();
    view.put_eds_cluster("a", "1").put(Endpoint, "a", "1");
    let mut stream = Stream::new();
    stream.ask(&view, request(Cluster, &[]));
    stream.ask(&view, request(Endpoint, &["a"]));
    view.put_eds_cluster("a", "2");
    let expected = [(Cluster, owned(&["a"])), (Endpoint, owned(&["a"]))];
    assert_eq!(stream.push(&view), expected);
}

#[test]
fn an_explicit_wildcard_and_names_together_give_both() {
    let mut view = Script::default();
    view.put(Cluster, "a", "1").put(Cluster, "hidden", "1");
    let (_, delivery) = Stream::new().ask(&view, request(Cluster, &["*", "hidden"]));
    assert_eq!(delivery.names, ["a", "hidden"]);
}
