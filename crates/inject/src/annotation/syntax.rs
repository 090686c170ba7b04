//! What values of annotations look like that nothing else has. In: a text. Out: nothing, or what is wrong and how
//! to write it.

use std::collections::BTreeMap;

use serde_json::Value;

/// Kubernetes' numbers have 32 bits with a sign.
pub fn number(text: &str) -> Result<(), String> {
    let parsed = text.trim().parse::<i32>().ok().filter(|number| *number >= 0);
    parsed
        .map(|_| ())
        .ok_or_else(|| format!("{text:?} is not a whole number from 0 to {}", i32::MAX))
}

/// Kubernetes takes its own default for a 0.
pub fn count(text: &str) -> Result<(), String> {
    let parsed = text.trim().parse::<i32>().ok().filter(|number| *number >= 1);
    parsed
        .map(|_| ())
        .ok_or_else(|| format!("{text:?} is not a whole number from 1 to {}", i32::MAX))
}

/// Kubernetes' quantities: `100m`, `0.5`, `128Mi`, `1e3`.
pub fn quantity(text: &str) -> Result<(), String> {
    let wrong = || format!("{text:?} is not a quantity: write it as in 100m, 0.5 or 128Mi");
    let digits = text.strip_prefix('+').unwrap_or(text);
    let end = digits.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(digits.len());
    let (number, suffix) = digits.split_at(end);
    let dots = number.bytes().filter(|byte| *byte == b'.').count();
    if dots > 1 || !number.bytes().any(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let units =
        ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let exponent = suffix.strip_prefix(['e', 'E']).filter(|rest| rest.parse::<i32>().is_ok());
    if units.contains(&suffix) || exponent.is_some() { Ok(()) } else { Err(wrong()) }
}

/// The pod's own parts of injected containers, as the injector keeps them.
pub fn overrides(text: &str) -> Result<(), String> {
    let wrong = "is not JSON of the form {\"containers\": [{\"name\": \"istio-proxy\", …}]}: remove it, the \
                 injector writes it";
    let lists: BTreeMap<String, Vec<Value>> =
        serde_json::from_str(text).map_err(|_| wrong.to_owned())?;
    let known = |field: &String| matches!(field.as_str(), "containers" | "initContainers");
    let named = |item: &Value| item["name"].as_str().is_some_and(|name| !name.is_empty());
    match lists.keys().all(known) && lists.values().flatten().all(named) {
        true => Ok(()),
        false => Err(wrong.to_owned()),
    }
}

/// A JSON map of name to content, or a list of objects with names: volumes and mounts.
pub fn named_objects(text: &str) -> Result<(), String> {
    objects(text).map(|_| ())
}

/// The same for mounts, each of which needs its place.
pub fn mounts(text: &str) -> Result<(), String> {
    let lacks = |item: &Value| item["mountPath"].as_str().is_none_or(str::is_empty);
    match objects(text)?.iter().find(|item| lacks(item)) {
        None => Ok(()),
        Some(item) => Err(format!("{} has no mountPath", item["name"])),
    }
}

/// The objects with their names in them, in the order of the text.
pub fn objects(text: &str) -> Result<Vec<Value>, String> {
    let wrong = "is not JSON of the form [{\"name\": \"x\", …}] or {\"x\": {…}}";
    let items = match serde_json::from_str(text) {
        Ok(Value::Array(items)) => items,
        Ok(Value::Object(map)) => map
            .into_iter()
            .map(|(name, mut item)| {
                if let Some(item) = item.as_object_mut() {
                    item.entry("name").or_insert(Value::String(name));
                }
                item
            })
            .collect(),
        _ => return Err(wrong.to_owned()),
    };
    if items.iter().any(|item| item["name"].as_str().is_none_or(str::is_empty)) {
        return Err(wrong.to_owned());
    }
    Ok(items)
}
