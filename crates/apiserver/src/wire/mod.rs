//! Kubernetes' protobuf. In: a request body in the envelope that Go clients send; out, the object as
//! JSON, as Kubernetes itself shows it. Answers are always JSON, which those clients also take.
//!
//! `messages.txt` says what the messages are, `samples.txt` is what Go makes of every one of them; both
//! come from `testbins/kubectl/wire`.

mod decode;
mod table;

use serde_json::{Map, Value};

use decode::{Decoder, Payload, fields};

/// The media type of the envelope.
pub const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

const MAGIC: &[u8] = b"k8s\0";

/// Why a body cannot be read.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum WireError {
    /// It does not begin as an envelope does.
    #[error(
        "the body is not in Kubernetes' protobuf envelope, it must begin with k8s and a zero byte"
    )]
    NoEnvelope,
    /// It is encoded in a way that the server does not know.
    #[error("the protobuf envelope has the content encoding or type {0:?}, leave it empty")]
    Encoding(String),
    /// It is of a kind that the server reads as JSON only.
    #[error("{kind} of {api_version} cannot be read as protobuf")]
    UnknownKind {
        /// As sent.
        api_version: String,
        /// As sent.
        kind: String,
    },
    /// A length or tag that is not one, or a value of the wrong type.
    #[error("malformed protobuf in {0}")]
    Malformed(&'static str),
    /// It would take too much memory.
    #[error("more than {0} messages in one object")]
    TooMany(usize),
}

/// Reads an envelope and the object in it.
pub fn decode(body: &[u8]) -> Result<Value, WireError> {
    let unknown = body.strip_prefix(MAGIC).ok_or(WireError::NoEnvelope)?;
    let mut raw: &[u8] = &[];
    let (mut api_version, mut kind) = (String::new(), String::new());
    for (number, payload) in fields("the envelope", unknown)? {
        match (number, payload) {
            (1, Payload::Bytes(meta)) => (api_version, kind) = type_meta(meta)?,
            (2, Payload::Bytes(bytes)) => raw = bytes,
            (3 | 4, Payload::Bytes(bytes)) => {
                let word = text("the envelope", bytes)?;
                if !word.is_empty() && word != MEDIA_TYPE {
                    return Err(WireError::Encoding(word));
                }
            }
            _ => {}
        }
    }
    let name = message_name(&api_version, &kind);
    let Some(message) = table::message(&name) else {
        return Err(WireError::UnknownKind { api_version, kind });
    };
    let mut object = Map::new();
    object.insert("kind".to_owned(), Value::String(kind));
    object.insert("apiVersion".to_owned(), Value::String(api_version));
    Decoder::default().message(message, raw, &mut object)?;
    Ok(Value::Object(object))
}

/// Options have the apiVersion of what they are for.
fn message_name(api_version: &str, kind: &str) -> String {
    if kind == "DeleteOptions" {
        return "meta/v1.DeleteOptions".to_owned();
    }
    format!("{api_version}.{kind}")
}

fn type_meta(bytes: &[u8]) -> Result<(String, String), WireError> {
    let (mut api_version, mut kind) = (String::new(), String::new());
    for (number, payload) in fields("the envelope", bytes)? {
        match (number, payload) {
            (1, Payload::Bytes(bytes)) => api_version = text("the envelope", bytes)?,
            (2, Payload::Bytes(bytes)) => kind = text("the envelope", bytes)?,
            _ => {}
        }
    }
    Ok((api_version, kind))
}

fn text(place: &'static str, bytes: &[u8]) -> Result<String, WireError> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| WireError::Malformed(place))
}

#[cfg(test)]
mod tests;
