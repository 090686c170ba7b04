//! OpenAPI documents for clients, and the view of the schema that patches and decoding share. In: the
//! definitions of the `api` crate. Out: Swagger 2 as JSON and as gnostic's protobuf (what kubectl
//! before 1.27 reads), OpenAPI v3 per group version. Documents are built when first asked for.

mod atomic;
mod paths;
mod proto;
mod rewrite;
pub(crate) mod shape;
mod v3;

use std::sync::LazyLock;

use bytes::Bytes;
use lateen_api::kinds::{Kind, Source};
use lateen_api::schema::{definition_name, definitions};
use prost::Message;
use serde_json::{Value, json};

pub use v3::{v3_group, v3_index};

use shape::Shape;

/// The media type of [`v2_proto`]. Clients also ask for it with `v2@v1.0`, which Go's own parser of
/// media types refuses in an answer.
pub const V2_PROTO_TYPE: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

static V2_JSON: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(v2_document().to_string()));
static V2_PROTO: LazyLock<Bytes> =
    LazyLock::new(|| Bytes::from(proto::document(&v2_document()).encode_to_vec()));

/// `/openapi/v2` as JSON.
pub fn v2_json() -> Bytes {
    V2_JSON.clone()
}

/// `/openapi/v2` as gnostic's protobuf `Document`.
pub fn v2_proto() -> Bytes {
    V2_PROTO.clone()
}

/// The shape of a kind's objects.
pub(crate) fn kind_shape(kind: &Kind, version: &str) -> Shape<'static> {
    Shape::named(definitions(), &definition_name(kind, version))
}

/// Whether a cluster would serve the kind through a CustomResourceDefinition.
pub(crate) fn is_custom(kind: &Kind) -> bool {
    match kind.source {
        Source::Kubernetes => false,
        Source::GatewayApi | Source::Istio => true,
    }
}

fn info() -> Value {
    json!({"title": "Lateen", "version": concat!("v", env!("CARGO_PKG_VERSION"))})
}

fn v2_document() -> Value {
    json!({
        "swagger": "2.0",
        "info": info(),
        "paths": paths::v2(),
        "definitions": rewrite::v2(definitions()),
    })
}

#[cfg(test)]
mod tests;
