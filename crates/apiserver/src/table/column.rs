//! What a printer is made of: column definitions, and cells that several kinds share. In: an object.
//! Out: definitions and cells.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::duration::human;

/// One kind's columns and how to fill them.
pub struct Printer {
    pub group: &'static str,
    pub kind: &'static str,
    pub columns: &'static [Col],
    /// One cell for each column.
    pub cells: fn(&Value, Timestamp) -> Vec<Value>,
}

/// A column definition.
pub struct Col {
    name: &'static str,
    column_type: &'static str,
    format: &'static str,
    description: &'static str,
    priority: u8,
}

pub const NAME: Col = Col {
    name: "Name",
    column_type: "string",
    format: "name",
    description: "the object's name, unique among its kind in a namespace",
    priority: 0,
};
pub const AGE: Col = text("Age", "time since the object was created");
pub const CREATED_AT: Col =
    Col { column_type: "date", ..text("Created At", "when the object was created") };

/// A column of text; `description` says where the value comes from.
pub const fn text(name: &'static str, description: &'static str) -> Col {
    Col { name, column_type: "string", format: "", description, priority: 0 }
}

/// A column of whole numbers.
pub const fn int(name: &'static str, description: &'static str) -> Col {
    Col { name, column_type: "integer", format: "", description, priority: 0 }
}

/// A column that only `-o wide` shows.
pub const fn wide(name: &'static str, description: &'static str) -> Col {
    Col { name, column_type: "string", format: "", description, priority: 1 }
}

impl Col {
    /// Hides the column unless `-o wide` asks.
    pub const fn widened(mut self) -> Self {
        self.priority = 1;
        self
    }

    pub fn definition(&self) -> Value {
        json!({
            "name": self.name,
            "type": self.column_type,
            "format": self.format,
            "description": self.description,
            "priority": self.priority,
        })
    }
}

pub fn name(object: &Value) -> Value {
    object["metadata"]["name"].as_str().unwrap_or_default().into()
}

/// The age cell.
pub fn created(object: &Value, now: Timestamp) -> Value {
    age(&object["metadata"]["creationTimestamp"], now).into()
}

/// Time from a timestamp value until `now`; `<unknown>` when there is none.
pub fn age(timestamp: &Value, now: Timestamp) -> String {
    match seconds_between(timestamp, now) {
        Some(seconds) => human(seconds),
        None => "<unknown>".to_owned(),
    }
}

/// Seconds from a timestamp value until `end`.
pub fn seconds_between(timestamp: &Value, end: Timestamp) -> Option<i64> {
    Some(end.as_second() - parse_time(timestamp)?.as_second())
}

pub fn parse_time(timestamp: &Value) -> Option<Timestamp> {
    timestamp.as_str()?.parse().ok()
}

/// A whole number, 0 when absent.
pub fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

/// A string, empty when absent.
pub fn string(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A string, `placeholder` when absent or empty.
pub fn string_or<'a>(value: &'a Value, placeholder: &'a str) -> &'a str {
    value.as_str().filter(|text| !text.is_empty()).unwrap_or(placeholder)
}

/// The items of a list, none when absent.
pub fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
