//! The resources a proxy holds. In: resources by name, removals, endpoints from DNS. Out: a
//! [`Config`], refused names with reasons, and sockets for the workers.

mod clusters;
mod listeners;
mod named;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use envoy_types::pb::envoy::config::listener::v3::Listener as ListenerMessage;
use envoy_types::pb::envoy::service::discovery::v3::Resource;
use lateen_api::xds::ResourceType;
use lateen_routing::{CompiledListener, Discovery, Endpoints, compile_listener};
use prost::Message;
use tokio::sync::mpsc;

use crate::bind;
use crate::config::{Cluster, Config, Listener};
use crate::resolve::Resolved;
use crate::socket::Listen;
use crate::stats::Counters;
use crate::worker::Command;

use super::cache::Cache;
use super::refused::Refused;
use clusters::ClusterState;
use listeners::Listeners;
pub use named::Changes;
use named::Named;

type Rejected = Vec<(String, String)>;

/// What it takes to listen.
pub struct Binder {
    pub netns: Option<Arc<OwnedFd>>,
    pub workers: Vec<mpsc::UnboundedSender<Command>>,
    pub resolved: mpsc::Sender<Resolved>,
}

pub struct Resources {
    binder: Binder,
    listeners: Listeners,
    absent_listeners: BTreeSet<String>,
    clusters: BTreeMap<String, ClusterState>,
    absent_clusters: BTreeSet<String>,
    /// Lookups that were begun.
    lookups: u64,
    /// What clusters ask EDS for.
    endpoint_names: Named,
    /// By the name that EDS is asked for; empty for one that does not exist.
    endpoints: BTreeMap<String, Arc<Endpoints>>,
    /// Addresses that are listened on.
    bound: BTreeSet<SocketAddr>,
    /// Addresses that were listened on once: their sockets may be open for a moment more.
    unbound: BTreeSet<SocketAddr>,
    /// Sockets that wait for the configuration to be published.
    fresh: Vec<(SocketAddr, Vec<TcpListener>)>,
    counters: HashMap<String, Arc<Counters>>,
    refused: Refused,
    /// Where what is held outlives the process.
    pub cache: Option<Cache>,
    /// Every cluster was asked for and the answer came: one that is not here does not exist.
    pub all_clusters_known: bool,
}

impl Resources {
    pub fn new(binder: Binder) -> Self {
        Self {
            binder,
            listeners: Listeners::default(),
            absent_listeners: BTreeSet::new(),
            clusters: BTreeMap::new(),
            absent_clusters: BTreeSet::new(),
            lookups: 0,
            endpoint_names: Named::default(),
            endpoints: BTreeMap::new(),
            bound: BTreeSet::new(),
            unbound: BTreeSet::new(),
            fresh: Vec::new(),
            counters: HashMap::new(),
            refused: Refused::default(),
            cache: None,
            all_clusters_known: false,
        }
    }

    pub fn apply_listeners(&mut self, added: &[Resource], removed: &[String]) -> Rejected {
        for name in removed {
            self.listeners.remove(name);
            self.absent_listeners.insert(name.clone());
            self.forget(ResourceType::Listener, name);
        }
        let mut rejected = Vec::new();
        for resource in added {
            match self.put_listener(resource) {
                Ok(()) => self.keep(ResourceType::Listener, resource),
                Err(reason) => rejected.push((resource.name.clone(), reason)),
            }
        }
        self.unbind_unused();
        self.note_refused(ResourceType::Listener, added, removed, &rejected);
        rejected
    }

    fn note_refused(
        &mut self,
        kind: ResourceType,
        added: &[Resource],
        removed: &[String],
        rejected: &Rejected,
    ) {
        let names = added.iter().map(|resource| &resource.name).chain(removed);
        self.refused.note(kind, names, rejected);
    }

    /// What of a type is refused at the moment, and why.
    pub fn refusals(&self, kind: ResourceType) -> BTreeMap<String, Arc<str>> {
        self.refused.all(kind).map(|(name, why)| (name.clone(), why.clone())).collect()
    }

    fn put_listener(&mut self, resource: &Resource) -> Result<(), String> {
        let message: ListenerMessage = decode(resource)?;
        let compiled = compile_listener(&message).map_err(|reject| reject.to_string())?;
        let address = compiled.address;
        let clash = self.listeners.serving().find(|other| {
            *other.compiled.name != *compiled.name
                && other.compiled.address == address
                && other.compiled.bind_to_port == compiled.bind_to_port
        });
        if let Some(other) = clash {
            let other = &other.compiled.name;
            return Err(format!(
                "{}: address: {address}: address already in use by listener {other}",
                compiled.name
            ));
        }
        if compiled.bind_to_port {
            self.bind(&compiled)?;
        }
        for note in &compiled.notes {
            tracing::info!(listener = %compiled.name, note, "part of a listener is not acted on");
        }
        let counters = self.counters.entry(message.name.clone()).or_default().clone();
        let version = resource.version.clone();
        self.absent_listeners.remove(&message.name);
        self.replace(message.name, Arc::new(Listener { compiled, version, counters }));
        Ok(())
    }

