//! What Istio's CustomResourceDefinitions ask of objects beyond types: bounds, required fields and rules.
//!
//! In: the definitions of Istio's kinds, and the table `limits.txt`. Out: the definitions with the keywords of
//! structural schemas (`maxItems`, `x-kubernetes-validations`, …) and `x-lateen-nullable`.
//!
//! In the table `= AREA` begins the types of a group. A line names a place, `TYPE:FIELD`, with `[]` for the items or
//! values of a field, and what holds there; without `TYPE` it is one of the type before. `*` stands for any text. An
//! indented line is a rule of the place above, in CEL, and after `#` what is said to whom it refuses. A reference at a
//! place is replaced by what it refers to, so a type comes before those that use it.

use serde_json::{Map, Value, json};

const TABLE: &str = include_str!("limits.txt");
const RULES: &str = "x-kubernetes-validations";
const PREFIX: &str = "#/components/schemas/";

type Definitions = Map<String, Value>;

/// Puts the limits into the definitions.
pub(super) fn apply(all: &mut Definitions) {
    for (name, definition) in all.iter_mut() {
        if name.starts_with("io.istio.") && !name.starts_with("io.istio.mesh.") {
            by_type(definition);
        }
    }
    let (mut area, mut of, mut at) = ("", "", ("", ""));
    for line in TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix("= ") {
            area = name;
        } else if let Some(rule) = line.strip_prefix(' ') {
            change(all, area, at, |schema| add_rule(schema, rule));
        } else {
            let (place, words) = line.split_once(' ').unwrap_or((line, ""));
            let (named, fields) = place.split_once(':').unwrap_or((place, ""));
            of = if named.is_empty() { of } else { named };
            at = (of, fields);
            change(all, area, at, |schema| {
                words.split_terminator(' ').for_each(|w| set(schema, w))
            });
        }
    }
}

/// What the type alone says: protobuf's unsigned numbers have their range, durations are some.
fn by_type(schema: &mut Value) {
    let Some(map) = schema.as_object_mut() else { return };
    let format = map.get("format").and_then(Value::as_str);
    if matches!(format, Some("uint32" | "uint64")) {
        let most = (format == Some("uint32")).then_some(u32::MAX);
        map.insert("minimum".into(), json!(0));
        map.extend(most.map(|most| ("maximum".to_owned(), json!(most))));
    }
    for inner in ["items", "additionalProperties"] {
        map.get_mut(inner).into_iter().for_each(by_type);
    }
    if let Some(Value::Object(properties)) = map.get_mut("properties") {
        properties.values_mut().for_each(by_type);
    }
    if map.contains_key("x-lateen-format") {
        let rule = "duration(self) >= duration('1ms') # must be a valid duration greater than 1ms";
        add_rule(schema, rule);
    }
}

/// Changes the place `fields` of every type that the name stands for.
fn change(all: &mut Definitions, area: &str, at: (&str, &str), change: impl Fn(&mut Value)) {
    let (of, fields) = at;
    let pattern = format!("io.istio.{area}.{of}");
    let (start, end) = pattern.split_once('*').unwrap_or((&pattern, ""));
    let fits = |name: &&String| match pattern.contains('*') {
        true => {
            name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
        }
        false => **name == pattern,
    };
    let names: Vec<String> = all.keys().filter(fits).cloned().collect();
    let mut found = false;
    for name in names {
        // It is taken out meanwhile, as what it refers to is read beside it.
        let mut definition = all.get_mut(&name).map(Value::take).unwrap_or_default();
        if let Some(place) = place(all, &mut definition, fields) {
            change(place);
            found = true;
        }
        all.insert(name, definition);
    }
    debug_assert!(found, "no definition has {pattern}:{fields}");
}

fn place<'a>(all: &Definitions, schema: &'a mut Value, fields: &str) -> Option<&'a mut Value> {
    let (field, in_list) = match fields.strip_suffix("[]") {
        Some(field) => (field, true),
        None => (fields, false),
    };
    let mut schema = schema;
    if !field.is_empty() {
        schema = schema.get_mut("properties")?.get_mut(field)?;
    }
    if in_list {
        let inner = if schema.get("items").is_some() { "items" } else { "additionalProperties" };
        schema = schema.get_mut(inner)?;
    }
    let refers = schema.get("$ref").and_then(Value::as_str);
    if let Some(name) = refers.and_then(|reference| reference.strip_prefix(PREFIX)) {
        *schema = all.get(name)?.clone();
    }
    Some(schema)
}

fn set(schema: &mut Value, word: &str) {
    let names = |all: &str| json!(all.split(',').collect::<Vec<_>>());
    match word.split_once('=') {
        Some(("required", fields)) => schema["required"] = names(fields),
        Some(("key", field)) => {
            schema["x-kubernetes-list-type"] = json!("map");
            schema["x-kubernetes-list-map-keys"] = names(field);
        }
        Some((keyword, value)) => {
            schema[keyword] = value.parse::<u64>().map_or_else(|_| json!(value), |n| json!(n));
        }
        None if word == "unruled" => {
            drop(schema.as_object_mut().and_then(|map| map.shift_remove(RULES)));
        }
        None => schema["x-lateen-nullable"] = json!(true),
    }
}

fn add_rule(schema: &mut Value, line: &str) {
    let (rule, message) = line.split_once(" # ").unwrap_or((line, ""));
    let rule = json!({ "rule": rule, "message": message });
    match schema.get_mut(RULES).and_then(Value::as_array_mut) {
        Some(rules) => rules.push(rule),
        None => schema[RULES] = json!([rule]),
    }
}
