//! The state-of-the-world variant's state machine, as stock Envoy and gRPC clients speak it. In:
//! requests and views. Out: events, and responses that carry the whole set that is subscribed to.
//!
//! Source of the rules: "Basic protocol overview" and "ACK/NACK" of Envoy's xDS protocol page.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3 as discovery;
use envoy_types::pb::google::rpc::Status;
use lateen_api::xds::ResourceType;
use prost::Message as _;

use super::delivery::{self, Delivery};
use super::{Event, Limits, Machine, Phase, Protocol, Resource, View, Violation, Want, order};

/// One state-of-the-world stream.
pub struct Sotw {
    limits: Limits,
    subscriptions: Vec<(ResourceType, Subscription)>,
    serial: u64,
}

#[derive(Default)]
struct Subscription {
    wildcard: bool,
    names: BTreeSet<String>,
    /// The last response; its nonce is the only one that counts.
    last: Option<Delivery>,
    settled: bool,
    version: Option<u64>,
    /// Clusters as last sent, so that those to be removed can stay until nothing refers to them.
    clusters: Vec<Resource>,
    refused: bool,
    /// An answer is due even if nothing has changed.
    due: bool,
}

impl Sotw {
    pub fn new(limits: Limits) -> Self {
        Self { limits, subscriptions: Vec::new(), serial: 0 }
    }

    fn subscription(&mut self, kind: ResourceType) -> Option<&mut Subscription> {
        self.subscriptions.iter_mut().find(|(have, _)| *have == kind).map(|(_, state)| state)
    }

    fn names(&self) -> usize {
        self.subscriptions.iter().map(|(_, state)| state.names.len()).sum()
    }
}

impl Machine for Sotw {
    type Request = discovery::DiscoveryRequest;
    type Response = discovery::DiscoveryResponse;
    const PROTOCOL: Protocol = Protocol::StateOfTheWorld;

    fn node(request: &Self::Request) -> Option<&Node> {
        request.node.as_ref()
    }

    fn request(&mut self, request: Self::Request) -> Result<Vec<Event>, Violation> {
        let Some(kind) = ResourceType::from_type_url(&request.type_url) else {
            return Ok(vec![Event::UnknownType(request.type_url)]);
        };
        let first = self.subscription(kind).is_none();
        if first {
            let state = Subscription { due: true, ..Subscription::default() };
            self.subscriptions.push((kind, state));
        }
        let state = self.subscription(kind).expect("the subscription was just made");
        let mut events = Vec::new();
        if !first && !request.response_nonce.is_empty() {
            match state.settle(kind, request.response_nonce, request.error_detail) {
                Ok(event) => events.extend(event),
                // The peer will answer the newer response too, with the names it wants by then.
                Err(Stale { nonce }) => return Ok(vec![Event::Stale { kind, nonce }]),
            }
        }
        let names = state.subscribe(kind, first, request.resource_names);
        if !names.is_empty() {
            events.push(Event::Dropped { kind, names });
        }
        if state.due {
            events.push(Event::Changed(kind));
        }
        match self.limits.names {
            limit if self.names() > limit => Err(Violation::TooManyNames { limit }),
            _ => Ok(events),
        }
    }

    fn answer(
        &mut self,
        kind: ResourceType,
        view: &dyn View,
        phase: Phase,
    ) -> Option<(Self::Response, Delivery)> {
        let serial = self.serial + 1;
        let state = self.subscription(kind)?;
        let mut resources = state.current(kind, view)?;
        if phase == Phase::Updates {
            state.keep_departing(&mut resources);
        }
        let version = delivery::set_version(&resources);
        if state.version == Some(version) && !state.due {
            return None;
        }
        state.due = false;
        state.version = Some(version);
        if kind == ResourceType::Cluster {
            state.clusters.clone_from(&resources);
        }
        let delivery = state.deliver(format!("{serial:x}"), view.version(), &resources);
        let response = discovery::DiscoveryResponse {
            version_info: delivery::version_text(version),
            resources: resources.into_iter().map(|resource| resource.body).collect(),
            type_url: kind.type_url().to_owned(),
            nonce: delivery.nonce.clone(),
            ..Default::default()
        };
        let delivery = Delivery { bytes: response.encoded_len(), ..delivery };
        self.serial = serial;
        // The peer warms changed clusters until it hears of their endpoints, even of unchanged ones.
        if kind == ResourceType::Cluster
            && phase != Phase::Removals
            && let Some(endpoints) = self.subscription(ResourceType::Endpoint)
        {
            endpoints.due = true;
        }
        Some((response, delivery))
    }

