//! A value beside the definition of its type. In: a definition's name of `lateen_api::schema` and a
//! value. Out: what does not fit, and what its API would refuse besides, by path.

use std::collections::BTreeSet;

use lateen_api::schema::definitions;
use serde_json::{Map, Value};

use crate::facts;
use crate::nearest::near;
use crate::path::kind;
use crate::quantity;

/// What is said of a field that must be there.
pub const MISSING: &str = "it is missing";

/// How what is said of a field that there is not begins.
pub const UNKNOWN: &str = "unknown field";

const PREFIX: &str = "#/components/schemas/";

/// What does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    pub path: String,
    pub message: String,
    /// The type is right, and the API would refuse it all the same.
    pub is_form: bool,
}

impl Misfit {
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into(), is_form: false }
    }
}

/// Whether fields that the definition requires must be there; a file of settings need not have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Required {
    Check,
    Skip,
}

/// Checks a value against a definition; `path` is where the value stands.
pub fn check(definition: &str, value: &Value, path: &str, required: Required) -> Vec<Misfit> {
    let mut walk = Walk { required, found: Vec::new() };
    match definitions().get(definition) {
        Some(schema) => walk.value(schema, definition, value, path),
        None => walk.tell(path, format!("there is no definition {definition}")),
    }
    walk.found
}

struct Walk {
    required: Required,
    found: Vec<Misfit>,
}

impl Walk {
    fn tell(&mut self, path: &str, message: String) {
        self.found.push(Misfit::new(path, message));
    }

    fn value(&mut self, schema: &Value, name: &str, value: &Value, path: &str) {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let name = reference.strip_prefix(PREFIX).unwrap_or(reference);
            return match definitions().get(name) {
                Some(schema) => self.value(schema, name, value, path),
                None => self.tell(path, format!("there is no definition {name}")),
            };
        }
        if value.is_null() {
            return;
        }
        if let Some(message) = mismatch(schema, name, value) {
            return self.tell(path, message);
        }
        match value {
            Value::Object(fields) => {
                self.object(schema, fields, path);
                for (field, message) in facts::check(name, fields, self.required) {
                    let dot = if field.is_empty() { "" } else { "." };
                    let own = Misfit::new(format!("{path}{dot}{field}"), message);
                    self.found.push(Misfit { is_form: true, ..own });
                }
            }
            Value::Array(items) => {
                let Some(inner) = schema.get("items") else { return };
                for (index, item) in items.iter().enumerate() {
                    self.value(inner, "", item, &format!("{path}[{index}]"));
                }
            }
            _ => {}
        }
    }

    fn object(&mut self, schema: &Value, fields: &Map<String, Value>, path: &str) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let additional = schema.get("additionalProperties").filter(|inner| inner.is_object());
        for (key, value) in fields {
            let inner_path = format!("{path}.{key}");
            match (properties.and_then(|known| known.get(key)), additional, properties) {
                (Some(inner), _, _) | (None, Some(inner), _) => {
                    self.value(inner, "", value, &inner_path);
                }
                (None, None, Some(known)) if !is_open(schema) => {
                    let names: BTreeSet<&str> = known.keys().map(String::as_str).collect();
                    self.tell(&inner_path, unknown(key, path, names));
                }
                _ => {}
            }
        }
        if self.required == Required::Check {
            let names = schema.get("required").and_then(Value::as_array);
            for name in names.into_iter().flatten().filter_map(Value::as_str) {
                if fields.get(name).is_none_or(Value::is_null) {
                    self.tell(&format!("{path}.{name}"), MISSING.to_owned());
                }
            }
        }
    }
}

/// What to say of a field that is not known beside those that are.
pub fn unknown(key: &str, path: &str, known: BTreeSet<&str>) -> String {
    if known.is_empty() {
        return format!("{UNKNOWN}, nothing may be set here");
    }
    match near(key, known) {
        Some(name) => format!("{UNKNOWN}, did you mean {path}.{name}?"),
        None => format!("{UNKNOWN}, and none is like it: check its name and its place"),
    }
}

fn is_open(schema: &Value) -> bool {
    schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true))
}

fn mismatch(schema: &Value, name: &str, value: &Value) -> Option<String> {
    let wanted = schema.get("type").and_then(Value::as_str)?;
    let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
    let is_quantity = name.ends_with(".Quantity");
    let (fits, words) = match wanted {
        "string" if is_quantity => {
            (value.is_string() || value.is_number(), "a quantity such as 100m")
        }
        "string" if format == "int-or-string" => {
            (value.is_string() || value.is_i64(), "a number or a text such as 25%")
        }
        "string" => (value.is_string(), "a text (in quotes, if it looks like something else)"),
        "integer" => (value.is_i64() || value.is_u64(), "a whole number"),
        "number" => (value.is_number(), "a number"),
        "boolean" => (value.is_boolean(), "true or false"),
        "array" => (value.is_array(), "a list"),
        "object" => (value.is_object(), "an object"),
        _ => (true, ""),
    };
    if !fits {
        return Some(format!("it is {} and must be {words}", kind(value)));
    }
    if is_quantity && quantity::of(value).is_none() {
        return Some(format!("{value} is not a quantity: write it as in 100m, 0.5 or 128Mi"));
    }
    let allowed = schema.get("enum").and_then(Value::as_array)?;
    let names: Vec<String> = allowed.iter().map(Value::to_string).collect();
    (!allowed.contains(value)).then(|| format!("{value} is none of {}", names.join(", ")))
}
