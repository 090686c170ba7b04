//! The status of workloads on a machine without a container runtime. In: Deployments and their kin,
//! and the WorkloadEntries of programs that run here. Out: honest statuses, and an Event that says how
//! to start the program.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt;
use lateen_api::kinds::Kind;
use lateen_kube::Client;
use lateen_kube::events::{Occurrence, record};
use lateen_kube::watch::Event;
use serde_json::{Value, json};

use crate::condition::{condition, covers};
use crate::owner::Owner;

/// Changes come in bursts: they are gathered for this long.
const GATHER: Duration = Duration::from_millis(50);
/// The pause after the API did not take a status.
const RETRY: Duration = Duration::from_secs(1);
/// Who says so, in Events.
const COMPONENT: &str = "lateen";
const REASON: &str = "NoContainerRuntime";
/// The reason by which `kubectl rollout status` knows that waiting is of no use.
const GIVEN_UP: &str = "ProgressDeadlineExceeded";

/// Kind, namespace and name.
type Name = (&'static Kind, String, String);

/// The controlled objects and the entries, as last seen.
#[derive(Default)]
struct Seen {
    workloads: BTreeMap<Name, Value>,
    entries: BTreeMap<Name, Value>,
    /// The message that the last recorded Event about a UID had.
    told: BTreeMap<String, String>,
}

pub async fn run(client: Client) -> anyhow::Result<()> {
    let entry_kind = super::kind("networking.istio.io", "WorkloadEntry");
    let kinds = [
        super::kind("apps", "Deployment"),
        super::kind("apps", "StatefulSet"),
        super::kind("apps", "DaemonSet"),
        super::kind("batch", "Job"),
        super::kind("", "Pod"),
        entry_kind,
    ];
    let mut events = lateen_kube::watch::watch_all(&client, kinds);
    let mut seen = Seen::default();
    let mut due = None;
    loop {
        let settled = async {
            match due {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            event = events.next() => {
                let Some(event) = event else { anyhow::bail!("the watch of workloads ended") };
                seen.fold(event, entry_kind);
                due = due.or(Some(tokio::time::Instant::now() + GATHER));
            }
            () = settled => {
                let failed = !seen.write(&client).await;
                due = failed.then(|| tokio::time::Instant::now() + RETRY);
            }
        }
    }
}

impl Seen {
    fn fold(&mut self, event: Event, entry_kind: &'static Kind) {
        match event {
            Event::Put(kind, value) => {
                self.table(kind, entry_kind).insert(name(kind, &value), value);
            }
            Event::Delete(kind, value) => {
                self.table(kind, entry_kind).remove(&name(kind, &value));
            }
            Event::Replace(kind, values) => {
                let table = self.table(kind, entry_kind);
                table.retain(|(have, ..), _| *have != kind);
                table.extend(values.into_iter().map(|value| (name(kind, &value), value)));
            }
            Event::Unserved(kind) => {
                self.table(kind, entry_kind).retain(|(have, ..), _| *have != kind)
            }
        }
        self.forget_gone();
    }

    /// A UID never comes back.
    fn forget_gone(&mut self) {
        if self.told.is_empty() {
            return;
        }
        let present: BTreeSet<&str> = self.workloads.values().map(uid).collect();
        self.told.retain(|uid, _| present.contains(uid.as_str()));
    }

    fn table(&mut self, kind: &Kind, entry_kind: &Kind) -> &mut BTreeMap<Name, Value> {
        if kind == entry_kind { &mut self.entries } else { &mut self.workloads }
    }

    /// Writes what differs; false if the API did not take all of it.
    async fn write(&mut self, client: &Client) -> bool {
        let mut complete = true;
        let now = lateen_kube::events::now();
        for ((kind, namespace, name), object) in &self.workloads {
            let running = running(object, namespace, &self.entries);
            let wanted = status(kind, object, running, &now);
            if !covers(&object["status"], &wanted) {
                let patch = json!({ "status": wanted });
                let done = client.patch_status(kind, Some(namespace), name, &patch).await;
                complete &= done
                    .inspect_err(|error| tracing::debug!(%error, "cannot write a status"))
                    .is_ok();
            }
            if running == 0 && desired(kind, object) > 0 && !is_owned(object) {
                complete &= tell(client, object, &mut self.told).await;
            }
        }
        complete
    }
}

/// Records the Event once per object and message. A restart finds the recorded one and leaves it.
async fn tell(client: &Client, object: &Value, told: &mut BTreeMap<String, String>) -> bool {
    let uid = uid(object).to_owned();
    let message = advice(object);
    if told.get(&uid) == Some(&message) {
        return true;
    }
    let occurrence = Occurrence { severity: "Warning", reason: REASON, message: message.clone() };
    let done = record(client, COMPONENT, object, &occurrence, true).await;
    match done {
        Ok(()) => {
            told.insert(uid, message);
            true
        }
        Err(error) => {
            tracing::debug!(%error, "cannot record an event");
            false
        }
    }
}

fn uid(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().unwrap_or_default()
}

fn name(kind: &'static Kind, value: &Value) -> Name {
    let text = |field: &str| value["metadata"][field].as_str().unwrap_or_default().to_owned();
    (kind, text("namespace"), text("name"))
}

/// A Pod of a Job, say: its owner is told already.
fn is_owned(object: &Value) -> bool {
    object["metadata"]["ownerReferences"].as_array().is_some_and(|owners| !owners.is_empty())
}

/// How to start the program, with the labels that its pods would have.
fn advice(object: &Value) -> String {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let labels: Vec<String> = pod_labels(object)
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
        .collect();
    let labels = match labels.is_empty() {
        true => String::new(),
        false => format!(" --labels {}", labels.join(",")),
    };
    let namespace = match object["metadata"]["namespace"].as_str() {
        None | Some("default") => String::new(),
        Some(namespace) => format!(" --namespace {namespace}"),
    };
    format!(
        "no container runtime on this machine: start the program with: \
         lateen run --name {name}{namespace}{labels} -- COMMAND"
    )
}

fn pod_labels(object: &Value) -> Option<&serde_json::Map<String, Value>> {
    match object["kind"].as_str() {
        Some("Pod") => object["metadata"]["labels"].as_object(),
        _ => object["spec"]["template"]["metadata"]["labels"].as_object(),
    }
}

/// How many programs run here whose labels the object selects.
fn running(object: &Value, namespace: &str, entries: &BTreeMap<Name, Value>) -> i64 {
    let selector = &object["spec"]["selector"];
    let selects = |(name, entry): &(&Name, &Value)| {
        name.1 == namespace && Owner::of(entry).is_some() && matches(selector, &labels_of(entry))
    };
    i64::try_from(entries.iter().filter(selects).count()).unwrap_or(i64::MAX)
}

/// A WorkloadEntry's labels are those of its spec, and its own, as Istio merges them.
fn labels_of(entry: &Value) -> BTreeMap<&str, &str> {
    let sources = [&entry["metadata"]["labels"], &entry["spec"]["labels"]];
    let maps = sources.into_iter().filter_map(Value::as_object).flatten();
    maps.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))).collect()
}

