//! What is said of connections that failed.

use lateen_telemetry::Flag;
use lateen_telemetry::entry::NO_ANSWER;
use lateen_telemetry::labels::Reporter;

use super::{Failure, TELLING};
use crate::connection::{Connection, Object};
use crate::key::tests::tcp;
use crate::key::{Key, Party, Service};

/// In a mesh of which nothing is known.
fn failure(key: &Key, connection: &Connection) -> Option<Failure> {
    super::failure(key, connection, &Default::default())
}

fn key() -> Key {
    let party = |workload: &str| Party {
        workload: workload.into(),
        namespace: "shop".into(),
        ..Party::default()
    };
    let service = Service {
        host: "s.shop.svc.cluster.local".into(),
        name: "s".into(),
        namespace: "shop".into(),
    };
    Key { flags: "UF".into(), ..tcp(party("client"), service, party("server")) }
}

fn connection(flags: &[Flag]) -> Connection {
    let route = Object {
        kind: "VirtualService".into(),
        group: "networking.istio.io".into(),
        namespace: "shop".into(),
        name: "s".into(),
    };
    Connection {
        destination: "10.96.0.9:80".into(),
        endpoint: "10.0.0.2:8080".into(),
        cluster: "outbound|80||s.shop.svc.cluster.local".into(),
        unreachable: "connection refused".into(),
        flags: flags.to_vec(),
        attempts: 3,
        route: Some(route),
        ..Connection::read(Default::default(), "sidecar~10.0.0.1~client-1.shop~", 7)
    }
}

#[test]
fn a_refused_connection_names_server_port_and_route() {
    let flags = [Flag::UpstreamConnectionFailure, Flag::UpstreamRetryLimitExceeded];
    let failure = failure(&key(), &connection(&flags)).unwrap();
    assert_eq!(failure.summary, "shop/server refused the connection at 10.0.0.2:8080, 3 times");
    assert_eq!(
        failure.remedy.as_deref(),
        Some("check that a program of shop/server listens on port 8080")
    );
    assert_eq!(
        (&*failure.source, &*failure.target),
        ("workload/shop/client", "workload/shop/server")
    );
    let route = &failure.steps[1];
    assert_eq!(
        (route.object.as_ref().unwrap().name.as_str(), route.field),
        ("s", Some("spec.tcp"))
    );
    let failed: Vec<_> = failure.steps.iter().filter(|step| step.failed).collect();
    assert_eq!(failed.len(), 1);
}

#[test]
fn the_client_of_a_gateway_is_not_the_gateway() {
    let connection = Connection {
        at_gateway: true,
        client: "192.0.2.1:4000".into(),
        listener: "0.0.0.0_31400".into(),
        ..connection(&[Flag::NoHealthyUpstream])
    };
    let steps = failure(&key(), &connection).unwrap().steps;
    let whats: Vec<&str> = steps.iter().take(2).map(|step| &*step.what).collect();
    assert_eq!(
        whats,
        [
            "a client of the gateway (192.0.2.1:4000) connected to 10.96.0.9:80",
            "listener 0.0.0.0_31400 of the gateway, client-1.shop, took it",
        ]
    );
}

#[test]
fn a_missing_host_is_named() {
    let mut connection = connection(&[Flag::NoHealthyUpstream]);
    connection.unresolved = "gone.shop".into();
    connection.cluster = "BlackHoleCluster".into();
    let summary = failure(&key(), &connection).unwrap().summary;
    assert_eq!(summary, "the route names gone.shop, which does not exist");
}

/// A connection that nothing led on, for this reason.
fn lost(flag: Flag, cluster: &str, reason: &str) -> Connection {
    Connection {
        cluster: cluster.into(),
        endpoint: String::new(),
        reason: reason.into(),
        server_name: "a.example.com".into(),
        ..connection(&[flag])
    }
}

fn hole() -> Key {
    Key {
        destination: Party::default(),
        service: Service { name: "BlackHoleCluster".into(), ..Service::default() },
        ..key()
    }
}

#[test]
fn what_leads_nowhere_is_told_with_where_it_was_to_go_and_why() {
    let told = [
        (lost(Flag::NoHealthyUpstream, "BlackHoleCluster", "the mode is REGISTRY_ONLY"), "UH"),
        (lost(Flag::NoRouteFound, "", "the mode is REGISTRY_ONLY"), "NR"),
    ];
    for (connection, flags) in told {
        let failure = failure(&hole(), &connection).unwrap();
        assert_eq!(
            failure.summary,
            "nothing leads shop/client to 10.96.0.9:80: the mode is REGISTRY_ONLY"
        );
        assert!(failure.remedy.unwrap().contains("ServiceEntry"));
        assert_eq!(failure.flags, flags);
        assert_eq!(
            (&*failure.source, &*failure.target),
            ("workload/shop/client", "blackHole//BlackHoleCluster")
        );
        assert_eq!((&*failure.proxy, &*failure.destination), ("client-1.shop", "10.96.0.9:80"));
        assert_eq!(failure.server_name, "a.example.com");
    }
    let at_gateway = Connection { at_gateway: true, ..lost(Flag::NoRouteFound, "", "") };
    let remedy = failure(&hole(), &at_gateway).unwrap().remedy.unwrap();
    assert!(remedy.contains("Gateway"), "{remedy}");
    let at_server = Key { reporter: Reporter::Destination, ..key() };
    let failure = failure(&at_server, &lost(Flag::NoRouteFound, "", "closed")).unwrap();
    assert_eq!(&*failure.target, "workload/shop/server");
    assert!(failure.remedy.unwrap().contains("declares"));
}

#[test]
fn a_cluster_that_came_too_late_is_told_from_one_that_is_not_there() {
    let cluster = "outbound|80||late.example.com";
    let words = |reason: &str| {
        let found = failure(&key(), &lost(Flag::NoClusterFound, cluster, reason)).unwrap();
        (found.summary, found.remedy.unwrap_or_default())
    };
    let late = format!("cluster {cluster} is not known: {NO_ANSWER}");
    let (summary, remedy) = words(&late);
    assert_eq!(summary, late);
    assert!(remedy.starts_with("nothing is wrong with the route"), "{remedy}");
    let gone = format!("cluster {cluster} does not exist");
    let (summary, remedy) = words(&gone);
    assert_eq!(summary, gone);
    assert!(remedy.starts_with("check that the Service"), "{remedy}");
}

#[test]
fn every_flag_has_words_and_none_is_no_failure() {
    for flag in TELLING {
        let failure = failure(&key(), &connection(&[flag])).unwrap();
        assert!(!failure.summary.is_empty() && failure.remedy.is_some(), "{flag:?}");
    }
    assert_eq!(failure(&key(), &connection(&[])), None);
}
