//! Walks an object along its schema.
//!
//! In: a definition's name and a JSON object. Out: the object in the form that our types read
//! (camelCase names, no nulls, numbers as numbers), and findings: unknown fields, oneofs that are set
//! twice, and lists where an object must be.

use serde_json::{Map, Value};

use super::definitions;
use crate::issue::{Code, Issue, ObjectRef, Severity};

const PREFIX: &str = "#/components/schemas/";
/// Deeper than any definition; an object that nests deeper lies in an open field.
const MAX_DEPTH: usize = 64;

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FindingKind {
    UnknownField,
    /// Several members of a oneof are set.
    OneOf(Vec<String>),
    /// A list that must be an object. Our types would take its items for their fields, in order.
    ListForObject,
}

/// One finding, at a path such as `spec.servers[0].porrt`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub path: String,
    pub kind: FindingKind,
}

impl Finding {
    /// Whether the object cannot be read at all.
    pub fn is_fatal(&self) -> bool {
        self.kind == FindingKind::ListForObject
    }

    pub fn into_issue(self, object: ObjectRef) -> Issue {
        let (severity, code, message) = match self.kind {
            FindingKind::UnknownField => (
                Severity::Warning,
                Code::SCHEMA_WARNING,
                "unknown field, it is ignored; check its spelling".to_owned(),
            ),
            FindingKind::OneOf(fields) => (
                Severity::Error,
                Code::SCHEMA_VALIDATION_ERROR,
                format!("{} exclude each other, keep one of them", fields.join(" and ")),
            ),
            FindingKind::ListForObject => (
                Severity::Error,
                Code::SCHEMA_VALIDATION_ERROR,
                "it is a list and must be an object, write its fields without hyphens".to_owned(),
            ),
        };
        Issue { object, path: self.path, code, severity, message }
    }
}

/// Brings `value` into the form of the definition `name`. A definition that does not exist accepts
/// anything.
pub fn conform(name: &str, value: &mut Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(schema) = definitions().get(name) {
        walk(schema, value, &mut String::new(), 0, &mut findings);
    }
    findings
}

fn walk(
    schema: &Value,
    value: &mut Value,
    path: &mut String,
    depth: usize,
    findings: &mut Vec<Finding>,
) {
    let Some(schema) = resolve(schema) else { return };
    if depth > MAX_DEPTH {
        return;
    }
    match value {
        Value::Object(map) => walk_object(schema, map, path, depth, findings),
        Value::Array(_) if schema.contains_key("properties") => {
            findings.push(Finding { path: path.clone(), kind: FindingKind::ListForObject });
        }
        Value::Array(items) => {
            let Some(item_schema) = schema.get("items") else { return };
            for (index, item) in items.iter_mut().enumerate() {
                let length = path.len();
                path.push_str(&format!("[{index}]"));
                walk(item_schema, item, path, depth + 1, findings);
                path.truncate(length);
            }
        }
        Value::String(text) => {
            if let Some(number) = number_in_text(schema, text) {
                *value = number;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn walk_object(
    schema: &Map<String, Value>,
    map: &mut Map<String, Value>,
    path: &mut String,
    depth: usize,
    findings: &mut Vec<Finding>,
) {
    let properties = schema.get("properties").and_then(Value::as_object);
    let additional = schema.get("additionalProperties").filter(|inner| inner.is_object());
    if properties.is_none() && additional.is_none() {
        return;
    }
    map.retain(|_, field| !field.is_null());
    if let Some(properties) = properties {
        rename_snake_case(properties, map);
    }
    for (name, field) in map.iter_mut() {
        let length = path.len();
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(name);
        match properties.and_then(|p| p.get(name)).or(additional) {
            Some(inner) => walk(inner, field, path, depth + 1, findings),
            None => findings.push(Finding { path: path.clone(), kind: FindingKind::UnknownField }),
        }
        path.truncate(length);
    }
    check_one_of(schema, map, path, findings);
}

/// Protobuf's JSON takes a field's original name as well as its camelCase one.
fn rename_snake_case(properties: &Map<String, Value>, map: &mut Map<String, Value>) {
    let renamed: Vec<(String, String)> = map
        .keys()
        .filter(|name| name.contains('_'))
        .filter_map(|name| {
            let camel = camel_case(name);
            let free = properties.contains_key(&camel) && !map.contains_key(&camel);
            free.then(|| (name.clone(), camel))
        })
        .collect();
    for (snake, camel) in renamed {
        if let Some(value) = map.shift_remove(&snake) {
            map.insert(camel, value);
        }
    }
}

fn camel_case(snake: &str) -> String {
    let mut out = String::with_capacity(snake.len());
    let mut upper = false;
    for c in snake.chars() {
        if c == '_' {
            upper = true;
        } else if std::mem::take(&mut upper) {
            out.push(c.to_ascii_uppercase());
        } else {
            out.push(c);
        }
    }
    out
}

fn check_one_of(
    schema: &Map<String, Value>,
    map: &Map<String, Value>,
    path: &str,
    findings: &mut Vec<Finding>,
) {
    let groups = schema.get("x-lateen-one-of").and_then(Value::as_array);
    for group in groups.into_iter().flatten() {
        let members = group.as_array().into_iter().flatten().filter_map(Value::as_str);
        let set: Vec<String> =
            members.filter(|name| map.contains_key(*name)).map(str::to_owned).collect();
        if set.len() > 1 {
            findings.push(Finding { path: path.to_owned(), kind: FindingKind::OneOf(set) });
        }
    }
}

/// Protobuf's JSON takes numbers in quotes.
fn number_in_text(schema: &Map<String, Value>, text: &str) -> Option<Value> {
    match schema.get("type").and_then(Value::as_str)? {
        "integer" => text.parse::<i64>().ok().map(Value::from),
        "number" => text.parse::<f64>().ok().map(Value::from),
        _ => None,
    }
}

/// Follows references to the schema that says something.
fn resolve(mut schema: &Value) -> Option<&Map<String, Value>> {
    for _ in 0..MAX_DEPTH {
        let map = schema.as_object()?;
        let Some(reference) = map.get("$ref").and_then(Value::as_str) else { return Some(map) };
        schema = definitions().get(reference.strip_prefix(PREFIX)?)?;
    }
    None
}
