//! How patches merge lists.
//!
//! In: the name of the definition that holds a list, and the list's field name. Out: whether its
//! items are merged by keys, as a set, or replaced as one. Source: the `x-kubernetes-list-*` (server-side
//! apply) and `x-kubernetes-patch-*` (strategic merge) marks of Kubernetes' OpenAPI, which k8s-openapi
//! does not carry. The two differ: a Service's ports are keyed by port and protocol in the first, by
//! port alone in the second.

/// How server-side apply merges a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListMerge {
    /// Items with equal values in these fields are one item. A `protocol` that is left out counts as
    /// `TCP`, as its default says.
    Map(&'static [&'static str]),
    /// Scalars, each at most once.
    Set,
    /// Replaced as a whole.
    Atomic,
}

/// How server-side apply merges the list `field` of the definition, as in
/// `list_merge("io.k8s.api.core.v1.PodSpec", "containers")`. Lists that Kubernetes does not mark, and
/// all of Istio's, are atomic.
pub fn list_merge(definition: &str, field: &str) -> ListMerge {
    let Some(of) = kubernetes_type(definition) else { return ListMerge::Atomic };
    match (of, field) {
        ("ObjectMeta", "finalizers") | ("NodeSpec", "podCIDRs") | ("Endpoint", "addresses") => {
            ListMerge::Set
        }
        _ => merge_key(definition, field).map_or(ListMerge::Atomic, ListMerge::Map),
    }
}

/// The keys by which server-side apply merges the items of a list of objects, if it does.
pub fn merge_key(definition: &str, field: &str) -> Option<&'static [&'static str]> {
    Some(match (kubernetes_type(definition)?, field) {
        ("JobStatus", "conditions") => return None,
        (_, "conditions") => &["type"],
        ("ServiceSpec", "ports") => &["port", "protocol"],
        ("Container" | "EphemeralContainer", "ports") => &["containerPort", "protocol"],
        ("PodSpec", "topologySpreadConstraints") => &["topologyKey", "whenUnsatisfiable"],
        ("PodSpec", "schedulingGates" | "resourceClaims") => &["name"],
        ("PodStatus", "resourceClaimStatuses") => &["name"],
        ("ResourceRequirements" | "VolumeResourceRequirements", "claims") => &["name"],
        ("MutatingWebhook" | "ValidatingWebhook", "matchConditions") => &["name"],
        ("GatewaySpec" | "GatewayStatus", "listeners") => &["name"],
        ("ListenerSetSpec" | "ListenerSetStatus", "listeners") => &["name"],
        ("GatewayClassStatus", "supportedFeatures") => &["name"],
        (of, field) => return shared_key(of, field),
    })
}

/// The one key by which a strategic merge patch merges the items of a list of objects; without one
/// the list is replaced, unless [`patch_merges_scalars`].
pub fn patch_merge_key(definition: &str, field: &str) -> Option<&'static str> {
    if definition.starts_with("io.k8s.networking.gateway.") {
        return None;
    }
    match (kubernetes_type(definition)?, field) {
        (of, "conditions") if of.ends_with("Status") => Some("type"),
        ("ServiceSpec", "ports") => Some("port"),
        ("Container" | "EphemeralContainer", "ports") => Some("containerPort"),
        ("PodSpec", "topologySpreadConstraints") => Some("topologyKey"),
        ("PodSpec", "schedulingGates" | "resourceClaims") => Some("name"),
        ("PodStatus", "resourceClaimStatuses") => Some("name"),
        ("PodStatus", "hostIPs") => Some("ip"),
        ("MutatingWebhook" | "ValidatingWebhook", "matchConditions") => Some("name"),
        (of, field) => shared_key(of, field).map(|keys| keys[0]),
    }
}

/// Whether a strategic merge patch adds to a list of scalars instead of replacing it.
pub fn patch_merges_scalars(definition: &str, field: &str) -> bool {
    matches!(list_merge(definition, field), ListMerge::Set)
        && kubernetes_type(definition) != Some("Endpoint")
}

/// The keys on which both kinds of patch agree.
fn shared_key(of: &str, field: &str) -> Option<&'static [&'static str]> {
    Some(match (of, field) {
        ("ObjectMeta", "ownerReferences") => &["uid"],
        ("PodSpec", "containers" | "initContainers" | "ephemeralContainers") => &["name"],
        ("PodSpec", "volumes" | "imagePullSecrets") => &["name"],
        ("PodSpec", "hostAliases") => &["ip"],
        ("PodStatus", "podIPs") => &["ip"],
        ("Container" | "EphemeralContainer", "env") => &["name"],
        ("Container" | "EphemeralContainer", "volumeMounts") => &["mountPath"],
        ("Container" | "EphemeralContainer", "volumeDevices") => &["devicePath"],
        ("ServiceAccount", "secrets") => &["name"],
        ("NodeStatus", "addresses") => &["type"],
        ("MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration", "webhooks") => {
            &["name"]
        }
        _ => return None,
    })
}

/// The bare type name of a definition of Kubernetes or the Gateway API.
fn kubernetes_type(definition: &str) -> Option<&str> {
    definition.strip_prefix("io.k8s.")?.rsplit('.').next()
}

#[cfg(test)]
mod tests {
    use super::{ListMerge, list_merge, patch_merge_key, patch_merges_scalars};

    const SERVICE_SPEC: &str = "io.k8s.api.core.v1.ServiceSpec";
    const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

    #[test]
    fn a_services_ports_have_two_keys_when_applied_and_one_when_patched() {
        assert_eq!(list_merge(SERVICE_SPEC, "ports"), ListMerge::Map(&["port", "protocol"]));
        assert_eq!(patch_merge_key(SERVICE_SPEC, "ports"), Some("port"));
    }

    #[test]
    fn finalizers_are_a_set() {
        assert_eq!(list_merge(META, "finalizers"), ListMerge::Set);
        assert!(patch_merges_scalars(META, "finalizers"));
        assert_eq!(patch_merge_key(META, "ownerReferences"), Some("uid"));
    }

    #[test]
    fn tolerations_and_istios_lists_are_replaced() {
        assert_eq!(list_merge("io.k8s.api.core.v1.PodSpec", "tolerations"), ListMerge::Atomic);
        let gateway = "io.istio.networking.GatewaySpec";
        assert_eq!(list_merge(gateway, "servers"), ListMerge::Atomic);
        assert_eq!(list_merge("io.istio.networking.IstioStatus", "conditions"), ListMerge::Atomic);
        assert_eq!(patch_merge_key(gateway, "servers"), None);
    }

    #[test]
    fn a_jobs_conditions_differ_between_the_two() {
        let status = "io.k8s.api.batch.v1.JobStatus";
        assert_eq!(list_merge(status, "conditions"), ListMerge::Atomic);
        assert_eq!(patch_merge_key(status, "conditions"), Some("type"));
    }
}
