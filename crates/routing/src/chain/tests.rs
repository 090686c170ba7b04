//! Precedence of filter chains.

use std::net::SocketAddr;

use super::{Connection, Match, select};

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
