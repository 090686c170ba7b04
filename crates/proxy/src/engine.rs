//! The one task that follows the control plane. In: responses, demands of connections, DNS results.
//! Out: published configuration, sockets handed to workers, subscriptions and acknowledgements.

mod cache;
mod demand;
mod refused;
mod resources;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse,
};
use lateen_api::xds::ResourceType;
use lateen_xds::client::delta::WILDCARD;
use lateen_xds::client::{DeltaClient, Event, Update, Uplink};
use tokio::sync::{mpsc, watch};

use crate::decide::Demand;
use crate::options::Role;
use crate::resolve::Resolved;
use crate::traffic::peers;
use crate::worker::Shared;
use cache::Cache;
use demand::Destinations;
use resources::Changes;
pub use resources::{Binder, Resources};

/// The two listeners that every sidecar has.
const SIDECAR_LISTENERS: [&str; 2] = ["virtualOutbound", "virtualInbound"];

pub struct Inlets {
    pub events: mpsc::Receiver<Event>,
    pub demands: mpsc::Receiver<Demand>,
    pub resolved: mpsc::Receiver<Resolved>,
    /// Addresses of unknown peers.
    pub peers: mpsc::Receiver<IpAddr>,
}

pub struct Engine {
    pub shared: Arc<Shared>,
    pub client: DeltaClient,
    pub resources: Resources,
    /// Initial configuration is complete and its sockets listen.
    pub ready: watch::Sender<bool>,
    pub role: Role,
    /// Everything is subscribed to; nothing is asked for on demand.
    pub everything: bool,
    /// Where [`Engine::prepare`] opens the cache.
    cache: Option<PathBuf>,
    requests: Option<mpsc::Sender<DeltaDiscoveryRequest>>,
    /// The connection on which somebody answers, for whoever sends more over it.
    pub uplink: watch::Sender<Option<Uplink>>,
    /// One on which nobody has answered yet: what is sent over it lies until somebody comes.
    unanswered: Option<Uplink>,
    destinations: Destinations,
    listeners_answered: bool,
    /// Since when the control plane, which was there, is away.
    lost: Option<Instant>,
}

impl Engine {
    pub fn new(
        shared: Arc<Shared>,
        client: DeltaClient,
        resources: Resources,
        ready: watch::Sender<bool>,
        role: Role,
        everything: bool,
        cache: Option<PathBuf>,
    ) -> Self {
        Self {
            shared,
            client,
            resources,
            ready,
            role,
            everything,
            cache,
            requests: None,
            uplink: watch::Sender::new(None),
            unanswered: None,
            destinations: Destinations::default(),
            listeners_answered: false,
            lost: None,
        }
    }

    /// The first subscriptions, and what an earlier process left in the cache.
    pub fn prepare(&mut self) {
        match self.role {
            Role::Gateway => self.client.subscribe(ResourceType::Listener, [WILDCARD]),
            Role::Sidecar if self.everything => {
                self.client.subscribe(ResourceType::Listener, [WILDCARD]);
            }
            Role::Sidecar => self.client.subscribe(ResourceType::Listener, SIDECAR_LISTENERS),
        }
        if self.everything {
            self.client.subscribe(ResourceType::Cluster, [WILDCARD]);
        }
        let Some(path) = self.cache.take() else { return };
        let responses = cache::load(&path);
        self.resources.cache = Some(Cache::new(path));
        for response in responses {
            self.restore(response);
        }
        self.publish();
    }

    /// Runs until the senders are gone.
    pub async fn run(mut self, mut inlets: Inlets) {
        loop {
            let requests = self.requests.clone().filter(|_| self.client.has_request());
            tokio::select! {
                event = inlets.events.recv() => match event {
                    Some(event) => self.on_event(event),
                    None => return,
                },
                Some(demand) = inlets.demands.recv() => self.on_demand(demand),
                Some(address) = inlets.peers.recv() => self.on_peer(address),
                Some(resolved) = inlets.resolved.recv() => {
                    if self.resources.put_resolved(resolved) {
                        self.publish();
                    }
                }
                permit = reserve(requests) => match (permit, self.client.next_request()) {
                    (Some(permit), Some(request)) => {
                        permit.send(request);
                    }
                    _ => self.requests = None,
                },
            }
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Connected(requests, uplink) => {
                self.unanswered = Some(uplink);
                self.client.connected();
                self.requests = Some(requests);
            }
            Event::Lost(reason) => {
                if self.shared.linked.swap(false, Ordering::Relaxed) {
                    tracing::warn!("lost the control plane: {reason}, going on with what is known");
                    self.lost = Some(Instant::now());
                } else {
                    tracing::debug!("no connection to the control plane yet: {reason}");
                }
                self.shared.trouble.store(Some(Arc::new(reason)));
                self.client.disconnected();
                self.unanswered = None;
                self.uplink.send_replace(None);
                self.requests = None;
            }
            Event::Answered => self.linked(),
            Event::Response(response) => self.on_response(*response),
        }
    }

