//! Why a patch is refused, in the words and with the HTTP code of Kubernetes. What comes out fills a
//! `metav1.Status`: code, reason, message, `details.causes`.

/// One entry of `details.causes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// `FieldManagerConflict`, `FieldValueInvalid`, …
    pub reason: &'static str,
    pub message: String,
    /// A field path, or what kubectl shall print before the message.
    pub field: String,
}

/// A refused patch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PatchError {
    /// HTTP status code.
    pub code: u16,
    /// `metav1.Status.reason`.
    pub reason: &'static str,
    pub message: String,
    pub causes: Vec<Cause>,
}

impl PatchError {
    /// 400: the patch itself is malformed.
    pub fn bad_request(message: impl Into<String>) -> Self {
        PatchError { code: 400, reason: "BadRequest", message: message.into(), causes: Vec::new() }
    }

    /// 422: the patch does not fit the object.
    pub fn unprocessable(message: impl Into<String>) -> Self {
        let message = message.into();
        PatchError {
            code: 422,
            reason: "Invalid",
            message: "the server rejected our request due to an error in our request".to_owned(),
            causes: vec![Cause {
                reason: "UnexpectedServerResponse",
                message,
                field: "patch".to_owned(),
            }],
        }
    }

    /// 415: the kind does not take this sort of patch.
    pub fn unsupported(sent: &str, accepted: &[&str]) -> Self {
        PatchError {
            code: 415,
            reason: "UnsupportedMediaType",
            message: format!(
                "the body of the request was in an unknown format - accepted media types include: {}",
                accepted.join(", ")
            ),
            causes: vec![Cause {
                reason: "FieldValueNotSupported",
                message: format!("{sent} is not supported for this kind"),
                field: "Content-Type".to_owned(),
            }],
        }
    }

    /// 404: only server-side apply creates what does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        PatchError { code: 404, reason: "NotFound", message: message.into(), causes: Vec::new() }
    }

    /// 409 with one cause per field.
    pub fn conflict(message: String, causes: Vec<Cause>) -> Self {
        PatchError { code: 409, reason: "Conflict", message, causes }
    }
}
