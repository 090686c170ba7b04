//! Values of the command line, which have no types of their own. In: the steps of `--set` and the text
//! behind them. Out: the value: a text where a text is meant, or what the text is as YAML.

use lateen_api::schema::definitions;
use serde_json::Value;

use crate::path::Step;
use crate::table::{FIELDS, Type};
use crate::yaml;

const PREFIX: &str = "#/components/schemas/";

/// The value that a text stands for at these steps.
pub fn value(steps: &[Step], text: &str) -> Value {
    match yaml::scalar(text) {
        // In quotes it is a text, and null removes what is there, everywhere.
        parsed @ (Value::String(_) | Value::Null) => parsed,
        _ if wants_text(steps) => Value::String(text.to_owned()),
        parsed => parsed,
    }
}

/// Whether what stands at these steps is a text.
fn wants_text(steps: &[Step]) -> bool {
    let mut node = &*FIELDS;
    let mut innermost = None;
    for (at, step) in steps.iter().enumerate() {
        let child = match step {
            Step::Key(key) => node.child(key),
            Step::Index(_) | Step::Select(..) | Step::Contains(_) => node.children.get("[]"),
        };
        let Some(child) = child else { break };
        node = child;
        if let Some(entry) = node.entry.filter(|entry| entry.1 != Type::Inherited) {
            innermost = Some((entry.1, at + 1));
        }
    }
    innermost.is_some_and(|(wanted, at)| is_text(wanted, &steps[at..]))
}

/// Whether a text stands at `rest` below a value of this type.
fn is_text(wanted: Type, rest: &[Step]) -> bool {
    match wanted {
        Type::Text | Type::Word(_) | Type::Scalar | Type::Tag | Type::OneOf(_) => rest.is_empty(),
        Type::Labels
        | Type::Annotations
        | Type::Named
        | Type::Environment
        | Type::Texts
        | Type::Words(_) => rest.len() == 1,
        Type::Schema(name) => is_text_in(name, rest),
        Type::Schemas(name) => !rest.is_empty() && is_text_in(name, &rest[1..]),
        Type::Autoscaler
        | Type::Bool
        | Type::Int
        | Type::Port
        | Type::Number
        | Type::IntOrText
        | Type::Object
        | Type::List
        | Type::Inherited
        | Type::Any => false,
    }
}

fn is_text_in(definition: &str, steps: &[Step]) -> bool {
    let Some(mut schema) = definitions().get(definition) else { return false };
    for step in steps {
        let inner = match step {
            Step::Key(key) => {
                let named = schema.get("properties").and_then(|known| known.get(key));
                named.or_else(|| schema.get("additionalProperties"))
            }
            Step::Index(_) | Step::Select(..) | Step::Contains(_) => schema.get("items"),
        };
        let Some(inner) = inner else { return false };
        let referred = inner.get("$ref").and_then(Value::as_str);
        let name = referred.map(|reference| reference.strip_prefix(PREFIX).unwrap_or(reference));
        schema = name.and_then(|name| definitions().get(name)).unwrap_or(inner);
    }
    schema.get("type") == Some(&Value::from("string"))
        && schema.get("format") != Some(&Value::from("int-or-string"))
}
