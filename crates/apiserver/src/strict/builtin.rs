//! How Go's decoder sees a value that does not fit a struct field. In: the value and its shape. Out:
//! the mismatch, in the words of encoding/json.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::openapi::shape::Shape;

const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";

/// Why a value cannot be decoded.
pub enum Mismatch {
    /// What stands there, and the Go type that was to hold it.
    Type(String, String),
    /// Text of its own: neither field nor type is named.
    Other(String),
}

impl Mismatch {
    /// The message for field `path` (without indexes) of struct `holder`.
    pub fn message(&self, holder: &str, path: &str) -> String {
        match self {
            Mismatch::Type(found, wanted) if holder.is_empty() => {
                format!("json: cannot unmarshal {found} into Go value of type {wanted}")
            }
            Mismatch::Type(found, wanted) => format!(
                "json: cannot unmarshal {found} into Go struct field {holder}.{path} of type \
                 {wanted}"
            ),
            Mismatch::Other(text) => text.clone(),
        }
    }
}

/// JSON schema's name of a value's type.
pub fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// `ServicePort` of `io.k8s.api.core.v1.ServicePort`.
pub fn short_name(definition: &str) -> &str {
    definition.rsplit('.').next().unwrap_or(definition)
}

/// The mismatch between a value and the field's type; null fits every field.
pub fn mismatch(value: &Value, shape: Shape<'_>) -> Option<Mismatch> {
    let found = json_type(value);
    if shape.name() == QUANTITY {
        return quantity(value);
    }
    if shape.is_int_or_string() {
        let fits = matches!(found, "integer" | "string" | "null");
        return (!fits).then(|| Mismatch::Type(go_found(value), "string".to_owned()));
    }
    let types = shape.types();
    let wanted = *types.first()?;
    if found == "null" {
        return None;
    }
    let fits = match wanted {
        "integer" => fits_integer(value, shape),
        "number" => value.is_number(),
        wanted => wanted == found,
    };
    if !fits {
        return Some(Mismatch::Type(go_found_for(value, wanted), go_type(shape)));
    }
    match (format(shape), value) {
        ("byte", Value::String(text)) => base64_mismatch(text),
        ("date-time", Value::String(text)) => time_mismatch(text),
        _ => None,
    }
}

fn format<'a>(shape: Shape<'a>) -> &'a str {
    shape.keyword("format").and_then(Value::as_str).unwrap_or_default()
}

fn fits_integer(value: &Value, shape: Shape<'_>) -> bool {
    match (value.as_i64(), format(shape)) {
        (Some(number), "int32") => i32::try_from(number).is_ok(),
        (number, _) => number.is_some(),
    }
}

/// encoding/json names a number's value only when a number was wanted.
fn go_found_for(value: &Value, wanted: &str) -> String {
    match (value, wanted) {
        (Value::Number(number), "integer" | "number") => format!("number {number}"),
        _ => go_found(value),
    }
}

fn go_found(value: &Value) -> String {
    match json_type(value) {
        "boolean" => "bool",
        "integer" => "number",
        other => other,
    }
    .to_owned()
}

fn go_type(shape: Shape<'_>) -> String {
    if !shape.name().is_empty() {
        return qualified(shape.name());
    }
    match (shape.types().first().copied(), format(shape)) {
        (Some("integer"), "int32") => "int32".to_owned(),
        (Some("integer"), _) => "int64".to_owned(),
        (Some("number"), _) => "float64".to_owned(),
        (Some("boolean"), _) => "bool".to_owned(),
        (Some("array"), _) => format!("[]{}", go_type(shape.items())),
        (Some("object"), _) => format!("map[string]{}", go_type(shape.additional())),
        (Some("string"), "byte") => "[]uint8".to_owned(),
        (Some("string"), _) => "string".to_owned(),
        _ => "interface {}".to_owned(),
    }
}

/// `v1.ServicePort` of `io.k8s.api.core.v1.ServicePort`.
fn qualified(definition: &str) -> String {
    let mut parts: Vec<&str> = definition.rsplitn(3, '.').take(2).collect();
    parts.reverse();
    parts.join(".")
}

fn quantity(value: &Value) -> Option<Mismatch> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null => return None,
        other => other.to_string(),
    };
    (!is_quantity(&text)).then(|| {
        Mismatch::Other(
            "quantities must match the regular expression \
             '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
                .to_owned(),
        )
    })
}

/// A decimal number with an optional suffix: `100m`, `1.5Gi`, `1e3`.
fn is_quantity(text: &str) -> bool {
    const SUFFIXES: [&str; 16] =
        ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (digits, suffix) = unsigned.split_at(end);
    let number = digits.chars().any(|c| c.is_ascii_digit()) && digits.matches('.').count() <= 1;
    let exponent =
        suffix.strip_prefix(['e', 'E']).is_some_and(|exponent| exponent.parse::<i32>().is_ok());
    number && (exponent || SUFFIXES.contains(&suffix))
}

fn base64_mismatch(text: &str) -> Option<Mismatch> {
    let clean: String = text.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
    let at = match STANDARD.decode(&clean).err()? {
        base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => {
            at
        }
        base64::DecodeError::InvalidLength(length) => length,
        base64::DecodeError::InvalidPadding => clean.len(),
    };
    Some(Mismatch::Other(format!("illegal base64 data at input byte {at}")))
}

fn time_mismatch(text: &str) -> Option<Mismatch> {
    if text.is_empty() || text.parse::<jiff::Timestamp>().is_ok() {
        return None;
    }
    let layout = "2006-01-02T15:04:05Z07:00";
    Some(Mismatch::Other(format!(
        "parsing time {text:?} as {layout:?}: cannot parse {text:?} as \"2006\""
    )))
}
