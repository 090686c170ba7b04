//! Where a connection goes. In: the published configuration and the connection's addresses. Out: a
//! plan, a refusal, or what must be asked for first. Nothing is awaited here.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use lateen_routing::endpoints::Pick;
use lateen_routing::{
    Connection, Discovery, FilterChain, FirstBytes, TcpProxy, Terminal, Transport,
};
use lateen_telemetry::entry::NO_ANSWER;

use crate::config::{Cluster, ClusterEntry, Config, HostLive, Listener};
use crate::error::{DataError, Kind};

/// The cluster of what leads nowhere, by Istio's name: it never has an endpoint.
pub const BLACK_HOLE: &str = "BlackHoleCluster";

/// A connection's addresses.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    pub remote: SocketAddr,
    pub local: SocketAddr,
    /// Where the client meant to go, if interception brought the connection here.
    pub original: Option<SocketAddr>,
}

/// Something that only the control plane knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Demand {
    /// The listeners of a destination.
    Destination(SocketAddr),
    /// A cluster and its endpoints.
    Cluster(Arc<str>),
}

pub enum Decision {
    Go(Plan),
    Refuse(Box<Refusal>),
    Ask(Demand),
    /// The first bytes decide at this listener, and they have not been looked at.
    Inspect(Arc<Listener>),
}

/// What was decided before it went wrong.
pub struct Refusal {
    pub listener: Arc<Listener>,
    pub chain: Option<Arc<FilterChain>>,
    pub cluster: Option<Arc<str>>,
    pub error: DataError,
}

pub struct Plan {
    pub listener: Arc<Listener>,
    pub chain: Arc<FilterChain>,
    pub cluster: Arc<ClusterEntry>,
}

/// An endpoint that was chosen.
pub struct Upstream {
    pub address: SocketAddr,
    pub live: Option<Arc<HostLive>>,
    pub workload: Option<Arc<str>>,
}

impl Addresses {
    pub fn destination(&self) -> SocketAddr {
        self.original.unwrap_or(self.local)
    }
}

impl Plan {
    pub fn tcp_proxy(&self) -> &TcpProxy {
        match &self.chain.terminal {
            Terminal::TcpProxy(proxy) => proxy,
            Terminal::Close => unreachable!("a chain that closes makes no plan"),
        }
    }
}

/// What is known of a connection when it is decided about.
pub struct Question<'a> {
    pub config: &'a Config,
    /// The listener that accepted it.
    pub bound: &'a Arc<Listener>,
    pub addresses: &'a Addresses,
    /// What the first bytes are, if they were looked at.
    pub seen: Option<&'a FirstBytes>,
    pub random: u64,
    /// Asking is over: it is decided with what there is.
    pub is_final: bool,
}

impl<'a> Question<'a> {
    pub fn decide(&self) -> Decision {
        self.plan().map_or_else(|other| other, Decision::Go)
    }

    fn plan(&self) -> Result<Plan, Decision> {
        let listener = self.listener()?;
        if listener.compiled.inspection.is_some() && self.seen.is_none() {
            return Err(Decision::Inspect(listener.clone()));
        }
        let chain = self.chain(listener).ok_or_else(|| {
            let to = self.addresses.destination();
            let cause = format!("no filter chain takes {to}{}", wish(self.seen));
            refuse(listener, None, None, DataError::new(Kind::NoFilterChain, cause))
        })?;
        let cluster = self.cluster(listener, chain)?;
        Ok(Plan { listener: listener.clone(), chain: chain.clone(), cluster })
    }

