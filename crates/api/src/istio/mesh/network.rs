//! MeshNetworks: the networks of a mesh and the gateways between them.

use std::collections::BTreeMap;

use crate::proto::messages;

messages! {
    /// One network: its endpoints and gateways.
    pub struct Network {
        pub endpoints: Vec<NetworkEndpoints>,
        pub gateways: Vec<IstioNetworkGateway>,
    }

    /// Which endpoints are in a network.
    #[schemars(extend("x-lateen-one-of" = [["fromCidr", "fromRegistry"]]))]
    pub struct NetworkEndpoints {
        pub from_cidr: Option<String>,
        pub from_registry: Option<String>,
    }

    /// A gateway into a network.
    #[schemars(extend("x-lateen-one-of" = [["registryServiceName", "address"]]))]
    pub struct IstioNetworkGateway {
        pub registry_service_name: Option<String>,
        pub address: Option<String>,
        pub port: Option<u32>,
        pub locality: String,
    }

    /// The networks of a mesh, by name.
    pub struct MeshNetworks {
        pub networks: BTreeMap<String, Network>,
    }
}
