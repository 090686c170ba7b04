//! How a proxy is started. In: choices of the process. Out: plain values.

use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::config::listener::v3::Listener;
use ipnet::IpNet;
use lateen_xds::client::AdsAddress;

/// Connections of one worker at the same time, unless configured.
const MAX_CONNECTIONS: usize = 500_000;
const DRAIN: Duration = Duration::from_secs(5);

/// What a proxy subscribes to at its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// All of its listeners.
    Gateway,
    /// `virtualOutbound` and `virtualInbound`, and more when an address is first dialled.
    Sidecar,
}

/// An address that is the proxy's alone, and the network in which it connects from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownAs {
    pub address: IpAddr,
    pub within: IpNet,
}

/// Where resources come from.
#[derive(Clone, Debug)]
pub enum Source {
    Ads(AdsAddress),
    Static(Box<StaticResources>),
}

/// Resources that never change.
#[derive(Clone, Debug, Default)]
pub struct StaticResources {
    pub listeners: Vec<Listener>,
    pub clusters: Vec<Cluster>,
    pub endpoints: Vec<ClusterLoadAssignment>,
}

#[derive(Debug)]
pub struct Options {
    pub node: Node,
    pub source: Source,
    pub role: Role,
    /// Worker threads; at least one is started.
    pub workers: usize,
    /// The network namespace in which the workers make their sockets; xDS and admin stay outside.
    pub netns: Option<OwnedFd>,
    /// `SO_MARK` of upstream sockets, so that interception leaves them alone.
    pub mark: Option<u32>,
    /// For what shares its addresses with others of the machine.
    pub known_as: Option<KnownAs>,
    /// A file with the last known resources, so that a restart serves without a control plane.
    pub cache: Option<PathBuf>,
    pub admin_socket: Option<PathBuf>,
    /// How long connections may go on after a stop is asked for.
    pub drain: Duration,
    /// Subscribe to every listener and cluster, as stock Envoy does; for a real istiod.
    pub subscribe_all: bool,
    /// Connections of one worker at the same time; more are reset.
    pub max_connections: usize,
    /// A file that takes the access log lines for standard output and error, which belong to
    /// somebody else. It is moved to `.1` when it has grown to 16 MiB.
    pub stdout_log: Option<PathBuf>,
}

impl Options {
    pub fn new(node: Node, role: Role, source: Source) -> Self {
        Self {
            node,
            source,
            role,
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            netns: None,
            mark: None,
            known_as: None,
            cache: None,
            admin_socket: None,
            drain: DRAIN,
            subscribe_all: false,
            max_connections: MAX_CONNECTIONS,
            stdout_log: None,
        }
    }
}
