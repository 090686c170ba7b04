//! The bounds and rules of a custom kind's schema, which an API server checks after the types. In: an object.
//! Out: problems in its spec, worded as Kubernetes words them. Rules are about objects within their bounds.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lateen_api::kinds::Kind;
use serde_json::{Number, Value};

use super::builtin::json_type;
use super::{Problem, Severity, cel};
use crate::openapi::kind_shape;
use crate::openapi::shape::{ListType, Shape};

/// Every bound and rule that the object's spec is against.
pub fn check(kind: &Kind, version: &str, object: &Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    let Some(spec) = object.get("spec") else { return problems };
    let shape = kind_shape(kind, version).field("spec");
    for look in [bounds, rules] {
        if problems.is_empty() {
            visit(spec, shape, "spec", &mut |value, shape, path| {
                look(value, shape, &mut |reason, message| {
                    let severity = Severity::Invalid;
                    problems.push(Problem { severity, path: path.to_owned(), reason, message });
                });
            });
        }
    }
    problems
}

fn visit(
    value: &Value,
    shape: Shape<'_>,
    path: &str,
    look: &mut dyn FnMut(&Value, Shape<'_>, &str),
) {
    if !shape.is_known() || value.is_null() {
        return;
    }
    look(value, shape, path);
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                visit(inner, shape.field(key), &format!("{path}.{key}"), look);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                visit(item, shape.items(), &format!("{path}[{index}]"), look);
            }
        }
        _ => {}
    }
}

type Tell<'a> = &'a mut dyn FnMut(&'static str, String);

fn rules(value: &Value, shape: Shape<'_>, tell: Tell<'_>) {
    let rules = shape.keyword("x-kubernetes-validations").and_then(Value::as_array);
    for rule in rules.into_iter().flatten() {
        if !rule["rule"].as_str().is_some_and(|rule| cel::holds(rule, value)) {
            let message = rule["message"].as_str().unwrap_or_default();
            let found = json_type(value);
            tell("FieldValueInvalid", format!("Invalid value: {found:?}: {message}"));
        }
    }
}

fn bounds(value: &Value, shape: Shape<'_>, tell: Tell<'_>) {
    let limit = |name: &str| shape.keyword(name).and_then(Value::as_u64);
    let (least, most, counted, unit) = match value {
        Value::String(text) => {
            text_form(text, shape, tell);
            ("minLength", "maxLength", text.chars().count(), "chars long")
        }
        Value::Array(items) => {
            twice(items, shape, tell);
            ("minItems", "maxItems", items.len(), "items")
        }
        Value::Object(map) => ("minProperties", "maxProperties", map.len(), "properties"),
        Value::Number(number) => return range(number, shape, tell),
        Value::Null | Value::Bool(_) => return,
    };
    let counted = u64::try_from(counted).unwrap_or(u64::MAX);
    if let Some(least) = limit(least).filter(|least| counted < *least) {
        tell("FieldValueInvalid", format!("Invalid value: should be at least {least} {unit}"));
    }
    if let Some(most) = limit(most).filter(|most| counted > *most) {
        tell("FieldValueTooLong", format!("Too many: {counted}: must be at most {most} {unit}"));
    }
}

fn text_form(text: &str, shape: Shape<'_>, tell: Tell<'_>) {
    let word = |name: &str| shape.keyword(name).and_then(Value::as_str);
    if let Some(pattern) = word("pattern").filter(|pattern| !cel::matches(pattern, text)) {
        tell("FieldValueInvalid", format!("Invalid value: {text:?}: should match '{pattern}'"));
    }
    if word("format") == Some("byte") && STANDARD.decode(text).is_err() {
        tell("FieldValueInvalid", format!("Invalid value: {text:?}: must be of type byte"));
    }
}

fn range(number: &Number, shape: Shape<'_>, tell: Tell<'_>) {
    let edge = |name: &str| shape.keyword(name).and_then(Value::as_f64);
    let Some(value) = number.as_f64() else { return };
    let least = edge("minimum").filter(|least| value < *least).map(|edge| ("greater", edge));
    let most = edge("maximum").filter(|most| value > *most).map(|edge| ("less", edge));
    if let Some((side, edge)) = least.or(most) {
        let message = format!("Invalid value: {number}: should be {side} than or equal to {edge}");
        tell("FieldValueInvalid", message);
    }
}

/// Items of a list that is a map, and have the keys of another.
fn twice(items: &[Value], shape: Shape<'_>, tell: Tell<'_>) {
    let ListType::Map(keys) = shape.list_type() else { return };
    let key = |item: &Value| keys.iter().map(|key| item.get(*key).cloned()).collect::<Vec<_>>();
    let mut seen = std::collections::HashSet::new();
    for item in items {
        if !seen.insert(key(item)) {
            let values: Vec<String> = key(item).iter().flatten().map(Value::to_string).collect();
            tell("FieldValueDuplicate", format!("Duplicate value: {}", values.join(", ")));
        }
    }
}

#[cfg(test)]
mod tests {
    use lateen_api::kinds::by_kind;
    use lateen_testkit::limits::cases;
    use serde_json::Value;

    use crate::strict::{Problem, check, check_limits};

    fn problems(object: &Value) -> Vec<String> {
        let text = |field: &str| object[field].as_str().unwrap();
        let (group, version) = text("apiVersion").split_once('/').unwrap();
        let kind = by_kind(group, text("kind")).unwrap();
        let mut problems = check(kind, version, object);
        problems.extend(check_limits(kind, version, object));
        problems.iter().map(Problem::text).collect()
    }

    #[test]
    fn each_rule_and_bound_accepts_one_object_and_refuses_another() {
        for case in cases().unwrap() {
            assert_eq!(problems(&case.accepted), [""; 0], "{}", case.accepted);
            let refused = problems(&case.refused);
            let told = refused.iter().any(|problem| problem.contains(&case.said));
            assert!(told, "{}: not {:?}, but {refused:?}", case.refused, case.said);
        }
    }
}
