//! All issues known at this moment, each under what found it, so that a finder that looks again
//! replaces what it said before. Out: the issues of each object, and a signal when they change.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use lateen_api::issue::{Issue, ObjectRef, Severity};
use lateen_api::resource::Key;
use lateen_api::xds::ResourceType;
use lateen_model::Snapshot;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Notify;

use crate::acts::Reach;

/// What found an issue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finder {
    /// Reading this object.
    Reading(ObjectRef),
    /// Looking at the mesh as a whole.
    Mesh,
    /// Looking for proxies that serve the Gateways.
    Selectors,
    /// Translating for one proxy; `whole` tells the wildcard subscription from the named one.
    Translation { session: u64, kind: ResourceType, whole: bool },
    /// A proxy's refusal of one resource.
    Refusal { session: u64, kind: ResourceType, resource: String },
}

impl Finder {
    /// Whether the issue is about the mesh following the object, rather than about its text.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Finder::Refusal { .. })
    }

    fn session(&self) -> Option<u64> {
        match self {
            Finder::Reading(_) | Finder::Mesh | Finder::Selectors => None,
            Finder::Translation { session, .. } | Finder::Refusal { session, .. } => Some(*session),
        }
    }
}

/// What the status of an object is computed from, besides the issues.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    pub generation: Option<i64>,
    /// Milliseconds since 1970; 0 if it is not known.
    pub created: i64,
    pub status: Value,
    /// What it may act on.
    pub reach: Arc<Reach>,
}

/// The automatic addresses of an object's hosts.
pub type Given = Vec<(Arc<str>, IpAddr)>;

/// The issues of one object, apart by what they are about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    pub validation: BTreeSet<Issue>,
    pub refusals: BTreeSet<Issue>,
}

/// How much is wrong with an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    pub errors: usize,
    pub warnings: usize,
}

impl Verdict {
    pub fn issues(&self) -> impl Iterator<Item = &Issue> {
        self.validation.iter().chain(&self.refusals)
    }

    pub fn count(&self) -> Count {
        let of = |severity| self.issues().filter(|issue| issue.severity == severity).count();
        Count { errors: of(Severity::Error), warnings: of(Severity::Warning) }
    }
}

#[derive(Default)]
pub struct Findings {
    state: Mutex<State>,
    changed: Notify,
    changes: AtomicU64,
}

#[derive(Default)]
struct State {
    issues: BTreeMap<Finder, Arc<[Issue]>>,
    /// Objects of Istio's kinds, whose status is ours to write.
    objects: BTreeMap<Key, Facts>,
    addresses: BTreeMap<ObjectRef, Given>,
    /// Says which objects the mesh sees.
    view: Arc<Snapshot>,
}

impl Findings {
    /// Replaces what this finder said before.
    pub fn set(&self, finder: Finder, issues: Vec<Issue>) {
        let issues: Arc<[Issue]> = issues.into();
        let mut state = self.state();
        let same = match issues.is_empty() {
            true => state.issues.remove(&finder).is_none(),
            false => state.issues.insert(finder, issues.clone()).as_ref() == Some(&issues),
        };
        drop(state);
        if !same {
            self.told();
        }
    }

    /// What this finder said last, as it said it.
    pub fn said(&self, finder: &Finder) -> Arc<[Issue]> {
        self.state().issues.get(finder).cloned().unwrap_or_default()
    }

    /// Replaces the automatic addresses of all objects.
    pub fn set_addresses(&self, addresses: BTreeMap<ObjectRef, Given>) {
        let mut state = self.state();
        let same = state.addresses == addresses;
        state.addresses = addresses;
        drop(state);
        if !same {
            self.told();
        }
    }

    /// Of objects that this snapshot does not see nothing is told, and their status is not ours.
    pub fn set_view(&self, view: Arc<Snapshot>) {
        self.state().view = view;
        self.told();
    }

    pub fn addresses(&self) -> BTreeMap<ObjectRef, Given> {
        self.state().addresses.clone()
    }

    pub fn clear_session(&self, session: u64) {
        self.state().issues.retain(|finder, _| finder.session() != Some(session));
        self.told();
    }

    pub fn put_object(&self, key: Key, facts: Facts) {
        if self.state().objects.insert(key, facts.clone()).as_ref() != Some(&facts) {
            self.told();
        }
    }

    pub fn delete_object(&self, key: &Key) {
        let mut state = self.state();
        state.objects.remove(key);
        state.issues.remove(&Finder::Reading(key.object_ref()));
        drop(state);
        self.told();
    }

    /// Forgets the objects of a kind that are not in `present`.
    pub fn keep_objects(&self, kind: &'static lateen_api::kinds::Kind, present: &BTreeSet<Key>) {
        let names: BTreeSet<ObjectRef> = present.iter().map(Key::object_ref).collect();
        let mut state = self.state();
        state.objects.retain(|key, _| key.kind != kind || present.contains(key));
        state.issues.retain(|finder, _| match finder {
            Finder::Reading(object)
                if (object.group.as_str(), object.kind.as_str()) == (kind.group, kind.kind) =>
            {
                names.contains(object)
            }
            _ => true,
        });
        drop(state);
        self.told();
    }

    /// Another number after each change; to be read before what may have changed.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    fn told(&self) {
        self.changes.fetch_add(1, Ordering::Release);
        self.changed.notify_one();
    }

    /// Resolves when anything has changed since the last call.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Every object that has issues, with all of them.
    pub fn verdicts(&self) -> BTreeMap<ObjectRef, Verdict> {
        let mut verdicts: BTreeMap<ObjectRef, Verdict> = BTreeMap::new();
        let state = self.state();
        for (finder, issues) in &state.issues {
            for issue in issues.iter().filter(|issue| state.view.sees(&issue.object)) {
                let verdict = verdicts.entry(issue.object.clone()).or_default();
                let set = match finder.is_refusal() {
                    true => &mut verdict.refusals,
                    false => &mut verdict.validation,
                };
                set.insert(issue.clone());
            }
        }
        verdicts
    }

    /// How many there are, by code and severity.
    pub fn tally(&self) -> BTreeMap<(&'static str, Severity), usize> {
        let verdicts = self.verdicts();
        let all = verdicts
            .values()
            .flat_map(|verdict| verdict.validation.iter().chain(&verdict.refusals));
        let mut tally = BTreeMap::new();
        for issue in all {
            *tally.entry((issue.code.0, issue.severity)).or_default() += 1;
        }
        tally
    }

    pub fn objects(&self) -> BTreeMap<Key, Facts> {
        let state = self.state();
        let seen = state.objects.iter().filter(|(key, _)| state.view.sees(&key.object_ref()));
        seen.map(|(key, facts)| (key.clone(), facts.clone())).collect()
    }

    /// What each object may act on.
    pub fn reaches(&self) -> Vec<(Key, Arc<Reach>)> {
        let state = self.state();
        let seen = state.objects.iter().filter(|(key, _)| state.view.sees(&key.object_ref()));
        seen.map(|(key, facts)| (key.clone(), facts.reach.clone())).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while the findings are held")
    }
}