    /// Listens on a listener's address, unless it does.
    fn bind(&mut self, listener: &CompiledListener) -> Result<(), String> {
        let CompiledListener { name, address, transparent, ipv4_too, .. } = listener;
        if self.bound.contains(address) {
            let mut others = self.listeners.serving().map(|other| &other.compiled);
            let bound = others.find(|other| other.bind_to_port && other.address == *address);
            return match bound {
                Some(bound) if bound.transparent != *transparent => Err(format!(
                    "{name}: transparent: cannot change while {address} is listened on: restart the proxy"
                )),
                Some(bound) if bound.ipv4_too != *ipv4_too => Err(format!(
                    "{name}: ipv4_compat: cannot change while {address} is listened on: restart the proxy"
                )),
                _ => Ok(()),
            };
        }
        let wanted = Listen {
            address: *address,
            backlog: listener.backlog,
            shared: self.is_shared(*address),
            transparent: *transparent,
            ipv4_too: *ipv4_too,
        };
        let sockets = bind::listen(self.binder.netns.as_ref(), wanted, self.binder.workers.len())
            .map_err(|error| listen_reason(name, *address, &error))?;
        self.bound.insert(*address);
        self.fresh.push((*address, sockets));
        Ok(())
    }

    /// Sockets of this very proxy may stand in the way: of the same port on another address, or of the
    /// address itself, which the workers are about to close.
    fn is_shared(&self, address: SocketAddr) -> bool {
        let any = |address: &SocketAddr| address.ip().is_unspecified();
        let overlaps =
            |other: &&SocketAddr| other.port() == address.port() && (any(other) || any(&address));
        self.bound.iter().any(|other| overlaps(&other)) || self.unbound.contains(&address)
    }

    /// A listener that names clusters which are not known yet takes over from its older version
    /// when they are, so that a changed route never leads nowhere for a moment.
    fn replace(&mut self, name: String, listener: Arc<Listener>) {
        let warms = self.listeners.get(&name).is_some_and(|older| {
            older.compiled.address == listener.compiled.address
                && older.compiled.bind_to_port == listener.compiled.bind_to_port
                && self.is_settled(older)
                && !self.is_settled(&listener)
        });
        if warms {
            self.listeners.warm(name, listener);
        } else {
            self.listeners.cool(&name);
            self.listeners.serve(name, listener);
        }
    }

    /// Puts warmed listeners into their places. True if there were any.
    pub fn promote(&mut self) -> bool {
        let ready = |(name, newer): (&String, &Arc<Listener>)| {
            let older = self.listeners.get(name);
            // An older version that lost a cluster is no better than waiting.
            let broken = older.is_none_or(|older| !self.is_settled(older) || self.is_lost(older));
            (broken || self.is_settled(newer)).then(|| name.clone())
        };
        let names: Vec<String> = self.listeners.warming().filter_map(ready).collect();
        for name in &names {
            self.listeners.promote(name);
        }
        !names.is_empty()
    }

    /// Every cluster that it names can be used or does not exist.
    fn is_settled(&self, listener: &Listener) -> bool {
        listener.compiled.clusters().all(|name| match self.clusters.get(&**name) {
            Some(state) => state.entry.is_resolved() || self.why_unusable(name).is_some(),
            None => self.is_cluster_answered(name),
        })
    }

    fn is_lost(&self, listener: &Listener) -> bool {
        listener
            .compiled
            .clusters()
            .any(|name| self.absent_clusters.contains(&**name) || self.why_unusable(name).is_some())
    }

    /// The control plane has said what this cluster is, or that it is not.
    fn is_cluster_answered(&self, name: &str) -> bool {
        self.all_clusters_known
            || self.clusters.contains_key(name)
            || self.absent_clusters.contains(name)
            || self.refused.reason(ResourceType::Cluster, name).is_some()
    }

    /// Why a cluster cannot be used: it or its endpoints were refused and no older version is held.
    fn why_unusable(&self, name: &str) -> Option<&Arc<str>> {
        match self.clusters.get(name) {
            Some(state) => self.why_unresolved(state),
            None => self.refused.reason(ResourceType::Cluster, name),
        }
    }

    fn why_unresolved(&self, state: &ClusterState) -> Option<&Arc<str>> {
        match &state.entry.compiled.discovery {
            Discovery::Eds(eds) if !state.entry.is_resolved() => {
                self.refused.reason(ResourceType::Endpoint, eds)
            }
            _ => None,
        }
    }

