//! AdmissionReview of `admission.k8s.io`, v1 and v1beta1, which differ in nothing that is used here. In:
//! bytes. Out: a [`Question`], and from an [`Answer`] bytes again.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lateen_api::issue::{Issue, Severity};
use serde::Deserialize;
use serde_json::{Value, json};

const VERSIONS: [&str; 2] = ["admission.k8s.io/v1", "admission.k8s.io/v1beta1"];
/// The API hands on 4096 bytes of warnings.
const WARNINGS: usize = 16;
/// Errors that are told one by one.
const ERRORS: usize = 16;
/// Characters of a path and of a message.
const SENTENCE: usize = 400;

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

/// The errors in one line, of which people and logs are given no more than they can read.
pub fn errors(issues: &[Issue]) -> String {
    let errors = issues.iter().filter(|issue| issue.is_error());
    let mut told: Vec<String> = errors.clone().take(ERRORS).map(sentence).collect();
    match errors.count() - told.len() {
        0 => {}
        more => told.push(format!("and {more} more")),
    }
    told.join("; ")
}

fn sentence(issue: &Issue) -> String {
    let message = shortened(&issue.message);
    if issue.path.is_empty() {
        return format!("{message} ({})", issue.code);
    }
    format!("{}: {message} ({})", shortened(&issue.path), issue.code)
}

/// A text that repeats what was sent may be as long as a question is.
fn shortened(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(SENTENCE) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
    }
}

#[cfg(test)]
mod tests {
    use lateen_api::issue::{Code, Issue, ObjectRef};

    use super::{ERRORS, SENTENCE, errors, warnings};

    #[test]
    fn what_is_told_stays_readable_however_much_is_wrong() {
        let object = ObjectRef::new("", "Pod", "shop", "web");
        let code = Code::SCHEMA_VALIDATION_ERROR;
        let long = "ä".repeat(100_000);
        let error = Issue::error(object.clone(), long.clone(), code, long.clone());
        let told = errors(&vec![error; ERRORS + 7]);
        assert!(told.ends_with("; and 7 more"), "{}", told.len());
        assert!(told.chars().count() < ERRORS * (2 * SENTENCE + 20));
        let short = Issue::error(object.clone(), "spec", code, "is wrong");
        assert_eq!(
            errors(&[short.clone(), short]),
            "spec: is wrong (IST0106); spec: is wrong (IST0106)"
        );
        assert_eq!(errors(&[]), "");
        let warning = Issue::warning(object, "", code, long);
        assert!(warnings(&[warning])[0].chars().count() < SENTENCE + 20);
    }
}
