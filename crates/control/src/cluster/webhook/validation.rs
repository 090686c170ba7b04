//! The answer to `/validate`. In: the question. Out: a refusal with what is wrong, or consent with what
//! is doubtful.

use lateen_api::kinds::{Source, by_kind};
use lateen_api::resource::object_ref;
use lateen_api::validate::{self, KnownProvider};
use serde_json::{Value, json};

use super::counters::Outcome;
use super::review::{self, Answer, Question};

/// Istio's annotation of an object that the webhook refuses whatever it says.
const ALWAYS_REJECT: &str = "internal.istio.io/webhook-always-reject";
/// How such an object is refused: who reads this knows that the webhook was asked.
pub const PROBE_REFUSAL: &str = "the validation webhook is asked";

/// A sound Gateway that only this webhook refuses: to be created in a dry run.
pub fn probe(namespace: &str, revision_label: &str) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {
            "name": "istiod-validation-probe",
            "namespace": namespace,
            "labels": {"istio.io/rev": revision_label},
            "annotations": {ALWAYS_REJECT: "true"},
        },
        "spec": {
            "selector": {"istio": "none"},
            "servers": [{
                "port": {"number": 80, "name": "http", "protocol": "HTTP"},
                "hosts": ["probe.invalid"],
            }],
        },
    })
}

/// Whether one of Istio's objects may be stored. `providers` are the mesh's, if they are known.
pub fn answer(question: &Question, providers: Option<&[KnownProvider]>) -> (Answer, Outcome) {
    let metadata = &question.object["metadata"];
    let changes = matches!(question.operation.as_str(), "CREATE" | "UPDATE");
    // The last change of an object that goes is the end of its finalizers.
    let goes = metadata["deletionTimestamp"].is_string();
    if !changes || goes || !question.subresource.is_empty() {
        return (Answer::allow(), Outcome::Valid);
    }
    let deny = |message: String| {
        let warnings = Vec::new();
        (Answer::Deny { message, warnings }, Outcome::Invalid)
    };
    if metadata["annotations"][ALWAYS_REJECT] == "true" {
        return deny(PROBE_REFUSAL.to_owned());
    }
    let kind = by_kind(&question.group, &question.kind)
        .filter(|kind| kind.source == Source::Istio && kind.serves(&question.version));
    let Some(kind) = kind else {
        let (group, version) = (&question.group, &question.version);
        return deny(format!("unrecognized type {} in {group}/{version}", question.kind));
    };
    let mut issues = validate::validate(kind, &question.version, &question.object);
    if let Some(known) = providers.filter(|_| kind.kind == "Telemetry") {
        let object = object_ref(kind, &question.object);
        issues.extend(validate::unusable_providers(&question.object, &object, known));
    }
    let warnings = review::warnings(&issues);
    match review::errors(&issues) {
        none if none.is_empty() => (Answer::Allow { patch: None, warnings }, Outcome::Valid),
        errors => {
            let message = format!("configuration is invalid: {errors}");
            (Answer::Deny { message, warnings }, Outcome::Invalid)
        }
    }
}

#[cfg(test)]
mod tests;
