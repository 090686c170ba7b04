//! The root certificates in every namespace that the mesh sees, for its pods to mount: the ConfigMap
//! `istio-ca-root-cert`. In: the roots, namespaces, snapshots, and whether this replica leads. Out:
//! ConfigMaps created and repaired.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use lateen_api::kinds::{Kind, by_kind};
use lateen_kube::watch::{Event, Scope, watch_each};
use lateen_kube::{Client, Error};
use lateen_model::Snapshot;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::published::Published;

/// The ConfigMap's name, and the key in it.
pub const NAME: &str = "istio-ca-root-cert";
const KEY: &str = "root-cert.pem";
/// Istio's mark on the ConfigMaps that it writes.
const LABEL: &str = "istio.io/config";
/// Namespaces of the cluster itself, which Istio leaves alone.
const IGNORED: [&str; 4] = ["kube-system", "kube-public", "kube-node-lease", "local-path-storage"];
/// Pause after an attempt that the API did not take, and between two writes.
const RETRY: Duration = Duration::from_secs(2);
const PACE: Duration = Duration::from_millis(5);

/// Writes while `leads` is true, until dropped. What leads to nothing while another replica leads is not
/// watched either.
pub async fn run(
    client: Client,
    mut roots: watch::Receiver<Arc<str>>,
    published: Arc<Published>,
    mut leads: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    loop {
        leads.wait_for(|leads| *leads).await?;
        tokio::select! {
            biased;
            lost = leads.wait_for(|leads| !*leads) => drop(lost?),
            ended = lead(&client, &mut roots, &published) => return ended,
        }
    }
}

async fn lead(
    client: &Client,
    roots: &mut watch::Receiver<Arc<str>>,
    published: &Published,
) -> anyhow::Result<()> {
    let mut changes = published.changes();
    let kinds = [(kind("Namespace"), Scope::default()), (kind("ConfigMap"), Scope::named(NAME))];
    let mut events = watch_each(client, kinds);
    let mut state = State::default();
    loop {
        let pause = if state.refused { RETRY } else { Duration::MAX };
        tokio::select! {
            event = events.next() => match event {
                Some(event) => state.take(event),
                None => return Ok(()),
            },
            changed = roots.changed() => changed?,
            changed = changes.changed() => changed?,
            () = tokio::time::sleep(pause) => {}
        }
        let wanted = roots.borrow_and_update().clone();
        state.seen = published.is_published().then(|| published.snapshot());
        write(client, &mut state, &wanted).await;
    }
}

/// Brings every namespace up to date, as far as the API lets it.
async fn write(client: &Client, state: &mut State, roots: &str) {
    state.refused = false;
    for namespace in state.behind(roots) {
        match put(client, &namespace, roots).await {
            Ok(()) => state.written(namespace, roots),
            // The namespace is being deleted, or is gone: its own event says so soon.
            Err(error) if error.is_not_found() || is_terminating(&error) => {
                state.namespaces.remove(&namespace);
            }
            Err(error) => {
                state.refused = true;
                tracing::warn!(namespace, %error, "the root certificate will be written later");
            }
        }
        tokio::time::sleep(PACE).await;
    }
}

async fn put(client: &Client, namespace: &str, roots: &str) -> Result<(), Error> {
    let object = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": NAME, "namespace": namespace, "labels": { (LABEL): "true" } },
        "data": { (KEY): roots },
    });
    if client.ensure(kind("ConfigMap"), object).await? {
        return Ok(());
    }
    // Whatever else somebody keeps in it is not ours.
    let patch = json!({ "metadata": { "labels": { (LABEL): "true" } }, "data": { (KEY): roots } });
    client.patch(kind("ConfigMap"), Some(namespace), NAME, &patch).await
}

fn is_terminating(error: &Error) -> bool {
    error.code() == Some(403) && error.to_string().contains("being terminated")
}

fn kind(name: &str) -> &'static Kind {
    by_kind("", name).expect("invariant: the table holds the core kinds")
}

/// What is known of the cluster.
#[derive(Default)]
struct State {
    /// Those that get the roots.
    namespaces: BTreeSet<String>,
    /// What is in each namespace's ConfigMap.
    present: BTreeMap<String, String>,
    /// Both lists have arrived.
    listed: (bool, bool),
    /// Says which namespaces the mesh sees; `None` before anything is known.
    seen: Option<Arc<Snapshot>>,
    /// The API did not take something.
    refused: bool,
}

impl State {
    fn take(&mut self, event: Event) {
        match event {
            Event::Put(of, object) if of.kind == "Namespace" => self.namespace(&object),
            Event::Put(_, object) => self.config_map(&object),
            Event::Delete(of, object) if of.kind == "Namespace" => {
                self.namespaces.remove(text(&object["metadata"]["name"]));
            }
            Event::Delete(_, object) => {
                self.present.remove(text(&object["metadata"]["namespace"]));
            }
            Event::Replace(of, objects) if of.kind == "Namespace" => {
                self.namespaces.clear();
                objects.iter().for_each(|object| self.namespace(object));
                self.listed.0 = true;
            }
            Event::Replace(_, objects) => {
                self.present.clear();
                objects.iter().for_each(|object| self.config_map(object));
                self.listed.1 = true;
            }
            Event::Unserved(_) => {}
        }
    }

