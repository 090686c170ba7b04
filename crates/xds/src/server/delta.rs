//! The delta variant's state machine. In: requests and views. Out: events, and responses that carry
//! only what the peer does not have yet.
//!
//! Source of the rules: the "Incremental xDS" section of Envoy's xDS protocol page.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3 as discovery;
use envoy_types::pb::google::rpc::Status;
use lateen_api::xds::ResourceType;
use prost::Message as _;

use super::delivery::{self, Delivery};
use super::{Event, Limits, Machine, Phase, Protocol, Resource, View, Violation, Want, order};

/// Responses without an answer that are remembered per type; a peer that lags further behind is not
/// believed about the older ones.
const MAX_IN_FLIGHT: usize = 64;

/// One delta stream.
pub struct Delta {
    limits: Limits,
    subscriptions: Vec<(ResourceType, Subscription)>,
    serial: u64,
}

/// What the peer was last told about a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Version(u64),
    Absent,
    /// The peer may have something under this name; it must hear of it again whatever it is.
    Owed,
}

#[derive(Default)]
struct Subscription {
    wildcard: bool,
    names: BTreeSet<String>,
    told: BTreeMap<String, Told>,
    refused: BTreeSet<String>,
    in_flight: VecDeque<Delivery>,
    /// The view by which everything was told that was asked for then.
    seen: Option<u64>,
    /// Names that are to be told of whatever the view is: asked for since, or owed.
    open: BTreeSet<String>,
    /// The first request is answered even if there is nothing: the peer waits for it.
    unanswered: bool,
}

impl Delta {
    pub fn new(limits: Limits) -> Self {
        Self { limits, subscriptions: Vec::new(), serial: 0 }
    }

    fn subscription(&mut self, kind: ResourceType) -> Option<&mut Subscription> {
        self.subscriptions.iter_mut().find(|(have, _)| *have == kind).map(|(_, state)| state)
    }

    /// The peer warms a changed cluster until it hears of its endpoints, even of unchanged ones.
    fn resend_endpoints(&mut self, clusters: &[Resource]) {
        let Some(endpoints) = self.subscription(ResourceType::Endpoint) else { return };
        for name in clusters.iter().filter_map(order::endpoints_of) {
            if let Some(told @ Told::Version(_)) = endpoints.told.get_mut(&name) {
                *told = Told::Owed;
                endpoints.open.insert(name);
            }
        }
    }
}

impl Machine for Delta {
    type Request = discovery::DeltaDiscoveryRequest;
    type Response = discovery::DeltaDiscoveryResponse;
    const PROTOCOL: Protocol = Protocol::Delta;

    fn node(request: &Self::Request) -> Option<&Node> {
        request.node.as_ref()
    }

    fn request(&mut self, request: Self::Request) -> Result<Vec<Event>, Violation> {
        let Some(kind) = ResourceType::from_type_url(&request.type_url) else {
            return Ok(vec![Event::UnknownType(request.type_url)]);
        };
        let first = self.subscription(kind).is_none();
        if first {
            self.subscriptions.push((kind, Subscription::first(kind, &request)));
        }
        let limit = self.limits.names;
        let others: usize = self
            .subscriptions
            .iter()
            .filter(|(have, _)| *have != kind)
            .map(|(_, state)| state.names.len())
            .sum();
        let state = self.subscription(kind).expect("the subscription was just made");
        let mut events = Vec::new();
        events.extend(state.settle(kind, &request.response_nonce, request.error_detail));
        let initial = request.initial_resource_versions;
        state.unsubscribe(request.resource_names_unsubscribe);
        let asked = state.subscribe(request.resource_names_subscribe, &initial);
        let names = state.dropped();
        if !names.is_empty() {
            events.push(Event::Dropped { kind, names });
        }
        if others + state.names.len() > limit {
            return Err(Violation::TooManyNames { limit });
        }
        if (first && state.wildcard) || asked || state.unanswered || !state.open.is_empty() {
            events.push(Event::Changed(kind));
        }
        Ok(events)
    }

