//! Delta ADS from the client's side, without I/O. In: wishes ([`DeltaClient::subscribe`]) and the
//! server's responses. Out: requests to send ([`DeltaClient::next_request`]). Source of the rules:
//! Envoy's "xDS REST and gRPC protocol" page, incremental variants.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource,
};
use envoy_types::pb::google::rpc::Status;
use lateen_api::xds::ResourceType;

/// Every resource of a type.
pub const WILDCARD: &str = "*";
/// gRPC's code for an invalid argument, which Envoy uses for a NACK.
const INVALID_ARGUMENT: i32 = 3;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    #[error("the server sent a resource type that nobody asked for: {0}")]
    UnknownType(String),
}

/// What a response says. It must be answered with [`DeltaClient::answer`].
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    pub kind: ResourceType,
    pub added: Vec<Resource>,
    /// Removed, or asked for and not existing.
    pub removed: Vec<String>,
    nonce: String,
}

/// The client's side of one ADS connection and of those after it.
#[derive(Debug)]
pub struct DeltaClient {
    node: Node,
    node_sent: bool,
    connected: bool,
    kinds: BTreeMap<ResourceType, Subscription>,
    answers: VecDeque<DeltaDiscoveryRequest>,
}

#[derive(Debug, Default)]
struct Subscription {
    names: BTreeSet<String>,
    /// What is held, by name.
    versions: BTreeMap<String, String>,
    /// The first request of this connection has been made.
    opened: bool,
    /// What the server takes for subscribed on this connection.
    sent: BTreeSet<String>,
    subscribe: BTreeSet<String>,
    unsubscribe: BTreeSet<String>,
}

impl DeltaClient {
    pub fn new(node: Node) -> Self {
        Self {
            node,
            node_sent: false,
            connected: false,
            kinds: BTreeMap::new(),
            answers: VecDeque::new(),
        }
    }

    /// Declares a resource that is held from an earlier life, so that it is not sent again.
    pub fn hold(&mut self, kind: ResourceType, name: &str, version: &str) {
        let versions = &mut self.kinds.entry(kind).or_default().versions;
        versions.insert(name.to_owned(), version.to_owned());
    }

