//! JSON schemas of values. In: types of fields, and the API's definitions. Out: schemas in which a field that is
//! not known is refused, and the definitions that they refer to.

#[path = "facts.rs"]
mod facts;
#[path = "mesh.rs"]
mod mesh;

use std::collections::{BTreeMap, BTreeSet};

use lateen_api::schema::definitions;
use lateen_install::{Form, Type};
use serde_json::{Map, Value, json};

use super::patterns;
pub use facts::share;
pub use mesh::VARIABLES;

const PREFIX: &str = "#/components/schemas/";
/// As Kubernetes writes quantities.
const QUANTITY: &str =
    "^[+-]?([0-9]+|[0-9]+\\.[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+|[numkMGTPE]|[KMGTPE]i)?$";
/// The same, of an amount of which there cannot be less than nothing.
const AMOUNT: &str =
    "^[+]?([0-9]+|[0-9]+\\.[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+|[numkMGTPE]|[KMGTPE]i)?$";

pub fn closed() -> Value {
    json!({ "type": "object", "additionalProperties": false, "properties": {} })
}

/// Values may be null, which is as if they were not set.
pub fn of_type(wanted: Type) -> Value {
    match wanted {
        Type::Bool => json!({ "type": ["boolean", "null"] }),
        Type::Int => {
            json!({ "type": ["integer", "null"], "minimum": 0, "maximum": i32::MAX })
        }
        Type::Port => json!({ "type": ["integer", "null"], "minimum": 0, "maximum": u16::MAX }),
        Type::Number => json!({ "type": ["number", "null"] }),
        Type::Text => json!({ "type": ["string", "null"] }),
        Type::Word(form) => texts(&["string", "null"], patterns::of(form)),
        Type::Scalar => texts(&["string", "number", "null"], patterns::of(Form::Value)),
        Type::Tag => texts(&["string", "number", "null"], patterns::of(Form::Tag)),
        Type::IntOrText => json!({ "type": ["string", "integer", "null"] }),
        Type::OneOf(names) => {
            let named = names.iter().map(|name| json!(name));
            json!({ "enum": named.chain([Value::Null]).collect::<Vec<_>>() })
        }
        Type::Texts => json!({ "type": ["array", "null"], "items": { "type": "string" } }),
        Type::Words(form) => {
            let item = texts(&["string"], patterns::of_item(form));
            json!({ "type": ["array", "null"], "items": item, "uniqueItems": form == Form::Family })
        }
        Type::Labels => keyed(texts(&["string", "null"], patterns::of(Form::Value)), Form::Key),
        Type::Annotations => keyed(of_type(Type::Text), Form::AnnotationKey),
        Type::Named => by_name(&["string", "null"]),
        Type::Environment => {
            keyed(json!({ "type": ["string", "number", "boolean", "null"] }), Form::Variable)
        }
        Type::Schema(name) => refer(name),
        Type::Schemas(name) => json!({ "type": ["array", "null"], "items": refer(name) }),
        Type::Object | Type::Autoscaler => json!({ "type": ["object", "null"] }),
        Type::List => json!({ "type": ["array", "null"] }),
        Type::Any | Type::Inherited => json!({}),
    }
}

/// A value of one of these types, which has a form where it is a text.
pub fn texts(types: &[&str], mut form: Value) -> Value {
    match form.get_mut("enum").and_then(Value::as_array_mut) {
        Some(words) if types.contains(&"null") => words.push(Value::Null),
        Some(_) => {}
        None => form["type"] = json!(types),
    }
    form
}

/// Values by keys of a form.
pub fn keyed(value: Value, keys: Form) -> Value {
    let pattern = patterns::of_item(keys)["pattern"].as_str().unwrap_or_default().to_owned();
    json!({
        "type": ["object", "null"], "patternProperties": { pattern: value }, "additionalProperties": false,
    })
}

/// Scalars of these types by name.
pub fn by_name(types: &[&str]) -> Value {
    json!({ "type": ["object", "null"], "additionalProperties": { "type": types } })
}

/// Of the field of an IstioOperator at this path, or within one.
pub fn of_path(path: &str) -> Option<Value> {
    let found = lateen_install::fields().filter_map(|(known, field)| {
        let rest = path.strip_prefix(&*known)?;
        (rest.is_empty() || rest.starts_with('.')).then(|| (field.1, rest.to_owned()))
    });
    let (kind, rest) = found.min_by_key(|(_, rest)| rest.len())?;
    let Type::Schema(name) = kind else { return rest.is_empty().then(|| of_type(kind)) };
    let steps = rest.split('.').filter(|step| !step.is_empty());
    let schema = steps.fold(refer(name), |schema, step| {
        let name = names(&schema).pop_first().expect("a message is a definition");
        whole(&name)["properties"][step].take()
    });
    Some(schema)
}

