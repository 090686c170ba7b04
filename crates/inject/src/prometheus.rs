//! Merged metrics: Prometheus scrapes the agent, and the agent the application. In: a pod and the
//! agent's port. Out: scrape annotations that point to the agent, and the application's own as JSON for
//! the agent; and the way back.

use serde_json::{Value, json};

use crate::pod;

/// The proxy's variable that holds the application's own scrape annotations.
pub const VARIABLE: &str = "ISTIO_PROMETHEUS_ANNOTATIONS";

const PATH: &str = "/stats/prometheus";
const PARTS: [&str; 3] = ["scrape", "path", "port"];

/// Points the scrape annotations to the agent, unless the pod asks not to be scraped or is set up so
/// already. Returns the value of [`VARIABLE`] if the application has annotations of its own.
pub fn merge(pod: &mut Value, port: u16) -> Option<String> {
    let own = PARTS.map(|part| value(pod, part).unwrap_or_default());
    let [scrape, _, own_port] = &own;
    if lateen_api::words::boolean(scrape) == Some(false) || *own_port == port.to_string() {
        return None;
    }
    clear(pod);
    set(pod, "true", PATH, &port.to_string());
    let [scrape, path, own_port] = own;
    let any = !(scrape.is_empty() && path.is_empty() && own_port.is_empty());
    any.then(|| json!({"scrape": scrape, "path": path, "port": own_port}).to_string())
}

/// Puts the application's own annotations back if the pod's point to the agent.
pub fn restore(pod: &mut Value, own: Option<&str>) {
    if value(pod, "path").as_deref() != Some(PATH) {
        return;
    }
    clear(pod);
    let own: Value = own.and_then(|own| serde_json::from_str(own).ok()).unwrap_or_default();
    for part in PARTS {
        if let Some(text) = own[part].as_str().filter(|text| !text.is_empty()) {
            let annotations = pod::metadata_mut(pod, "annotations");
            annotations.insert(format!("prometheus.io/{part}"), json!(text));
        }
    }
}

/// The annotation by which the agent is scraped over TLS, which it does not speak. It stays, as in Istio.
pub fn over_tls(pod: &Value) -> Option<&str> {
    let annotations = pod["metadata"]["annotations"].as_object()?;
    let is_scheme = |(name, value): &(&String, &Value)| {
        plain(name) == "prometheus_io_scheme" && *value == "https"
    };
    let (name, _) = annotations.iter().find(is_scheme)?;
    (value(pod, "path").as_deref() == Some(PATH)).then_some(name)
}

/// Whether an annotation says how the application is scraped.
pub fn tells_scraping(name: &str) -> bool {
    part_of(name).is_some()
}

fn set(pod: &mut Value, scrape: &str, path: &str, port: &str) {
    let annotations = pod::metadata_mut(pod, "annotations");
    for (part, value) in PARTS.into_iter().zip([scrape, path, port]) {
        annotations.insert(format!("prometheus.io/{part}"), json!(value));
    }
}

fn value(pod: &Value, part: &str) -> Option<String> {
    let annotations = pod["metadata"]["annotations"].as_object()?;
    let (_, value) = annotations.iter().find(|(name, _)| part_of(name) == Some(part))?;
    value.as_str().map(str::to_owned)
}

fn clear(pod: &mut Value) {
    if let Some(annotations) = pod["metadata"]["annotations"].as_object_mut() {
        annotations.retain(|name, _| part_of(name).is_none());
    }
}

fn part_of(name: &str) -> Option<&'static str> {
    let plain = plain(name);
    let part = plain.strip_prefix("prometheus_io_")?;
    PARTS.into_iter().find(|one| *one == part)
}

/// Prometheus takes any character but letters and digits for an underscore.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests;
