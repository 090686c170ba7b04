//! What the served configuration holds and lacks, as numbers. In: a snapshot. Out: [`Figures`].

use lateen_model::Snapshot;
use lateen_model::service::Resolution;
use lateen_model::workload::Health;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    pub snapshot: u64,
    pub services: usize,
    pub virtual_services: usize,
    /// Clusters by endpoint discovery that have no endpoints.
    pub without_endpoints: usize,
    /// The same of those whose names proxies resolve.
    pub names_without_endpoints: usize,
    /// Endpoints that no balancer may choose.
    pub not_ready: usize,
}

impl Figures {
    pub fn of(snapshot: &Snapshot) -> Self {
        let services = snapshot.services().all();
        let mut figures = Self {
            snapshot: snapshot.version(),
            services: services.len(),
            virtual_services: snapshot.routes().virtual_services().len(),
            ..Self::default()
        };
        for (id, service) in services.iter().enumerate() {
            let endpoints = snapshot.endpoints(id);
            let unready = endpoints.all().filter(|endpoint| endpoint.health != Health::Healthy);
            figures.not_ready += unready.count();
            let empty = |number: u16| endpoints.port(number).is_empty();
            let ports = service.ports.iter().filter(|port| empty(port.number));
            match service.resolution {
                Resolution::Static => figures.without_endpoints += ports.count(),
                Resolution::Dns | Resolution::DnsRoundRobin => {
                    figures.names_without_endpoints += ports.count();
                }
                Resolution::Passthrough => {}
            }
        }
        figures
    }
}
