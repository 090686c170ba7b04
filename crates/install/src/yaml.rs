//! YAML text. In: a value, or text with several documents. Out: the other.

use lateen_api::yaml;
use serde_json::Value;

/// A value as YAML.
pub fn text(value: &Value) -> String {
    yaml::write(value).expect("invariant: a JSON value can be written as YAML")
}

/// The documents of a text, without empty ones.
pub fn documents(text: &str) -> Result<Vec<Value>, String> {
    // The parser takes it for the end of the text.
    if text.contains('\0') {
        return Err("no text: there is a byte 0 in it, save it as UTF-8".to_owned());
    }
    let all = yaml::all(text).map_err(|reason| format!("not YAML: {reason}"))?;
    Ok(all.into_iter().filter(|document| !document.is_null()).collect())
}

/// What a text is as YAML, if that is something else than a text.
pub fn parsed(text: &str) -> Option<Value> {
    let value = yaml::one(text).ok()?;
    (!value.is_string() && !value.is_null()).then_some(value)
}

/// Whether a flow collection has keys.
fn is_mapping(inner: &str) -> bool {
    inner.contains(": ") || inner.contains("\":") || inner.trim_end().ends_with(':')
}

/// A scalar or a flow collection, as it stands behind `--set path=`.
pub fn scalar(text: &str) -> Value {
    let flow = match text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        // Helm's notation of a list; an IPv6 address has colons without a space behind them.
        Some(inner) if !is_mapping(inner) => format!("[{inner}]"),
        _ => text.to_owned(),
    };
    yaml::one(&flow).unwrap_or_else(|_| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::scalar;

    #[test]
    fn braces_are_a_list_unless_there_are_keys_in_them() {
        assert_eq!(scalar("{a,b}"), json!(["a", "b"]));
        assert_eq!(scalar("{fd00::1,::1}"), json!(["fd00::1", "::1"]));
        assert_eq!(scalar("{a: b}"), json!({"a": "b"}));
        assert_eq!(scalar("{\"a\":1}"), json!({"a": 1}));
    }
}