    /// Not before an answer: the socket may be held by somebody who waits for the control plane too.
    fn linked(&mut self) {
        self.shared.linked.store(true, Ordering::Relaxed);
        self.shared.trouble.store(None);
        if let Some(uplink) = self.unanswered.take() {
            self.uplink.send_replace(Some(uplink));
        }
        if let Some(lost) = self.lost.take() {
            let away = lost.elapsed().as_secs_f64();
            tracing::info!("the control plane is back after {away:.1} s");
        }
    }

    fn on_response(&mut self, response: DeltaDiscoveryResponse) {
        self.linked();
        let update = match self.client.on_response(response) {
            Ok(update) => update,
            Err(error) => return tracing::warn!(%error, "ignored a response"),
        };
        let before = self.resources.refusals(update.kind);
        let rejected = self.apply(&update);
        for (name, reason) in &rejected {
            // The control plane tries a taken port again and again.
            if before.get(name).is_none_or(|before| **before != **reason) {
                tracing::warn!(kind = update.kind.short_name(), name, reason, "refused a resource");
            }
        }
        self.client.answer(&update, &rejected);
        // Who a peer is changes no decision: a stranger's address costs no new configuration.
        if update.kind != ResourceType::Workload {
            self.publish();
        }
    }

    /// Puts an update into effect and asks for what it refers to. Out: refused names with reasons.
    fn apply(&mut self, update: &Update) -> Vec<(String, String)> {
        match update.kind {
            ResourceType::Listener => {
                self.listeners_answered = true;
                let rejected = self.resources.apply_listeners(&update.added, &update.removed);
                self.forget_unasked(update);
                self.follow_clusters();
                rejected
            }
            ResourceType::Cluster => {
                self.resources.all_clusters_known = self.everything;
                let rejected = self.resources.apply_clusters(&update.added, &update.removed);
                self.forget_unasked(update);
                self.follow_endpoints();
                rejected
            }
            ResourceType::Endpoint => {
                self.resources.apply_endpoints(&update.added, &update.removed)
            }
            ResourceType::Workload => self.apply_peers(update),
            _ => Vec::new(),
        }
    }

    fn apply_peers(&self, update: &Update) -> Vec<(String, String)> {
        let traffic = &self.shared.traffic;
        let added = update.added.iter().map(|one| (&one.name, one.resource.as_ref()));
        let removed = update.removed.iter().map(|name| (name, None));
        let mut rejected = Vec::new();
        for (name, resource) in added.chain(removed) {
            let Some(address) = peers::address_of(name) else { continue };
            let body = resource.map(|any| any.value.as_slice());
            if let Err(reason) = traffic.peers.answer(address, body) {
                rejected.push((name.clone(), reason));
            }
        }
        traffic.peers_changed();
        rejected
    }

    /// A connection came from or went to an address of which nothing is known.
    fn on_peer(&mut self, address: IpAddr) {
        self.client.subscribe(ResourceType::Workload, [peers::name(address).as_str()]);
        for gone in self.shared.traffic.peers.surplus() {
            self.client.unsubscribe(ResourceType::Workload, [peers::name(gone).as_str()]);
        }
    }

    /// That a name does not exist is remembered only for names that were asked for: the others come
    /// and go with a wildcard, without a bound.
    fn forget_unasked(&mut self, update: &Update) {
        for name in &update.removed {
            if self.client.is_subscribed(update.kind, name) {
                continue;
            }
            match update.kind {
                ResourceType::Listener => self.resources.forget_listener(name),
                ResourceType::Cluster => self.resources.forget_cluster(name),
                _ => {}
            }
        }
    }

    /// Subscribes to the clusters that listeners name, and to no others.
    fn follow_clusters(&mut self) {
        let Changes { named, gone } = self.resources.changed_clusters();
        if self.everything {
            return;
        }
        self.client.unsubscribe(ResourceType::Cluster, gone.iter().map(|name| &**name));
        for name in &gone {
            self.resources.forget_cluster(name);
        }
        self.client.subscribe(ResourceType::Cluster, named.iter().map(|name| &**name));
        self.follow_endpoints();
    }