    /// Asks for names; [`WILDCARD`] asks for all.
    pub fn subscribe<'a>(&mut self, kind: ResourceType, names: impl IntoIterator<Item = &'a str>) {
        let subscription = self.kinds.entry(kind).or_default();
        for name in names {
            if subscription.names.insert(name.to_owned()) {
                // Also one whose end was not sent yet: what was held of it is forgotten here.
                subscription.unsubscribe.remove(name);
                subscription.subscribe.insert(name.to_owned());
            }
        }
    }

    pub fn unsubscribe<'a>(
        &mut self,
        kind: ResourceType,
        names: impl IntoIterator<Item = &'a str>,
    ) {
        let subscription = self.kinds.entry(kind).or_default();
        let wildcard = subscription.names.contains(WILDCARD);
        for name in names {
            if !wildcard {
                subscription.versions.remove(name);
            }
            if subscription.names.remove(name) {
                subscription.subscribe.remove(name);
                if subscription.sent.contains(name) {
                    subscription.unsubscribe.insert(name.to_owned());
                }
            }
        }
    }

    pub fn is_subscribed(&self, kind: ResourceType, name: &str) -> bool {
        self.kinds.get(&kind).is_some_and(|subscription| subscription.names.contains(name))
    }

    /// A connection was made: everything is asked for again, with the versions that are held.
    pub fn connected(&mut self) {
        self.connected = true;
        self.node_sent = false;
        self.answers.clear();
        for subscription in self.kinds.values_mut() {
            subscription.opened = false;
            subscription.sent.clear();
            subscription.subscribe.clear();
            subscription.unsubscribe.clear();
        }
    }

    pub fn disconnected(&mut self) {
        self.connected = false;
        self.answers.clear();
    }

    /// True if [`Self::next_request`] has something.
    pub fn has_request(&self) -> bool {
        self.connected
            && (!self.answers.is_empty() || self.kinds.values().any(Subscription::is_dirty))
    }

    /// The next request to send: answers before subscriptions, clusters before listeners.
    pub fn next_request(&mut self) -> Option<DeltaDiscoveryRequest> {
        if !self.connected {
            return None;
        }
        let mut request = self.answers.pop_front().or_else(|| {
            let (kind, subscription) = self.kinds.iter_mut().find(|(_, s)| s.is_dirty())?;
            Some(subscription.request(*kind))
        })?;
        if !self.node_sent {
            self.node_sent = true;
            request.node = Some(self.node.clone());
        }
        Some(request)
    }

    /// Takes a response apart. An unknown type is answered here, with an error.
    pub fn on_response(
        &mut self,
        response: DeltaDiscoveryResponse,
    ) -> Result<Update, ProtocolError> {
        let kind = ResourceType::from_type_url(&response.type_url);
        let Some(kind) = kind.filter(|kind| self.kinds.contains_key(kind)) else {
            let error = ProtocolError::UnknownType(response.type_url.clone());
            let detail = Some(status(error.to_string()));
            self.answers.push_back(answer(response.type_url, response.nonce, detail));
            return Err(error);
        };
        let subscription = self.kinds.entry(kind).or_default();
        for name in &response.removed_resources {
            subscription.versions.remove(name);
        }
        let mut added = response.resources;
        if !subscription.names.contains(WILDCARD) {
            // An answer may cross the end of its subscription.
            added.retain(|resource| subscription.names.contains(&resource.name));
        }
        let mut removed = response.removed_resources;
        removed
            .extend(added.extract_if(.., |resource| resource.resource.is_none()).map(|r| r.name));
        Ok(Update { kind, added, removed, nonce: response.nonce })
    }

    /// Acknowledges an update. `rejected` has the names that could not be used, and why: they make
    /// it a NACK whose detail has every reason; the other resources are in use nevertheless.
    pub fn answer(&mut self, update: &Update, rejected: &[(String, String)]) {
        let subscription = self.kinds.entry(update.kind).or_default();
        for resource in &update.added {
            if !rejected.iter().any(|(name, _)| *name == resource.name) {
                subscription.versions.insert(resource.name.clone(), resource.version.clone());
            }
        }
        let reasons: Vec<&str> = rejected.iter().map(|(_, reason)| reason.as_str()).collect();
        let detail = (!reasons.is_empty()).then(|| status(reasons.join("; ")));
        let url = update.kind.type_url().to_owned();
        self.answers.push_back(answer(url, update.nonce.clone(), detail));
    }
}

impl Subscription {
    fn is_dirty(&self) -> bool {
        if self.opened {
            !self.subscribe.is_empty() || !self.unsubscribe.is_empty()
        } else {
            !self.names.is_empty()
        }
    }

    fn request(&mut self, kind: ResourceType) -> DeltaDiscoveryRequest {
        let mut request =
            DeltaDiscoveryRequest { type_url: kind.type_url().to_owned(), ..Default::default() };
        if self.opened {
            self.sent.extend(self.subscribe.iter().cloned());
            self.sent.retain(|name| !self.unsubscribe.contains(name));
            request.resource_names_subscribe = take(&mut self.subscribe);
            request.resource_names_unsubscribe = take(&mut self.unsubscribe);
        } else {
            self.opened = true;
            self.sent.clone_from(&self.names);
            self.subscribe.clear();
            self.unsubscribe.clear();
            request.resource_names_subscribe = self.names.iter().cloned().collect();
            request.initial_resource_versions = self
                .versions
                .iter()
                .map(|(name, version)| (name.clone(), version.clone()))
                .collect();
        }
        request
    }
}

fn take(names: &mut BTreeSet<String>) -> Vec<String> {
    std::mem::take(names).into_iter().collect()
}

fn status(message: String) -> Status {
    Status { code: INVALID_ARGUMENT, message, details: Vec::new() }
}

fn answer(type_url: String, nonce: String, error_detail: Option<Status>) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest { type_url, response_nonce: nonce, error_detail, ..Default::default() }
}

#[cfg(test)]
mod tests;
