//! How much memory a message of telemetry would take, told from its bytes. In: bytes, and the shape of the message.
//! Out: whether that is within a limit. Two bytes can be an empty sample, which takes hundreds once it is read.
//!
//! Strings and bytes take about what they take on the wire; what is counted is what repeats: messages in lists and maps.

#[cfg(test)]
mod tests;

use std::mem::size_of;

use envoy_types::pb::envoy::config::core::v3::{Address, Extension};
use envoy_types::pb::envoy::data::accesslog::v3::{HttpAccessLogEntry, TcpAccessLogEntry};
use envoy_types::pb::google::protobuf::Value;
use envoy_types::pb::io::prometheus::client::{
    Bucket, BucketSpan, Exemplar, LabelPair, Metric, MetricFamily, Quantile,
};

/// Messages in messages that are looked at; prost reads no more.
const DEPTH: usize = 100;

/// A type of message, or of another field that repeats.
pub struct Shape {
    /// What one takes, and for each of its bytes.
    each: usize,
    per_byte: usize,
    /// The fields that repeat, or have some that do.
    fields: &'static [(u64, &'static Shape)],
}

impl Shape {
    const fn of<M>(fields: &'static [(u64, &'static Shape)]) -> Self {
        Self { each: size_of::<M>(), per_byte: 0, fields }
    }

    /// Of a message that is there once, and has others.
    const fn around(fields: &'static [(u64, &'static Shape)]) -> Self {
        Self { each: 0, per_byte: 0, fields }
    }
}

/// Numbers, each in a field of its own or in a row, which may have one byte each.
static NUMBERS: Shape = Shape { each: size_of::<u64>(), per_byte: size_of::<u64>(), fields: &[] };
static STRING: Shape = Shape::of::<String>(&[]);
static TEXTS: Shape = Shape::of::<(String, String)>(&[]);

static STRUCT: Shape = Shape::around(&[(1, &FIELD)]);
static FIELD: Shape = Shape::of::<(String, Value)>(&[(2, &VALUE)]);
static VALUE: Shape = Shape::of::<Value>(&[(5, &STRUCT), (6, &LIST)]);
static LIST: Shape = Shape::around(&[(1, &VALUE)]);

static BUILD: Shape = Shape::around(&[(2, &STRUCT)]);
static EXTENSION: Shape = Shape::of::<Extension>(&[(4, &BUILD), (6, &STRING)]);
static ADDRESS: Shape = Shape::of::<Address>(&[]);
static PARAMETERS: Shape = Shape::around(&[(1, &TEXTS)]);
static PARAMETER: Shape = Shape::of::<(String, [u64; 6])>(&[(2, &PARAMETERS)]);
static NODE: Shape = Shape::around(&[
    (3, &STRUCT),
    (8, &BUILD),
    (9, &EXTENSION),
    (10, &STRING),
    (11, &ADDRESS),
    (12, &PARAMETER),
]);
static IDENTIFIER: Shape = Shape::around(&[(1, &NODE)]);

static LABEL: Shape = Shape::of::<LabelPair>(&[]);
static EXEMPLAR: Shape = Shape::of::<Exemplar>(&[(1, &LABEL)]);
static COUNTER: Shape = Shape::around(&[(2, &EXEMPLAR)]);
static QUANTILE: Shape = Shape::of::<Quantile>(&[]);
static SUMMARY: Shape = Shape::around(&[(3, &QUANTILE)]);
static BUCKET: Shape = Shape::of::<Bucket>(&[(3, &EXEMPLAR)]);
static SPAN: Shape = Shape::of::<BucketSpan>(&[]);
static HISTOGRAM: Shape = Shape::around(&[
    (3, &BUCKET),
    (9, &SPAN),
    (10, &NUMBERS),
    (11, &NUMBERS),
    (12, &SPAN),
    (13, &NUMBERS),
    (14, &NUMBERS),
    (16, &EXEMPLAR),
]);
static METRIC: Shape =
    Shape::of::<Metric>(&[(1, &LABEL), (3, &COUNTER), (4, &SUMMARY), (7, &HISTOGRAM)]);
