//! Numbers of what is in many keys. In: keys. Out: routes, which cost less to compare than the texts that they stand for.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::key::{Key, Party, Protocol, Service};

/// About what a number costs.
const PARTY_BYTES: usize = 160;
const SERVICE_BYTES: usize = 80;

/// The way of a key, whoever reports it and however what it counts ended: parties and services of one store by their
/// numbers, which change when it forgets some.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    pub source: u32,
    pub destination: u32,
    pub service: u32,
    pub protocol: Protocol,
}

#[derive(Debug, Default)]
pub struct Numbers {
    parties: FxHashMap<Party, u32>,
    services: FxHashMap<Service, u32>,
}

impl Numbers {
    pub fn route(&mut self, key: &Key) -> Route {
        Route {
            source: self.party(&key.source),
            destination: self.party(&key.destination),
            service: self.service(&key.service),
            protocol: key.protocol,
        }
    }

    /// About what they cost.
    pub fn cost(&self) -> usize {
        self.parties.len() * PARTY_BYTES + self.services.len() * SERVICE_BYTES
    }

    fn party(&mut self, party: &Party) -> u32 {
        // Not both ends of a connection need know who it is by its certificate.
        let party = Party { principal: Arc::default(), ..party.clone() };
        let next = self.parties.len() as u32;
        *self.parties.entry(party).or_insert(next)
    }

    fn service(&mut self, service: &Service) -> u32 {
        let next = self.services.len() as u32;
        *self.services.entry(service.clone()).or_insert(next)
    }
}
