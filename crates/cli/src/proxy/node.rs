//! Who the proxy of a pod is to the control plane. In: the pod. Out: the node that Istio's agent would make:
//! its id, its cluster, and every `ISTIO_META_` variable as metadata.

use envoy_types::pb::envoy::config::core::v3::Node;
use serde_json::{Map, Value, json};

use super::pod::Pod;
use crate::node::{NodeArgs, struct_of};

/// Strings, and JSON objects whose fields are metadata each.
const TEXT: &str = "ISTIO_META_";
const JSON: &str = "ISTIO_METAJSON_";
/// Of no use to anybody but kubectl, and long.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

pub fn node(pod: &Pod) -> Node {
    let args = NodeArgs {
        role: pod.role,
        name: pod.name.clone(),
        namespace: pod.namespace.clone(),
        address: pod.address(),
        labels: pod.labels.clone(),
        service_account: pod.variable("SERVICE_ACCOUNT").unwrap_or_default().to_owned(),
        bind: None,
        domain: pod.domain.clone(),
    };
    Node { metadata: Some(struct_of(&metadata(pod, &args))), ..args.to_proto() }
}

fn metadata(pod: &Pod, args: &NodeArgs) -> Map<String, Value> {
    let addresses: Vec<String> = pod.addresses.iter().map(ToString::to_string).collect();
    let mut annotations = pod.annotations.clone();
    annotations.remove(LAST_APPLIED);
    let mut metadata = Map::new();
    for (name, value) in [
        ("NAME", json!(pod.name)),
        ("NAMESPACE", json!(pod.namespace)),
        ("INSTANCE_IPS", json!(addresses.join(","))),
        ("LABELS", json!(pod.labels)),
        ("ANNOTATIONS", json!(annotations)),
        ("SERVICE_ACCOUNT", json!(args.service_account)),
        ("WORKLOAD_NAME", json!(pod.name)),
        ("CLUSTER_ID", json!("Kubernetes")),
        ("MESH_ID", json!(pod.variable("TRUST_DOMAIN").unwrap_or("cluster.local"))),
        ("PROXY_CONFIG", pod.config_json.clone()),
        ("ENVOY_STATUS_PORT", json!(lateen_proxy::agent::HEALTH_PORT)),
        ("ENVOY_PROMETHEUS_PORT", json!(lateen_proxy::agent::METRICS_PORT)),
    ] {
        metadata.insert(name.to_owned(), value);
    }
    for (name, value) in &pod.variables {
        if let Some(name) = name.strip_prefix(TEXT) {
            metadata.insert(name.to_owned(), json!(value));
        } else if name.starts_with(JSON)
            && let Ok(fields) = serde_json::from_str::<Map<String, Value>>(value)
        {
            metadata.extend(fields);
        }
    }
    metadata
}
