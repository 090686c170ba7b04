//! Addresses of Services: in, a Service about to be stored; out, the same with a cluster IP and node
//! ports that no other has, reserved until it is stored or given up. The stored objects are the only
//! record.

mod ports;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::Ipv4Net;
use lateen_api::kinds::by_kind;
use serde_json::{Value, json};

use crate::catalog;
use crate::error::Cause;
use crate::object;
use crate::store::Store;

/// The API's own Service has the first address of the range for good.
const API: &str = "default/kubernetes";

/// Which Service (`namespace/name`) has what.
#[derive(Default)]
struct Taken {
    addresses: HashMap<Ipv4Addr, String>,
    ports: HashMap<u16, String>,
}

/// The range of cluster IPs and what of it is taken.
pub struct Addresses {
    range: Ipv4Net,
    taken: Arc<Mutex<Taken>>,
}

/// What was taken for a Service that is not stored yet; given back when dropped.
pub struct Reservation {
    taken: Arc<Mutex<Taken>>,
    addresses: Vec<Ipv4Addr>,
    ports: Vec<u16>,
}

impl Reservation {
    /// Keeps it: the Service is stored.
    pub fn keep(mut self) {
        self.addresses.clear();
        self.ports.clear();
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.addresses.is_empty() && self.ports.is_empty() {
            return;
        }
        let mut taken = lock(&self.taken);
        for address in &self.addresses {
            taken.addresses.remove(address);
        }
        for port in &self.ports {
            taken.ports.remove(port);
        }
    }
}

impl Addresses {
    /// From the Services already stored.
    pub fn load(range: Ipv4Net, store: &Store) -> Self {
        let kind = by_kind("", "Service").expect("the table of kinds has services");
        let mut taken = Taken::default();
        for (_, stored) in store.all(catalog::resource_id(kind), None) {
            let service = object::parse_stored(&stored.bytes);
            if let Some(address) = address_of(&service) {
                taken.addresses.insert(address, owner(&service));
            }
            taken.ports.extend(ports::of(&service).map(|port| (port, owner(&service))));
        }
        taken.addresses.entry(first(range)).or_insert_with(|| API.to_owned());
        Self { range, taken: Arc::new(Mutex::new(taken)) }
    }

    /// The address of the API's own Service.
    pub fn first(&self) -> Ipv4Addr {
        first(self.range)
    }

    /// Gives `service` its address and node ports: those it asks for, or free ones.
    pub fn assign(
        &self,
        service: &mut Value,
        old: Option<&Value>,
    ) -> Result<Reservation, Vec<Cause>> {
        let taken = Arc::clone(&self.taken);
        // Declared before the guard: dropped after it, as giving back takes the lock again.
        let mut reservation = Reservation { taken, addresses: Vec::new(), ports: Vec::new() };
        let mut taken = self.taken();
        let mut causes = Vec::new();
        match self.assign_address(&mut taken.addresses, service, old) {
            Ok(address) => reservation.addresses.extend(address),
            Err(cause) => causes.push(cause),
        }
        let owner = owner(service);
        let (found, refused) = ports::assign(&mut taken.ports, service, old, &owner);
        reservation.ports = found;
        causes.extend(refused);
        if causes.is_empty() { Ok(reservation) } else { Err(causes) }
    }

    /// Gives back what a Service has that is gone.
    pub fn release(&self, service: &Value) {
        self.settle(service, &Value::Null);
    }

    /// Gives back what a Service had and has no more.
    pub fn settle(&self, before: &Value, after: &Value) {
        let owner = owner(before);
        let mut taken = self.taken();
        let address = address_of(before).filter(|address| address_of(after) != Some(*address));
        if let Some(address) = address
            && taken.addresses.get(&address) == Some(&owner)
            && !(owner == API && address == self.first())
        {
            taken.addresses.remove(&address);
        }
        for port in ports::of(before).filter(|port| !ports::of(after).any(|kept| kept == *port)) {
            if taken.ports.get(&port) == Some(&owner) {
                taken.ports.remove(&port);
            }
        }
    }

