//! The other replicas of this control plane. In: the EndpointSlices of its own Service. Out: a connection to each one
//! that is ready, over which it is told what this replica's proxies tell; made again whenever it breaks.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use lateen_api::kinds::{Kind, by_kind};
use lateen_kube::Client;
use lateen_kube::watch::{Event, Scope, watch_scope};
use lateen_xds::client::Replica;
use lateen_xds::client::backoff::Backoff;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::context::Place;
use crate::replicas::Replicas;

/// The port of xDS over TLS, as the Service names it, and where the Service is named.
const PORT: &str = "https-dns";
const SERVICE: &str = "kubernetes.io/service-name";
/// A connection that lasted for this long was a good one.
const GOOD: Duration = Duration::from_secs(5);
/// Replicas that are told.
const MOST: usize = 16;

/// What is needed to find and to reach them.
pub struct Peers {
    pub client: Client,
    pub place: Arc<Place>,
    pub roots: watch::Receiver<Arc<str>>,
    /// The file of the own token.
    pub token: PathBuf,
    pub replicas: Arc<Replicas>,
}

/// The connection to one replica, which ends with this.
struct Link {
    address: SocketAddr,
    task: AbortHandle,
}

impl Peers {
    /// Keeps the connections until dropped.
    pub async fn run(self) -> anyhow::Result<()> {
        let scope = Scope { namespace: Some(self.place.namespace.clone()), ..Scope::default() };
        let mut events = watch_scope(self.client.clone(), kind(), &scope);
        let mut slices = BTreeMap::new();
        let mut links = BTreeMap::new();
        while let Some(event) = events.next().await {
            take(&mut slices, event);
            let service = self.place.revised("istiod");
            let wanted = replicas(slices.values(), &service, &self.place.pod);
            self.follow(&mut links, wanted);
        }
        Ok(())
    }

    fn follow(&self, links: &mut BTreeMap<String, Link>, wanted: BTreeMap<String, SocketAddr>) {
        self.replicas.expect(wanted.keys().cloned().collect());
        links.retain(|name, link| wanted.get(name) == Some(&link.address));
        for (name, address) in wanted {
            links.entry(name).or_insert_with_key(|name| {
                let task = tokio::spawn(self.keep(name.clone(), address)).abort_handle();
                Link { address, task }
            });
        }
    }

    /// Connects to a replica for ever.
    fn keep(&self, name: String, address: SocketAddr) -> impl Future<Output = ()> + Send + use<> {
        let (replicas, roots) = (self.replicas.clone(), self.roots.clone());
        let to = Replica {
            address,
            host: format!("{}.{}.svc", self.place.revised("istiod"), self.place.namespace),
            roots: Arc::from(""),
            token: self.token.clone(),
            name: self.place.pod.clone(),
        };
        async move {
            let mut backoff = Backoff::new(RandomState::new().build_hasher().finish());
            let mut said = String::new();
            loop {
                let began = Instant::now();
                let roots = roots.borrow().clone();
                let why = match (Replica { roots, ..to.clone() }).connect().await {
                    Ok(opened) => opened.pass(replicas.link()).await,
                    Err(why) => why,
                };
                if began.elapsed() >= GOOD {
                    backoff.reset();
                    said.clear();
                }
                if why != said {
                    tracing::info!(replica = name, %address, why, "not connected to a replica");
                    said = why;
                }
                tokio::time::sleep(backoff.next_delay()).await;
            }
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn take(slices: &mut BTreeMap<String, Value>, event: Event) {
    let name = |slice: &Value| slice["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    match event {
        Event::Put(_, slice) => drop(slices.insert(name(&slice), slice)),
        Event::Delete(_, slice) => drop(slices.remove(&name(&slice))),
        Event::Replace(_, all) => {
            *slices = all.into_iter().map(|slice| (name(&slice), slice)).collect();
        }
        Event::Unserved(_) => slices.clear(),
    }
}

/// Where the ready pods of a Service are, but this one, by their names.
fn replicas<'s>(
    slices: impl Iterator<Item = &'s Value>,
    service: &str,
    own: &str,
) -> BTreeMap<String, SocketAddr> {
    let mut found = BTreeMap::new();
    for slice in slices.filter(|slice| slice["metadata"]["labels"][SERVICE] == service) {
        let mut ports = slice["ports"].as_array().into_iter().flatten();
        let port = ports.find(|port| port["name"] == PORT).and_then(|port| port["port"].as_u64());
        let Some(port) = port.and_then(|port| u16::try_from(port).ok()) else { continue };
        for endpoint in slice["endpoints"].as_array().into_iter().flatten() {
            let address =
                endpoint["addresses"][0].as_str().and_then(|text| text.parse::<IpAddr>().ok());
            let (Some(name), Some(address)) = (endpoint["targetRef"]["name"].as_str(), address)
            else {
                continue;
            };
            // What says nothing of it is ready, as the API has it.
            if name != own && endpoint["conditions"]["ready"] != false && found.len() < MOST {
                // A pod with two families of addresses is in a slice of each.
                found.entry(name.to_owned()).or_insert(SocketAddr::new(address, port));
            }
        }
    }
    found
}

fn kind() -> &'static Kind {
    by_kind("discovery.k8s.io", "EndpointSlice").expect("invariant: the table holds the kind")
}
