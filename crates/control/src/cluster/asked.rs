//! Answers about tokens. In: tokens and whoever asks the API about them. Out: answers, which are kept for a moment,
//! since who shows a token shows it again; few are asked for at once.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Answers that are kept; a crowd of strangers does not make it more.
const KEPT: usize = 4096;

type Hash = [u8; 32];

/// Answers by the tokens' hashes: the tokens themselves are not kept.
pub struct Asked<A> {
    slots: Semaphore,
    kept: Mutex<Kept<A>>,
}

struct Kept<A>(HashMap<Hash, (Instant, A)>);

impl<A: Clone> Asked<A> {
    pub fn new(at_once: usize) -> Self {
        Self { slots: Semaphore::new(at_once), kept: Mutex::new(Kept(HashMap::new())) }
    }

    /// The answer that is kept, or the one that `ask` gives and how long it counts.
    pub async fn about(&self, token: &str, ask: impl Future<Output = (A, Duration)>) -> A {
        let mut hash = Hash::default();
        hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        if let Some(answer) = self.kept().get(&hash, Instant::now()) {
            return answer;
        }
        let _slot = self.slots.acquire().await.expect("invariant: never closed");
        // It may have been asked for while this one waited.
        if let Some(answer) = self.kept().get(&hash, Instant::now()) {
            return answer;
        }
        let (answer, good_for) = ask.await;
        self.kept().put(hash, answer.clone(), Instant::now(), good_for);
        answer
    }

    fn kept(&self) -> MutexGuard<'_, Kept<A>> {
        self.kept.lock().expect("no panic while the answers are held")
    }
}

impl<A: Clone> Kept<A> {
    fn get(&self, hash: &Hash, now: Instant) -> Option<A> {
        let (until, answer) = self.0.get(hash)?;
        (now < *until).then(|| answer.clone())
    }

    fn put(&mut self, hash: Hash, answer: A, now: Instant, good_for: Duration) {
        if self.0.len() >= KEPT {
            self.0.retain(|_, (until, _)| now < *until);
        }
        if self.0.len() < KEPT && !good_for.is_zero() {
            self.0.insert(hash, (now + good_for, answer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn an_answer_counts_for_its_while_and_one_without_for_nobody_else() {
        let asked = Asked::new(1);
        let answer = async |token: &str, answer: u8, good_for| {
            asked.about(token, async { (answer, good_for) }).await
        };
        assert_eq!(answer("a", 1, 2 * SECOND).await, 1);
        assert_eq!(answer("b", 2, SECOND).await, 2);
        tokio::time::advance(SECOND).await;
        assert_eq!(answer("a", 3, SECOND).await, 1);
        assert_eq!(answer("b", 4, SECOND).await, 4);
        assert_eq!(answer("c", 5, Duration::ZERO).await, 5);
        assert_eq!(answer("c", 6, SECOND).await, 6);
    }

    #[test]
    fn strangers_fill_the_memory_only_so_far_and_for_a_moment() {
        let (mut kept, start) = (Kept(HashMap::new()), Instant::now());
        let hash = |number: usize| {
            let mut hash = Hash::default();
            hash[..8].copy_from_slice(&number.to_le_bytes());
            hash
        };
        for number in 0..2 * KEPT {
            kept.put(hash(number), "no", start, SECOND);
        }
        assert_eq!(kept.0.len(), KEPT);
        kept.put(hash(2 * KEPT), "yes", start + SECOND, SECOND);
        assert_eq!(kept.0.len(), 1);
    }
}
