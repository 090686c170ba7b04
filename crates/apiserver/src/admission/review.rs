//! `admission.k8s.io/v1` AdmissionReview: in, a change, or a webhook's answer; out, the question, or
//! the verdict.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::object;
use crate::write::{Change, Operation};

/// What a webhook said.
#[derive(Debug, PartialEq)]
pub struct Verdict {
    /// Whether the change may happen.
    pub allowed: bool,
    /// JSON patch operations.
    pub patch: Option<Value>,
    /// For the client.
    pub warnings: Vec<String>,
    /// Why not.
    pub message: String,
    /// The HTTP status of a refusal.
    pub code: u16,
    /// The status reason of a refusal.
    pub reason: String,
}

/// The AdmissionReview that asks.
pub fn question(change: &Change<'_>, uid: &str, old: Option<&Value>, new: Option<&Value>) -> Value {
    let target = change.target;
    let kind = json!({
        "group": target.kind.group, "version": target.version, "kind": target.kind.kind,
    });
    let resource = json!({
        "group": target.kind.group, "version": target.version, "resource": target.kind.plural,
    });
    let show = |value: Option<&Value>| {
        let value = value.cloned();
        value.map(|value| crate::read::served(target.kind, target.version, value))
    };
    let name = new.or(old).map(|value| object::meta(value, "name")).unwrap_or_default();
    let mut request = json!({
        "uid": uid,
        "kind": kind,
        "resource": resource,
        "requestKind": kind,
        "requestResource": resource,
        "name": name,
        "operation": change.operation.name(),
        "userInfo": change.user.info(),
        "object": show(new),
        "oldObject": show(old),
        "dryRun": change.dry_run,
        "options": options(change),
    });
    if target.kind.namespaced {
        request["namespace"] = json!(target.namespace);
    }
    if !target.subresource.is_empty() {
        request["subResource"] = json!(target.subresource);
        request["requestSubResource"] = json!(target.subresource);
    }
    json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request})
}

fn options(change: &Change<'_>) -> Value {
    let kind = match change.operation {
        Operation::Create => "CreateOptions",
        Operation::Update if change.options.get("force").is_some() || change.apply => {
            "PatchOptions"
        }
        Operation::Update => "UpdateOptions",
        Operation::Delete => "DeleteOptions",
    };
    let mut options = json!({"kind": kind, "apiVersion": "meta.k8s.io/v1"});
    if change.operation != Operation::Delete {
        options["fieldManager"] = json!(change.manager);
    }
    if change.dry_run {
        options["dryRun"] = json!(["All"]);
    }
    options
}

/// Reads a webhook's answer.
pub fn verdict(answer: &Value, uid: &str) -> Result<Verdict, String> {
    if answer["kind"] != "AdmissionReview" || answer["apiVersion"] != "admission.k8s.io/v1" {
        return Err("expected an AdmissionReview of admission.k8s.io/v1".to_owned());
    }
    let response = &answer["response"];
    if response["uid"] != uid {
        return Err(format!("expected response.uid {uid:?}, got {}", response["uid"]));
    }
    let allowed = response["allowed"].as_bool().ok_or("the response lacks `allowed`")?;
    let status = &response["status"];
    let warnings = response["warnings"].as_array();
    Ok(Verdict {
        allowed,
        patch: operations(response)?,
        warnings: warnings
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        message: object::text(status, &["message"]).to_owned(),
        code: status["code"].as_u64().and_then(|code| code.try_into().ok()).unwrap_or(403),
        reason: object::text(status, &["reason"]).to_owned(),
    })
}

fn operations(response: &Value) -> Result<Option<Value>, String> {
    let Some(encoded) = response["patch"].as_str().filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    if response["patchType"] != "JSONPatch" {
        return Err("a response with a patch must have patchType JSONPatch".to_owned());
    }
    let bytes = STANDARD.decode(encoded).map_err(|error| format!("the patch: {error}"))?;
    serde_json::from_slice(&bytes).map(Some).map_err(|error| format!("the patch: {error}"))
}

/// The refusal that a verdict means, in Kubernetes' words.
pub fn denial(hook: &str, verdict: &Verdict) -> Option<ApiError> {
    if verdict.allowed {
        return None;
    }
    let said = match (verdict.message.as_str(), verdict.reason.as_str()) {
        ("", "") => "without explanation".to_owned(),
        ("", reason) => format!(": {reason}").trim_start_matches(": ").to_owned(),
        (message, _) => message.to_owned(),
    };
    let joint = if verdict.message.is_empty() && verdict.reason.is_empty() { " " } else { ": " };
    let message = format!("admission webhook \"{hook}\" denied the request{joint}{said}");
    let code = if (400..600).contains(&verdict.code) { verdict.code } else { 403 };
    let reason = match verdict.reason.as_str() {
        "" if code == 403 => "Forbidden",
        "" => "BadRequest",
        reason => reason,
    };
    Some(ApiError::new(code, reason, message))
}

#[cfg(test)]
mod tests {
    use super::{denial, verdict};
    use serde_json::{Value, json};

    fn review(response: Value) -> Value {
        json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response})
    }

    #[test]
    fn a_refusal_names_the_webhook_and_its_reason() {
        let answer = review(json!({"uid": "u", "allowed": false, "status": {"message": "no tea"}}));
        let error = denial("tea.example", &verdict(&answer, "u").unwrap()).unwrap();
        assert_eq!(error.message, "admission webhook \"tea.example\" denied the request: no tea");
        assert_eq!(error.code, 403);
        let answer = review(json!({"uid": "u", "allowed": false}));
        let error = denial("t", &verdict(&answer, "u").unwrap()).unwrap();
        assert_eq!(error.message, "admission webhook \"t\" denied the request without explanation");
    }

    #[test]
    fn an_answer_to_another_question_is_no_answer() {
        let answer = review(json!({"uid": "other", "allowed": true}));
        assert!(verdict(&answer, "u").unwrap_err().contains("uid"));
        assert!(verdict(&json!({"allowed": true}), "u").is_err());
    }
}
