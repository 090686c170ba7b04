//! How many events of the watches there were, by kind and by what happened. In: events. Out: counts.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard};

use lateen_api::kinds::{Kind, Source};
use lateen_api::resource::Key;

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Happened {
    Add,
    Update,
    Delete,
}

/// Events by kind, and pushes by what triggered them, since the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    pub events: BTreeMap<(&'static Kind, Happened), u64>,
    pub triggers: BTreeMap<&'static str, u64>,
}

#[derive(Default)]
pub struct Events {
    counts: Mutex<Counts>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Hashes of the objects that are there, so that an addition is told from a change.
    present: BTreeMap<&'static Kind, HashSet<u64>>,
    /// Why there is to be a push.
    reasons: HashSet<&'static str>,
}

/// Istio's words for what triggers a push.
pub const TRIGGERS: [&str; 5] = ["config", "endpoint", "global", "namespace", "service"];

impl Happened {
    pub const ALL: [Self; 3] = [Self::Add, Self::Update, Self::Delete];

    pub fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

impl Events {
    pub fn put(&self, key: &Key) {
        let mut state = self.state();
        let is_new = state.present.entry(key.kind).or_default().insert(hash(key));
        state.reasons.insert(reason(key.kind));
        drop(state);
        self.count(key.kind, if is_new { Happened::Add } else { Happened::Update });
    }

    pub fn delete(&self, key: &Key) {
        let mut state = self.state();
        state.present.entry(key.kind).or_default().remove(&hash(key));
        state.reasons.insert(reason(key.kind));
        drop(state);
        self.count(key.kind, Happened::Delete);
    }

    /// These are all objects of the kind. A list is no event: what it says anew is counted as if it had come one by one.
    pub fn replace<'k>(&self, kind: &'static Kind, keys: impl Iterator<Item = &'k Key>) {
        let now: HashSet<u64> = keys.map(hash).collect();
        let mut state = self.state();
        let before = state.present.insert(kind, now.clone()).unwrap_or_default();
        let (added, gone) = (now.difference(&before).count(), before.difference(&now).count());
        if added + gone > 0 {
            state.reasons.insert(reason(kind));
        }
        drop(state);
        let mut counts = self.counting();
        for (happened, count) in [(Happened::Add, added), (Happened::Delete, gone)] {
            if count > 0 {
                *counts.events.entry((kind, happened)).or_default() += count as u64;
            }
        }
    }

    /// There is a new snapshot.
    pub fn pushed(&self) {
        let reasons = std::mem::take(&mut self.state().reasons);
        let mut counts = self.counting();
        for reason in reasons {
            *counts.triggers.entry(reason).or_default() += 1;
        }
    }

    pub fn counts(&self) -> Counts {
        self.counting().clone()
    }

    fn count(&self, kind: &'static Kind, happened: Happened) {
        *self.counting().events.entry((kind, happened)).or_default() += 1;
    }

    fn counting(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().expect("no panic while the counts are held")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while the state is held")
    }
}

/// One of [`TRIGGERS`].
fn reason(kind: &Kind) -> &'static str {
    match (kind.source, kind.kind) {
        (_, "EndpointSlice" | "Pod" | "WorkloadEntry") => "endpoint",
        (_, "Service" | "ServiceEntry") => "service",
        (_, "Namespace") => "namespace",
        (Source::Istio, _) => "config",
        (_, "ConfigMap") => "global",
        _ => "config",
    }
}

fn hash(key: &Key) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&key.namespace, &key.name).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use lateen_api::kinds::by_kind;
    use lateen_api::resource::Key;

    use super::{Events, Happened};

    fn key(name: &str) -> Key {
        let kind = by_kind("", "Service").unwrap();
        Key { kind, namespace: "default".to_owned(), name: name.to_owned() }
    }

    #[test]
    fn an_addition_is_told_from_a_change_and_a_push_from_its_reasons() {
        let (events, kind) = (Events::default(), by_kind("", "Service").unwrap());
        events.replace(kind, [key("a"), key("b")].iter());
        events.put(&key("a"));
        events.put(&key("c"));
        events.delete(&key("b"));
        events.replace(kind, [key("a")].iter());
        events.pushed();
        events.pushed();
        let counts = events.counts();
        let of = |happened| counts.events[&(kind, happened)];
        assert_eq!([of(Happened::Add), of(Happened::Update), of(Happened::Delete)], [3, 1, 2]);
        assert_eq!(counts.triggers, [("service", 1)].into());
    }
}
