//! The xDS resource types that are spoken, and Istio's own messages, which Envoy's types lack.
//!
//! In: a type URL from the wire. Out: a `ResourceType`, in the order in which a push sends them.

mod names;
mod workload;

pub use names::{NameInfo, NameTable};
pub use workload::{Address, Workload, WorkloadType, address};

/// A type of xDS resource. The order is that of a push (make before break: clusters before the
/// listeners that name them, see Envoy's "eventual consistency considerations").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceType {
    Cluster,
    Endpoint,
    Listener,
    Route,
    VirtualHost,
    ScopedRoute,
    Secret,
    ExtensionConfig,
    Runtime,
    /// Istio's table of host names, for the proxies' DNS.
    NameTable,
    /// Istio's proxy configuration, as its agents ask for it.
    ProxyConfig,
    /// Who owns an address, as Istio's ztunnel asks for it: by `network/ip`.
    Workload,
}

impl ResourceType {
    /// Every type, in push order.
    pub const ORDER: [ResourceType; 12] = [
        ResourceType::Cluster,
        ResourceType::Endpoint,
        ResourceType::Listener,
        ResourceType::Route,
        ResourceType::VirtualHost,
        ResourceType::ScopedRoute,
        ResourceType::Secret,
        ResourceType::ExtensionConfig,
        ResourceType::Runtime,
        ResourceType::NameTable,
        ResourceType::ProxyConfig,
        ResourceType::Workload,
    ];

    pub fn type_url(self) -> &'static str {
        match self {
            ResourceType::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            ResourceType::Endpoint => {
                "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
            }
            ResourceType::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            ResourceType::Route => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            ResourceType::VirtualHost => "type.googleapis.com/envoy.config.route.v3.VirtualHost",
            ResourceType::ScopedRoute => {
                "type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration"
            }
            ResourceType::Secret => {
                "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
            }
            ResourceType::ExtensionConfig => {
                "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"
            }
            ResourceType::Runtime => "type.googleapis.com/envoy.service.runtime.v3.Runtime",
            ResourceType::NameTable => "type.googleapis.com/istio.networking.nds.v1.NameTable",
            ResourceType::ProxyConfig => "type.googleapis.com/istio.mesh.v1alpha1.ProxyConfig",
            ResourceType::Workload => "type.googleapis.com/istio.workload.Address",
        }
    }

    pub fn from_type_url(url: &str) -> Option<ResourceType> {
        ResourceType::ORDER.into_iter().find(|t| t.type_url() == url)
    }

    /// Istio's abbreviation, as in `pilot_xds_pushes{type="cds"}`.
    pub fn short_name(self) -> &'static str {
        match self {
            ResourceType::Cluster => "CDS",
            ResourceType::Endpoint => "EDS",
            ResourceType::Listener => "LDS",
            ResourceType::Route => "RDS",
            ResourceType::VirtualHost => "VHDS",
            ResourceType::ScopedRoute => "SRDS",
            ResourceType::Secret => "SDS",
            ResourceType::ExtensionConfig => "ECDS",
            ResourceType::Runtime => "RTDS",
            ResourceType::NameTable => "NDS",
            ResourceType::ProxyConfig => "PCDS",
            ResourceType::Workload => "WDS",
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::{NameInfo, NameTable, ResourceType};

    #[test]
    fn type_urls_lead_back_to_their_types() {
        for resource_type in ResourceType::ORDER {
            assert_eq!(ResourceType::from_type_url(resource_type.type_url()), Some(resource_type));
        }
        assert_eq!(ResourceType::from_type_url("type.googleapis.com/nothing"), None);
    }

    #[test]
    fn the_push_order_is_the_order_of_the_type() {
        assert!(ResourceType::ORDER.is_sorted());
        assert!(ResourceType::Cluster < ResourceType::Listener);
    }

    #[test]
    fn a_name_table_has_the_wire_form_of_istio() {
        let info = NameInfo {
            ips: vec!["10.0.0.1".into()],
            registry: "Kubernetes".into(),
            shortname: "a".into(),
            namespace: "b".into(),
            ..NameInfo::default()
        };
        let table = NameTable { table: [("a.b.svc".to_owned(), info)].into() };
        let bytes = table.encode_to_vec();
        assert_eq!(&bytes[..11], b"\x0a\x27\x0a\x07a.b.svc");
        assert_eq!(NameTable::decode(bytes.as_slice()).unwrap(), table);
    }
}