static FAMILY: Shape = Shape::of::<MetricFamily>(&[(4, &METRIC)]);

static NAMED_STRUCT: Shape = Shape::of::<(String, [u64; 6])>(&[(2, &STRUCT)]);
static NAMED_ANY: Shape = Shape::of::<(String, [u64; 6])>(&[]);
static METADATA: Shape = Shape::around(&[(1, &NAMED_STRUCT), (2, &NAMED_ANY)]);
static ALTERNATIVE: Shape = Shape::of::<[u64; 4]>(&[]);
static CERTIFICATE: Shape = Shape::around(&[(1, &ALTERNATIVE)]);
static TLS: Shape = Shape::around(&[(4, &CERTIFICATE), (5, &CERTIFICATE)]);
static COMMON: Shape = Shape::around(&[(4, &TLS), (17, &METADATA), (21, &NAMED_ANY), (22, &TEXTS)]);
static TCP_ENTRY: Shape = Shape::of::<TcpAccessLogEntry>(&[(1, &COMMON)]);
static TCP_ENTRIES: Shape = Shape::around(&[(1, &TCP_ENTRY)]);
static REQUEST: Shape = Shape::around(&[(13, &TEXTS)]);
static RESPONSE: Shape = Shape::around(&[(4, &TEXTS), (5, &TEXTS)]);
static HTTP_ENTRY: Shape =
    Shape::of::<HttpAccessLogEntry>(&[(1, &COMMON), (3, &REQUEST), (4, &RESPONSE)]);
static HTTP_ENTRIES: Shape = Shape::around(&[(1, &HTTP_ENTRY)]);

/// Envoy's StreamMetricsMessage and StreamAccessLogsMessage.
pub static METRICS: Shape = Shape::around(&[(1, &IDENTIFIER), (2, &FAMILY)]);
pub static LOGS: Shape = Shape::around(&[(1, &IDENTIFIER), (2, &HTTP_ENTRIES), (3, &TCP_ENTRIES)]);

/// Whether what would be read of these bytes takes at most so much. What is no message is read up to where it is none,
/// so that it is told by whoever reads it.
pub fn fits(bytes: &[u8], shape: &Shape, most: usize) -> bool {
    let mut left = most;
    weigh(bytes, shape, DEPTH, &mut left).is_some()
}

/// Takes the weight from what is left; `None` if that is not enough.
fn weigh(mut bytes: &[u8], shape: &Shape, depth: usize, left: &mut usize) -> Option<()> {
    while let Some((field, inner)) = next(&mut bytes) {
        let Some((_, shape)) = shape.fields.iter().find(|(number, _)| *number == field) else {
            continue;
        };
        let taken = shape.each + shape.per_byte * inner.len();
        *left = left.checked_sub(taken)?;
        if depth > 0 && !shape.fields.is_empty() {
            weigh(inner, shape, depth - 1, left)?;
        }
    }
    Some(())
}

/// The next field with its bytes, of which only those that may be messages have any. `None` at the end.
fn next<'b>(bytes: &mut &'b [u8]) -> Option<(u64, &'b [u8])> {
    let tag = varint(bytes)?;
    let length = match tag & 7 {
        0 => varint(bytes).map(|_| 0),
        1 => bytes.split_off(..8).map(|_| 0),
        2 => usize::try_from(varint(bytes)?).ok(),
        // A group begins or ends: its fields are looked at like others.
        3 | 4 => Some(0),
        5 => bytes.split_off(..4).map(|_| 0),
        _ => None,
    }?;
    Some((tag >> 3, bytes.split_off(..length)?))
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..70).step_by(7) {
        let byte = *bytes.split_off_first()?;
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or_default();
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}
