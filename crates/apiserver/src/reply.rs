//! Answers: in, values and an `Accept` header; out, HTTP responses.

use std::convert::Infallible;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use serde_json::Value;

use crate::error::ApiError;

/// The body of every response.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// The form in which objects are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As they are.
    Object,
    /// A `meta.k8s.io` Table.
    Table,
    /// Their metadata only.
    Metadata,
    /// `apidiscovery.k8s.io` aggregated discovery of this version.
    Discovery(&'static str),
}

/// The form that the client likes best among those that `offered` accepts.
pub fn negotiate(headers: &HeaderMap, offered: impl Fn(Form) -> bool) -> Result<Form, ApiError> {
    let mut any = false;
    for line in headers.get_all(ACCEPT) {
        for range in line.to_str().unwrap_or_default().split(',') {
            any = true;
            if let Some(form) = form_of(range).filter(|form| offered(*form)) {
                return Ok(form);
            }
        }
    }
    if any { Err(ApiError::not_acceptable()) } else { Ok(Form::Object) }
}

fn form_of(range: &str) -> Option<Form> {
    let mut parts = range.split(';').map(str::trim);
    match parts.next()? {
        "application/json" | "application/*" | "*/*" => {}
        _ => return None,
    }
    let (mut r#as, mut group, mut version) = ("", "", "");
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        match name {
            "as" => r#as = value,
            "g" => group = value,
            "v" => version = value,
            _ => {}
        }
    }
    match (r#as, group, version) {
        ("", ..) => Some(Form::Object),
        ("Table", "meta.k8s.io", "v1") => Some(Form::Table),
        ("PartialObjectMetadata" | "PartialObjectMetadataList", "meta.k8s.io", "v1") => {
            Some(Form::Metadata)
        }
        ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2") => Some(Form::Discovery("v2")),
        ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2beta1") => {
            Some(Form::Discovery("v2beta1"))
        }
        _ => None,
    }
}

/// A body that is there at once.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed_unsync()
}

/// A response of bytes with their media type.
pub fn bytes(code: StatusCode, media: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(full(body));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

/// A JSON response.
pub fn json(code: StatusCode, value: &Value) -> Response<Body> {
    bytes(code, "application/json", value.to_string())
}

/// 200 with JSON.
pub fn ok(value: &Value) -> Response<Body> {
    json(StatusCode::OK, value)
}

/// A refusal.
pub fn error(error: &ApiError) -> Response<Body> {
    let code = StatusCode::from_u16(error.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(code, &error.status());
    if code == StatusCode::TOO_MANY_REQUESTS || code == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// How many warnings an answer has at most.
pub const MOST_WARNINGS: usize = 32;

/// Adds `Warning: 299` headers, bounded in number and size.
pub fn warn(response: &mut Response<Body>, warnings: &[String]) {
    const BYTES: usize = 1024;
    for warning in warnings.iter().take(MOST_WARNINGS) {
        let mut text = String::new();
        for letter in warning.chars() {
            if text.len() > BYTES {
                break;
            }
            match letter {
                '"' | '\\' => text.extend(['\\', letter]),
                letter if letter.is_control() => text.push(' '),
                letter => text.push(letter),
            }
        }
        let line = format!("299 - \"{text}\"");
        if let Ok(value) = HeaderValue::from_bytes(line.as_bytes()) {
            response.headers_mut().append(HeaderName::from_static("warning"), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Form, negotiate};
    use http::HeaderMap;
    use http::header::{ACCEPT, HeaderValue};

    #[track_caller]
    fn check(accept: &'static str, offered: impl Fn(Form) -> bool, expected: Option<Form>) {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        assert_eq!(negotiate(&headers, offered).ok(), expected, "{accept}");
    }

    #[test]
    fn the_first_form_that_is_offered_wins() {
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
        check(table, |_| true, Some(Form::Table));
        check(table, |form| form == Form::Object, Some(Form::Object));
        check("application/vnd.kubernetes.protobuf, */*", |_| true, Some(Form::Object));
        check("application/vnd.kubernetes.protobuf", |_| true, None);
    }
}
