//! From bytes to JSON. In: a message of the table and its bytes; out, its fields as JSON, shown or left
//! out as Go's `encoding/json` does with what it has read from the same bytes.
//!
//! The wire format: <https://protobuf.dev/programming-guides/encoding/>.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::table::{self, Field, Message, Shape, Shown, Type};
use super::{WireError, text};

/// An empty message takes two bytes on the wire and a hundred times that in memory.
const MESSAGES: usize = 100_000;

/// A value on the wire.
#[derive(Clone, Copy, Debug)]
pub enum Payload<'a> {
    /// A number or truth value.
    Varint(u64),
    /// Anything with a length.
    Bytes(&'a [u8]),
    /// A number of fixed size, which no message of the table has.
    Fixed,
}

/// Splits a message into its fields.
pub fn fields<'a>(
    place: &'static str,
    bytes: &'a [u8],
) -> Result<Vec<(u32, Payload<'a>)>, WireError> {
    let mut rest = bytes;
    let mut found = Vec::new();
    while !rest.is_empty() {
        let field = one_field(&mut rest).ok_or(WireError::Malformed(place))?;
        found.push(field);
    }
    Ok(found)
}

fn one_field<'a>(rest: &mut &'a [u8]) -> Option<(u32, Payload<'a>)> {
    let tag = varint(rest)?;
    let number = u32::try_from(tag >> 3).ok().filter(|number| *number > 0)?;
    let payload = match tag & 7 {
        0 => Payload::Varint(varint(rest)?),
        1 => take(rest, 8).map(|_| Payload::Fixed)?,
        2 => {
            let length = usize::try_from(varint(rest)?).ok()?;
            Payload::Bytes(take(rest, length)?)
        }
        5 => take(rest, 4).map(|_| Payload::Fixed)?,
        _ => return None,
    };
    Some((number, payload))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, left) = rest.split_first()?;
        *rest = left;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Decodes one object.
pub struct Decoder {
    left: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { left: MESSAGES }
    }
}

impl Decoder {
    /// Puts a message's fields into `object`.
    pub fn message(
        &mut self,
        message: &'static Message,
        bytes: &[u8],
        object: &mut Map<String, Value>,
    ) -> Result<(), WireError> {
        self.left = self.left.checked_sub(1).ok_or(WireError::TooMany(MESSAGES))?;
        let mut found: BTreeMap<u32, Vec<Payload<'_>>> = BTreeMap::new();
        for (number, payload) in fields(message.name, bytes)? {
            found.entry(number).or_default().push(payload);
        }
        for field in &message.fields {
            let payloads = found.get(&field.number).map(Vec::as_slice).unwrap_or_default();
            if let (Type::Message(inner), "-") = (field.of, field.name) {
                let bytes = match payloads.last() {
                    Some(Payload::Bytes(bytes)) => *bytes,
                    Some(_) => return Err(WireError::Malformed(message.name)),
                    None => &[],
                };
                self.message(known(inner), bytes, object)?;
            } else if let Some(value) = self.field(message.name, field, payloads)? {
                object.insert(field.name.to_owned(), value);
            }
        }
        Ok(())
    }