    fn answer(
        &mut self,
        kind: ResourceType,
        view: &dyn View,
        phase: Phase,
    ) -> Option<(Self::Response, Delivery)> {
        let serial = self.serial + 1;
        let state = self.subscription(kind)?;
        let asked = state.asked(view, phase);
        let current = state.current(kind, view, asked.as_ref());
        let mut known = Vec::new();
        let mut fresh = Vec::new();
        let mut removed = Vec::new();
        if phase != Phase::Removals {
            (known, fresh) = state.updates(&current);
        }
        if phase != Phase::Updates {
            removed = state.removals(&current, asked.as_ref());
            state.seen = Some(view.version());
            state.open.clear();
        }
        let answered = phase != Phase::Removals && std::mem::take(&mut state.unanswered);
        if known.is_empty() && fresh.is_empty() && removed.is_empty() && !answered {
            return None;
        }
        let resources: Vec<&Resource> = known.iter().chain(&fresh).collect();
        let delivery = Delivery {
            nonce: format!("{serial:x}"),
            view: view.version(),
            names: resources.iter().map(|resource| resource.name.clone()).collect(),
            removed,
            bytes: 0,
        };
        state.remember(delivery.clone());
        let response = discovery::DeltaDiscoveryResponse {
            system_version_info: view.version().to_string(),
            resources: resources.into_iter().map(on_the_wire).collect(),
            type_url: kind.type_url().to_owned(),
            removed_resources: delivery.removed.clone(),
            nonce: delivery.nonce.clone(),
            ..Default::default()
        };
        let delivery = Delivery { bytes: response.encoded_len(), ..delivery };
        self.serial = serial;
        if kind == ResourceType::Cluster {
            self.resend_endpoints(&known);
        }
        Some((response, delivery))
    }

    fn retry(&mut self, kind: ResourceType) {
        if let Some(state) = self.subscription(kind) {
            for name in &state.refused {
                if state.wildcard || state.names.contains(name) {
                    state.told.insert(name.clone(), Told::Owed);
                    state.open.insert(name.clone());
                }
            }
        }
    }

    fn kinds(&self) -> Vec<ResourceType> {
        self.subscriptions.iter().map(|(kind, _)| *kind).collect()
    }
}

impl Subscription {
    /// A first request without names means everything for listeners and clusters (the form that
    /// predates `*`); what the peer kept from an earlier stream is taken over.
    fn first(kind: ResourceType, request: &discovery::DeltaDiscoveryRequest) -> Self {
        let legacy = request.resource_names_subscribe.is_empty() && order::has_wildcard(kind);
        let explicit = request.resource_names_subscribe.iter().any(|name| name == "*");
        let wildcard = legacy || explicit;
        let mut told = BTreeMap::new();
        let asked: BTreeSet<&String> = request.resource_names_subscribe.iter().collect();
        for (name, version) in &request.initial_resource_versions {
            if wildcard || asked.contains(name) {
                let version = delivery::parse_version(version);
                told.insert(name.clone(), version.map_or(Told::Owed, Told::Version));
            }
        }
        let unanswered = told.is_empty() && wildcard;
        Self { wildcard, told, unanswered, ..Self::default() }
    }

    /// True when the peer asked for something. A name asked for again is answered again, because
    /// the peer may have dropped what it had.
    fn subscribe<V>(
        &mut self,
        names: Vec<String>,
        initial: &std::collections::HashMap<String, V>,
    ) -> bool {
        let asked = !names.is_empty();
        for name in names {
            if name == "*" {
                self.unanswered |= !self.wildcard;
                self.wildcard = true;
                continue;
            }
            if !initial.contains_key(&name) {
                self.told.remove(&name);
            }
            self.open.insert(name.clone());
            self.names.insert(name);
        }
        asked
    }

    fn unsubscribe(&mut self, names: Vec<String>) {
        for name in names {
            if name == "*" {
                self.wildcard = false;
                let keep = &self.names;
                self.told.retain(|name, _| keep.contains(name));
                continue;
            }
            self.names.remove(&name);
            if self.wildcard {
                self.told.insert(name.clone(), Told::Owed);
                self.open.insert(name);
            } else {
                self.open.remove(&name);
                self.told.remove(&name);
            }
        }
    }

