//! The cluster domain. In: a name, lower case and without the final dot. Out: whether nobody but the
//! mesh can know it, and the SOA record that a negative answer carries (RFC 2308).
//!
//! Programs on a machine without a cluster have no other DNS for this domain: to ask the host's
//! resolvers would tell them the mesh's names, and they could only fail.

use hickory_proto::ProtoError;
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{Name, RData, Record};

/// Istio's and Kubernetes' default.
const DOMAIN: &str = "cluster.local";
const SERVICES: &str = "svc.cluster.local";

/// Seconds that "no such name" may be kept: short, because a Service may be created at any moment.
const NEGATIVE_TTL: u32 = 5;
/// For secondary servers, which there are none of.
const REFRESH: i32 = 7200;
const RETRY: i32 = 1800;
const EXPIRE: i32 = 86400;

/// Whether the mesh answers for everything at and below this name.
pub(super) fn contains(name: &str) -> bool {
    is_or_below(name, DOMAIN)
}

/// Names above those of Services, such as a namespace's. They exist without records of their own: to
/// deny them would deny everything below (RFC 8020).
pub(super) fn has_names_below(name: &str) -> bool {
    let below = name.strip_suffix(SERVICES).and_then(|rest| rest.strip_suffix('.'));
    name == DOMAIN || name == SERVICES || below.is_some_and(|namespace| !namespace.contains('.'))
}

/// The SOA for a negative answer about `name`: the cluster domain's, or for a name of a ServiceEntry,
/// whose domain is not ours, its own.
pub(super) fn authority(name: &Name) -> Result<Record, ProtoError> {
    let text = name.to_ascii().to_ascii_lowercase();
    let domain = Name::from_ascii(format!("{DOMAIN}."))?;
    let owner = if contains(text.trim_end_matches('.')) { domain } else { name.clone() };
    let server = Name::from_ascii(format!("ns.dns.{DOMAIN}."))?;
    let person = Name::from_ascii(format!("hostmaster.{DOMAIN}."))?;
    let data = SOA::new(server, person, 1, REFRESH, RETRY, EXPIRE, NEGATIVE_TTL);
    Ok(Record::from_rdata(owner, NEGATIVE_TTL, RData::SOA(data)))
}

fn is_or_below(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::{contains, has_names_below};

    #[test]
    fn the_cluster_domain_is_whole_labels() {
        assert!(contains("cluster.local") && contains("a.default.svc.cluster.local"));
        assert!(!contains("mycluster.local") && !contains("cluster.local.example.com"));
    }

    #[test]
    fn namespaces_have_names_below_and_services_are_names() {
        assert!(
            has_names_below("svc.cluster.local") && has_names_below("default.svc.cluster.local")
        );
        assert!(!has_names_below("a.default.svc.cluster.local"));
        assert!(!has_names_below("pod.cluster.local"));
    }
}