    /// A field's JSON, or nothing if it is left out.
    fn field(
        &mut self,
        place: &'static str,
        field: &Field,
        payloads: &[Payload<'_>],
    ) -> Result<Option<Value>, WireError> {
        if payloads.is_empty() && field.shown != Shown::Always {
            return Ok((field.shown == Shown::Null).then_some(Value::Null));
        }
        let value = match field.shape {
            Shape::One => self.value(place, field.of, payloads.last().copied())?,
            Shape::List => self.list(place, field.of, payloads)?,
            Shape::Map => self.map(place, field.of, payloads)?,
        };
        let hidden = field.shown == Shown::Filled && is_empty(&value);
        Ok((!hidden).then_some(value))
    }

    fn list(
        &mut self,
        place: &'static str,
        of: Type,
        payloads: &[Payload<'_>],
    ) -> Result<Value, WireError> {
        let mut list = Vec::new();
        for payload in payloads {
            match (of, payload) {
                // Numbers may come packed.
                (Type::Int, Payload::Bytes(packed)) => {
                    let mut rest = *packed;
                    while !rest.is_empty() {
                        let number = varint(&mut rest).ok_or(WireError::Malformed(place))?;
                        list.push(int(number));
                    }
                }
                _ => list.push(self.value(place, of, Some(*payload))?),
            }
        }
        Ok(Value::Array(list))
    }

    fn map(
        &mut self,
        place: &'static str,
        of: Type,
        payloads: &[Payload<'_>],
    ) -> Result<Value, WireError> {
        let mut sorted = BTreeMap::new();
        for payload in payloads {
            let Payload::Bytes(entry) = payload else { return Err(WireError::Malformed(place)) };
            let (mut key, mut value) = (String::new(), None);
            for (number, payload) in fields(place, entry)? {
                match (number, payload) {
                    (1, Payload::Bytes(bytes)) => key = text(place, bytes)?,
                    (2, payload) => value = Some(payload),
                    _ => {}
                }
            }
            sorted.insert(key, self.value(place, of, value)?);
        }
        Ok(Value::Object(sorted.into_iter().collect()))
    }

    /// One value; what is not on the wire is the type's zero.
    fn value(
        &mut self,
        place: &'static str,
        of: Type,
        payload: Option<Payload<'_>>,
    ) -> Result<Value, WireError> {
        let (number, bytes): (u64, &[u8]) = match (of, payload) {
            (_, None) => (0, &[]),
            (Type::Int | Type::Bool, Some(Payload::Varint(number))) => (number, &[]),
            (Type::Int | Type::Bool, _) | (_, Some(Payload::Varint(_) | Payload::Fixed)) => {
                return Err(WireError::Malformed(place));
            }
            (_, Some(Payload::Bytes(bytes))) => (0, bytes),
        };
        Ok(match of {
            Type::Int => int(number),
            Type::Bool => Value::Bool(number != 0),
            Type::Text => Value::String(text(place, bytes)?),
            Type::Bytes => Value::String(STANDARD.encode(bytes)),
            Type::Time => time(place, bytes, false)?,
            Type::MicroTime => time(place, bytes, true)?,
            Type::Quantity => quantity(place, bytes)?,
            Type::IntOrString => int_or_string(place, bytes)?,
            Type::Raw => raw(place, bytes)?,
            Type::Items => self.items(place, bytes)?,
            Type::Message(name) => {
                let mut object = Map::new();
                self.message(known(name), bytes, &mut object)?;
                Value::Object(object)
            }
        })
    }

    fn items(&mut self, place: &'static str, bytes: &[u8]) -> Result<Value, WireError> {
        let all = fields(place, bytes)?;
        let items: Vec<Payload<'_>> =
            all.into_iter().filter(|(number, _)| *number == 1).map(|(_, item)| item).collect();
        self.list(place, Type::Text, &items)
    }
}

fn known(name: &str) -> &'static Message {
    table::message(name).expect("invariant: the table has every message that it speaks of")
}

/// The two's complement of the wire.
fn int(number: u64) -> Value {
    json!(number.cast_signed())
}

/// What `omitempty` leaves out.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

fn time(place: &'static str, bytes: &[u8], micro: bool) -> Result<Value, WireError> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let (mut seconds, mut nanos) = (0, 0);
    for (number, payload) in fields(place, bytes)? {
        match (number, payload) {
            (1, Payload::Varint(number)) => seconds = number.cast_signed(),
            (2, Payload::Varint(number)) => nanos = number.cast_signed(),
            _ => return Err(WireError::Malformed(place)),
        }
    }
    let nanos = if micro { i32::try_from(nanos).ok() } else { Some(0) };
    let moment = nanos.and_then(|nanos| Timestamp::new(seconds, nanos).ok());
    let moment = moment.ok_or(WireError::Malformed(place))?;
    let text = if micro { format!("{moment:.6}") } else { moment.to_string() };
    Ok(Value::String(text))
}

fn quantity(place: &'static str, bytes: &[u8]) -> Result<Value, WireError> {
    for (number, payload) in fields(place, bytes)? {
        if let (1, Payload::Bytes(bytes)) = (number, payload) {
            return Ok(Value::String(text(place, bytes)?));
        }
    }
    Ok(json!("0"))
}

fn int_or_string(place: &'static str, bytes: &[u8]) -> Result<Value, WireError> {
    let (mut is_text, mut number, mut word) = (false, json!(0), String::new());
    for field in fields(place, bytes)? {
        match field {
            (1, Payload::Varint(kind)) => is_text = kind != 0,
            (2, Payload::Varint(value)) => number = int(value),
            (3, Payload::Bytes(bytes)) => word = text(place, bytes)?,
            _ => return Err(WireError::Malformed(place)),
        }
    }
    Ok(if is_text { Value::String(word) } else { number })
}

fn raw(place: &'static str, bytes: &[u8]) -> Result<Value, WireError> {
    for (number, payload) in fields(place, bytes)? {
        if let (1, Payload::Bytes(bytes)) = (number, payload) {
            return serde_json::from_slice(bytes).map_err(|_| WireError::Malformed(place));
        }
    }
    Ok(Value::Null)
}