/// A LabelSelector; an empty one selects nothing here, as a Deployment must have one.
fn matches(selector: &Value, labels: &BTreeMap<&str, &str>) -> bool {
    let exact = selector["matchLabels"].as_object();
    let expressions = selector["matchExpressions"].as_array();
    if exact.is_none_or(serde_json::Map::is_empty) && expressions.is_none_or(Vec::is_empty) {
        return false;
    }
    let equal =
        |(key, value): (&String, &Value)| labels.get(key.as_str()).copied() == value.as_str();
    exact.into_iter().flatten().all(equal)
        && expressions.into_iter().flatten().all(|expression| holds(expression, labels))
}

fn holds(expression: &Value, labels: &BTreeMap<&str, &str>) -> bool {
    let value = expression["key"].as_str().and_then(|key| labels.get(key));
    let values = expression["values"].as_array();
    let listed = value.is_some_and(|value| values.into_iter().flatten().any(|have| have == value));
    match expression["operator"].as_str() {
        Some("In") => listed,
        Some("NotIn") => !listed,
        Some("Exists") => value.is_some(),
        Some("DoesNotExist") => value.is_none(),
        _ => false,
    }
}

fn desired(kind: &Kind, object: &Value) -> i64 {
    match kind.kind {
        "Deployment" | "StatefulSet" => object["spec"]["replicas"].as_i64().unwrap_or(1),
        "Job" => object["spec"]["parallelism"].as_i64().unwrap_or(1),
        _ => 1,
    }
}

/// The merge patch of the object's status.
fn status(kind: &Kind, object: &Value, running: i64, now: &str) -> Value {
    let generation = object["metadata"]["generation"].clone();
    let desired = desired(kind, object);
    let ready = running.min(desired);
    // A merge patch drops a field by null; Kubernetes leaves counts of zero out.
    let count = |count: i64| if count == 0 { Value::Null } else { json!(count) };
    match kind.kind {
        "Deployment" => json!({
            "observedGeneration": generation,
            "replicas": count(ready),
            "updatedReplicas": count(ready),
            "readyReplicas": count(ready),
            "availableReplicas": count(ready),
            "unavailableReplicas": count(desired - ready),
            "conditions": deployment_conditions(object, ready >= desired, now),
        }),
        "StatefulSet" => json!({
            "observedGeneration": generation,
            "replicas": ready,
            "readyReplicas": count(ready),
            "availableReplicas": count(ready),
            "currentReplicas": count(ready),
            "updatedReplicas": count(ready),
        }),
        "DaemonSet" => json!({
            "observedGeneration": generation,
            "desiredNumberScheduled": 1,
            "currentNumberScheduled": ready,
            "updatedNumberScheduled": count(ready),
            "numberReady": ready,
            "numberAvailable": count(ready),
            "numberMisscheduled": 0,
        }),
        "Job" => json!({ "active": Value::Null }),
        _ => pod_status(object, now),
    }
}

fn deployment_conditions(object: &Value, available: bool, now: &str) -> Value {
    let (truth, progressing) = if available {
        (("True", "MinimumReplicasAvailable"), ("True", "NewReplicaSetAvailable"))
    } else {
        (("False", REASON), ("False", GIVEN_UP))
    };
    let text = if available { "lateen run runs it".to_owned() } else { advice(object) };
    let make = |name: &str, said| told(object, name, said, &text, now);
    json!([make("Available", truth), make("Progressing", progressing)])
}

fn pod_status(object: &Value, now: &str) -> Value {
    let text = advice(object);
    let scheduled = told(object, "PodScheduled", ("False", REASON), &text, now);
    json!({ "phase": "Pending", "reason": REASON, "message": text, "conditions": [scheduled] })
}

fn told(object: &Value, name: &str, (truth, reason): (&str, &str), text: &str, now: &str) -> Value {
    let mut told = condition(&object["status"], name, truth, reason, text, now);
    if object["kind"] == "Deployment" {
        told["lastUpdateTime"] = told["lastTransitionTime"].clone();
    }
    told
}