    fn follow_endpoints(&mut self) {
        let Changes { named, gone } = self.resources.changed_endpoints();
        self.client.unsubscribe(ResourceType::Endpoint, gone.iter().map(|name| &**name));
        for name in &gone {
            self.resources.forget_endpoints(name);
        }
        self.client.subscribe(ResourceType::Endpoint, named.iter().map(|name| &**name));
    }

    fn on_demand(&mut self, demand: Demand) {
        match demand {
            Demand::Destination(address) => {
                let now = self.shared.started.elapsed().as_secs();
                let dropped = self.destinations.add(address, now);
                self.client.subscribe(
                    ResourceType::Listener,
                    crate::config::listener_names(address).iter().map(String::as_str),
                );
                self.let_go(&dropped);
                // Its listeners may be known for another's sake; else their answer is published.
                let names = crate::config::listener_names(address);
                let known = names.iter().all(|name| self.resources.is_listener_settled(name));
                if known && !self.shared.config.load().answered.contains_key(&address) {
                    self.publish();
                }
            }
            Demand::Cluster(name) => {
                tracing::debug!(cluster = %name, "a connection waits for a cluster");
            }
        }
    }

    /// Publishes a configuration that no control plane gave, and is ready.
    pub fn publish_static(&mut self) {
        self.listeners_answered = true;
        self.role = Role::Gateway;
        self.publish();
    }

    fn publish(&mut self) {
        if self.resources.promote() {
            self.follow_clusters();
        }
        self.resources.save();
        let resources = &self.resources;
        self.destinations.settle(|name| resources.is_listener_answered(name));
        let version = self.shared.config.load().version + 1;
        let mut config = self.resources.config(version);
        config.answered = self.destinations.answered();
        config.asks_clusters = self.client.is_subscribed(ResourceType::Listener, WILDCARD);
        config.asks_destinations =
            self.client.is_subscribed(ResourceType::Listener, SIDECAR_LISTENERS[0]);
        config.asks_clusters |= config.asks_destinations;
        self.shared.config.store(Arc::new(config));
        self.shared.published.send_replace(version);
        // Sockets come after the configuration that they are looked up in.
        self.resources.hand_out_sockets();
        if !*self.ready.borrow() && self.is_complete() {
            self.ready.send_replace(true);
        }
    }

    fn is_complete(&self) -> bool {
        let listeners = match self.role {
            // Without these two, what is captured would go to whoever else has their ports.
            Role::Sidecar if !self.everything => {
                SIDECAR_LISTENERS.iter().all(|name| self.resources.is_listener_settled(name))
            }
            Role::Sidecar | Role::Gateway => self.listeners_answered,
        };
        listeners && self.resources.is_complete()
    }

    fn restore(&mut self, response: DeltaDiscoveryResponse) {
        let Some(kind) = ResourceType::from_type_url(&response.type_url) else { return };
        if kind == ResourceType::Listener {
            for resource in &response.resources {
                self.restore_destination(&resource.name);
            }
        }
        let Ok(update) = self.client.on_response(response) else { return };
        let rejected = self.apply(&update);
        for (name, reason) in &rejected {
            tracing::warn!(name, reason, "refused a cached resource");
        }
        // What was refused is not held, so that it is sent again.
        let held = |name: &str| !rejected.iter().any(|(rejected, _)| rejected == name);
        for resource in update.added.iter().filter(|resource| held(&resource.name)) {
            self.client.hold(kind, &resource.name, &resource.version);
        }
    }

    /// A listener that was once asked for on demand is still wanted.
    fn restore_destination(&mut self, name: &str) {
        if self.role != Role::Sidecar || self.everything || SIDECAR_LISTENERS.contains(&name) {
            return;
        }
        self.client.subscribe(ResourceType::Listener, [name]);
        if let Some(address) = crate::config::destination_of(name) {
            let dropped = self.destinations.add(address, 0);
            self.let_go(&dropped);
        }
    }

    /// Forgets listeners that nobody needs any more.
    fn let_go(&mut self, names: &[String]) {
        for name in names {
            self.client.unsubscribe(ResourceType::Listener, [name.as_str()]);
            self.resources.forget_listener(name);
        }
    }
}

/// Resolves when there is room for a request, and to nothing when the connection has ended.
pub async fn reserve(
    requests: Option<mpsc::Sender<DeltaDiscoveryRequest>>,
) -> Option<mpsc::OwnedPermit<DeltaDiscoveryRequest>> {
    match requests {
        Some(requests) => requests.reserve_owned().await.ok(),
        None => std::future::pending().await,
    }
}
