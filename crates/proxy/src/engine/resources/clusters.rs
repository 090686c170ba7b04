//! The clusters and endpoints a proxy holds. In: resources by name, removals, endpoints from DNS.
//! Out: entries that workers choose from; endpoints keep their live state over all changes.

use std::net::SocketAddr;
use std::sync::Arc;

use envoy_types::pb::envoy::config::cluster::v3::Cluster as ClusterMessage;
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::service::discovery::v3::Resource;
use lateen_api::xds::ResourceType;
use lateen_routing::{Discovery, Endpoints, Target, compile_cluster, compile_endpoints};
use rustc_hash::FxHashMap;
use tokio::task::JoinSet;

use super::{Changes, Rejected, Resources, decode};
use crate::config::{ClusterEntry, ClusterLive, EndpointSet, HostLive};
use crate::resolve::{Lookup, Resolved, follow};

#[derive(Debug)]
pub(super) struct ClusterState {
    pub(super) entry: Arc<ClusterEntry>,
    dns: Option<Following>,
}

/// A lookup that goes on until this is dropped.
#[derive(Debug)]
struct Following {
    lookup: u64,
    _task: JoinSet<()>,
}

impl Resources {
    pub fn apply_clusters(&mut self, added: &[Resource], removed: &[String]) -> Rejected {
        for name in removed {
            self.remove_cluster(name);
            self.absent_clusters.insert(name.clone());
            self.forget(ResourceType::Cluster, name);
        }
        let mut rejected = Vec::new();
        for resource in added {
            match self.put_cluster(resource) {
                Ok(()) => self.keep(ResourceType::Cluster, resource),
                Err(reason) => rejected.push((resource.name.clone(), reason)),
            }
        }
        self.note_refused(ResourceType::Cluster, added, removed, &rejected);
        rejected
    }

    fn put_cluster(&mut self, resource: &Resource) -> Result<(), String> {
        let message: ClusterMessage = decode(resource)?;
        let compiled = compile_cluster(&message).map_err(|reject| reject.to_string())?;
        let before = self.clusters.get(&message.name).map(|state| state.entry.clone());
        let dns = match &compiled.discovery {
            Discovery::Dns { targets, every, refresh, ipv4_only, ipv6_only } => {
                self.lookups += 1;
                let lookup = Lookup {
                    cluster: compiled.name.clone(),
                    number: self.lookups,
                    targets: targets.clone(),
                    every: *every,
                    refresh: *refresh,
                    ipv4_only: *ipv4_only,
                    ipv6_only: *ipv6_only,
                };
                let mut task = JoinSet::new();
                task.spawn(follow(lookup, self.binder.resolved.clone()));
                Some(Following { lookup: self.lookups, _task: task })
            }
            Discovery::Static(_) | Discovery::Eds(_) | Discovery::OriginalDst { .. } => None,
        };
        let known = before.as_ref().and_then(|entry| entry.endpoints.as_ref());
        let endpoints = match &compiled.discovery {
            Discovery::Static(endpoints) => Some(endpoint_set(endpoints, known)),
            Discovery::Eds(name) => {
                // Those from before serve until the new ones are known.
                let found = self.endpoints.get(&**name);
                found.map(|endpoints| endpoint_set(endpoints, known)).or_else(|| known.cloned())
            }
            Discovery::Dns { .. } => known.cloned(),
            Discovery::OriginalDst { .. } => None,
        };
        let live = before.map_or_else(Arc::<ClusterLive>::default, |entry| entry.live.clone());
        let compiled = Arc::new(compiled);
        let version = resource.version.clone();
        let entry = Arc::new(ClusterEntry { compiled, version, endpoints, live });
        self.absent_clusters.remove(&message.name);
        self.endpoint_names.add(entry.compiled.discovery.eds().into_iter());
        if let Some(older) = self.clusters.insert(message.name, ClusterState { entry, dns }) {
            self.endpoint_names.remove(older.entry.compiled.discovery.eds().into_iter());
        }
        Ok(())
    }