    /// What was refused and is not asked for any more.
    fn dropped(&mut self) -> Vec<String> {
        if self.wildcard {
            return Vec::new();
        }
        let names = &self.names;
        self.refused.extract_if(.., |name| !names.contains(name)).collect()
    }

    fn settle(&mut self, kind: ResourceType, nonce: &str, error: Option<Status>) -> Option<Event> {
        if nonce.is_empty() {
            return None;
        }
        let Some(at) = self.in_flight.iter().position(|delivery| delivery.nonce == nonce) else {
            return Some(Event::Stale { kind, nonce: nonce.to_owned() });
        };
        let delivery = self.in_flight.drain(..=at).next_back().expect("the range is not empty");
        for name in delivery.names.iter().chain(&delivery.removed) {
            self.refused.remove(name);
        }
        let Some(Status { message, .. }) = error else {
            return Some(Event::Accepted { kind, delivery });
        };
        let event = delivery::rejected(kind, delivery, &message);
        if let Event::Rejected { blamed, .. } = &event {
            self.refused.extend(blamed.iter().cloned());
        }
        Some(event)
    }

    /// The names that an answer has to look at, where they are not all: a peer that asks for one name after another
    /// costs one name each time, however many it has asked for before.
    fn asked(&self, view: &dyn View, phase: Phase) -> Option<BTreeSet<String>> {
        let told_all = self.seen == Some(view.version()) && phase == Phase::Whole;
        (told_all && !self.wildcard).then(|| self.open.clone())
    }

    /// What the peer should have by this view, in the view's order; only the names asked for, if there are any.
    fn current(
        &self,
        kind: ResourceType,
        view: &dyn View,
        asked: Option<&BTreeSet<String>>,
    ) -> Vec<Resource> {
        if let Some(asked) = asked {
            return view.resources(kind, Want::Names(asked));
        }
        if !self.wildcard {
            if self.names.is_empty() {
                return Vec::new();
            }
            return view.resources(kind, Want::Names(&self.names));
        }
        let mut current = view.resources(kind, Want::All);
        let have: BTreeSet<&str> = current.iter().map(|resource| resource.name.as_str()).collect();
        let more: BTreeSet<String> =
            self.names.iter().filter(|name| !have.contains(name.as_str())).cloned().collect();
        if !more.is_empty() {
            current.extend(view.resources(kind, Want::Names(&more)));
        }
        current
    }

    /// The resources that the peer has in another version, and those that are new to it.
    fn updates(&mut self, current: &[Resource]) -> (Vec<Resource>, Vec<Resource>) {
        let (mut known, mut fresh) = (Vec::new(), Vec::new());
        for resource in current {
            let version = Told::Version(delivery::version(&resource.body));
            match self.told.insert(resource.name.clone(), version) {
                Some(before) if before == version => {}
                Some(Told::Version(_) | Told::Owed) => known.push(resource.clone()),
                Some(Told::Absent) | None => fresh.push(resource.clone()),
            }
        }
        (known, fresh)
    }

    fn removals(&mut self, current: &[Resource], asked: Option<&BTreeSet<String>>) -> Vec<String> {
        let have: BTreeSet<&str> = current.iter().map(|resource| resource.name.as_str()).collect();
        let mut removed = Vec::new();
        let looked_at = asked.unwrap_or(&self.names);
        for name in looked_at.iter().filter(|name| !have.contains(name.as_str())) {
            if self.told.insert(name.clone(), Told::Absent) != Some(Told::Absent) {
                removed.push(name.clone());
            }
        }
        if asked.is_some() {
            return removed;
        }
        let names = &self.names;
        self.told.retain(|name, told| {
            let gone = !have.contains(name.as_str()) && !names.contains(name);
            if gone && *told != Told::Absent {
                removed.push(name.clone());
            }
            !gone
        });
        removed
    }

    fn remember(&mut self, delivery: Delivery) {
        if self.in_flight.len() == MAX_IN_FLIGHT {
            self.in_flight.pop_front();
        }
        self.in_flight.push_back(delivery);
    }
}

fn on_the_wire(resource: &Resource) -> discovery::Resource {
    discovery::Resource {
        name: resource.name.clone(),
        version: delivery::version_text(delivery::version(&resource.body)),
        resource: Some(resource.body.clone()),
        ..Default::default()
    }
}
