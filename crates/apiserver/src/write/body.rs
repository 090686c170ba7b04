//! Request bodies: in, headers and bytes; out, a JSON value, or 400, 413 or 415.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body::Body as HttpBody;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::Value;

use crate::error::ApiError;
use crate::wire::{self, WireError};

/// Kubernetes' own limit.
pub const LIMIT: usize = 3 << 20;
/// A body must be there by then.
const PATIENCE: Duration = Duration::from_secs(60);
const ACCEPTED: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";

/// A body and what it came as.
pub struct Received {
    /// Without parameters, in lower case; "" if there was none.
    pub media: String,
    /// The bytes.
    pub bytes: Bytes,
}

/// Reads a body within the limits.
pub async fn receive<B>(headers: &HeaderMap, body: B) -> Result<Received, ApiError>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let limited = Limited::new(body, LIMIT);
    match tokio::time::timeout(PATIENCE, limited.collect()).await {
        Ok(Ok(collected)) => Ok(Received { media, bytes: collected.to_bytes() }),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(ApiError::too_large(LIMIT)),
        Ok(Err(error)) => Err(ApiError::bad_request(format!("the body broke off: {error}"))),
        Err(_) => Err(ApiError::new(408, "Timeout", "the body took too long to arrive")),
    }
}

impl Received {
    /// The body as one object.
    pub fn object(&self) -> Result<Value, ApiError> {
        match self.media.as_str() {
            "" | "application/json" => parse_json(&self.bytes),
            "application/yaml" | "application/x-yaml" | "text/yaml" => parse_yaml(&self.bytes),
            wire::MEDIA_TYPE => wire::decode(&self.bytes).map_err(|error| match error {
                WireError::UnknownKind { .. } => ApiError::new(
                    415,
                    "UnsupportedMediaType",
                    format!("{error}, send application/json or application/yaml"),
                ),
                _ => ApiError::bad_request(error.to_string()),
            }),
            _ => Err(ApiError::unsupported_media(ACCEPTED)),
        }
    }

    /// Fields that the body says twice.
    pub fn duplicates(&self) -> Vec<String> {
        match self.media.as_str() {
            "" | "application/json" => crate::strict::duplicate_fields(&self.bytes),
            _ => Vec::new(),
        }
    }
}

/// Parses JSON.
pub fn parse_json(bytes: &[u8]) -> Result<Value, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| {
        ApiError::bad_request(format!("couldn't get version/kind; json parse error: {error}"))
    })
}

/// Parses one YAML document.
pub fn parse_yaml(bytes: &[u8]) -> Result<Value, ApiError> {
    let bad = |error: &dyn std::fmt::Display| {
        ApiError::bad_request(format!("error converting YAML to JSON: {error}"))
    };
    let text = std::str::from_utf8(bytes).map_err(|error| bad(&error))?;
    lateen_api::yaml::one(text).map_err(|reason| bad(&reason))
}
