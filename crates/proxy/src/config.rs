//! What workers decide by: one immutable value, published whole. In: compiled resources and what
//! lives across their versions. Out: lookups by address and name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize};

use lateen_routing::{CompiledCluster, CompiledListener, Endpoints};
use rustc_hash::FxHashMap;

use crate::stats::Counters;

#[derive(Debug, Default)]
pub struct Config {
    pub version: u64,
    /// Listeners with a socket, by the address they asked for.
    pub bound: FxHashMap<SocketAddr, Arc<Listener>>,
    /// Listeners without one, by the address that is handed to them.
    pub handed: FxHashMap<SocketAddr, Arc<Listener>>,
    pub clusters: FxHashMap<Arc<str>, Cluster>,
    /// Destinations about whose listeners the control plane has spoken, and when they were last used.
    pub answered: FxHashMap<SocketAddr, Arc<LastUse>>,
    /// Why the listener of an address was refused; an older version of it may be in use.
    pub refused: FxHashMap<SocketAddr, Arc<str>>,
    /// Listeners of unknown destinations are to be asked for.
    pub asks_destinations: bool,
    /// Clusters that are not known yet are being asked for, and worth waiting for.
    pub asks_clusters: bool,
}

/// Seconds since the proxy's start.
#[derive(Debug, Default)]
pub struct LastUse(pub AtomicU64);

#[derive(Debug)]
pub struct Listener {
    pub compiled: CompiledListener,
    pub version: String,
    pub counters: Arc<Counters>,
}

/// What is known of a cluster's name.
#[derive(Clone, Debug)]
pub enum Cluster {
    Present(Arc<ClusterEntry>),
    /// The control plane says that there is none.
    Absent,
    /// What the control plane says cannot be used, for this reason.
    Refused(Arc<str>),
}

#[derive(Debug)]
pub struct ClusterEntry {
    pub compiled: Arc<CompiledCluster>,
    pub version: String,
    /// `None` until the control plane or DNS has answered.
    pub endpoints: Option<Arc<EndpointSet>>,
    pub live: Arc<ClusterLive>,
}

/// What outlives the versions of a cluster.
#[derive(Debug, Default)]
pub struct ClusterLive {
    pub counters: Counters,
    pub active: AtomicU32,
    pub sequence: AtomicUsize,
}

/// Endpoints with their addresses and live state, by the same index.
#[derive(Debug)]
pub struct EndpointSet {
    pub endpoints: Arc<Endpoints>,
    pub hosts: Vec<(SocketAddr, Arc<HostLive>)>,
}

#[derive(Debug, Default)]
pub struct HostLive {
    pub active: AtomicU32,
}

impl Config {
    /// The listener that a connection to `destination` is handed to: its own, else the one of its
    /// port on every address. An error is why the one that it belongs to cannot be used.
    pub fn handed_to(&self, destination: SocketAddr) -> Result<Option<&Arc<Listener>>, &Arc<str>> {
        for address in [destination, wildcard(destination)] {
            if let Some(listener) = self.handed.get(&address) {
                return Ok(Some(listener));
            }
            if let Some(why) = self.refused.get(&address) {
                return Err(why);
            }
        }
        Ok(None)
    }
}

/// The same port on every address of the family.
pub fn wildcard(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    SocketAddr::new(ip, address.port())
}

/// Istio's names for the two listeners that a destination may have: `{ip}_{port}` and
/// `0.0.0.0_{port}`.
pub fn listener_names(destination: SocketAddr) -> [String; 2] {
    let name = |address: SocketAddr| format!("{}_{}", address.ip(), address.port());
    [name(destination), name(wildcard(destination))]
}

/// The destination of a listener with such a name; none of one for every address.
pub fn destination_of(name: &str) -> Option<SocketAddr> {
    address_of(name).filter(|address| !address.ip().is_unspecified())
}

/// The address in such a name.
pub fn address_of(name: &str) -> Option<SocketAddr> {
    let (ip, port) = name.rsplit_once('_')?;
    Some(SocketAddr::new(ip.parse().ok()?, port.parse().ok()?))
}
