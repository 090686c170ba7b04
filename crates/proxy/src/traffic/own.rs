//! Who the proxy's own workload is. In: the node that it says it is, with Istio's metadata. Out: a peer.

use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{Struct, Value as PbValue};
use lateen_telemetry::cel::Value;
use lateen_telemetry::peer::{Peer, unknown};

/// Labels that say the canonical service and its revision, the first that is there.
const SERVICE: [&str; 3] = ["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"];
const REVISION: [&str; 3] =
    ["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"];

/// The proxy's own workload: as its peers know it, and the node that expressions may ask about.
#[derive(Debug)]
pub struct Own {
    pub peer: Arc<Peer>,
    pub node: Value,
}

/// All of it.
pub fn whole(node: &Node) -> Own {
    let metadata = node.metadata.as_ref().map_or(Value::Null, members);
    let all = [
        ("id", Value::text(node.id.as_str())),
        ("cluster", Value::text(node.cluster.as_str())),
        ("metadata", metadata),
    ];
    let all = all.into_iter().map(|(name, value)| (name.into(), value)).collect();
    Own { peer: Arc::new(peer(node)), node: Value::Map(Arc::new(all)) }
}

fn members(fields: &Struct) -> Value {
    let all = fields.fields.iter().map(|(name, value)| (name.as_str().into(), member(value)));
    Value::Map(Arc::new(all.collect()))
}

fn member(value: &PbValue) -> Value {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::NumberValue(number)) => Value::Double(*number),
        Some(Kind::StringValue(text)) => Value::text(text.as_str()),
        Some(Kind::BoolValue(flag)) => Value::Bool(*flag),
        Some(Kind::StructValue(fields)) => members(fields),
        Some(Kind::ListValue(list)) => Value::List(list.values.iter().map(member).collect()),
    }
}

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
