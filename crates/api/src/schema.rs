//! OpenAPI v3 definitions of all kinds, conformance to them, and merge keys.
//!
//! In: kinds and JSON objects. Out: `components/schemas`, findings with field paths, and the keys by
//! which patches merge lists.

mod conform;
mod generate;
mod limits;
mod merge;

use std::sync::LazyLock;

use serde_json::{Map, Value};

pub use conform::{Finding, FindingKind, conform};
pub use merge::{ListMerge, list_merge, merge_key, patch_merge_key, patch_merges_scalars};

use crate::kinds::{Kind, Source};

static DEFINITIONS: LazyLock<Map<String, Value>> = LazyLock::new(generate::definitions);

/// The content of OpenAPI v3's `components/schemas`. References are
/// `#/components/schemas/NAME` (for a Swagger 2 document, replace that prefix by `#/definitions/`).
///
/// Every kind of the table has a definition per served version ([`definition_name`]), with
/// `apiVersion`, `kind`, `metadata` and `x-kubernetes-group-version-kind`. Definitions use only what
/// both OpenAPI versions and kubectl of any age read: `$ref`, `type`, `properties`, `items`,
/// `additionalProperties`, `required`, `enum`, `format`, `description`; Istio's have bounds and
/// `x-kubernetes-validations` too. Three extensions are Lateen's: `x-lateen-one-of` (groups of properties of
/// which one may be set), `x-lateen-format` and `x-lateen-nullable`.
pub fn definitions() -> &'static Map<String, Value> {
    &DEFINITIONS
}

/// The name of a kind's definition, as in `io.k8s.api.core.v1.Service`,
/// `io.istio.networking.v1alpha3.Gateway`, `io.k8s.networking.gateway.v1.HTTPRoute`.
pub fn definition_name(kind: &Kind, version: &str) -> String {
    match kind.source {
        Source::Kubernetes if kind.group == "apiextensions.k8s.io" => {
            format!("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.{version}.{}", kind.kind)
        }
        Source::Kubernetes => {
            let package = match kind.group.split('.').next() {
                None | Some("") => "core",
                Some(first) => first,
            };
            format!("io.k8s.api.{package}.{version}.{}", kind.kind)
        }
        Source::GatewayApi | Source::Istio => {
            let reversed: Vec<&str> = kind.group.rsplit('.').collect();
            format!("{}.{version}.{}", reversed.join("."), kind.kind)
        }
    }
}

#[cfg(test)]
mod tests;
