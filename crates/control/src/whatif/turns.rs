//! Whose turn it is. In: who asks. Out: one turn at a time, and to each asker only so many places in the queue.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Who asks, each with places of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asker {
    /// A reader of the pages by name; the owner has none.
    Reader(Option<String>),
    /// The API of this process, for all who write to it.
    Api,
}

/// Of one reader: a question that is looked at though its asker may be gone, and one that waits.
const PLACES: usize = 2;

/// Of the API, whose writers do not wait: while one question is looked at, there is no other.
const OF_API: usize = 1;

#[derive(Clone)]
pub struct Turns {
    turn: Arc<Semaphore>,
    /// How many places each asker has, of those who have any.
    taken: Arc<Mutex<BTreeMap<Asker, usize>>>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { turn: Arc::new(Semaphore::new(1)), taken: Arc::default() }
    }
}

impl Turns {
    /// `None` if the asker has as many as there are for one.
    pub fn place(&self, asker: Asker) -> Option<Place> {
        let places = if asker == Asker::Api { OF_API } else { PLACES };
        let mut taken = self.taken();
        let count = taken.entry(asker.clone()).or_default();
        (*count < places).then(|| {
            *count += 1;
            Place { turns: self.clone(), asker }
        })
    }

    fn taken(&self) -> MutexGuard<'_, BTreeMap<Asker, usize>> {
        self.taken.lock().expect("no panic while the places are held")
    }
}

/// A place in the queue, until it is dropped.
pub struct Place {
    turns: Turns,
    asker: Asker,
}

impl Place {
    /// Waits for the turn, which lasts until it is dropped.
    pub async fn turn(self) -> Option<(Place, OwnedSemaphorePermit)> {
        let turn = self.turns.turn.clone().acquire_owned().await.ok()?;
        Some((self, turn))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.turns.taken();
        if let Some(count) = taken.get_mut(&self.asker) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.asker);
            }
        }
    }
}
