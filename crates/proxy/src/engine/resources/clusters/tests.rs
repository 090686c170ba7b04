//! Clusters that change while their names are looked up.

use std::net::SocketAddr;

use envoy_types::pb::envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, DiscoveryType};
use envoy_types::pb::envoy::config::core::v3::address::Address as AddressKind;
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::core::v3::{Address, SocketAddress};
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use envoy_types::pb::envoy::config::endpoint::v3::{Endpoint, LbEndpoint, LocalityLbEndpoints};
use envoy_types::pb::google::protobuf::Any;
use prost::Message;
use tokio::sync::mpsc;

use super::*;
use crate::engine::Binder;

const NAME: &str = "outbound|80||db.example";

fn cluster(kind: DiscoveryType, host: &str) -> Resource {
    let socket = SocketAddress {
        address: host.to_owned(),
        port_specifier: Some(PortSpecifier::PortValue(80)),
        ..SocketAddress::default()
    };
    let address = Address { address: Some(AddressKind::SocketAddress(socket)) };
    let endpoint = Endpoint { address: Some(address), ..Endpoint::default() };
    let host_identifier = Some(HostIdentifier::Endpoint(endpoint));
    let one = LbEndpoint { host_identifier, ..LbEndpoint::default() };
    let locality =
        LocalityLbEndpoints { lb_endpoints: vec![one], ..LocalityLbEndpoints::default() };
    let message = ClusterMessage {
        name: NAME.to_owned(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(kind.into())),
        load_assignment: Some(ClusterLoadAssignment {
            cluster_name: NAME.to_owned(),
            endpoints: vec![locality],
            ..ClusterLoadAssignment::default()
        }),
        ..ClusterMessage::default()
    };
    let body = Any { value: message.encode_to_vec(), ..Any::default() };
    Resource { name: NAME.to_owned(), resource: Some(body), ..Resource::default() }
}

fn hosts(resources: &Resources) -> Vec<SocketAddr> {
    let set = resources.clusters[NAME].entry.endpoints.as_ref();
    set.map(|set| set.hosts.iter().map(|(address, _)| *address).collect()).unwrap_or_default()
}

fn address(text: &str) -> Vec<SocketAddr> {
    vec![text.parse().unwrap()]
}

#[tokio::test]
async fn an_answer_to_an_older_clusters_lookup_changes_nothing() {
    let (resolved, mut found) = mpsc::channel(4);
    let mut resources = Resources::new(Binder { netns: None, workers: Vec::new(), resolved });
    let apply = |resources: &mut Resources, kind, host| {
        assert_eq!(resources.apply_clusters(&[cluster(kind, host)], &[]), []);
    };
    apply(&mut resources, DiscoveryType::StrictDns, "127.0.0.1");
    let first = found.recv().await.unwrap();
    apply(&mut resources, DiscoveryType::StrictDns, "127.0.0.2");
    let second = found.recv().await.unwrap();
    assert!(!resources.put_resolved(first));
    assert_eq!(hosts(&resources), []);
    apply(&mut resources, DiscoveryType::Static, "127.0.0.3");
    assert!(!resources.put_resolved(second));
    assert_eq!(hosts(&resources), address("127.0.0.3:80"));
    apply(&mut resources, DiscoveryType::StrictDns, "127.0.0.4");
    let third = found.recv().await.unwrap();
    assert!(resources.put_resolved(third));
    assert_eq!(hosts(&resources), address("127.0.0.4:80"));
}
