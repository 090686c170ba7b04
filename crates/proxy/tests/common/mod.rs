//! Resources for tests and the relay example: a listener that proxies to a cluster.

#![allow(dead_code, reason = "each user needs some of it")]

use std::net::SocketAddr;

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::endpoint::v3 as endpoint;
use envoy_types::pb::envoy::config::listener::v3 as listener;
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3 as tcp_proxy;
use envoy_types::pb::google::protobuf::Any;
use prost::{Message, Name};

pub fn address(address: SocketAddr) -> core::Address {
    let socket = core::SocketAddress {
        address: address.ip().to_string(),
        port_specifier: Some(core::socket_address::PortSpecifier::PortValue(address.port().into())),
        ..Default::default()
    };
    core::Address { address: Some(core::address::Address::SocketAddress(socket)) }
}

pub fn any<T: Message + Name>(message: &T) -> Any {
    Any { type_url: T::type_url(), value: message.encode_to_vec() }
}

pub fn listener(name: &str, at: SocketAddr, cluster: &str) -> listener::Listener {
    listener_with_idle_timeout(name, at, cluster, None)
}

pub fn listener_with_idle_timeout(
    name: &str,
    at: SocketAddr,
    cluster: &str,
    idle_timeout: Option<envoy_types::pb::google::protobuf::Duration>,
) -> listener::Listener {
    let proxy = tcp_proxy::TcpProxy {
        stat_prefix: name.into(),
        idle_timeout,
        cluster_specifier: Some(tcp_proxy::tcp_proxy::ClusterSpecifier::Cluster(cluster.into())),
        ..Default::default()
    };
    let filter = listener::Filter {
        name: "envoy.filters.network.tcp_proxy".into(),
        config_type: Some(listener::filter::ConfigType::TypedConfig(any(&proxy))),
    };
    listener::Listener {
        name: name.into(),
        address: Some(address(at)),
        filter_chains: vec![listener::FilterChain { filters: vec![filter], ..Default::default() }],
        ..Default::default()
    }
}

pub fn endpoints(cluster: &str, hosts: &[SocketAddr]) -> endpoint::ClusterLoadAssignment {
    let hosts = hosts.iter().map(|host| endpoint::LbEndpoint {
        host_identifier: Some(endpoint::lb_endpoint::HostIdentifier::Endpoint(
            endpoint::Endpoint { address: Some(address(*host)), ..Default::default() },
        )),
        ..Default::default()
    });
    endpoint::ClusterLoadAssignment {
        cluster_name: cluster.into(),
        endpoints: vec![endpoint::LocalityLbEndpoints {
            lb_endpoints: hosts.collect(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// A cluster of type STATIC.
pub fn cluster(name: &str, hosts: &[SocketAddr]) -> Cluster {
    Cluster {
        name: name.into(),
        load_assignment: Some(endpoints(name, hosts)),
        ..Default::default()
    }
}
