//! Texts that printers share: labels, selectors, shortened lists. In: parts of objects. Out: a cell's
//! text as kubectl users know it.

use serde_json::Value;

use super::column::{items, string};

pub const NONE: &str = "<none>";
pub const UNSET: &str = "<unset>";

/// `a=1,b=2`, sorted; `<none>` when empty.
pub fn labels(labels: &Value) -> String {
    let mut pairs: Vec<String> = labels
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", string(value)))
        .collect();
    pairs.sort_unstable();
    or_none(pairs.join(","))
}

/// A LabelSelector object as text; `<none>` when it selects everything or is absent.
pub fn selector(selector: &Value) -> String {
    let mut parts: Vec<(String, String)> = Vec::new();
    for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
        parts.push((key.clone(), format!("{key}={}", string(value))));
    }
    for expression in items(&selector["matchExpressions"]) {
        let key = string(&expression["key"]).to_owned();
        let mut values: Vec<&str> = items(&expression["values"]).iter().map(string).collect();
        values.sort_unstable();
        let values = values.join(",");
        let text = match string(&expression["operator"]) {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.clone(),
        };
        parts.push((key, text));
    }
    parts.sort();
    let texts: Vec<String> = parts.into_iter().map(|(_, text)| text).collect();
    or_none(texts.join(","))
}

pub fn or_none(text: String) -> String {
    if text.is_empty() { NONE.to_owned() } else { text }
}

/// The first `max` entries joined by commas, and how many more there are.
pub fn shortened(entries: &[String], max: usize) -> String {
    let shown = entries[..entries.len().min(max)].join(",");
    match entries.len().checked_sub(max) {
        Some(more) if more > 0 => format!("{shown} + {more} more..."),
        _ => shown,
    }
}

/// The values of one field of each item, joined by commas.
pub fn joined(list: &Value, field: &str) -> String {
    let values: Vec<&str> = items(list).iter().map(|item| string(&item[field])).collect();
    values.join(",")
}

/// A number, a string or `placeholder`.
pub fn int_or_string(value: &Value, placeholder: &str) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => placeholder.to_owned(),
    }
}