    fn retry(&mut self, kind: ResourceType) {
        if let Some(state) = self.subscription(kind) {
            state.due |= state.refused;
        }
    }

    fn kinds(&self) -> Vec<ResourceType> {
        self.subscriptions.iter().map(|(kind, _)| *kind).collect()
    }
}

/// An answer to a response that is not the newest.
struct Stale {
    nonce: String,
}

impl Subscription {
    /// Names that are new make an answer due; so does any request that follows nothing yet. What is returned is not
    /// asked for any more.
    fn subscribe(&mut self, kind: ResourceType, first: bool, names: Vec<String>) -> Vec<String> {
        let explicit = names.iter().any(|name| name == "*");
        let legacy = names.is_empty() && order::has_wildcard(kind) && (first || self.wildcard);
        let wildcard = explicit || legacy;
        let names: BTreeSet<String> = names.into_iter().filter(|name| name != "*").collect();
        self.due |= (wildcard && !self.wildcard) || !names.is_subset(&self.names);
        self.wildcard = wildcard;
        let before = std::mem::replace(&mut self.names, names);
        let gone = before.into_iter().filter(|name| !wildcard && !self.names.contains(name));
        gone.collect()
    }

    fn settle(
        &mut self,
        kind: ResourceType,
        nonce: String,
        error: Option<Status>,
    ) -> Result<Option<Event>, Stale> {
        let Some(delivery) = self.last.clone().filter(|delivery| delivery.nonce == nonce) else {
            return Err(Stale { nonce });
        };
        if std::mem::replace(&mut self.settled, true) {
            return Ok(None);
        }
        self.refused = error.is_some();
        Ok(Some(match error {
            None => Event::Accepted { kind, delivery },
            Some(Status { message, .. }) => delivery::rejected(kind, delivery, &message),
        }))
    }

    /// The whole set; `None` when nothing is subscribed to.
    fn current(&self, kind: ResourceType, view: &dyn View) -> Option<Vec<Resource>> {
        if !self.wildcard {
            let named = || view.resources(kind, Want::Names(&self.names));
            return (!self.names.is_empty()).then(named);
        }
        let mut all = view.resources(kind, Want::All);
        let have: BTreeSet<&str> = all.iter().map(|resource| resource.name.as_str()).collect();
        let more: BTreeSet<String> =
            self.names.iter().filter(|name| !have.contains(name.as_str())).cloned().collect();
        if !more.is_empty() {
            all.extend(view.resources(kind, Want::Names(&more)));
        }
        Some(all)
    }

    fn keep_departing(&self, resources: &mut Vec<Resource>) {
        let have: BTreeSet<String> =
            resources.iter().map(|resource| resource.name.clone()).collect();
        let departing = self.clusters.iter().filter(|cluster| !have.contains(&cluster.name));
        resources.extend(departing.cloned());
    }

    fn deliver(&mut self, nonce: String, view: u64, resources: &[Resource]) -> Delivery {
        let names: Vec<String> = resources.iter().map(|resource| resource.name.clone()).collect();
        let before = self.last.take().map(|last| last.names).unwrap_or_default();
        let have: BTreeSet<&String> = names.iter().collect();
        let removed = before.into_iter().filter(|name| !have.contains(name)).collect();
        let delivery = Delivery { nonce, view, names, removed, bytes: 0 };
        self.last = Some(delivery.clone());
        self.settled = false;
        delivery
    }
}
