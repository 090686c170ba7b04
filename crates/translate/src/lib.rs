//! Snapshot and proxy to Envoy resources and issues.
//!
//! In: a [`Snapshot`], the [`Proxy`] that asks, a type of resource, and all of it or some names. Out:
//! Envoy's resources in the shapes of Istio's control plane, each with the objects it comes from, and
//! the Issues met on the way. Pure: the same arguments give the same bytes.
//!
//! This is the L4 stage: every port is carried as an opaque stream by `tcp_proxy`, HTTP ports too;
//! their protocol is kept in the model for the HTTP stage.

mod access_log;
mod chains;
mod cluster;
mod context;
mod endpoint;
mod gateway;
mod inbound;
mod issues;
mod listener;
mod names;
mod origin;
mod outbound;
mod policy;
mod proxy;
mod reporting;
mod tcp;
#[cfg(test)]
mod validate;
mod wire;
mod workload;

use std::collections::BTreeSet;

use envoy_types::pb::google::protobuf::Any;
use lateen_api::issue::{Issue, ObjectRef};
use lateen_api::xds::ResourceType;
use lateen_model::Snapshot;

pub use issues::mesh_issues;
pub use proxy::{Proxy, Role};

use crate::context::Context;

/// Which resources are asked for.
#[derive(Debug, Clone, Copy)]
pub enum Want<'a> {
    /// Everything of the type that the proxy may see.
    All,
    /// These names only; the work does not grow with the mesh.
    Names(&'a BTreeSet<String>),
}

/// One resource.
#[derive(Debug, Clone, PartialEq)]
pub struct Named {
    pub name: String,
    pub body: Any,
    /// The objects that it comes from.
    pub origins: Vec<ObjectRef>,
}

/// What a translation gives. A name that was asked for and is not among the resources does not exist.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Output {
    pub resources: Vec<Named>,
    pub issues: Vec<Issue>,
}

/// The resources of one type for one proxy, sorted by name.
pub fn translate(
    snapshot: &Snapshot,
    proxy: &Proxy,
    resource_type: ResourceType,
    want: Want<'_>,
) -> Output {
    let mut context = Context::new(snapshot, proxy);
    let mut resources = match resource_type {
        ResourceType::Cluster => cluster::clusters(&mut context, want),
        ResourceType::Endpoint => endpoint::assignments(&context, want),
        ResourceType::Listener => listener::listeners(&mut context, want),
        ResourceType::NameTable => names::tables(&context, want),
        ResourceType::Workload => workload::addresses(&context, want),
        // Nothing of these types is made at this stage; "does not exist" is the answer to any name.
        ResourceType::Route
        | ResourceType::VirtualHost
        | ResourceType::ScopedRoute
        | ResourceType::Secret
        | ResourceType::ExtensionConfig
        | ResourceType::Runtime
        | ResourceType::ProxyConfig => Vec::new(),
    };
    resources.sort_by(|a, b| a.name.cmp(&b.name));
    resources.dedup_by(|a, b| a.name == b.name);
    let issues: BTreeSet<Issue> = context.issues.into_iter().collect();
    Output { resources, issues: issues.into_iter().collect() }
}

#[cfg(test)]
mod tests;
