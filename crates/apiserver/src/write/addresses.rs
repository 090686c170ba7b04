//! Addresses of Services: in, a Service about to be stored; out, the same with a cluster IP that no
//! other has, reserved until it is stored or given up. The stored objects are the only record.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ipnet::Ipv4Net;
use lateen_api::kinds::by_kind;
use serde_json::{Value, json};

use crate::catalog;
use crate::error::Cause;
use crate::object;
use crate::store::Store;

/// Which Service (`namespace/name`) has which address.
pub struct Addresses {
    range: Ipv4Net,
    taken: Mutex<HashMap<Ipv4Addr, String>>,
}

/// An address taken for a Service that is not stored yet; given back when dropped.
pub struct Reservation<'a> {
    addresses: &'a Addresses,
    address: Option<Ipv4Addr>,
}

impl Reservation<'_> {
    /// Keeps the address: the Service is stored.
    pub fn keep(mut self) {
        self.address = None;
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if let Some(address) = self.address {
            self.addresses.taken().remove(&address);
        }
    }
}

impl Addresses {
    /// From the Services already stored.
    pub fn load(range: Ipv4Net, store: &Store) -> Self {
        let kind = by_kind("", "Service").expect("the table of kinds has services");
        let mut taken = HashMap::new();
        for (_, stored) in store.all(catalog::resource_id(kind), None) {
            let service = object::parse_stored(&stored.bytes);
            if let Some(address) = address_of(&service) {
                taken.insert(address, owner(&service));
            }
        }
        Self { range, taken: Mutex::new(taken) }
    }

