//! Precedence of filter chains.

use std::net::SocketAddr;

use super::{Connection, Match, Transport, select};

fn rule(port: Option<u16>, prefixes: &[&str]) -> Match {
    let destination_prefixes = prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect();
    Match { destination_port: port, destination_prefixes, ..Match::default() }
}

fn chosen(rules: &[Match], destination: &str) -> Option<usize> {
    let source: SocketAddr = "192.0.2.1:999".parse().unwrap();
    select(rules.iter(), &Connection::tcp(source, destination.parse().unwrap()))
}

#[test]
fn a_port_comes_before_a_longer_prefix() {
    let rules = [rule(None, &["10.0.0.1/32"]), rule(Some(80), &[])];
    assert_eq!(chosen(&rules, "10.0.0.1:80"), Some(1));
    assert_eq!(chosen(&rules, "10.0.0.1:81"), Some(0));
}

#[test]
fn the_longest_prefix_wins() {
    let rules = [rule(None, &["10.0.0.0/8"]), rule(None, &["10.1.0.0/16"]), rule(None, &[])];
    assert_eq!(chosen(&rules, "10.1.2.3:1"), Some(1));
    assert_eq!(chosen(&rules, "10.2.2.3:1"), Some(0));
    assert_eq!(chosen(&rules, "11.2.2.3:1"), Some(2));
}

#[test]
fn a_criterion_that_was_met_is_not_taken_back() {
    let named = Match { server_names: vec!["a.example".into()], ..rule(Some(80), &[]) };
    assert_eq!(chosen(&[named, rule(None, &[])], "10.0.0.1:80"), None);
}

#[test]
fn an_exact_server_name_comes_before_the_longest_suffix_and_that_before_none() {
    let named = |name: &str| Match { server_names: vec![name.into()], ..Match::default() };
    let rules = [
        Match::default(),
        named("*.example.com"),
        named("*.b.example.com"),
        named("a.b.example.com"),
        Match { transport: "raw_buffer".into(), ..Match::default() },
    ];
    let source: SocketAddr = "192.0.2.1:999".parse().unwrap();
    let chosen = |transport, server_name| {
        let connection = Connection { transport, server_name, ..Connection::tcp(source, source) };
        select(rules.iter(), &connection)
    };
    assert_eq!(chosen(Transport::Tls, Some("A.b.example.com")), Some(3));
    assert_eq!(chosen(Transport::Tls, Some("c.b.example.com")), Some(2));
    assert_eq!(chosen(Transport::Tls, Some("c.example.com")), Some(1));
    assert_eq!(chosen(Transport::Tls, Some("example.com")), Some(0));
    assert_eq!(chosen(Transport::Tls, None), Some(0));
    assert_eq!(chosen(Transport::RawBuffer, None), Some(4));
}
