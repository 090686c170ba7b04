//! Checks a JSON object against its kind's schema before it is decoded. In: a kind, a version and the
//! object; or the raw bytes, for duplicate keys. Out: problems, worded as Kubernetes words them. The
//! two families of kinds differ as they do there: Kubernetes' own kinds fail to decode into a struct,
//! kinds of CustomResourceDefinitions (here Istio's and the Gateway API's) fail validation.

mod builtin;
mod cel;
mod duplicates;
mod limits;
mod walk;

use lateen_api::kinds::Kind;
use serde_json::Value;

pub use duplicates::duplicate_fields;
pub use limits::check as check_limits;

use crate::openapi::{is_custom, kind_shape};

/// How Kubernetes answers a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// 400 BadRequest: the body is no object of this kind. Nothing was checked beyond it.
    Decode,
    /// 422 Invalid with a cause for each problem.
    Invalid,
    /// An unknown field: an error, a warning or nothing, by the `fieldValidation` of the request.
    Strict,
}

/// One thing that is wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub severity: Severity,
    /// `spec.servers[0].port.number`.
    pub path: String,
    /// `metav1.StatusCause.reason`, empty where there is no cause.
    pub reason: &'static str,
    /// The text after the path: `Required value`; the whole text for `Decode` and `Strict`, such as
    /// `unknown field "spec.foo"`.
    pub message: String,
}

impl Problem {
    /// The text that stands in a Status' message.
    pub fn text(&self) -> String {
        match self.severity {
            Severity::Invalid if !self.path.is_empty() => {
                format!("{}: {}", self.path, self.message)
            }
            Severity::Invalid | Severity::Decode | Severity::Strict => self.message.clone(),
        }
    }
}

/// Every problem of `object` as an object of `kind` in `version`, worst first.
pub fn check(kind: &Kind, version: &str, object: &Value) -> Vec<Problem> {
    let shape = kind_shape(kind, version);
    let mut walk = walk::Walk::new(is_custom(kind));
    walk.top(object, shape);
    let mut problems = walk.into_problems();
    problems.sort_by_key(|problem| problem.severity);
    problems
}

/// The one sentence that Kubernetes makes of unknown and duplicate fields:
/// `strict decoding error: unknown field "spec.foo", duplicate field "spec.bar"`. `None` without any.
pub fn strict_message(problems: &[Problem], duplicates: &[String]) -> Option<String> {
    let unknown = problems.iter().filter(|p| p.severity == Severity::Strict).map(Problem::text);
    let twice = duplicates.iter().map(|path| format!("duplicate field {path:?}"));
    let all: Vec<String> = unknown.chain(twice).collect();
    (!all.is_empty()).then(|| format!("strict decoding error: {}", all.join(", ")))
}

#[cfg(test)]
mod tests;
