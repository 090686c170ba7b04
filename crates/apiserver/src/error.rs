//! Refusals: in, what went wrong; out, a `metav1.Status` in the words that kubectl users know.

use lateen_api::kinds::Kind;
use serde_json::{Value, json};

use crate::store::WriteError;

/// One reason within a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// `FieldValueInvalid`, `FieldValueRequired`, …
    pub reason: String,
    /// What is wrong, without the field.
    pub message: String,
    /// The field's path.
    pub field: String,
}

impl Cause {
    /// A field that must be there and is not.
    pub fn required(field: &str, message: &str) -> Self {
        let message = if message.is_empty() {
            "Required value".to_owned()
        } else {
            format!("Required value: {message}")
        };
        Self { reason: "FieldValueRequired".to_owned(), message, field: field.to_owned() }
    }

    /// A field with a value that cannot be.
    pub fn invalid(field: &str, value: &Value, message: &str) -> Self {
        Self {
            reason: "FieldValueInvalid".to_owned(),
            message: format!("Invalid value: {value}: {message}"),
            field: field.to_owned(),
        }
    }
}

impl Cause {
    /// A field that may not be there, or not change.
    pub fn forbidden(field: &str, why: &str) -> Self {
        Self {
            reason: "FieldValueForbidden".to_owned(),
            message: format!("Forbidden: {why}"),
            field: field.to_owned(),
        }
    }

    /// A second one of what there may be one of.
    pub fn duplicate(field: &str, value: &Value) -> Self {
        Self {
            reason: "FieldValueDuplicate".to_owned(),
            message: format!("Duplicate value: {value}"),
            field: field.to_owned(),
        }
    }

    /// A value that is none of a few.
    pub fn not_supported(field: &str, value: &Value, supported: &[&str]) -> Self {
        let list: Vec<String> = supported.iter().map(|one| format!("{one:?}")).collect();
        Self {
            reason: "FieldValueNotSupported".to_owned(),
            message: format!("Unsupported value: {value}: supported values: {}", list.join(", ")),
            field: field.to_owned(),
        }
    }
}

/// A refused request.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// The HTTP status.
    pub code: u16,
    /// The machine-readable reason, as `metav1.StatusReason`.
    pub reason: String,
    /// For people.
    pub message: String,
    /// `metav1.StatusDetails`; boxed, as every answer is as large as its refusal.
    pub details: Option<Box<Value>>,
}

/// `plural.group`, or the plural alone in the core group.
pub fn resource_name(kind: &Kind) -> String {
    dotted(kind.plural, kind.group)
}

fn dotted(name: &str, group: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}

impl ApiError {
    /// A refusal without details.
    pub fn new(code: u16, reason: &str, message: impl Into<String>) -> Self {
        Self { code, reason: reason.to_owned(), message: message.into(), details: None }
    }

    fn about(code: u16, reason: &str, kind: &Kind, name: &str, message: String) -> Self {
        let mut details = json!({"name": name, "kind": kind.plural});
        if !kind.group.is_empty() {
            details["group"] = json!(kind.group);
        }
        Self { details: Some(Box::new(details)), ..Self::new(code, reason, message) }
    }

    /// 404 for an object.
    pub fn not_found(kind: &Kind, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", resource_name(kind));
        Self::about(404, "NotFound", kind, name, message)
    }

    /// 404 for a path or a kind.
    pub fn no_such_path() -> Self {
        let message = "the server could not find the requested resource";
        Self { details: Some(Box::new(json!({}))), ..Self::new(404, "NotFound", message) }
    }

    /// 400 for what goes on inside a container.
    pub fn no_containers(namespace: &str) -> Self {
        let message = format!(
            "no container runtime is here: lateen run starts a program as a process of this machine \
             and prints its output to its own terminal; the log of the program's sidecar is \
             logs/w.{namespace}.NAME.log in the home directory of lateen up"
        );
        Self::new(400, "BadRequest", message)
    }

    /// 409 for a name that is taken.
    pub fn already_exists(kind: &Kind, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", resource_name(kind));
        Self::about(409, "AlreadyExists", kind, name, message)
    }

    /// 409 for a write based on an older version.
    pub fn modified(kind: &Kind, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version \
                   and try again";
        Self::conflict(kind, name, why)
    }

