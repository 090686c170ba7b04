//! PATCH: in, a patch of one of four sorts; out, the object after it. Server-side apply may create.

use http::{Response, StatusCode};
use serde_json::Value;

use super::body::{self, Received};
use super::{ATTEMPTS, Operation, Writer, check, check_name, prepare, to_stored};
use crate::error::{ApiError, Cause};
use crate::object;
use crate::patch::{self, Patch, PatchContext, PatchError};
use crate::read;
use crate::reply::Body;
use crate::route::Target;

const ACCEPTED: &str = "application/json-patch+json, application/merge-patch+json, \
                        application/strategic-merge-patch+json, application/apply-patch+yaml";

/// The refusal of a patch, which names the object that it was for.
pub fn refusal(target: &Target, error: PatchError) -> ApiError {
    let causes: Vec<Cause> = error
        .causes
        .into_iter()
        .map(|cause| Cause {
            reason: cause.reason.to_owned(),
            message: cause.message,
            field: cause.field,
        })
        .collect();
    if error.code == 422 {
        return ApiError::invalid(target.kind, &target.name, causes);
    }
    let refusal = ApiError::new(error.code, error.reason, error.message).with_causes(&causes);
    refusal.named(target.kind, &target.name)
}

/// The patch that a body is, by its media type.
pub fn decode(received: &Received) -> Result<Patch, ApiError> {
    let bytes = &received.bytes;
    Ok(match received.media.as_str() {
        "application/json-patch+json" => Patch::Json(body::parse_json(bytes)?),
        "application/merge-patch+json" => Patch::Merge(body::parse_json(bytes)?),
        "application/strategic-merge-patch+json" => Patch::Strategic(body::parse_json(bytes)?),
        "application/apply-patch+yaml" => Patch::Apply(body::parse_yaml(bytes)?),
        _ => return Err(ApiError::unsupported_media(ACCEPTED)),
    })
}

impl Writer<'_> {
    /// PATCH.
    pub async fn patch(&self, received: &Received) -> Result<Response<Body>, ApiError> {
        let mut patch = decode(received)?;
        let mut change = self.change(Operation::Update)?;
        if let Patch::Apply(config) = &mut patch {
            self.check_apply(config)?;
            change.apply = true;
            for _ in 0..ATTEMPTS {
                if self.server.store.get(&self.target.key()).is_some() {
                    break;
                }
                match self.apply_new(&patch).await {
                    Err(error) if error.reason == "AlreadyExists" => {}
                    outcome => return outcome,
                }
            }
        }
        let mut shape_warnings = Vec::new();
        let stored = self
            .retry(&mut change, |old| {
                shape_warnings.clear();
                self.patched(&patch, Some(old), &mut shape_warnings)
            })
            .await?;
        change.warnings.append(&mut shape_warnings);
        self.answer(StatusCode::OK, stored, &change.warnings)
    }

    async fn apply_new(&self, patch: &Patch) -> Result<Response<Body>, ApiError> {
        if !self.target.subresource.is_empty() {
            return Err(ApiError::not_found(self.target.kind, &self.target.name));
        }
        self.server.authorize(self.user, self.target, "create")?;
        let mut change = self.change(Operation::Create)?;
        change.apply = true;
        let mut new = self.patched(patch, None, &mut change.warnings)?;
        let kind = change.kind();
        prepare::for_create(kind, &mut new, &self.target.namespace, self.server.now())?;
        let stored = change.run(None, new).await?;
        self.answer(StatusCode::CREATED, stored, &change.warnings)
    }

    /// The object after the patch, in the form in which objects are stored.
    fn patched(
        &self,
        patch: &Patch,
        stored: Option<&Value>,
        warnings: &mut Vec<String>,
    ) -> Result<Value, ApiError> {
        let target = self.target;
        let current = stored.map(|old| read::served(target.kind, target.version, old.clone()));
        let manager = self.manager();
        let now = object::timestamp(self.server.now());
        let context = PatchContext {
            manager: &manager,
            force: self.query.flag("force"),
            subresource: Some(target.subresource.as_str()).filter(|sub| !sub.is_empty()),
            now: &now,
            api_version: &target.api_version(),
        };
        let mut new = patch::apply(target.kind, patch.clone(), current.as_ref(), &context)
            .map_err(|error| refusal(target, error))?;
        prepare::check_type(&mut new, target.kind, target.version, true)?;
        check::shape(target.kind, target.version, self.query, &[], &mut new, warnings)?;
        check_name(&new, &target.name)?;
        object::meta_mut(&mut new).insert("name".to_owned(), target.name.clone().into());
        Ok(to_stored(target, new))
    }

    fn check_apply(&self, config: &mut Value) -> Result<(), ApiError> {
        let target = self.target;
        if self.query.get("fieldManager").is_none() {
            let message = "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is \
                           required for apply patch";
            let cause = Cause::required("fieldManager", "is required for apply patch");
            return Err(ApiError::new(422, "Invalid", message).with_causes(&[cause]));
        }
        prepare::check_type(config, target.kind, target.version, false)?;
        check_name(config, &target.name)?;
        super::check_namespace(target, config)
    }
}