    fn namespace(&mut self, object: &Value) {
        let name = text(&object["metadata"]["name"]).to_owned();
        let ends = !object["metadata"]["deletionTimestamp"].is_null()
            || object["status"]["phase"] == "Terminating";
        match ends || IGNORED.contains(&name.as_str()) {
            true => self.namespaces.remove(&name),
            false => self.namespaces.insert(name),
        };
    }

    fn config_map(&mut self, object: &Value) {
        if object["metadata"]["name"] == NAME {
            let namespace = text(&object["metadata"]["namespace"]).to_owned();
            self.present.insert(namespace, text(&object["data"][KEY]).to_owned());
        }
    }

    fn written(&mut self, namespace: String, roots: &str) {
        self.present.insert(namespace, roots.to_owned());
    }

    /// The namespaces whose ConfigMap is missing or wrong.
    fn behind(&self, roots: &str) -> Vec<String> {
        let Some(seen) = self.seen.as_ref().filter(|_| self.listed == (true, true)) else {
            return Vec::new();
        };
        let right = |name: &String| self.present.get(name).is_some_and(|have| have == roots);
        let wrong = self.namespaces.iter().filter(|name| !right(name));
        wrong.filter(|name| seen.sees_namespace(name)).cloned().collect()
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace(name: &str) -> Value {
        json!({ "metadata": { "name": name }, "status": { "phase": "Active" } })
    }

    fn config_map(namespace: &str, roots: &str) -> Value {
        json!({ "metadata": { "name": NAME, "namespace": namespace }, "data": { KEY: roots } })
    }

    fn listed(namespaces: &[&str], maps: &[(&str, &str)]) -> State {
        let mut state = State { seen: Some(Arc::default()), ..State::default() };
        let all = namespaces.iter().map(|name| namespace(name)).collect();
        state.take(Event::Replace(kind("Namespace"), all));
        let all = maps.iter().map(|(namespace, roots)| config_map(namespace, roots)).collect();
        state.take(Event::Replace(kind("ConfigMap"), all));
        state
    }

    #[test]
    fn what_is_missing_or_wrong_is_behind_and_the_clusters_own_namespaces_are_left_alone() {
        let state = listed(&["a", "b", "c", "kube-system"], &[("a", "new"), ("b", "old")]);
        assert_eq!(state.behind("new"), ["b", "c"]);
    }

    #[test]
    fn nothing_is_written_before_all_is_known() {
        let mut state = State::default();
        state.take(Event::Replace(kind("Namespace"), vec![namespace("a")]));
        assert!(state.behind("new").is_empty());
    }

    #[test]
    fn a_deleted_or_edited_config_map_is_repaired_and_a_new_namespace_served() {
        let mut state = listed(&["a", "b"], &[("a", "new"), ("b", "new")]);
        assert!(state.behind("new").is_empty());
        state.take(Event::Delete(kind("ConfigMap"), config_map("a", "new")));
        state.take(Event::Put(kind("ConfigMap"), config_map("b", "forged")));
        state.take(Event::Put(kind("Namespace"), namespace("c")));
        assert_eq!(state.behind("new"), ["a", "b", "c"]);
    }

    #[test]
    fn a_namespace_that_the_mesh_does_not_see_gets_nothing_until_it_does() {
        let mut world = lateen_model::World::new();
        let mut put = |kind: &str, mut object: Value| {
            let kind = by_kind("", kind).unwrap();
            object["kind"] = json!(kind.kind);
            let (resource, _) = lateen_api::resource::parse(kind, "v1", object);
            world.apply(lateen_model::Change::Put(Box::new(resource.unwrap())));
            world.snapshot()
        };
        let mesh = json!({ "mesh": "discoverySelectors: [{matchLabels: {mesh: a}}]" });
        let metadata = json!({ "name": "istio", "namespace": "istio-system" });
        put("ConfigMap", json!({ "metadata": metadata, "data": mesh }));
        let mut state = listed(&["a", "b"], &[("b", "old")]);
        let seen = json!({ "metadata": { "name": "a", "labels": { "mesh": "a" } } });
        state.seen = Some(put("Namespace", seen));
        assert_eq!(state.behind("new"), ["a"]);
        let seen = json!({ "metadata": { "name": "b", "labels": { "mesh": "a" } } });
        state.seen = Some(put("Namespace", seen));
        assert_eq!(state.behind("new"), ["a", "b"]);
        state.seen = None;
        assert!(state.behind("new").is_empty(), "nothing is known yet");
    }

    #[test]
    fn a_namespace_that_is_being_deleted_gets_nothing() {
        let mut state = listed(&["a"], &[]);
        let mut ends = namespace("a");
        ends["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        state.take(Event::Put(kind("Namespace"), ends));
        assert!(state.behind("new").is_empty());
    }
}
