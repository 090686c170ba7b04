//! Host names as Istio reads them. In: a name as a user wrote it and the namespace it was written in.
//! Out: fully qualified names, and the wildcard patterns that could cover a name.

use std::sync::Arc;

/// The cluster's DNS domain, which the names of Kubernetes Services end with. It is not the trust domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain(Arc<str>);

impl Default for Domain {
    /// Kubernetes' and Istio's.
    fn default() -> Self {
        Domain(Arc::from("cluster.local"))
    }
}

impl Domain {
    /// Reads a domain; a final dot is left out.
    ///
    /// # Errors
    /// If it is not a DNS name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let domain = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let known = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let label = |label: &str| !label.is_empty() && label.len() < 64 && label.chars().all(known);
        match domain.len() < 200 && domain.split('.').all(label) {
            true => Ok(Domain(Arc::from(domain))),
            false => Err(format!("{text:?} is not a DNS domain: write it as in cluster.local")),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The full name of a Kubernetes Service.
    pub fn service(&self, name: &str, namespace: &str) -> String {
        format!("{name}.{namespace}.svc.{}", self.0)
    }

    /// Resolves a host written in `namespace`: a name without a dot is a Service of that namespace, as
    /// Istio documents for VirtualService and DestinationRule; names with dots are taken as they are
    /// here, and [`Domain::candidates`] offers the longer forms.
    pub fn resolve_short(&self, host: &str, namespace: &str) -> String {
        if host.contains('.') || host == "*" || host.parse::<std::net::IpAddr>().is_ok() {
            host.to_owned()
        } else {
            self.service(host, namespace)
        }
    }

    /// The names that `host`, written in `namespace`, may mean, the most literal first: the name itself
    /// and, for `x`, `x.ns` and `x.ns.svc`, the full name of the Service.
    pub fn candidates(&self, host: &str, namespace: &str) -> Vec<String> {
        let host = host.strip_suffix('.').unwrap_or(host);
        let mut out = vec![host.to_owned()];
        let labels: Vec<&str> = host.split('.').collect();
        match labels.as_slice() {
            [name] if !name.is_empty() && *name != "*" => out.push(self.service(name, namespace)),
            [name, ns] | [name, ns, "svc"] => out.push(self.service(name, ns)),
            _ => {}
        }
        out
    }
}

/// The wildcard patterns that cover `host`, the most specific first, ending in `*`.
pub fn wildcards(host: &str) -> impl Iterator<Item = String> + '_ {
    let body = host.strip_prefix("*.").unwrap_or(host);
    let own = host.starts_with("*.").then(|| host.to_owned());
    let parents = body.match_indices('.').map(|(at, _)| format!("*{}", &body[at..]));
    own.into_iter().chain(parents).chain(std::iter::once("*".to_owned()))
}

/// Whether `pattern` (exact, `*` or `*.suffix`) covers `host`.
pub fn covers(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(suffix) => host.len() >= suffix.len() && host.ends_with(suffix),
        None => pattern.eq_ignore_ascii_case(host),
    }
}

/// Whether a name is a wildcard pattern.
pub fn is_wildcard(host: &str) -> bool {
    host.starts_with('*')
}

/// A shared, lower-case copy: DNS names compare without case.
pub fn shared(host: &str) -> Arc<str> {
    Arc::from(host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::{Domain, covers, wildcards};

    #[test]
    fn short_names_belong_to_the_namespace_of_their_writer() {
        let domain = Domain::default();
        assert_eq!(domain.resolve_short("echo", "prod"), "echo.prod.svc.cluster.local");
        assert_eq!(domain.resolve_short("sampledb.svc", "prod"), "sampledb.svc");
        assert_eq!(domain.resolve_short("*", "prod"), "*");
        let domain = Domain::parse("Corp.Example.").unwrap();
        assert_eq!(domain.resolve_short("echo", "prod"), "echo.prod.svc.corp.example");
    }

    #[test]
    fn longer_forms_of_a_service_name_are_candidates() {
        let domain = Domain::parse("k8s").unwrap();
        let full = "echo.other.svc.k8s";
        assert_eq!(domain.candidates("echo.other", "prod")[1], full);
        assert_eq!(domain.candidates("echo.other.svc", "prod")[1], full);
        assert_eq!(domain.candidates("echo.other.svc.k8s.", "prod"), vec![full.to_owned()]);
        assert_eq!(domain.candidates("echo", "prod")[1], "echo.prod.svc.k8s");
    }

    #[test]
    fn what_is_no_domain_is_refused() {
        for wrong in ["", ".", "a..b", "a b", "a/b", "*.a", &"a.".repeat(150)] {
            assert!(Domain::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn wildcards_go_from_specific_to_general() {
        let all: Vec<String> = wildcards("a.b.c").collect();
        assert_eq!(all, ["*.b.c", "*.c", "*"]);
        assert!(covers("*.b.c", "a.b.c") && !covers("*.b.c", "b.c") && covers("*", "x"));
    }
}