    /// 409 for another reason.
    pub fn conflict(kind: &Kind, name: &str, why: &str) -> Self {
        let resource = resource_name(kind);
        let message = format!("Operation cannot be fulfilled on {resource} \"{name}\": {why}");
        Self::about(409, "Conflict", kind, name, message)
    }

    /// 403 for a request that is understood and refused.
    pub fn forbidden(kind: &Kind, name: &str, why: &str) -> Self {
        let resource = resource_name(kind);
        let message = if name.is_empty() {
            format!("{resource} is forbidden: {why}")
        } else {
            format!("{resource} \"{name}\" is forbidden: {why}")
        };
        Self::about(403, "Forbidden", kind, name, message)
    }

    /// 422 for an object with fields that cannot be.
    pub fn invalid(kind: &Kind, name: &str, causes: Vec<Cause>) -> Self {
        let lines: Vec<String> = causes
            .iter()
            .map(|cause| match cause.field.as_str() {
                "" => cause.message.clone(),
                field => format!("{field}: {}", cause.message),
            })
            .collect();
        let list = match lines.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let message = format!("{} \"{name}\" is invalid: {list}", dotted(kind.kind, kind.group));
        let mut error = Self::about(422, "Invalid", kind, name, message);
        error.details = Some(Box::new(json!({
            "name": name, "group": kind.group, "kind": kind.kind, "causes": cause_list(&causes),
        })));
        error
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 401.
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// 405.
    pub fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(405, "MethodNotAllowed", message)
    }

    /// 406.
    pub fn not_acceptable() -> Self {
        let message = "only the following media types are accepted: application/json";
        Self::new(406, "NotAcceptable", message)
    }

    /// 410: the client has to list again.
    pub fn expired() -> Self {
        Self::new(410, "Expired", "The resourceVersion for the provided watch is too old.")
    }

    /// 413.
    pub fn too_large(limit: usize) -> Self {
        let message = format!("Request entity too large: limit is {limit}");
        Self::new(413, "RequestEntityTooLarge", message)
    }

    /// 415.
    pub fn unsupported_media(accepted: &str) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: \
             {accepted}"
        );
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// 429: the client shall come back.
    pub fn too_many_connections() -> Self {
        let message = "too many connections are open, try again later";
        let details = Some(Box::new(json!({"retryAfterSeconds": 1})));
        Self { details, ..Self::new(429, "TooManyRequests", message) }
    }

    /// 500.
    pub fn internal(message: impl std::fmt::Display) -> Self {
        let message = format!("Internal error occurred: {message}");
        Self::new(500, "InternalError", message)
    }

    /// 500 for a write whose task did not come to its end.
    pub fn unfinished() -> Self {
        Self::internal("the write broke off; see the server's log")
    }

    /// The refusal of a write by the store.
    pub fn from_write(error: WriteError, kind: &Kind, namespace: &str, name: &str) -> Self {
        match error {
            WriteError::Exists => Self::already_exists(kind, name),
            WriteError::Conflict => Self::modified(kind, name),
            WriteError::NoNamespace => Self::not_found(crate::catalog::namespace_kind(), namespace),
            WriteError::NamespaceTerminating => {
                let why = format!(
                    "unable to create new content in namespace {namespace} because it is being \
                     terminated"
                );
                Self::forbidden(kind, name, &why)
            }
            WriteError::Storage(_) => Self::internal(error),
        }
    }

    /// Says which object the request was about.
    #[must_use]
    pub fn named(mut self, kind: &Kind, name: &str) -> Self {
        let details = self.details.get_or_insert_with(|| Box::new(json!({})));
        for (field, value) in [("name", name), ("group", kind.group), ("kind", kind.kind)] {
            details[field] = json!(value);
        }
        self
    }

    /// Adds causes to the details.
    #[must_use]
    pub fn with_causes(mut self, causes: &[Cause]) -> Self {
        if !causes.is_empty() {
            let details = self.details.get_or_insert_with(|| Box::new(json!({})));
            details["causes"] = cause_list(causes);
        }
        self
    }

    /// The `metav1.Status`.
    pub fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        });
        if let Some(details) = &self.details {
            status["details"] = Value::clone(details);
        }
        status
    }
}

fn cause_list(causes: &[Cause]) -> Value {
    let list = causes.iter().map(
        |cause| json!({"reason": cause.reason, "message": cause.message, "field": cause.field}),
    );
    list.collect()
}
