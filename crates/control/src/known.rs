//! What the mesh has where a connection went wrong. In: names and addresses that a proxy tells. Out: the objects that
//! decided, as far as the reader may know them.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use lateen_api::issue::ObjectRef;
use lateen_model::Snapshot;

use crate::acts::service_ids;

/// The present mesh, to be asked about what is the past by then: an answer is about now.
#[derive(Clone, Default)]
pub struct Known {
    snapshot: Arc<Snapshot>,
    /// The only namespaces of which anything is said; `None` for all.
    only: Option<Arc<BTreeSet<String>>>,
}

/// A subset of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subset {
    /// The DestinationRule that defines it.
    pub rule: ObjectRef,
    /// `a=b,c=d`
    pub labels: String,
}

/// What has an address, but not the port that was dialled there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Portless {
    /// A Service or ServiceEntry.
    pub object: ObjectRef,
    pub ports: Vec<u16>,
}

impl Known {
    pub fn new(snapshot: Arc<Snapshot>, only: Option<Arc<BTreeSet<String>>>) -> Self {
        Self { snapshot, only }
    }

    /// A host's subset of this name.
    pub fn subset(&self, host: &str, name: &str) -> Option<Subset> {
        let mut rules = self.snapshot.routes().rules_for(host).flatten();
        let found = rules.find_map(|rule| rule.subsets.iter().find(|subset| subset.name == name));
        let subset = found.filter(|subset| self.may_tell(&subset.owner.object))?;
        let labels = subset.labels.iter().map(|(key, value)| format!("{key}={value}"));
        let labels = labels.collect::<Vec<_>>().join(",");
        Some(Subset { rule: subset.owner.object.clone(), labels })
    }

    /// The oldest of those that have this address, if none of them has the port.
    pub fn without_port(&self, address: IpAddr, port: u16) -> Option<Portless> {
        let services = self.snapshot.services();
        let here: Vec<_> =
            services.by_address(address).iter().map(|id| services.get(*id)).collect();
        let has_port = here.iter().any(|service| service.port(port).is_some());
        let first = here.first().filter(|first| !has_port && self.may_tell(&first.meta.object))?;
        let ports = first.ports.iter().map(|port| port.number).collect();
        Some(Portless { object: first.meta.object.clone(), ports })
    }

    /// Whatever the graph calls the services that have this address.
    pub fn services_at(&self, address: IpAddr) -> Vec<String> {
        let services = self.snapshot.services();
        let here = services.by_address(address).iter().map(|id| services.get(*id));
        here.filter(|service| self.may_tell(&service.meta.object))
            .flat_map(|service| service_ids(service))
            .collect()
    }

    fn may_tell(&self, object: &ObjectRef) -> bool {
        self.only.as_ref().is_none_or(|namespaces| namespaces.contains(&object.namespace))
    }
}
