//! Formats of access logs, as Envoy would read them: it refuses a listener whose format it does not understand. In:
//! MeshConfig as JSON. Out: what is wrong with its formats.

use lateen_telemetry::{Format, FormatError};
use serde_json::Value;

use super::Fault;

const NO_OBJECT: &str = "it is no JSON object, and accessLogEncoding is JSON: write one, or TEXT";

/// Of MeshConfig itself, and of its providers.
pub fn unusable_formats(config: &Value) -> Vec<Fault> {
    let mut faults = Vec::new();
    let own = config["accessLogFormat"].as_str().unwrap_or_default();
    let own = match config["accessLogEncoding"] == "JSON" && !own.is_empty() {
        true => match serde_json::from_str(own).ok().filter(Value::is_object) {
            Some(own) => json(&own).map(|error| error.to_string()),
            // Istio's proxies would write their default instead.
            None => Some(NO_OBJECT.to_owned()),
        },
        false => Format::text(own).err().map(|error| error.to_string()),
    };
    faults.extend(own.map(|message| Fault::new("accessLogFormat".to_owned(), message)));
    let mut tell = |path: String, error: Option<FormatError>| {
        faults.extend(error.map(|error| Fault::new(path, error.to_string())));
    };
    for (index, provider) in
        config["extensionProviders"].as_array().into_iter().flatten().enumerate()
    {
        for kind in ["envoyFileAccessLog", "envoyOtelAls"] {
            let format = &provider[kind]["logFormat"];
            let at = format!("extensionProviders[{index}].{kind}.logFormat");
            let text = format["text"].as_str().unwrap_or_default();
            tell(format!("{at}.text"), Format::text(text).err());
            tell(format!("{at}.labels"), json(&format["labels"]));
        }
    }
    faults
}

/// What is wrong with an object's members; it may be absent.
fn json(format: &Value) -> Option<FormatError> {
    format.is_object().then(|| Format::json(format).err()).flatten()
}
