//! The cluster domain. In: a domain; names, lower case and without the final dot. Out: whether nobody but the
//! mesh can know it, and the SOA record that a negative answer carries (RFC 2308).
//!
//! Programs on a machine without a cluster have no other DNS for this domain: to ask the host's
//! resolvers would tell them the mesh's names, and they could only fail. A cluster has a DNS of its own, which
//! knows Services that the mesh does not see, and records of other types.

use hickory_proto::ProtoError;
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{Name, RData, Record};

/// Seconds that "no such name" may be kept: short, because a Service may be created at any moment.
const NEGATIVE_TTL: u32 = 5;
/// For secondary servers, which there are none of.
const REFRESH: i32 = 7200;
const RETRY: i32 = 1800;
const EXPIRE: i32 = 86400;

/// The cluster domain, such as `cluster.local`: lower case and without the final dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    domain: String,
    services: String,
    /// A cluster's DNS serves it too.
    is_shared: bool,
}

impl Default for Zone {
    /// Istio's and Kubernetes', known to nobody else.
    fn default() -> Self {
        Zone::new("cluster.local")
    }
}

impl Zone {
    pub fn new(domain: &str) -> Self {
        let domain = domain.trim_matches('.').to_ascii_lowercase();
        Zone { services: format!("svc.{domain}"), domain, is_shared: false }
    }

    /// The domain of a cluster, whose DNS is asked for what the mesh does not know.
    pub fn shared(domain: &str) -> Self {
        Zone { is_shared: true, ..Zone::new(domain) }
    }

    /// Whether the mesh answers for everything at and below this name.
    pub(super) fn contains(&self, name: &str) -> bool {
        !self.is_shared && is_or_below(name, &self.domain)
    }

    /// Names above those of Services, such as a namespace's. They exist without records of their own: to
    /// deny them would deny everything below (RFC 8020).
    pub(super) fn has_names_below(&self, name: &str) -> bool {
        let below = name.strip_suffix(self.services.as_str());
        let below = below.and_then(|rest| rest.strip_suffix('.'));
        name == self.domain
            || name == self.services
            || below.is_some_and(|namespace| !namespace.contains('.'))
    }

    /// The SOA for a negative answer about `name`: the cluster domain's, or for a name of a ServiceEntry,
    /// whose domain is not ours, its own.
    pub(super) fn authority(&self, name: &Name) -> Result<Record, ProtoError> {
        let text = name.to_ascii().to_ascii_lowercase();
        let domain = Name::from_ascii(format!("{}.", self.domain))?;
        let is_below = is_or_below(text.trim_end_matches('.'), &self.domain);
        let owner = if is_below { domain } else { name.clone() };
        let server = Name::from_ascii(format!("ns.dns.{}.", self.domain))?;
        let person = Name::from_ascii(format!("hostmaster.{}.", self.domain))?;
        let data = SOA::new(server, person, 1, REFRESH, RETRY, EXPIRE, NEGATIVE_TTL);
        Ok(Record::from_rdata(owner, NEGATIVE_TTL, RData::SOA(data)))
    }
}

fn is_or_below(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::Zone;

    #[test]
    fn the_cluster_domain_is_whole_labels() {
        let zone = Zone::default();
        assert!(zone.contains("cluster.local") && zone.contains("a.default.svc.cluster.local"));
        assert!(!zone.contains("mycluster.local") && !zone.contains("cluster.local.example.com"));
    }

    #[test]
    fn namespaces_have_names_below_and_services_are_names() {
        for domain in ["cluster.local", "k8s.corp.example"] {
            let zone = Zone::new(domain);
            let below = |name: &str| zone.has_names_below(&format!("{name}.{domain}"));
            assert!(zone.has_names_below(domain) && below("svc") && below("default.svc"));
            assert!(!below("a.default.svc") && !below("pod"));
        }
    }

    #[test]
    fn another_domain_is_answered_for_in_place_of_the_default() {
        let zone = Zone::new("Corp.Example.");
        assert!(
            zone.contains("a.default.svc.corp.example") && !zone.contains("a.svc.cluster.local")
        );
        let name = |text: &str| hickory_proto::rr::Name::from_ascii(text).unwrap();
        let authority = zone.authority(&name("x.default.svc.corp.example.")).unwrap();
        assert_eq!(authority.name, name("corp.example."));
    }
}
