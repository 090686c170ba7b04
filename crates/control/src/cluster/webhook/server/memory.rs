//! The memory of all questions that are being read, until they are decoded. In: how much of a question has arrived.
//! Out: room for it, as soon as there is some.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// For all, in KiB. The longest question comes on top of it.
const SHARED: usize = 18 << 10;

pub struct Memory {
    shared: Arc<Semaphore>,
    /// Whoever has it grows without asking: of questions that wait for each other's memory one ends.
    turn: Arc<Semaphore>,
}

impl Default for Memory {
    fn default() -> Self {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Self { shared: semaphore(SHARED), turn: semaphore(1) }
    }
}

/// What one question holds, until it is dropped.
#[derive(Default)]
pub struct Held {
    kib: usize,
    shared: Vec<OwnedSemaphorePermit>,
    turn: Option<OwnedSemaphorePermit>,
}

impl Held {
    /// Waits until there is room for so many bytes altogether.
    pub async fn grow(&mut self, memory: &Memory, bytes: usize) {
        let more = bytes.div_ceil(1024).saturating_sub(self.kib);
        if more == 0 || self.turn.is_some() {
            return;
        }
        let kib = u32::try_from(more).unwrap_or(u32::MAX);
        tokio::select! {
            biased;
            permit = memory.shared.clone().acquire_many_owned(kib) => {
                self.shared.extend(permit.ok());
                self.kib += more;
            }
            turn = memory.turn.clone().acquire_owned() => self.turn = turn.ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::{Held, Memory, SHARED};

    const KIB: usize = 1024;

    #[tokio::test]
    async fn when_all_is_taken_one_question_goes_on_and_others_wait_for_it() {
        let memory = Memory::default();
        let mut greedy = Held::default();
        greedy.grow(&memory, (SHARED - 1) * KIB).now_or_never().unwrap();
        let (mut one, mut other) = (Held::default(), Held::default());
        one.grow(&memory, KIB).now_or_never().unwrap();
        one.grow(&memory, 6000 * KIB).now_or_never().unwrap();
        assert!(other.grow(&memory, KIB).now_or_never().is_none());
        drop(one);
        other.grow(&memory, 1).now_or_never().unwrap();
        other.grow(&memory, KIB).now_or_never().unwrap();
        drop(greedy);
        drop(other);
        assert_eq!(
            (memory.shared.available_permits(), memory.turn.available_permits()),
            (SHARED, 1)
        );
    }
}
