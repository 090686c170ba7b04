//! Load balancing.

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::endpoint::v3 as endpoint;

use super::{Endpoints, Host, Pick, Policy, Target, compile_endpoints};

fn host(port: u16, weight: u32, healthy: bool, priority: u32) -> Host {
    let target = Target::Address(([10, 0, 0, 1], port).into());
    Host { target, weight, healthy, priority, workload: None }
}

fn picks(endpoints: &Endpoints, policy: Policy, count: usize) -> Vec<usize> {
    let mut random = 1;
    let pick = |sequence| {
        random = super::mix(random);
        endpoints.pick(policy, &Pick { sequence, random, active: &|host| host as u32 }).unwrap()
    };
    (0..count).map(pick).collect()
}

#[test]
fn round_robin_takes_healthy_endpoints_in_turn() {
    let hosts = vec![host(1, 1, true, 0), host(2, 1, false, 0), host(3, 1, true, 0)];
    assert_eq!(picks(&Endpoints::new(hosts), Policy::RoundRobin, 4), [0, 2, 0, 2]);
}

#[test]
fn weights_are_spread_smoothly() {
    let hosts = vec![host(1, 3, true, 0), host(2, 1, true, 0)];
    assert_eq!(picks(&Endpoints::new(hosts), Policy::RoundRobin, 4), [0, 0, 1, 0]);
}

#[test]
fn least_request_prefers_the_less_busy() {
    let hosts = vec![host(1, 1, true, 0), host(2, 1, true, 0)];
    let chosen = picks(&Endpoints::new(hosts), Policy::LeastRequest { choices: 8 }, 100);
    assert!(chosen.iter().filter(|index| **index == 0).count() > 90);
}

#[test]
fn a_lower_priority_serves_only_when_the_higher_is_unhealthy() {
    let serving = vec![host(1, 1, true, 0), host(2, 1, true, 1)];
    assert!(picks(&Endpoints::new(serving), Policy::Random, 50).iter().all(|i| *i == 0));
    let failed = vec![host(1, 1, false, 0), host(2, 1, true, 1)];
    assert!(picks(&Endpoints::new(failed), Policy::Random, 50).iter().all(|i| *i == 1));
}

#[test]
fn no_healthy_endpoint_is_no_choice() {
    let endpoints = Endpoints::new(vec![host(1, 1, false, 0)]);
    let pick = Pick { sequence: 0, random: 0, active: &|_| 0 };
    assert_eq!(endpoints.pick(Policy::RoundRobin, &pick), None);
}

fn sent(address: core::address::Address) -> endpoint::LbEndpoint {
    let address = Some(core::Address { address: Some(address) });
    let endpoint = endpoint::Endpoint { address, ..Default::default() };
    endpoint::LbEndpoint {
        host_identifier: Some(endpoint::lb_endpoint::HostIdentifier::Endpoint(endpoint)),
        ..Default::default()
    }
}

#[test]
fn an_endpoint_that_cannot_be_used_is_left_out_with_a_note() {
    let good = core::SocketAddress {
        address: "10.0.0.1".into(),
        port_specifier: Some(core::socket_address::PortSpecifier::PortValue(80)),
        ..Default::default()
    };
    let pipe = core::Pipe { path: "/run/app.sock".into(), ..Default::default() };
    let assignment = endpoint::ClusterLoadAssignment {
        cluster_name: "back".into(),
        endpoints: vec![endpoint::LocalityLbEndpoints {
            lb_endpoints: vec![
                sent(core::address::Address::Pipe(pipe)),
                sent(core::address::Address::SocketAddress(good)),
            ],
            ..Default::default()
        }],
        ..Default::default()
    };
    let endpoints = compile_endpoints(&assignment).unwrap();
    assert_eq!(endpoints.hosts.len(), 1);
    let [note] = endpoints.notes.as_slice() else { panic!("{:?}", endpoints.notes) };
    assert!(note.starts_with("back: endpoints[0].lb_endpoints[0]."), "{note}");
}
