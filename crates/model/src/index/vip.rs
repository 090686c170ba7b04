//! Automatic addresses for ServiceEntry hosts without one. In: services, the oldest first. Out: an
//! address of 240.240.0.0/16 each, the same in every run: a hash of namespace and host, and the next
//! free one where two hashes meet. A host that has been given one keeps it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::service::Service;

/// Usable addresses: the range without its first and last.
const ROOM: u32 = 0xFFFE;

/// Gives every service that may have one an automatic address; returns those left without.
pub fn allocate(services: &mut [Arc<Service>]) -> Vec<Arc<Service>> {
    let mut taken: FxHashSet<IpAddr> = FxHashSet::default();
    for service in services.iter() {
        taken.extend(&service.addresses);
    }
    for slot in services.iter_mut() {
        // A copied object may say that it has what another one has: the older keeps it.
        if slot.auto_address.is_some_and(|given| !taken.insert(given)) {
            *slot = Arc::new(Service { auto_address: None, ..Service::clone(slot) });
        }
    }
    let mut without = Vec::new();
    for slot in services.iter_mut().filter(|service| wants(service)) {
        let key = format!("{}/{}", slot.namespace(), slot.hostname);
        let start = u32::try_from(xxhash_rust::xxh3::xxh3_64(key.as_bytes()) % u64::from(ROOM))
            .expect("a remainder of a 16-bit number fits");
        let found = (0..ROOM).map(|step| address(start, step)).find(|ip| taken.insert(*ip));
        match found {
            Some(ip) => {
                *slot = Arc::new(Service { auto_address: Some(ip), ..Service::clone(slot) });
            }
            None => without.push(Arc::clone(slot)),
        }
    }
    without
}

/// Whether an address is of the range.
pub fn is_automatic(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V4(ip) if ip.octets()[..2] == [240, 240])
}

fn wants(service: &Service) -> bool {
    service.auto_allocate
        && service.auto_address.is_none()
        && service.addresses.is_empty()
        && service.ranges.is_empty()
}

fn address(start: u32, step: u32) -> IpAddr {
    let base = u32::from(Ipv4Addr::new(240, 240, 0, 1));
    IpAddr::V4(Ipv4Addr::from(base + (start + step) % ROOM))
}
