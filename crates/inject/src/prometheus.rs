//! Merged metrics: Prometheus scrapes the agent, and the agent the application. In: a pod and the
//! agent's port. Out: scrape annotations that point to the agent, and the application's own as JSON for
//! the agent; and the way back.

mod targets;

use serde_json::{Value, json};

use crate::annotation::SCRAPE_TARGETS;
use crate::pod;
use targets::Target;

/// The proxy's variable that holds the application's own scrape annotations.
pub const VARIABLE: &str = "ISTIO_PROMETHEUS_ANNOTATIONS";

const PATH: &str = "/stats/prometheus";
const PARTS: [&str; 3] = ["scrape", "path", "port"];

/// What a merge came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// The value of [`VARIABLE`] if the application has annotations of its own.
    pub own: Option<String>,
    /// Why its list of targets is passed over.
    pub wrong: Option<String>,
}

/// Points the scrape annotations to the agent, unless the pod asks not to be scraped or is set up so
/// already.
pub fn merge(pod: &mut Value, port: u16) -> Merged {
    let own = PARTS.map(|part| value(pod, part).unwrap_or_default());
    let [scrape, _, own_port] = &own;
    if lateen_api::words::boolean(scrape) == Some(false) || *own_port == port.to_string() {
        return Merged::default();
    }
    let listed = pod::annotation(pod, SCRAPE_TARGETS).unwrap_or_default();
    let (targets, wrong) = match targets::parse(listed, port) {
        Ok(targets) => (targets, None),
        Err(message) => (Vec::new(), Some(message)),
    };
    clear(pod);
    if !targets.is_empty() {
        pod::metadata_mut(pod, "annotations").shift_remove(SCRAPE_TARGETS);
    }
    set(pod, "true", PATH, &port.to_string());
    Merged { own: kept(own, &targets), wrong }
}

/// The first target is what one port and path can say of them all, as in Istio.
fn kept([scrape, path, port]: [String; 3], targets: &[Target]) -> Option<String> {
    let mut own = json!({"scrape": scrape, "path": path, "port": port});
    if let Some(first) = targets.first() {
        for (part, of_first) in [("path", &first.path), ("port", &first.port.to_string())] {
            if own[part] == "" {
                own[part] = json!(of_first);
            }
        }
        own["targets"] = targets.iter().map(as_kept).collect();
    }
    let any = own.as_object()?.values().any(|value| *value != "");
    any.then(|| own.to_string())
}

fn as_kept(target: &Target) -> Value {
    json!({"port": target.port.to_string(), "path": target.path})
}

/// Puts the application's own annotations back if the pod's point to the agent.
pub fn restore(pod: &mut Value, own: Option<&str>) {
    if value(pod, "path").as_deref() != Some(PATH) {
        return;
    }
    clear(pod);
    let own: Value = own.and_then(|own| serde_json::from_str(own).ok()).unwrap_or_default();
    let first = &own["targets"][0];
    for part in PARTS {
        let is_first_s = first[part] == own[part];
        if let Some(text) = own[part].as_str().filter(|text| !text.is_empty() && !is_first_s) {
            let annotations = pod::metadata_mut(pod, "annotations");
            annotations.insert(format!("prometheus.io/{part}"), json!(text));
        }
    }
    let text =
        |target: &Value| Some([target["port"].as_str()?, target["path"].as_str()?].join(":"));
    let targets = own["targets"].as_array().into_iter().flatten();
    let targets: Vec<String> = targets.filter_map(text).collect();
    if !targets.is_empty() {
        let annotations = pod::metadata_mut(pod, "annotations");
        annotations.insert(SCRAPE_TARGETS.to_owned(), json!(targets.join(",")));
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