    fn unbind_unused(&mut self) {
        let bound = self.listeners.serving().filter(|listener| listener.compiled.bind_to_port);
        let wanted: BTreeSet<SocketAddr> =
            bound.map(|listener| listener.compiled.address).collect();
        for address in self.bound.difference(&wanted) {
            self.unbound.insert(*address);
            self.fresh.retain(|(fresh, _)| fresh != address);
            for worker in &self.binder.workers {
                // A worker that ended listens no more either.
                let _ = worker.send(Command::Unlisten(*address));
            }
        }
        self.bound = wanted;
    }

    /// Gives new sockets to the workers, who find their listeners in the published configuration.
    pub fn hand_out_sockets(&mut self) {
        for (address, sockets) in self.fresh.drain(..) {
            for (worker, socket) in self.binder.workers.iter().zip(sockets) {
                // A worker that ended is reported by its own thread.
                let _ = worker.send(Command::Listen(address, socket));
            }
        }
    }

    pub fn forget_listener(&mut self, name: &str) {
        self.listeners.remove(name);
        self.absent_listeners.remove(name);
        self.counters.remove(name);
        self.refused.forget(ResourceType::Listener, name);
        self.forget(ResourceType::Listener, name);
    }

    /// The control plane has said what this listener is, or that it is not.
    pub fn is_listener_answered(&self, name: &str) -> bool {
        self.is_listener_settled(name)
            || self.refused.reason(ResourceType::Listener, name).is_some()
    }

    /// The listener is there, or the control plane has said that there is none.
    pub fn is_listener_settled(&self, name: &str) -> bool {
        self.listeners.get(name).is_some() || self.absent_listeners.contains(name)
    }

    /// What listeners name since this was last asked.
    pub fn changed_clusters(&mut self) -> Changes {
        self.listeners.changed_clusters()
    }

    /// Everything that was named has been answered.
    pub fn is_complete(&self) -> bool {
        let endpoints = |name: &Arc<str>| {
            self.endpoints.contains_key(&**name)
                || self.refused.reason(ResourceType::Endpoint, name).is_some()
        };
        self.listeners.clusters().all(|name| self.is_cluster_answered(name))
            && self.endpoint_names.iter().all(endpoints)
    }

    /// What workers decide by; what may be asked for is the caller's to say.
    pub fn config(&self, version: u64) -> Config {
        let by_address = |bound: bool| {
            let listeners = self.listeners.serving();
            let listeners = listeners.filter(move |l| l.compiled.bind_to_port == bound);
            listeners.map(|l| (l.compiled.address, l.clone())).collect()
        };
        let absent = self.absent_clusters.iter().map(|name| name.as_str().into());
        let unknown = self.listeners.clusters().filter(|_| self.all_clusters_known).cloned();
        let absent = absent.chain(unknown).map(|name| (name, Cluster::Absent));
        let refused = self.refused.all(ResourceType::Cluster);
        let refused =
            refused.map(|(name, why)| (name.as_str().into(), Cluster::Refused(why.clone())));
        let present = self.clusters.values().map(|state| {
            let cluster = match self.why_unresolved(state) {
                Some(why) => Cluster::Refused(why.clone()),
                None => Cluster::Present(state.entry.clone()),
            };
            (state.entry.compiled.name.clone(), cluster)
        });
        let refused_listeners = self.refused.all(ResourceType::Listener);
        let refused_listeners = refused_listeners
            .filter_map(|(name, why)| Some((crate::config::address_of(name)?, why.clone())));
        Config {
            version,
            bound: by_address(true),
            handed: by_address(false),
            clusters: absent.chain(refused).chain(present).collect(),
            refused: refused_listeners.collect(),
            ..Config::default()
        }
    }

    /// Writes to the cache what has changed in what is held.
    pub fn save(&mut self) {
        if let Some(cache) = &mut self.cache {
            cache.flush();
        }
    }

    fn keep(&mut self, kind: ResourceType, resource: &Resource) {
        if let Some(cache) = &mut self.cache {
            cache.keep(kind, resource);
        }
    }

    fn forget(&mut self, kind: ResourceType, name: &str) {
        if let Some(cache) = &mut self.cache {
            cache.forget(kind, name);
        }
    }
}

fn decode<T: Message + Default>(resource: &Resource) -> Result<T, String> {
    let any = resource.resource.as_ref().ok_or_else(|| format!("{}: empty", resource.name))?;
    T::decode(any.value.as_slice()).map_err(|error| format!("{}: {error}", resource.name))
}

fn listen_reason(name: &str, address: SocketAddr, error: &std::io::Error) -> String {
    let reason = match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            "address already in use: stop the program that listens there or change the port".into()
        }
        // An error with words of its own has no number.
        std::io::ErrorKind::PermissionDenied if error.raw_os_error().is_some() => {
            "permission denied: ports below 1024 need CAP_NET_BIND_SERVICE".into()
        }
        _ => error.to_string(),
    };
    format!("{name}: address: cannot listen on {address}: {reason}")
}
