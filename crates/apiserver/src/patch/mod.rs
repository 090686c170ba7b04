//! Patches: the four sorts that Kubernetes takes, and the ownership of fields. In: a kind, the patch,
//! the current object, who asks and when. Out: the new object, or the refusal in Kubernetes' words.
//! Nothing here checks the result against the schema, `resourceVersion` or admission: the caller does.

mod error;
mod fields;
mod json;
mod managed;
mod merge;
mod order;
mod ssa;
mod strategic;

use lateen_api::kinds::Kind;
use serde_json::Value;

pub use error::{Cause, PatchError};

use crate::openapi::shape::Shape;

/// Where client-side `kubectl apply` keeps what it applied.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A patch, by its media type.
#[derive(Debug, Clone, PartialEq)]
pub enum Patch {
    /// `application/json-patch+json`, RFC 6902.
    Json(Value),
    /// `application/merge-patch+json`, RFC 7386.
    Merge(Value),
    /// `application/strategic-merge-patch+json`.
    Strategic(Value),
    /// `application/apply-patch+yaml`: server-side apply.
    Apply(Value),
}

/// Who patches, and how.
#[derive(Debug, Clone, Copy)]
pub struct PatchContext<'a> {
    /// `fieldManager`.
    pub manager: &'a str,
    /// `force`: take fields from other managers instead of a conflict.
    pub force: bool,
    pub subresource: Option<&'a str>,
    /// RFC 3339 in UTC with seconds, as Kubernetes writes times.
    pub now: &'a str,
    /// The version of the endpoint, such as `apps/v1`.
    pub api_version: &'a str,
}

/// The object after `patch`. Server-side apply sets `metadata.managedFields` itself and creates when
/// there is no current object; after the others the caller runs [`managed_fields_update`].
pub fn apply(
    kind: &Kind,
    patch: Patch,
    current: Option<&Value>,
    ctx: &PatchContext<'_>,
) -> Result<Value, PatchError> {
    let shape = shape_of(kind, ctx.api_version);
    if let Patch::Apply(config) = patch {
        return ssa::apply(kind, shape, config, current, ctx);
    }
    let current = current
        .cloned()
        .ok_or_else(|| PatchError::not_found(format!("{} not found", kind.plural)))?;
    match patch {
        Patch::Json(operations) => json::apply(current, &operations),
        Patch::Merge(Value::Object(patch)) => Ok(merge::merge(current, Value::Object(patch))),
        Patch::Merge(_) => {
            Err(PatchError::bad_request("invalid JSON document: a patch must be an object"))
        }
        Patch::Strategic(_) if is_custom(kind) => Err(PatchError::unsupported(
            "application/strategic-merge-patch+json",
            &[
                "application/json-patch+json",
                "application/merge-patch+json",
                "application/apply-patch+yaml",
            ],
        )),
        Patch::Strategic(patch) => strategic::merge(current, &patch, shape),
        Patch::Apply(_) => unreachable!("server-side apply has returned above"),
    }
}

/// Sets `new.metadata.managedFields` after a create, an update or a patch other than server-side
/// apply. `now` is RFC 3339 in UTC with seconds; `operation` is `Update` for ordinary writes.
pub fn managed_fields_update(
    kind: &Kind,
    old: Option<&Value>,
    new: &mut Value,
    manager: &str,
    operation: &str,
    subresource: Option<&str>,
    now: &str,
) {
    let api_version = new["apiVersion"].as_str().unwrap_or_default().to_owned();
    let shape = shape_of(kind, &api_version);
    managed::update(
        kind,
        shape,
        old,
        new,
        &managed::Writer { manager, operation, subresource, now },
    );
}

fn shape_of(kind: &Kind, api_version: &str) -> Shape<'static> {
    let version = api_version.rsplit('/').next().unwrap_or(api_version);
    crate::openapi::kind_shape(kind, version)
}

/// Kinds that a cluster would serve through a CustomResourceDefinition.
fn is_custom(kind: &Kind) -> bool {
    crate::openapi::is_custom(kind)
}

#[cfg(test)]
mod tests;