fn refer(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

/// The definitions that a schema refers to, with those that they refer to themselves.
pub fn definitions_of(schema: &Value) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    let mut wanted = names(schema);
    while let Some(name) = wanted.pop_first() {
        let converted = whole(&name);
        wanted.extend(names(&converted).into_iter().filter(|name| !found.contains_key(name)));
        found.insert(name, converted);
        wanted.retain(|name| !found.contains_key(name));
    }
    found
}

/// A definition with all that `install` knows of it.
fn whole(name: &str) -> Value {
    let definition = definitions().get(name).expect("the API has the definition");
    let mut schema = convert(name, definition);
    mesh::add(name, &mut schema);
    if name.starts_with("io.k8s.") {
        let required = definition.get("required").and_then(Value::as_array);
        facts::add(name, required.map_or(&[][..], Vec::as_slice), &mut schema);
    }
    schema
}

fn names(schema: &Value) -> BTreeSet<String> {
    match schema {
        Value::Object(map) => {
            let own = map.get("$ref").and_then(Value::as_str);
            let own = own.and_then(|name| name.strip_prefix("#/$defs/")).map(str::to_owned);
            own.into_iter().chain(map.values().flat_map(names)).collect()
        }
        Value::Array(list) => list.iter().flat_map(names).collect(),
        _ => BTreeSet::new(),
    }
}

/// A definition of the API as a schema. Istio's messages come in either spelling, and with numbers in quotes.
fn convert(name: &str, definition: &Value) -> Value {
    if let Some(reference) = definition.get("$ref").and_then(Value::as_str) {
        return refer(reference.strip_prefix(PREFIX).unwrap_or(reference));
    }
    let text = |field: &str| definition.get(field).and_then(Value::as_str).unwrap_or_default();
    let is_istios = name.starts_with("io.istio.");
    let duration = text("x-lateen-format") == "duration";
    match text("type") {
        "string" if name.ends_with(".Quantity") => {
            json!({ "type": ["string", "number", "null"], "pattern": QUANTITY })
        }
        "string" if text("format") == "int-or-string" => {
            json!({ "type": ["string", "integer", "null"] })
        }
        "string" if duration => texts(&["string", "null"], patterns::of_item(Form::Span)),
        "string" => match definition.get("enum").and_then(Value::as_array) {
            Some(allowed) => {
                let empty = (!is_istios).then(|| json!(""));
                let allowed = allowed.iter().cloned().chain([Value::Null]).chain(empty);
                json!({ "enum": allowed.collect::<Vec<_>>() })
            }
            None => json!({ "type": ["string", "null"] }),
        },
        number @ ("integer" | "number") if is_istios => {
            json!({ "type": [number, "string", "null"], "pattern": "^[+-]?[0-9]+(\\.[0-9]+)?$" })
        }
        "array" => {
            let items =
                definition.get("items").map_or(json!({}), |items| convert_inner(name, items));
            json!({ "type": ["array", "null"], "items": items })
        }
        "object" | "" => object(name, definition),
        other => json!({ "type": [other, "null"] }),
    }
}

/// What is within a definition has no name, but is of the same API.
fn convert_inner(name: &str, definition: &Value) -> Value {
    convert(if name.starts_with("io.istio.") { "io.istio." } else { "" }, definition)
}

fn object(name: &str, definition: &Value) -> Value {
    let mut schema = json!({ "type": ["object", "null"] });
    if let Some(inner) = definition.get("additionalProperties").filter(|inner| inner.is_object()) {
        schema["additionalProperties"] = convert_inner(name, inner);
    }
    let Some(properties) = definition.get("properties").and_then(Value::as_object) else {
        return schema;
    };
    let mut known = Map::new();
    for (key, inner) in properties {
        let converted = convert_inner(name, inner);
        let snake = snake_case(key);
        if name.starts_with("io.istio.") && snake != *key {
            known.insert(snake, converted.clone());
        }
        known.insert(key.clone(), converted);
    }
    schema["properties"] = Value::Object(known);
    let is_open = definition.get("x-kubernetes-preserve-unknown-fields") == Some(&json!(true));
    if !is_open && schema.get("additionalProperties").is_none() {
        schema["additionalProperties"] = json!(false);
    }
    schema
}

fn snake_case(camel: &str) -> String {
    let mut snake = String::new();
    for letter in camel.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}
