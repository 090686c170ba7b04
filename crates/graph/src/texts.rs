//! Texts that many keys have. In: texts. Out: one copy of each, and what all of them take.

use std::collections::HashSet;
use std::sync::Arc;

/// Keeps one copy of each text.
#[derive(Debug, Default)]
pub struct Texts {
    all: HashSet<Arc<str>>,
    bytes: usize,
}

impl Texts {
    pub fn get(&mut self, text: &str) -> Arc<str> {
        match self.all.get(text) {
            Some(known) => known.clone(),
            None => self.keep(text.into()),
        }
    }

    /// The copy that is kept, which is this one if there was none.
    pub fn keep(&mut self, text: Arc<str>) -> Arc<str> {
        if text.is_empty() {
            // There is one for the whole process.
            return Arc::default();
        }
        if let Some(known) = self.all.get(&text) {
            return known.clone();
        }
        self.bytes += cost(&text);
        self.all.insert(text.clone());
        text
    }

    /// What they take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// Forgets the texts that nobody else has.
    pub fn sweep(&mut self) {
        self.all.retain(|text| Arc::strong_count(text) > 1);
        self.bytes = self.all.iter().map(cost).sum();
    }
}

/// A text with its two counts and its place in the set.
fn cost(text: &Arc<str>) -> usize {
    text.len() + 2 * size_of::<usize>() + size_of::<Arc<str>>()
}
