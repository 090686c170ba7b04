//! Scripted conversations with a name server.

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryResponse, Resource};
use envoy_types::pb::google::protobuf::Any;
use lateen_api::xds::{NameInfo, NameTable, ResourceType};
use prost::Message;
use tokio::sync::oneshot::{self, Receiver};

use super::super::Meaning;
use super::Book;

fn book(capacity: usize) -> Book {
    let mut book = Book::new(Node::default(), capacity);
    book.connected();
    book
}

fn ask(book: &mut Book, name: &str) -> Receiver<Meaning> {
    let (sender, receiver) = oneshot::channel();
    book.ask(name.into(), sender);
    receiver
}

fn addresses(all: &[&str]) -> Meaning {
    Meaning::Addresses(all.iter().map(|ip| ip.parse().unwrap()).collect())
}

fn subscribed(book: &mut Book) -> Vec<String> {
    book.next_request().map(|request| request.resource_names_subscribe).unwrap_or_default()
}

fn resource(name: &str, body: Vec<u8>) -> Resource {
    let any = Any { type_url: ResourceType::NameTable.type_url().into(), value: body };
    Resource { name: name.into(), version: "1".into(), resource: Some(any), ..Resource::default() }
}

fn table(name: &str, ips: &[&str]) -> Vec<u8> {
    let info = NameInfo { ips: ips.iter().map(|ip| (*ip).into()).collect(), ..NameInfo::default() };
    NameTable { table: [(name.to_owned(), info)].into() }.encode_to_vec()
}

fn respond(book: &mut Book, resources: Vec<Resource>, removed: &[&str]) {
    book.respond(DeltaDiscoveryResponse {
        type_url: ResourceType::NameTable.type_url().into(),
        nonce: "n".into(),
        resources,
        removed_resources: removed.iter().map(|name| (*name).into()).collect(),
        ..DeltaDiscoveryResponse::default()
    });
}

#[test]
fn a_name_is_subscribed_once_and_every_asker_is_answered() {
    let mut book = book(10);
    let (mut first, mut second) = (ask(&mut book, "a"), ask(&mut book, "a"));
    assert_eq!(subscribed(&mut book), ["a"]);
    assert!(book.next_request().is_none());
    respond(&mut book, vec![resource("a", table("a", &["10.96.0.1", "fd00::1"]))], &[]);
    let expected = addresses(&["10.96.0.1", "fd00::1"]);
    assert_eq!(first.try_recv().unwrap(), expected);
    assert_eq!(second.try_recv().unwrap(), expected);
    assert_eq!(ask(&mut book, "a").try_recv().unwrap(), expected, "known now");
}

#[test]
fn a_name_that_does_not_exist_is_known_not_to_until_it_does() {
    let mut book = book(10);
    let mut asked = ask(&mut book, "example.com");
    respond(&mut book, vec![], &["example.com"]);
    assert_eq!(asked.try_recv().unwrap(), Meaning::Absent);
    assert_eq!(ask(&mut book, "example.com").try_recv().unwrap(), Meaning::Absent);
    respond(&mut book, vec![resource("example.com", table("example.com", &["10.96.0.2"]))], &[]);
    assert_eq!(ask(&mut book, "example.com").try_recv().unwrap(), addresses(&["10.96.0.2"]));
}

#[test]
fn a_table_of_one_counts_whatever_it_is_called() {
    let mut book = book(10);
    let mut asked = ask(&mut book, "a.default");
    respond(
        &mut book,
        vec![resource("a.default", table("a.default.svc.cluster.local", &["10.96.0.3"]))],
        &[],
    );
    assert_eq!(asked.try_recv().unwrap(), addresses(&["10.96.0.3"]));
}

#[test]
fn the_name_unused_longest_makes_room() {
    let mut book = book(2);
    for name in ["a", "b", "a", "c"] {
        drop(ask(&mut book, name));
    }
    assert_eq!(subscribed(&mut book), ["a", "c"]);
}

#[test]
fn what_is_known_stays_while_the_control_plane_is_away_and_is_asked_for_again() {
    let mut book = book(10);
    drop(ask(&mut book, "a"));
    respond(&mut book, vec![resource("a", table("a", &["10.96.0.1"]))], &[]);
    book.disconnected();
    assert_eq!(ask(&mut book, "a").try_recv().unwrap(), addresses(&["10.96.0.1"]));
    let mut unknown = ask(&mut book, "b");
    assert!(unknown.try_recv().is_err());
    book.connected();
    assert_eq!(subscribed(&mut book), ["a", "b"]);
}

#[test]
fn a_table_that_cannot_be_read_is_refused_with_its_name() {
    let mut book = book(10);
    drop(ask(&mut book, "a"));
    assert_eq!(subscribed(&mut book), ["a"]);
    respond(&mut book, vec![resource("a", table("a", &["nonsense"]))], &[]);
    let detail = book.next_request().unwrap().error_detail.unwrap();
    assert!(detail.message.contains("\"nonsense\" is not an address"), "{}", detail.message);
}

#[test]
fn an_asterisk_is_no_name_and_is_never_subscribed() {
    let mut book = book(10);
    assert_eq!(ask(&mut book, "*").try_recv().unwrap(), Meaning::Absent);
    assert!(book.next_request().is_none());
}

#[test]
fn an_alias_is_what_another_name_is_told_by() {
    let mut book = book(10);
    let mut asked = ask(&mut book, "db");
    let info = NameInfo { alias: "db.example.com".into(), ..NameInfo::default() };
    let table = NameTable { table: [("db".to_owned(), info)].into() };
    respond(&mut book, vec![resource("db", table.encode_to_vec())], &[]);
    assert_eq!(asked.try_recv().unwrap(), Meaning::Alias("db.example.com".into()));
}
