//! The mesh at one moment: immutable, shared, indexed as translation asks for it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use lateen_api::issue::{Issue, ObjectRef};

use crate::host::Domain;
use crate::index::endpoints::{EndpointIndex, ServiceEndpoints};
use crate::index::routes::RouteIndex;
use crate::index::services::{ServiceId, ServiceIndex};
use crate::mesh::Mesh;
use crate::routing::{DestinationRule, VirtualService};
use crate::service::{Labels, Registry, Service};
use crate::telemetry::TelemetryIndex;
use crate::visibility::ExportTo;
use crate::workload::Workload;

/// One version of the mesh. Parts that a change does not touch are shared with the version before.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    pub(crate) version: u64,
    pub(crate) domain: Domain,
    pub(crate) mesh: Arc<Mesh>,
    pub(crate) services: Arc<ServiceIndex>,
    pub(crate) endpoints: Arc<EndpointIndex>,
    pub(crate) routes: Arc<RouteIndex>,
    pub(crate) telemetry: Arc<TelemetryIndex>,
    pub(crate) namespaces: Arc<BTreeMap<String, Labels>>,
    pub(crate) issues: Arc<Vec<Issue>>,
}

impl Snapshot {
    /// Grows by one with every changed snapshot of a [`crate::World`].
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The cluster's DNS domain.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The mesh-wide settings.
    pub fn mesh(&self) -> &Mesh {
        &self.mesh
    }

    /// The namespace of mesh-wide defaults.
    pub fn root_namespace(&self) -> &str {
        &self.mesh.root_namespace
    }

    /// Services by host, address, port and selector.
    pub fn services(&self) -> &ServiceIndex {
        &self.services
    }

    /// Gateways, VirtualServices, DestinationRules, Sidecars.
    pub fn routes(&self) -> &RouteIndex {
        &self.routes
    }

    /// Telemetry objects.
    pub fn telemetry(&self) -> &TelemetryIndex {
        &self.telemetry
    }

    /// Workloads by address, headless services by endpoint.
    pub fn endpoint_index(&self) -> &EndpointIndex {
        &self.endpoints
    }

    /// The endpoints of a service.
    pub fn endpoints(&self, id: ServiceId) -> &ServiceEndpoints {
        self.endpoints.of(id)
    }

    /// Who owns an address.
    pub fn workload(&self, address: IpAddr) -> Option<&Arc<Workload>> {
        self.endpoints.workload(address)
    }

    /// A namespace's labels; `None` when there is no such namespace.
    pub fn namespace(&self, name: &str) -> Option<&Labels> {
        self.namespaces.get(name)
    }

    /// All namespaces with their labels.
    pub fn namespaces(&self) -> impl Iterator<Item = (&String, &Labels)> {
        self.namespaces.iter()
    }

    /// Whether `discoverySelectors` let a namespace's objects be seen.
    pub fn sees_namespace(&self, name: &str) -> bool {
        self.mesh.discovery.is_everything() || self.namespaces.contains_key(name)
    }

    /// Whether an object is seen: the mesh's own settings are, wherever they are.
    pub fn sees(&self, object: &ObjectRef) -> bool {
        object.namespace.is_empty()
            || object.kind == "ConfigMap"
            || self.sees_namespace(&object.namespace)
    }

    /// What was wrong with objects when they were read.
    pub fn issues(&self) -> &[Issue] {
        &self.issues
    }

    /// Whether a service is visible in a namespace (`exportTo`).
    pub fn service_visible(&self, service: &Service, namespace: &str) -> bool {
        self.visible(
            service.export_to.as_ref(),
            &self.mesh.service_export,
            service.namespace(),
            namespace,
        )
    }

    /// Whether a VirtualService is visible in a namespace.
    pub fn virtual_service_visible(&self, vs: &VirtualService, namespace: &str) -> bool {
        let default = &self.mesh.virtual_service_export;
        self.visible(vs.export_to.as_ref(), default, &vs.meta.namespace, namespace)
    }

    /// Whether a DestinationRule is visible in a namespace.
    pub fn rule_visible(&self, rule: &DestinationRule, namespace: &str) -> bool {
        let default = &self.mesh.destination_rule_export;
        self.visible(rule.export_to.as_ref(), default, &rule.meta.namespace, namespace)
    }

    /// Whether a DestinationRule is for its own namespace only.
    pub fn rule_is_private(&self, rule: &DestinationRule) -> bool {
        let owner = rule.meta.namespace.as_str();
        let default = || ExportTo::default_for(&self.mesh.destination_rule_export, owner);
        let export = rule.export_to.clone().unwrap_or_else(default);
        matches!(export, ExportTo::Namespaces(names) if names.iter().all(|name| &**name == owner))
    }

    fn visible(
        &self,
        own: Option<&ExportTo>,
        default: &[String],
        owner: &str,
        namespace: &str,
    ) -> bool {
        match own {
            Some(own) => own.allows(namespace),
            None => ExportTo::default_for(default, owner).allows(namespace),
        }
    }

    /// The service that a host name means to a client of `namespace`, of those it may see: a
    /// Kubernetes Service first, then one of its own namespace, then the oldest.
    pub fn service_for(&self, host: &str, namespace: &str) -> Option<ServiceId> {
        let seen = |id: &&ServiceId| self.service_visible(self.services.get(**id), namespace);
        let ids = self.services.by_host(host);
        let own = |id: &&ServiceId| self.services.get(**id).namespace() == namespace;
        let kubernetes = ids
            .iter()
            .filter(seen)
            .find(|id| self.services.get(**id).registry == Registry::Kubernetes);
        let found = kubernetes.or_else(|| ids.iter().filter(seen).find(own));
        found.or_else(|| ids.iter().find(seen)).copied()
    }
}
