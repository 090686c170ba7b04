//! Host names as Istio reads them. In: a name as a user wrote it and the namespace it was written in.
//! Out: fully qualified names, and the wildcard patterns that could cover a name.

use std::sync::Arc;

/// The domain of Kubernetes Services; Istio's default.
pub const CLUSTER_DOMAIN: &str = "cluster.local";

/// The full name of a Kubernetes Service.
pub fn service_fqdn(name: &str, namespace: &str) -> String {
    format!("{name}.{namespace}.svc.{CLUSTER_DOMAIN}")
}

/// Resolves a host written in `namespace`: a name without a dot is a Service of that namespace, as
/// Istio documents for VirtualService and DestinationRule; names with dots are taken as they are
/// here, and [`candidates`] offers the longer forms.
pub fn resolve_short(host: &str, namespace: &str) -> String {
    if host.contains('.') || host == "*" || host.parse::<std::net::IpAddr>().is_ok() {
        host.to_owned()
    } else {
        service_fqdn(host, namespace)
    }
}

/// The names that `host`, written in `namespace`, may mean, the most literal first: the name itself
/// and, for `x`, `x.ns` and `x.ns.svc`, the full name of the Service.
pub fn candidates(host: &str, namespace: &str) -> Vec<String> {
    let host = host.strip_suffix('.').unwrap_or(host);
    let mut out = vec![host.to_owned()];
    let labels: Vec<&str> = host.split('.').collect();
    match labels.as_slice() {
        [name] if !name.is_empty() && *name != "*" => out.push(service_fqdn(name, namespace)),
        [name, ns] | [name, ns, "svc"] => out.push(service_fqdn(name, ns)),
        _ => {}
    }
    out
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
    use super::{candidates, covers, resolve_short, wildcards};

    #[test]
    fn short_names_belong_to_the_namespace_of_their_writer() {
        assert_eq!(resolve_short("echo", "prod"), "echo.prod.svc.cluster.local");
        assert_eq!(resolve_short("sampledb.svc", "prod"), "sampledb.svc");
        assert_eq!(resolve_short("*", "prod"), "*");
    }

    #[test]
    fn longer_forms_of_a_service_name_are_candidates() {
        let full = "echo.other.svc.cluster.local";
        assert_eq!(candidates("echo.other", "prod")[1], full);
        assert_eq!(candidates("echo.other.svc", "prod")[1], full);
        assert_eq!(candidates("echo.other.svc.cluster.local.", "prod"), vec![full.to_owned()]);
        assert_eq!(candidates("echo", "prod")[1], "echo.prod.svc.cluster.local");
    }

    #[test]
    fn wildcards_go_from_specific_to_general() {
        let all: Vec<String> = wildcards("a.b.c").collect();
        assert_eq!(all, ["*.b.c", "*.c", "*"]);
        assert!(covers("*.b.c", "a.b.c") && !covers("*.b.c", "b.c") && covers("*", "x"));
    }
}
