//! The `scale` subresource of workloads: in, a Scale or a patch of one; out, the Scale after it.

use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::body::Received;
use super::{Operation, Writer, patch};
use crate::error::{ApiError, Cause};
use crate::object;
use crate::patch::{Patch, PatchContext};
use crate::reply::{self, Body};

/// The Scale of a stored workload.
pub fn scale_of(workload: &Value) -> Value {
    let metadata = &workload["metadata"];
    let labels = workload["spec"]["selector"]["matchLabels"].as_object();
    let selector: Vec<String> = labels
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
            "creationTimestamp": metadata["creationTimestamp"],
        },
        "spec": {"replicas": workload["spec"]["replicas"]},
        "status": {
            "replicas": workload["status"]["replicas"].as_i64().unwrap_or(0),
            "selector": selector.join(","),
        },
    })
}

impl Writer<'_> {
    /// GET.
    pub fn get_scale(&self) -> Result<Response<Body>, ApiError> {
        let stored = self.server.store.get(&self.target.key());
        let stored =
            stored.ok_or_else(|| ApiError::not_found(self.target.kind, &self.target.name))?;
        Ok(reply::ok(&scale_of(&object::parse_stored(&stored.bytes))))
    }

    /// PUT.
    pub async fn update_scale(&self, received: &Received) -> Result<Response<Body>, ApiError> {
        let scale = received.object()?;
        self.rescale(|_| Ok(scale.clone())).await
    }

    /// PATCH.
    pub async fn patch_scale(&self, received: &Received) -> Result<Response<Body>, ApiError> {
        let sent = patch::decode(received)?;
        if !matches!(sent, Patch::Json(_) | Patch::Merge(_)) {
            let accepted = "application/json-patch+json, application/merge-patch+json";
            return Err(ApiError::unsupported_media(accepted));
        }
        let manager = self.manager();
        let now = object::timestamp(self.server.now());
        let context = PatchContext {
            manager: &manager,
            force: false,
            subresource: Some("scale"),
            now: &now,
            api_version: &self.target.api_version(),
        };
        let kind = self.target.kind;
        self.rescale(|scale| {
            crate::patch::apply(kind, sent.clone(), Some(scale), &context)
                .map_err(|error| patch::refusal(self.target, error))
        })
        .await
    }

    async fn rescale(
        &self,
        compute: impl Fn(&Value) -> Result<Value, ApiError>,
    ) -> Result<Response<Body>, ApiError> {
        let mut change = self.change(Operation::Update)?;
        let stored = self
            .retry(&mut change, |old| {
                let scale = compute(&scale_of(old))?;
                let replicas = &scale["spec"]["replicas"];
                if !replicas
                    .as_i64()
                    .is_some_and(|count| (0..=i64::from(i32::MAX)).contains(&count))
                {
                    let problem = "must be greater than or equal to 0";
                    let cause = Cause::invalid("spec.replicas", replicas, problem);
                    let name = &self.target.name;
                    return Err(ApiError::invalid(self.target.kind, name, vec![cause]));
                }
                let mut new = old.clone();
                object::child_mut(&mut new, "spec").insert("replicas".to_owned(), replicas.clone());
                if let Some(rv) = scale["metadata"]["resourceVersion"].as_str() {
                    let metadata = object::meta_mut(&mut new);
                    metadata.insert("resourceVersion".to_owned(), json!(rv));
                }
                Ok(new)
            })
            .await?;
        let mut response = reply::json(StatusCode::OK, &scale_of(&stored));
        reply::warn(&mut response, &change.warnings);
        Ok(response)
    }
}
