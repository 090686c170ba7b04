//! What makes a push safe: the steps in which types are sent, so that nothing refers to what the peer
//! does not have yet, and what one type's change means for another.
//!
//! Source: "Eventual consistency considerations" of Envoy's xDS protocol page.

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, DiscoveryType};
use lateen_api::xds::ResourceType;
use prost::Message;

use super::{Phase, Resource};

/// The steps of one push: additions along the chain of references, then the clusters that go.
pub fn plan(mut kinds: Vec<ResourceType>) -> Vec<(ResourceType, Phase)> {
    kinds.sort_unstable();
    let clusters = kinds.contains(&ResourceType::Cluster);
    let mut plan: Vec<(ResourceType, Phase)> = kinds
        .into_iter()
        .map(|kind| match kind {
            ResourceType::Cluster => (kind, Phase::Updates),
            _ => (kind, Phase::Whole),
        })
        .collect();
    if clusters {
        plan.push((ResourceType::Cluster, Phase::Removals));
    }
    plan
}

/// The types of which a subscription without names means everything.
pub fn has_wildcard(kind: ResourceType) -> bool {
    matches!(kind, ResourceType::Cluster | ResourceType::Listener | ResourceType::NameTable)
}

/// The name under which a cluster asks for its endpoints; `None` if it does not.
pub fn endpoints_of(cluster: &Resource) -> Option<String> {
    let cluster = Cluster::decode(cluster.body.value.as_slice()).ok()?;
    let eds = ClusterDiscoveryType::Type(DiscoveryType::Eds as i32);
    if cluster.cluster_discovery_type != Some(eds) {
        return None;
    }
    let service = cluster.eds_cluster_config.map(|config| config.service_name);
    Some(service.filter(|name| !name.is_empty()).unwrap_or(cluster.name))
}
