//! Whose turn it is. In: readers who ask. Out: one turn at a time, and to each reader only so many places in the queue.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use lateen_runtime::pages::Reader;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Of one reader: a question that is looked at though its asker may be gone, and one that waits.
const PLACES: usize = 2;

/// A reader's name; the owner has none.
type Name = Option<String>;

#[derive(Clone)]
pub struct Turns {
    turn: Arc<Semaphore>,
    /// How many places each reader has, of those who have any.
    taken: Arc<Mutex<BTreeMap<Name, usize>>>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { turn: Arc::new(Semaphore::new(1)), taken: Arc::default() }
    }
}

impl Turns {
    /// `None` if the reader has as many as there are for one.
    pub fn place(&self, reader: &Reader) -> Option<Place> {
        let name = reader.user().map(str::to_owned);
        let mut taken = self.taken();
        let count = taken.entry(name.clone()).or_default();
        (*count < PLACES).then(|| {
            *count += 1;
            Place { turns: self.clone(), name }
        })
    }

    fn taken(&self) -> MutexGuard<'_, BTreeMap<Name, usize>> {
        self.taken.lock().expect("no panic while the places are held")
    }
}

/// A place in the queue, until it is dropped.
pub struct Place {
    turns: Turns,
    name: Name,
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
        if let Some(count) = taken.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.name);
            }
        }
    }
}