    /// Sets the cluster IP; returns it if it is new.
    fn assign_address(
        &self,
        taken: &mut HashMap<Ipv4Addr, String>,
        service: &mut Value,
        old: Option<&Value>,
    ) -> Result<Option<Ipv4Addr>, Cause> {
        let wanted = wanted(service);
        let before = old.map(|old| object::text(old, &["spec", "clusterIP"])).unwrap_or_default();
        let stays =
            old.is_some_and(|old| old["spec"]["type"] != "ExternalName") && !before.is_empty();
        if service["spec"]["type"] == "ExternalName" {
            return Ok(None);
        }
        if stays {
            if !wanted.is_empty() && wanted != before {
                let problem = "may not change once set";
                return Err(Cause::invalid("spec.clusterIPs[0]", &json!([wanted]), problem));
            }
            set(service, before);
            return Ok(None);
        }
        if wanted == "None" {
            set(service, "None");
            return Ok(None);
        }
        let owner = owner(service);
        if wanted.is_empty() {
            let address = self.free(taken, &owner).ok_or_else(|| {
                let problem = format!("no address of {} is free", self.range);
                Cause::invalid("spec.clusterIPs[0]", &json!(""), &problem)
            })?;
            taken.insert(address, owner);
            set(service, &address.to_string());
            return Ok(Some(address));
        }
        let address = self.asked(taken, &wanted, &owner)?;
        set(service, &wanted);
        Ok(taken.insert(address, owner).is_none().then_some(address))
    }

    fn asked(
        &self,
        taken: &HashMap<Ipv4Addr, String>,
        wanted: &str,
        owner: &str,
    ) -> Result<Ipv4Addr, Cause> {
        let refuse = |problem: &str| Cause::invalid("spec.clusterIPs", &json!([wanted]), problem);
        let address: Ipv4Addr = wanted.parse().map_err(|_| {
            let problem = "must be a valid IPv4 address, None or empty";
            Cause::invalid("spec.clusterIPs[0]", &json!([wanted]), problem)
        })?;
        if !self.range.contains(&address) {
            return Err(refuse(&format!(
                "failed to allocate IP {wanted}: the provided IP ({wanted}) is not in the valid \
                 range. The range of valid IPs is {}",
                self.range
            )));
        }
        match taken.get(&address) {
            Some(have) if have == API && owner == API => Ok(address),
            Some(have) => Err(refuse(&format!(
                "failed to allocate IP {wanted}: provided IP is already allocated to {have}"
            ))),
            None => Ok(address),
        }
    }

    /// Starts at a place that depends on the name, so that an address is not at once given again to
    /// somebody else while clients still remember it.
    fn free(&self, taken: &HashMap<Ipv4Addr, String>, owner: &str) -> Option<Ipv4Addr> {
        let first = u32::from(self.first());
        let count = u32::from(self.range.broadcast()).checked_sub(first).filter(|n| *n > 0)?;
        let start = spread(owner);
        (0..count)
            .map(|step| {
                Ipv4Addr::from(
                    first + ((u64::from(start) + u64::from(step)) % u64::from(count)) as u32,
                )
            })
            .find(|address| !taken.contains_key(address))
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        lock(&self.taken)
    }
}

fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A number that differs from name to name (FNV-1a).
fn spread(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

fn first(range: Ipv4Net) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(range.network()).saturating_add(1))
}

/// The address that a Service asks for; "" if it asks for none.
fn wanted(service: &Value) -> String {
    let spec = &service["spec"];
    let single = spec["clusterIP"].as_str().filter(|address| !address.is_empty());
    single.or(spec["clusterIPs"][0].as_str()).unwrap_or_default().to_owned()
}

fn set(service: &mut Value, address: &str) {
    let spec = object::child_mut(service, "spec");
    spec.insert("clusterIP".to_owned(), json!(address));
    spec.insert("clusterIPs".to_owned(), json!([address]));
}

fn owner(service: &Value) -> String {
    format!("{}/{}", object::meta(service, "namespace"), object::meta(service, "name"))
}

fn address_of(service: &Value) -> Option<Ipv4Addr> {
    object::text(service, &["spec", "clusterIP"]).parse().ok()
}