    /// Gives `service` its address: the one it asks for, or a free one.
    pub fn assign(
        &self,
        service: &mut Value,
        old: Option<&Value>,
    ) -> Result<Reservation<'_>, Cause> {
        let none = Reservation { addresses: self, address: None };
        let field = "spec.clusterIPs[0]";
        let spec = &service["spec"];
        let wanted = spec["clusterIP"].as_str().unwrap_or_default().to_owned();
        let wanted = match spec["clusterIPs"][0].as_str() {
            Some(first) if wanted.is_empty() => first.to_owned(),
            _ => wanted,
        };
        let external = spec["type"] == "ExternalName";
        let before = old.map(|old| object::text(old, &["spec", "clusterIP"])).unwrap_or_default();
        let stays =
            old.is_some_and(|old| old["spec"]["type"] != "ExternalName") && !before.is_empty();
        if stays && !external {
            if !wanted.is_empty() && wanted != before {
                return Err(Cause::invalid(field, &json!([wanted]), "may not change once set"));
            }
            set(service, before);
            return Ok(none);
        }
        if external {
            return Ok(none);
        }
        if wanted == "None" {
            set(service, "None");
            return Ok(none);
        }
        let owner = owner(service);
        let mut taken = self.taken();
        let address = if wanted.is_empty() {
            self.free(&taken, &owner).ok_or_else(|| {
                let problem = format!("no address of {} is free", self.range);
                Cause::invalid(field, &json!(""), &problem)
            })?
        } else {
            self.asked(&taken, &wanted)?
        };
        taken.insert(address, owner);
        set(service, &address.to_string());
        Ok(Reservation { addresses: self, address: Some(address) })
    }

    /// Gives back the address of a Service that is gone or no longer has one.
    pub fn release(&self, service: &Value) {
        if let Some(address) = address_of(service) {
            let mut taken = self.taken();
            if taken.get(&address) == Some(&owner(service)) {
                taken.remove(&address);
            }
        }
    }

    fn asked(&self, taken: &HashMap<Ipv4Addr, String>, wanted: &str) -> Result<Ipv4Addr, Cause> {
        let refuse =
            |problem: &str| Cause::invalid("spec.clusterIPs[0]", &json!([wanted]), problem);
        let address: Ipv4Addr =
            wanted.parse().map_err(|_| refuse("must be a valid IPv4 address, None or empty"))?;
        if !self.range.contains(&address) {
            let range = self.range;
            return Err(refuse(&format!("the provided IP is not in the valid range {range}")));
        }
        match taken.get(&address) {
            Some(owner) => Err(refuse(&format!("provided IP is already allocated to {owner}"))),
            None => Ok(address),
        }
    }

    /// Starts at a place that depends on the name, so that an address is not at once given again to
    /// somebody else while clients still remember it.
    fn free(&self, taken: &HashMap<Ipv4Addr, String>, owner: &str) -> Option<Ipv4Addr> {
        let first = u32::from(self.range.network()) + 1;
        let count = u32::from(self.range.broadcast()).checked_sub(first).filter(|n| *n > 0)?;
        let start = owner
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        (0..count)
            .map(|step| {
                Ipv4Addr::from(
                    first + ((u64::from(start) + u64::from(step)) % u64::from(count)) as u32,
                )
            })
            .find(|address| !taken.contains_key(address))
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<Ipv4Addr, String>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
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

#[cfg(test)]
mod tests {
    use super::Addresses;
    use serde_json::{Value, json};
    use std::sync::Mutex;

    fn addresses() -> Addresses {
        let range = "10.9.0.0/30".parse().unwrap();
        Addresses { range, taken: Mutex::default() }
    }

    fn service(name: &str, spec: Value) -> Value {
        json!({"metadata": {"namespace": "a", "name": name}, "spec": spec})
    }

    #[test]
    fn every_service_gets_another_address_until_none_is_left() {
        let addresses = addresses();
        let (mut one, mut two, mut three) =
            (service("1", json!({})), service("2", json!({})), service("3", json!({})));
        addresses.assign(&mut one, None).unwrap().keep();
        addresses.assign(&mut two, None).unwrap().keep();
        assert_ne!(one["spec"]["clusterIP"], two["spec"]["clusterIP"]);
        assert!(addresses.assign(&mut three, None).is_err());
        addresses.release(&one);
        addresses.assign(&mut three, None).unwrap().keep();
        assert_eq!(three["spec"]["clusterIP"], one["spec"]["clusterIP"]);
    }

    #[test]
    fn an_address_asked_for_must_be_free_and_in_range() {
        let addresses = addresses();
        let mut one = service("1", json!({"clusterIP": "10.9.0.2"}));
        addresses.assign(&mut one, None).unwrap().keep();
        let refused = |spec: Value| {
            let mut other = service("2", spec);
            addresses.assign(&mut other, None).map(|_| ()).unwrap_err().message
        };
        assert!(refused(json!({"clusterIP": "10.9.0.2"})).contains("already allocated to a/1"));
        assert!(refused(json!({"clusterIP": "10.8.0.2"})).contains("not in the valid range"));
        assert!(refused(json!({"clusterIP": "x"})).contains("valid IPv4"));
    }

    #[test]
    fn a_reservation_that_is_not_kept_is_given_back() {
        let addresses = addresses();
        let mut one = service("1", json!({"clusterIP": "10.9.0.2"}));
        drop(addresses.assign(&mut one, None).unwrap());
        addresses.assign(&mut one, None).unwrap().keep();
    }

    #[test]
    fn a_headless_service_has_none_and_an_address_does_not_change() {
        let addresses = addresses();
        let mut headless = service("1", json!({"clusterIP": "None"}));
        addresses.assign(&mut headless, None).unwrap().keep();
        assert_eq!(headless["spec"]["clusterIPs"], json!(["None"]));
        let mut old = service("2", json!({}));
        addresses.assign(&mut old, None).unwrap().keep();
        let mut new = service("2", json!({}));
        addresses.assign(&mut new, Some(&old)).unwrap().keep();
        assert_eq!(new["spec"], old["spec"]);
        let mut moved = service("2", json!({"clusterIP": "None"}));
        assert!(addresses.assign(&mut moved, Some(&old)).is_err());
    }
}
