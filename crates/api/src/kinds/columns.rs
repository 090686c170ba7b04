//! Printer columns of kinds that are defined by a table, as a CustomResourceDefinition's are.
//!
//! In: an object and a path in a subset of JSONPath: `.a.b`, `[*]` (the first element that leads
//! anywhere), `[?(@.key=="value")]`. Out: a table cell.

use serde_json::Value;

/// The `type` of a column, which tells the client how to print it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    String,
    /// A timestamp; printed as the time since.
    Date,
}

impl ColumnType {
    /// As a Table's `columnDefinitions[].type` writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            ColumnType::String => "string",
            ColumnType::Date => "date",
        }
    }
}

/// One printer column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    pub name: &'static str,
    pub column_type: ColumnType,
    pub path: &'static str,
    /// 0: always shown; greater: with `-o wide` only.
    pub priority: u8,
    pub description: &'static str,
}

impl Column {
    /// The cell for an object: a string as it is (a date as its timestamp), anything else as compact
    /// JSON in a string (so hosts print as `["*"]`), null if the path leads nowhere.
    pub fn cell(&self, object: &Value) -> Value {
        match lookup(self.path, object) {
            None | Some(Value::Null) => Value::Null,
            Some(Value::String(text)) => Value::String(text.clone()),
            Some(other) => Value::String(other.to_string()),
        }
    }
}

/// The first value that a path leads to.
pub fn lookup<'v>(path: &str, value: &'v Value) -> Option<&'v Value> {
    if path.is_empty() {
        return Some(value);
    }
    if let Some(rest) = path.strip_prefix('.') {
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        return lookup(&rest[end..], value.get(&rest[..end])?);
    }
    let (selector, rest) = path.strip_prefix('[')?.split_once(']')?;
    let items = value.as_array()?.iter();
    if selector == "*" {
        return items.into_iter().find_map(|item| lookup(rest, item));
    }
    let (key, wanted) = selector.strip_prefix("?(@.")?.strip_suffix("\")")?.split_once("==\"")?;
    items
        .into_iter()
        .filter(|item| item.get(key).and_then(Value::as_str) == Some(wanted))
        .find_map(|item| lookup(rest, item))
}
