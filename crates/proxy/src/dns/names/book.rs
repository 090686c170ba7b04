//! What is known of names, without I/O.
//!
//! In: questions and the server's responses. Out: answers to the askers, and subscription requests.

use std::collections::HashMap;
use std::net::IpAddr;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource,
};
use lateen_api::xds::{NameTable, ResourceType};
use lateen_xds::client::DeltaClient;
use lateen_xds::client::delta::WILDCARD;
use prost::Message;
use tokio::sync::oneshot;

use super::Meaning;

const KIND: ResourceType = ResourceType::NameTable;

pub(super) struct Book {
    client: DeltaClient,
    entries: HashMap<String, Entry>,
    capacity: usize,
    /// Counts questions, as a clock for "unused longest".
    asked: u64,
}

struct Entry {
    /// `None` until the server has said something.
    known: Option<Meaning>,
    waiting: Vec<oneshot::Sender<Meaning>>,
    last_asked: u64,
}

impl Book {
    pub(super) fn new(node: Node, capacity: usize) -> Self {
        Book { client: DeltaClient::new(node), entries: HashMap::new(), capacity, asked: 0 }
    }

    /// Answers at once what is known, and otherwise when the server has answered.
    pub(super) fn ask(&mut self, name: String, answer: oneshot::Sender<Meaning>) {
        if name == WILDCARD {
            // To subscribe to it would mean every name of the mesh.
            return drop(answer.send(Meaning::Absent));
        }
        self.asked += 1;
        if !self.entries.contains_key(&name) {
            self.make_room();
            self.client.subscribe(KIND, [name.as_str()]);
        }
        let entry = self.entries.entry(name).or_insert_with(|| Entry {
            known: None,
            waiting: Vec::new(),
            last_asked: 0,
        });
        entry.last_asked = self.asked;
        match &entry.known {
            // An asker that has given up meanwhile is not missed.
            Some(known) => drop(answer.send(known.clone())),
            None => {
                entry.waiting.retain(|waiting| !waiting.is_closed());
                entry.waiting.push(answer);
            }
        }
    }

    fn make_room(&mut self) {
        if self.entries.len() < self.capacity {
            return;
        }
        let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.last_asked);
        if let Some(name) = oldest.map(|(name, _)| name.clone()) {
            self.entries.remove(&name);
            self.client.unsubscribe(KIND, [name.as_str()]);
        }
    }

    pub(super) fn connected(&mut self) {
        self.client.connected();
    }

    pub(super) fn disconnected(&mut self) {
        self.client.disconnected();
    }

    pub(super) fn respond(&mut self, response: DeltaDiscoveryResponse) {
        let update = match self.client.on_response(response) {
            Ok(update) => update,
            Err(error) => {
                tracing::warn!(%error, "the control plane's answer was refused");
                return;
            }
        };
        let mut rejected = Vec::new();
        for resource in &update.added {
            match meaning(resource) {
                Ok(meaning) => self.learn(&resource.name, meaning),
                Err(reason) => rejected.push((resource.name.clone(), reason)),
            }
        }
        for name in &update.removed {
            self.learn(name, Meaning::Absent);
        }
        self.client.answer(&update, &rejected);
    }

    fn learn(&mut self, name: &str, answer: Meaning) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        for waiting in entry.waiting.drain(..) {
            drop(waiting.send(answer.clone()));
        }
        entry.known = Some(answer);
    }

    pub(super) fn has_request(&self) -> bool {
        self.client.has_request()
    }

    pub(super) fn next_request(&mut self) -> Option<DeltaDiscoveryRequest> {
        self.client.next_request()
    }
}

/// What the table that came under this name says of it. A host may be listed by its full name only,
/// so the one entry of a table of one counts whatever it is called.
fn meaning(resource: &Resource) -> Result<Meaning, String> {
    let body = resource.resource.as_ref().map(|any| any.value.as_slice()).unwrap_or_default();
    let table =
        NameTable::decode(body).map_err(|error| format!("{}: {error}", resource.name))?.table;
    let only = if table.len() == 1 { table.values().next() } else { None };
    let Some(info) = table.get(&resource.name).or(only) else {
        return Err(format!("{}: the name table does not have this name", resource.name));
    };
    if !info.alias.is_empty() {
        return Ok(Meaning::Alias(info.alias.clone()));
    }
    let parse = |ip: &String| {
        ip.parse::<IpAddr>().map_err(|_| format!("{}: {ip:?} is not an address", resource.name))
    };
    info.ips.iter().map(parse).collect::<Result<_, _>>().map(Meaning::Addresses)
}

#[cfg(test)]
mod tests;
