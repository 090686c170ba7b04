//! Formats of access logs, as Envoy would read them: it refuses a listener whose format it does not understand. In:
//! MeshConfig as JSON. Out: what is wrong with its formats.

use lateen_telemetry::{Format, FormatError};
use serde_json::Value;

use super::Fault;

/// Of MeshConfig itself, and of its providers.
pub fn unusable_formats(config: &Value) -> Vec<Fault> {
    let mut faults = Vec::new();
    let own = config["accessLogFormat"].as_str().unwrap_or_default();
    let own = match config["accessLogEncoding"] == "JSON" {
        // Istio has its default instead of what is no object.
        true => serde_json::from_str(own).ok().filter(Value::is_object).map(|own| json(&own)),
        false => Some(Format::text(own).err()),
    };
    let mut tell = |path: String, error: Option<FormatError>| {
        faults.extend(error.map(|error| Fault::new(path, error.to_string())));
    };
    tell("accessLogFormat".to_owned(), own.flatten());
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
