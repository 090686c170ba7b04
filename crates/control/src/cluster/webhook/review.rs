//! AdmissionReview of `admission.k8s.io`, v1 and v1beta1, which differ in nothing that is used here. In:
//! bytes. Out: a [`Question`], and from an [`Answer`] bytes again.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lateen_api::issue::{Issue, Severity};
use serde::Deserialize;
use serde_json::{Value, json};

const VERSIONS: [&str; 2] = ["admission.k8s.io/v1", "admission.k8s.io/v1beta1"];
/// The API hands on 4096 bytes of warnings.
const WARNINGS: usize = 16;

/// What the API asks.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    api_version: String,
    uid: String,
    pub group: String,
    pub version: String,
    pub kind: String,
    /// Empty for objects of the cluster.
    pub namespace: String,
    /// `CREATE`, `UPDATE` …
    pub operation: String,
    /// Empty for the object itself.
    pub subresource: String,
    /// Null where there is none.
    pub object: Value,
}

/// What it is told. Without a status code, as Istio's answers are.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    Allow {
        /// RFC 6902 operations.
        patch: Option<Value>,
        warnings: Vec<String>,
    },
    Deny {
        message: String,
        warnings: Vec<String>,
    },
}

impl Answer {
    /// The object may be stored as it is.
    pub fn allow() -> Self {
        Answer::Allow { patch: None, warnings: Vec::new() }
    }
}

/// What is read of a review; the rest, such as the object before its change, is not even kept.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review {
    api_version: String,
    kind: String,
    request: Option<Request>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    uid: String,
    #[serde(default)]
    kind: GroupVersionKind,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    operation: String,
    #[serde(default)]
    sub_resource: String,
    #[serde(default)]
    object: Value,
}

#[derive(Default, Deserialize)]
struct GroupVersionKind {
    #[serde(default)]
    group: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    kind: String,
}

/// The question, or why this is none.
pub fn decode(bytes: &[u8]) -> Result<Question, String> {
    let none = || format!("the body is no AdmissionReview of {}", VERSIONS.join(" or "));
    let review: Review =
        serde_json::from_slice(bytes).map_err(|error| format!("{}: {error}", none()))?;
    if review.kind != "AdmissionReview" || !VERSIONS.contains(&review.api_version.as_str()) {
        return Err(none());
    }
    let request = review.request.ok_or("the AdmissionReview has no request")?;
    Ok(Question {
        api_version: review.api_version,
        uid: request.uid,
        group: request.kind.group,
        version: request.kind.version,
        kind: request.kind.kind,
        namespace: request.namespace,
        operation: request.operation,
        subresource: request.sub_resource,
        object: request.object,
    })
}

/// The review that answers.
pub fn encode(question: &Question, answer: &Answer) -> Vec<u8> {
    let mut response = json!({"uid": question.uid});
    let warnings = match answer {
        Answer::Allow { patch, warnings } => {
            response["allowed"] = json!(true);
            if let Some(patch) = patch {
                response["patchType"] = json!("JSONPatch");
                response["patch"] = json!(STANDARD.encode(patch.to_string()));
            }
            warnings
        }
        Answer::Deny { message, warnings } => {
            response["allowed"] = json!(false);
            response["status"] = json!({"message": message});
            warnings
        }
    };
    if !warnings.is_empty() {
        response["warnings"] = json!(warnings);
    }
    let review = json!({
        "apiVersion": question.api_version, "kind": "AdmissionReview", "response": response,
    });
    review.to_string().into_bytes()
}

/// What people should know of an object that is taken; they see which object they sent.
pub fn warnings(issues: &[Issue]) -> Vec<String> {
    let told = issues.iter().filter(|issue| issue.severity == Severity::Warning);
    told.take(WARNINGS).map(sentence).collect()
}

/// Every error in one line.
pub fn errors(issues: &[Issue]) -> String {
    let told: Vec<String> = issues.iter().filter(|issue| issue.is_error()).map(sentence).collect();
    told.join("; ")
}

fn sentence(issue: &Issue) -> String {
    if issue.path.is_empty() {
        return format!("{} ({})", issue.message, issue.code);
    }
    format!("{}: {} ({})", issue.path, issue.message, issue.code)
}
