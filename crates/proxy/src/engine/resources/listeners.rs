//! The listeners a proxy holds. In: versions of them, as they come, warm up and go. Out: those that serve, and the
//! clusters that any of them names.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::named::{Changes, Named};
use crate::config::Listener;

#[derive(Debug, Default)]
pub struct Listeners {
    serving: BTreeMap<String, Arc<Listener>>,
    /// Newer versions, until what they name is known: the older ones serve meanwhile.
    warming: BTreeMap<String, Arc<Listener>>,
    clusters: Named,
}

impl Listeners {
    pub fn serve(&mut self, name: String, listener: Arc<Listener>) {
        self.clusters.add(named(&listener));
        if let Some(older) = self.serving.insert(name, listener) {
            self.clusters.remove(named(&older));
        }
    }

    pub fn warm(&mut self, name: String, listener: Arc<Listener>) {
        self.clusters.add(named(&listener));
        if let Some(older) = self.warming.insert(name, listener) {
            self.clusters.remove(named(&older));
        }
    }

    /// Its newer version is none any more.
    pub fn cool(&mut self, name: &str) {
        if let Some(warm) = self.warming.remove(name) {
            self.clusters.remove(named(&warm));
        }
    }

    /// Puts its newer version into its place.
    pub fn promote(&mut self, name: &str) {
        if let Some(newer) = self.warming.get(name).cloned() {
            self.serve(name.to_owned(), newer);
            self.cool(name);
        }
    }

    pub fn remove(&mut self, name: &str) {
        self.cool(name);
        if let Some(gone) = self.serving.remove(name) {
            self.clusters.remove(named(&gone));
        }
    }

    pub fn get(&self, name: &str) -> Option<&Arc<Listener>> {
        self.serving.get(name)
    }

    pub fn serving(&self) -> impl Iterator<Item = &Arc<Listener>> {
        self.serving.values()
    }

    pub fn warming(&self) -> impl Iterator<Item = (&String, &Arc<Listener>)> {
        self.warming.iter()
    }

    /// The clusters that listeners and their access logs name.
    pub fn clusters(&self) -> impl Iterator<Item = &Arc<str>> {
        self.clusters.iter()
    }

    pub fn changed_clusters(&mut self) -> Changes {
        self.clusters.changes()
    }
}

fn named(listener: &Listener) -> impl Iterator<Item = &Arc<str>> {
    listener.compiled.clusters().chain(listener.compiled.collectors())
}