    fn remove_cluster(&mut self, name: &str) {
        if let Some(gone) = self.clusters.remove(name) {
            self.endpoint_names.remove(gone.entry.compiled.discovery.eds().into_iter());
        }
    }

    pub fn apply_endpoints(&mut self, added: &[Resource], removed: &[String]) -> Rejected {
        let mut rejected = Vec::new();
        for resource in added {
            let compiled = decode::<ClusterLoadAssignment>(resource).and_then(|message| {
                compile_endpoints(&message).map_err(|reject| reject.to_string())
            });
            match compiled {
                Ok(endpoints) => {
                    for note in &endpoints.notes {
                        tracing::warn!(note, "an endpoint is left out");
                    }
                    self.set_endpoints(&resource.name, Arc::new(endpoints));
                    self.keep(ResourceType::Endpoint, resource);
                }
                Err(reason) => rejected.push((resource.name.clone(), reason)),
            }
        }
        // As in Envoy, a cluster keeps its endpoints until it goes itself: listeners that still lead
        // to it are about to be changed. For one that never had any the answer is that there are none.
        for name in
            removed.iter().filter(|name| !self.endpoints.contains_key(*name)).collect::<Vec<_>>()
        {
            self.set_endpoints(name, Arc::default());
        }
        self.note_refused(ResourceType::Endpoint, added, removed, &rejected);
        rejected
    }

    fn set_endpoints(&mut self, name: &str, endpoints: Arc<Endpoints>) {
        self.endpoints.insert(name.to_owned(), endpoints.clone());
        for state in self.clusters.values_mut() {
            if state.entry.compiled.discovery.eds().is_some_and(|eds| **eds == *name) {
                state.set_endpoints(&endpoints);
            }
        }
    }

    /// Whether it was for the cluster as it is now.
    pub fn put_resolved(&mut self, resolved: Resolved) -> bool {
        let Resolved { cluster, lookup, endpoints } = resolved;
        let state = self.clusters.get_mut(&*cluster);
        let asking = |state: &&mut ClusterState| {
            state.dns.as_ref().is_some_and(|following| following.lookup == lookup)
        };
        let Some(state) = state.filter(asking) else { return false };
        state.set_endpoints(&Arc::new(endpoints));
        true
    }

    pub fn forget_cluster(&mut self, name: &str) {
        self.remove_cluster(name);
        self.absent_clusters.remove(name);
        self.refused.forget(ResourceType::Cluster, name);
        self.forget(ResourceType::Cluster, name);
    }

    pub fn forget_endpoints(&mut self, name: &str) {
        self.endpoints.remove(name);
        self.refused.forget(ResourceType::Endpoint, name);
        self.forget(ResourceType::Endpoint, name);
    }

    /// What clusters ask EDS for since this was last asked.
    pub fn changed_endpoints(&mut self) -> Changes {
        self.endpoint_names.changes()
    }
}

impl ClusterState {
    fn set_endpoints(&mut self, endpoints: &Arc<Endpoints>) {
        let set = endpoint_set(endpoints, self.entry.endpoints.as_ref());
        self.entry = Arc::new(ClusterEntry {
            compiled: self.entry.compiled.clone(),
            version: self.entry.version.clone(),
            endpoints: Some(set),
            live: self.entry.live.clone(),
        });
    }
}

/// Endpoints keep their live state by address.
fn endpoint_set(endpoints: &Arc<Endpoints>, before: Option<&Arc<EndpointSet>>) -> Arc<EndpointSet> {
    let known: FxHashMap<SocketAddr, &Arc<HostLive>> = before
        .map(|set| set.hosts.iter().map(|(address, live)| (*address, live)).collect())
        .unwrap_or_default();
    let hosts = endpoints.hosts.iter().map(|host| match &host.target {
        Target::Address(address) => {
            (*address, known.get(address).map_or_else(Arc::default, |live| (*live).clone()))
        }
        Target::Name(..) => unreachable!("names are compiled for DNS clusters only"),
    });
    Arc::new(EndpointSet { endpoints: endpoints.clone(), hosts: hosts.collect() })
}

#[cfg(test)]
mod tests;
