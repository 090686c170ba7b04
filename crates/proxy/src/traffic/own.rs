//! Who the proxy's own workload is. In: the node that it says it is, with Istio's metadata. Out: a peer.

use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::google::protobuf::Struct;
use envoy_types::pb::google::protobuf::value::Kind;
use lateen_telemetry::peer::{Peer, unknown};

/// Labels that say the canonical service and its revision, the first that is there.
const SERVICE: [&str; 3] = ["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"];
const REVISION: [&str; 3] =
    ["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"];

/// As its peers know it: the canonical names stand for app and version.
pub fn peer(node: &Node) -> Peer {
    let empty = Struct::default();
    let metadata = node.metadata.as_ref().unwrap_or(&empty);
    let text = |key: &str| text(metadata, key).unwrap_or_else(unknown);
    let labels = match metadata.fields.get("LABELS").and_then(|labels| labels.kind.as_ref()) {
        Some(Kind::StructValue(labels)) => labels,
        _ => &empty,
    };
    let first = |keys: [&str; 3]| keys.iter().find_map(|key| self::text(labels, key));
    let workload = text("WORKLOAD_NAME");
    let service = first(SERVICE).unwrap_or_else(|| workload.clone());
    let revision = first(REVISION).unwrap_or_else(|| "latest".into());
    Peer {
        cluster: text("CLUSTER_ID"),
        namespace: text("NAMESPACE"),
        workload,
        app: service.clone(),
        version: revision.clone(),
        canonical_service: service,
        canonical_revision: revision,
        principal: unknown(),
    }
}

fn text(fields: &Struct, key: &str) -> Option<Arc<str>> {
    match fields.fields.get(key)?.kind.as_ref()? {
        Kind::StringValue(text) if !text.is_empty() => Some(text.as_str().into()),
        _ => None,
    }
}
