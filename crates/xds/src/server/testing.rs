//! A scripted view for the state machines' tests.

use std::collections::BTreeMap;

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, DiscoveryType};
use envoy_types::pb::google::protobuf::Any;
use lateen_api::xds::ResourceType;
use prost::Message;

use super::{Resource, View, Want};

/// Resources by type and name. A name that starts with `hidden` exists but is not part of everything.
#[derive(Clone, Default)]
pub(crate) struct Script {
    pub version: u64,
    resources: BTreeMap<(ResourceType, String), Any>,
}

impl Script {
    pub fn put(&mut self, kind: ResourceType, name: &str, content: &str) -> &mut Self {
        let body = Any { type_url: kind.type_url().to_owned(), value: content.as_bytes().to_vec() };
        self.resources.insert((kind, name.to_owned()), body);
        self.version += 1;
        self
    }

    /// A cluster whose endpoints are asked for under its own name; `content` makes versions differ.
    pub fn put_eds_cluster(&mut self, name: &str, content: &str) -> &mut Self {
        let cluster = Cluster {
            name: name.to_owned(),
            alt_stat_name: content.to_owned(),
            cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Eds as i32)),
            ..Default::default()
        };
        let kind = ResourceType::Cluster;
        let body = Any { type_url: kind.type_url().to_owned(), value: cluster.encode_to_vec() };
        self.resources.insert((kind, name.to_owned()), body);
        self.version += 1;
        self
    }

    pub fn remove(&mut self, kind: ResourceType, name: &str) -> &mut Self {
        self.resources.remove(&(kind, name.to_owned()));
        self.version += 1;
        self
    }
}

impl View for Script {
    fn version(&self) -> u64 {
        self.version
    }

    fn resources(&self, kind: ResourceType, want: Want<'_>) -> Vec<Resource> {
        let wanted = |name: &str| match want {
            Want::All => !name.starts_with("hidden"),
            Want::Names(names) => names.contains(name),
        };
        self.resources
            .iter()
            .filter(|((have, name), _)| *have == kind && wanted(name))
            .map(|((_, name), body)| Resource { name: name.clone(), body: body.clone() })
            .collect()
    }
}
