//! Resources -> a static bootstrap, so that stock Envoy can say whether it would take them
//! (`envoy --mode validate -c FILE.pb`). In: translated listeners, clusters and endpoints. Out: the
//! bytes of a `Bootstrap`, which Envoy reads from a file whose name ends in `.pb`.

use envoy_types::pb::envoy::config::bootstrap::v3::{Bootstrap, bootstrap};
use envoy_types::pb::envoy::config::cluster::v3::{Cluster, cluster};
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::config::listener::v3::Listener;
use prost::{DecodeError, Message};

use crate::Named;

/// Builds the bootstrap. EDS clusters become static ones with their endpoints, because a static
/// configuration has no control plane to ask.
///
/// # Errors
/// When a resource is not of the type that its place says.
pub fn static_bootstrap(
    node: Node,
    clusters: &[Named],
    endpoints: &[Named],
    listeners: &[Named],
) -> Result<Vec<u8>, DecodeError> {
    let mut loads = Vec::new();
    for item in endpoints {
        loads.push(ClusterLoadAssignment::decode(item.body.value.as_slice())?);
    }
    let mut statics = Vec::new();
    for item in clusters {
        let mut cluster = Cluster::decode(item.body.value.as_slice())?;
        if cluster.eds_cluster_config.take().is_some() {
            let fixed = cluster::DiscoveryType::Static.into();
            cluster.cluster_discovery_type = Some(cluster::ClusterDiscoveryType::Type(fixed));
            let name = cluster.name.clone();
            let load = loads.iter().find(|load| load.cluster_name == name).cloned();
            let empty = ClusterLoadAssignment { cluster_name: name, ..Default::default() };
            cluster.load_assignment = Some(load.unwrap_or(empty));
        }
        statics.push(cluster);
    }
    let mut taken = Vec::new();
    for item in listeners {
        taken.push(Listener::decode(item.body.value.as_slice())?);
    }
    let resources =
        bootstrap::StaticResources { clusters: statics, listeners: taken, ..Default::default() };
    let bootstrap =
        Bootstrap { node: Some(node), static_resources: Some(resources), ..Default::default() };
    Ok(bootstrap.encode_to_vec())
}