    /// The listener that decides.
    fn listener(&self) -> Result<&'a Arc<Listener>, Decision> {
        let by_destination = self.bound.compiled.use_original_dst;
        let Some(original) = self.addresses.original.filter(|_| by_destination) else {
            return Ok(self.bound);
        };
        let config = self.config;
        let may_ask = config.asks_destinations && !self.is_final;
        let is_known =
            config.answered.contains_key(&original) || config.handed.contains_key(&original);
        if may_ask && !is_known {
            return Err(Decision::Ask(Demand::Destination(original)));
        }
        match config.handed_to(original) {
            Ok(listener) => Ok(listener.unwrap_or(self.bound)),
            Err(why) => {
                let to = self.addresses.destination();
                let cause = format!("the listener of {to} was refused: {why}");
                let error = DataError::new(Kind::NoFilterChain, cause);
                Err(refuse(self.bound, None, None, error))
            }
        }
    }

    /// The chain that takes the connection.
    fn chain(&self, listener: &'a Listener) -> Option<&'a Arc<FilterChain>> {
        let connection = Connection::tcp(self.addresses.remote, self.addresses.destination());
        let Some(FirstBytes::Tls(hello)) = self.seen else {
            return listener.compiled.chain(&connection);
        };
        let protocols: Vec<&str> = hello.application_protocols.iter().map(String::as_str).collect();
        listener.compiled.chain(&Connection {
            transport: Transport::Tls,
            server_name: hello.server_name.as_deref(),
            application_protocols: &protocols,
            ..connection
        })
    }

    /// The cluster that a chain leads to.
    fn cluster(
        &self,
        listener: &Arc<Listener>,
        chain: &Arc<FilterChain>,
    ) -> Result<Arc<ClusterEntry>, Decision> {
        let refused = |name: Option<&Arc<str>>, kind, cause: String| {
            refuse(listener, Some(chain), name, DataError::new(kind, cause))
        };
        let Terminal::TcpProxy(proxy) = &chain.terminal else {
            let cause = "the filter chain closes connections";
            return Err(refused(None, Kind::NoFilterChain, cause.to_owned()));
        };
        let name = proxy.cluster(self.random);
        if let Some(reason) = chain.reason.as_ref().filter(|_| &**name == BLACK_HOLE) {
            return Err(refused(Some(name), Kind::NoHealthyEndpoint, reason.to_string()));
        }
        let cause = match self.config.clusters.get(name) {
            Some(Cluster::Present(cluster)) if cluster.is_resolved() => return Ok(cluster.clone()),
            Some(Cluster::Absent) => format!("cluster {name} does not exist"),
            Some(Cluster::Refused(why)) => format!("cluster {name} was refused: {why}"),
            _ if self.config.asks_clusters && !self.is_final => {
                return Err(Decision::Ask(Demand::Cluster(name.clone())));
            }
            Some(Cluster::Present(_)) => {
                format!("the endpoints of cluster {name} are not known: {NO_ANSWER}")
            }
            None => format!("cluster {name} is not known: {NO_ANSWER}"),
        };
        Err(refused(Some(name), Kind::NoCluster, cause))
    }
}

fn refuse(
    listener: &Arc<Listener>,
    chain: Option<&Arc<FilterChain>>,
    cluster: Option<&Arc<str>>,
    error: DataError,
) -> Decision {
    let (chain, cluster) = (chain.cloned(), cluster.cloned());
    Decision::Refuse(Box::new(Refusal { listener: listener.clone(), chain, cluster, error }))
}

/// What a client asked for, for the reason of a refusal.
fn wish(seen: Option<&FirstBytes>) -> String {
    match seen {
        None => String::new(),
        Some(FirstBytes::Plain) => " without TLS".to_owned(),
        Some(FirstBytes::Tls(hello)) => match &hello.server_name {
            Some(name) => format!(" with TLS for {name}"),
            None => " with TLS for no name".to_owned(),
        },
    }
}

impl ClusterEntry {
    /// Its endpoints are known, be it that there are none.
    pub fn is_resolved(&self) -> bool {
        self.endpoints.is_some() || matches!(self.compiled.discovery, Discovery::OriginalDst { .. })
    }

    /// Chooses an endpoint for a connection that is counted among the active ones already.
    pub fn choose(&self, addresses: &Addresses, random: u64) -> Result<Upstream, DataError> {
        if self.live.active.load(Ordering::Relaxed) > self.compiled.max_connections {
            let cause = format!("cluster {} has all its connections", self.compiled.name);
            return Err(DataError::new(Kind::Overflow, cause));
        }
        if let Discovery::OriginalDst { port } = self.compiled.discovery {
            return self.original(addresses, port);
        }
        let set = self.endpoints.as_ref().filter(|set| !set.hosts.is_empty());
        let active = |index: usize| {
            let host = set.and_then(|set| set.hosts.get(index));
            host.map_or(0, |(_, live)| live.active.load(Ordering::Relaxed))
        };
        let sequence = self.live.sequence.fetch_add(1, Ordering::Relaxed);
        let pick = Pick { sequence, random, active: &active };
        let chosen = set.and_then(|set| {
            let index = set.endpoints.pick(self.compiled.policy, &pick)?;
            let (address, live) = set.hosts.get(index)?;
            let workload = set.endpoints.hosts[index].workload.clone();
            Some(Upstream { address: *address, live: Some(live.clone()), workload })
        });
        chosen.ok_or_else(|| {
            let cause = format!("cluster {} has no healthy endpoint", self.compiled.name);
            DataError::new(Kind::NoHealthyEndpoint, cause)
        })
    }

    fn original(&self, addresses: &Addresses, port: Option<u16>) -> Result<Upstream, DataError> {
        let reachable = addresses.original.filter(|to| self.compiled.can_reach(to.ip()));
        let Some(mut address) = reachable else {
            let cause = "the connection has no original destination to pass it through to";
            return Err(DataError::new(Kind::NoHealthyEndpoint, cause));
        };
        address.set_port(port.unwrap_or(address.port()));
        Ok(Upstream { address, live: None, workload: None })
    }
}
