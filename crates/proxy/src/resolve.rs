//! Addresses of DNS clusters. In: a cluster's targets. Out: its endpoints with addresses, whenever
//! they changed. A name that fails keeps its last addresses.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lateen_routing::{Endpoints, Host, Target};
use tokio::sync::mpsc;

/// What a lookup has found.
#[derive(Debug)]
pub struct Resolved {
    pub cluster: Arc<str>,
    /// [`Lookup::number`].
    pub lookup: u64,
    pub endpoints: Endpoints,
}

/// What to resolve.
pub struct Lookup {
    pub cluster: Arc<str>,
    /// No other lookup's: an answer may wait while its cluster becomes another one.
    pub number: u64,
    pub targets: Arc<Endpoints>,
    /// Every address of a name, or the first only.
    pub every: bool,
    pub refresh: Duration,
    pub ipv4_only: bool,
    pub ipv6_only: bool,
}

/// Runs until it is aborted or nobody listens.
pub async fn follow(lookup: Lookup, results: mpsc::Sender<Resolved>) {
    let mut known: HashMap<(Arc<str>, u16), Vec<SocketAddr>> = HashMap::new();
    let mut last = None;
    loop {
        let mut hosts = Vec::new();
        for host in &lookup.targets.hosts {
            let addresses = match &host.target {
                Target::Address(address) => vec![*address],
                Target::Name(name, port) => lookup.addresses(name, *port, &mut known).await,
            };
            hosts.extend(
                addresses
                    .into_iter()
                    .map(|address| Host { target: Target::Address(address), ..host.clone() }),
            );
        }
        let endpoints = Endpoints::new(hosts);
        if last.as_ref() != Some(&endpoints) {
            last = Some(endpoints.clone());
            let (cluster, lookup) = (lookup.cluster.clone(), lookup.number);
            if results.send(Resolved { cluster, lookup, endpoints }).await.is_err() {
                return;
            }
        }
        tokio::time::sleep(lookup.refresh).await;
    }
}

impl Lookup {
    async fn addresses(
        &self,
        name: &Arc<str>,
        port: u16,
        known: &mut HashMap<(Arc<str>, u16), Vec<SocketAddr>>,
    ) -> Vec<SocketAddr> {
        let key = (name.clone(), port);
        match tokio::net::lookup_host((&**name, port)).await {
            Ok(found) => {
                let mut found: Vec<_> = found.filter(|address| self.wants(address)).collect();
                found.sort_unstable();
                found.truncate(if self.every { usize::MAX } else { 1 });
                known.insert(key.clone(), found);
            }
            Err(error) => {
                tracing::warn!(cluster = %self.cluster, host = %name, %error, "cannot resolve");
            }
        }
        known.get(&key).cloned().unwrap_or_default()
    }

    fn wants(&self, address: &SocketAddr) -> bool {
        !(self.ipv4_only && address.is_ipv6() || self.ipv6_only && address.is_ipv4())
    }
}
