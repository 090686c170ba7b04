//! Scripted exchanges with the state machine.

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryResponse, Resource};
use envoy_types::pb::google::protobuf::Any;
use lateen_api::xds::ResourceType;

use super::{DeltaClient, ProtocolError, WILDCARD};

const LISTENER: ResourceType = ResourceType::Listener;

fn client() -> DeltaClient {
    DeltaClient::new(Node { id: "n".into(), ..Default::default() })
}

fn response(nonce: &str, names: &[&str], removed: &[&str]) -> DeltaDiscoveryResponse {
    DeltaDiscoveryResponse {
        type_url: LISTENER.type_url().into(),
        nonce: nonce.into(),
        resources: names
            .iter()
            .map(|name| Resource {
                name: (*name).into(),
                version: "v1".into(),
                resource: Some(Any::default()),
                ..Default::default()
            })
            .collect(),
        removed_resources: removed.iter().map(|name| (*name).to_owned()).collect(),
        ..Default::default()
    }
}

#[test]
fn the_node_goes_with_the_first_request_only() {
    let mut client = client();
    client.subscribe(LISTENER, ["a"]);
    assert!(client.next_request().is_none(), "nothing is sent before there is a connection");
    client.connected();
    let first = client.next_request().unwrap();
    assert_eq!(first.node.unwrap().id, "n");
    assert_eq!(first.resource_names_subscribe, ["a"]);
    assert!(!client.has_request());
    client.subscribe(LISTENER, ["a", "b"]);
    let second = client.next_request().unwrap();
    assert_eq!((second.node, second.resource_names_subscribe), (None, vec!["b".to_owned()]));
}

#[test]
fn a_reconnect_names_everything_with_the_versions_held() {
    let mut client = client();
    client.subscribe(LISTENER, [WILDCARD]);
    client.connected();
    client.next_request().unwrap();
    let update = client.on_response(response("1", &["a", "b"], &[])).unwrap();
    client.answer(&update, &[("b".into(), "b: bad".into())]);
    client.disconnected();
    assert!(!client.has_request(), "an answer dies with its connection");
    client.connected();
    let request = client.next_request().unwrap();
    assert_eq!(request.resource_names_subscribe, ["*"]);
    let versions: Vec<_> = request.initial_resource_versions.into_iter().collect();
    assert_eq!(versions, [("a".to_owned(), "v1".to_owned())], "a rejected resource is not held");
}

#[test]
fn a_nack_carries_every_reason() {
    let mut client = client();
    client.subscribe(LISTENER, [WILDCARD]);
    client.connected();
    client.next_request().unwrap();
    let update = client.on_response(response("7", &["a", "b"], &["c"])).unwrap();
    assert_eq!(update.removed, ["c"]);
    client.answer(&update, &[("a".into(), "a: one".into()), ("b".into(), "b: two".into())]);
    let nack = client.next_request().unwrap();
    assert_eq!(nack.response_nonce, "7");
    assert_eq!(nack.error_detail.unwrap().message, "a: one; b: two");
}

#[test]
fn a_name_dropped_before_it_was_sent_is_never_sent() {
    let mut client = client();
    client.subscribe(LISTENER, ["a"]);
    client.connected();
    client.next_request().unwrap();
    client.subscribe(LISTENER, ["b"]);
    client.unsubscribe(LISTENER, ["b"]);
    assert!(!client.has_request());
    client.unsubscribe(LISTENER, ["a"]);
    assert_eq!(client.next_request().unwrap().resource_names_unsubscribe, ["a"]);
}

#[test]
fn an_unasked_type_is_answered_with_an_error() {
    let mut client = client();
    client.connected();
    let error = client.on_response(response("1", &[], &[])).unwrap_err();
    assert_eq!(error, ProtocolError::UnknownType(LISTENER.type_url().into()));
    assert!(client.next_request().unwrap().error_detail.is_some());
}

#[test]
fn a_name_that_is_dropped_and_wanted_again_before_it_was_sent_is_asked_for_again() {
    let mut client = client();
    client.subscribe(LISTENER, ["a"]);
    client.connected();
    client.next_request().unwrap();
    client.unsubscribe(LISTENER, ["a"]);
    client.subscribe(LISTENER, ["a"]);
    let again = client.next_request().unwrap();
    assert_eq!(again.resource_names_subscribe, ["a"]);
    assert!(again.resource_names_unsubscribe.is_empty());
    client.unsubscribe(LISTENER, ["a"]);
    client.subscribe(LISTENER, ["a"]);
    client.unsubscribe(LISTENER, ["a"]);
    let end = client.next_request().unwrap();
    assert_eq!(end.resource_names_unsubscribe, ["a"], "the server still has it");
    assert!(end.resource_names_subscribe.is_empty());
}

#[test]
fn an_answer_after_the_end_of_its_subscription_is_dropped_and_acknowledged() {
    let mut client = client();
    client.subscribe(LISTENER, ["a", "b"]);
    client.connected();
    client.next_request().unwrap();
    client.unsubscribe(LISTENER, ["a"]);
    let update = client.on_response(response("3", &["a", "b"], &[])).unwrap();
    let names: Vec<_> = update.added.iter().map(|resource| resource.name.as_str()).collect();
    assert_eq!(names, ["b"]);
    client.answer(&update, &[]);
    assert_eq!(client.next_request().unwrap().response_nonce, "3");
}
