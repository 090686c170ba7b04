//! Kubernetes Events. In: what happened to which object. Out: one core/v1 Event per object, reason and
//! message, whose count grows when it happens again.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use k8s_openapi::jiff::Timestamp;
use lateen_api::kinds::{Kind, by_kind};
use serde_json::{Value, json};

use crate::client::{Client, Error};

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occurrence {
    /// `Normal` or `Warning`.
    pub severity: &'static str,
    /// One word in camel case, for programs.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

/// Records that something happened to `object`, which is as the API gave it. `component` is who says
/// so. If the same was recorded before, its count grows; with `once` it stays as it is.
pub async fn record(
    client: &Client,
    component: &str,
    object: &Value,
    occurrence: &Occurrence,
    once: bool,
) -> Result<(), Error> {
    let kind = event_kind();
    let now = now();
    let event = event(component, object, occurrence, &now);
    let namespace = event["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
    let name = event["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    if client.ensure(kind, event).await? || once {
        return Ok(());
    }
    let Some(before) = client.get(kind, Some(&namespace), &name).await? else { return Ok(()) };
    let count = before["count"].as_i64().unwrap_or(1) + 1;
    let patch = json!({ "count": count, "lastTimestamp": now });
    client.patch(kind, Some(&namespace), &name, &patch).await
}

/// The present time as Kubernetes writes it, to the second.
pub fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn event_kind() -> &'static Kind {
    by_kind("", "Event").expect("invariant: the table holds the core kinds")
}

/// The Event; its name is the same whenever the same happens to the same object.
fn event(component: &str, object: &Value, occurrence: &Occurrence, now: &str) -> Value {
    let metadata = &object["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    let mut hash = DefaultHasher::new();
    let uid = metadata["uid"].as_str().unwrap_or_default();
    (component, uid, occurrence.reason, &occurrence.message).hash(&mut hash);
    // Events about cluster-scoped objects live in the default namespace, as Kubernetes' own do.
    let namespace = metadata["namespace"].as_str().unwrap_or("default");
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": { "namespace": namespace, "name": format!("{name}.{:016x}", hash.finish()) },
        "involvedObject": {
            "apiVersion": object["apiVersion"],
            "kind": object["kind"],
            "namespace": metadata["namespace"],
            "name": name,
            "uid": uid,
            "resourceVersion": metadata["resourceVersion"],
        },
        "type": occurrence.severity,
        "reason": occurrence.reason,
        "message": occurrence.message,
        "source": { "component": component },
        "reportingComponent": component,
        "reportingInstance": "",
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_occurrence_has_the_same_name_and_another_has_another() {
        let object = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": { "namespace": "default", "name": "echo", "uid": "u" },
        });
        let occurrence =
            Occurrence { severity: "Warning", reason: "NoContainerRuntime", message: "m".into() };
        let first = event("lateen", &object, &occurrence, "2026-01-01T00:00:00Z");
        let again = event("lateen", &object, &occurrence, "2026-01-01T00:00:01Z");
        assert_eq!(first["metadata"], again["metadata"]);
        assert_eq!(first["involvedObject"]["uid"], "u");
        let other = Occurrence { message: "n".into(), ..occurrence };
        let other = event("lateen", &object, &other, "2026-01-01T00:00:00Z");
        assert_ne!(first["metadata"]["name"], other["metadata"]["name"]);
    }
}
