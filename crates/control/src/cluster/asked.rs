//! Answers about tokens. In: tokens and whoever asks the API about them. Out: answers, which are kept for a moment,
//! since who shows a token shows it again; few are asked for at once.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Good answers that are kept, and bad ones: a crowd of strangers takes no room from those who are known.
const GOOD: usize = 4096;
const BAD: usize = 1024;

type Hash = [u8; 32];

/// Answers by the tokens' hashes: the tokens themselves are not kept.
pub struct Asked<T, E> {
    slots: Semaphore,
    kept: Mutex<Kept<T, E>>,
}

struct Kept<T, E> {
    good: HashMap<Hash, (Instant, T)>,
    bad: HashMap<Hash, (Instant, E)>,
}

impl<T: Clone, E: Clone> Asked<T, E> {
    pub fn new(at_once: usize) -> Self {
        let kept = Kept { good: HashMap::new(), bad: HashMap::new() };
        Self { slots: Semaphore::new(at_once), kept: Mutex::new(kept) }
    }

    /// The answer that is kept, or the one that `ask` gives and how long it counts.
    pub async fn about(
        &self,
        token: &str,
        ask: impl Future<Output = (Result<T, E>, Duration)>,
    ) -> Result<T, E> {
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

    fn kept(&self) -> MutexGuard<'_, Kept<T, E>> {
        self.kept.lock().expect("no panic while the answers are held")
    }
}

impl<T: Clone, E: Clone> Kept<T, E> {
    fn get(&self, hash: &Hash, now: Instant) -> Option<Result<T, E>> {
        let good = self.good.get(hash).filter(|(until, _)| now < *until);
        let bad = || self.bad.get(hash).filter(|(until, _)| now < *until);
        good.map(|(_, answer)| Ok(answer.clone()))
            .or_else(|| bad().map(|(_, answer)| Err(answer.clone())))
    }

    fn put(&mut self, hash: Hash, answer: Result<T, E>, now: Instant, good_for: Duration) {
        if good_for.is_zero() {
            return;
        }
        let until = now + good_for;
        match answer {
            Ok(answer) => keep(&mut self.good, GOOD, hash, (until, answer), now),
            Err(answer) => keep(&mut self.bad, BAD, hash, (until, answer), now),
        }
    }
}

fn keep<A>(
    kept: &mut HashMap<Hash, (Instant, A)>,
    most: usize,
    hash: Hash,
    answer: (Instant, A),
    now: Instant,
) {
    if kept.len() >= most {
        kept.retain(|_, (until, _)| now < *until);
    }
    if kept.len() < most {
        kept.insert(hash, answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn an_answer_counts_for_its_while_and_one_without_for_nobody_else() {
        let asked = Asked::new(1);
        let answer = async |token: &str, answer: Result<u8, u8>, good_for| {
            asked.about(token, async { (answer, good_for) }).await
        };
        assert_eq!(answer("a", Ok(1), 2 * SECOND).await, Ok(1));
        assert_eq!(answer("b", Err(2), SECOND).await, Err(2));
        assert_eq!(answer("b", Ok(3), SECOND).await, Err(2));
        tokio::time::advance(SECOND).await;
        assert_eq!(answer("a", Ok(3), SECOND).await, Ok(1));
        assert_eq!(answer("b", Ok(4), SECOND).await, Ok(4));
        assert_eq!(answer("c", Ok(5), Duration::ZERO).await, Ok(5));
        assert_eq!(answer("c", Ok(6), SECOND).await, Ok(6));
    }

    #[test]
    fn strangers_fill_the_memory_only_so_far_and_take_no_room_from_others() {
        let (good, bad) = (HashMap::new(), HashMap::new());
        let (mut kept, start) = (Kept { good, bad }, Instant::now());
        let hash = |number: usize| {
            let mut hash = Hash::default();
            hash[..8].copy_from_slice(&number.to_le_bytes());
            hash
        };
        for number in 0..2 * GOOD {
            kept.put(hash(number), Err("no"), start, SECOND);
        }
        assert_eq!(kept.bad.len(), BAD);
        let known = hash(2 * GOOD);
        kept.put(known, Ok("yes"), start, SECOND);
        assert_eq!(kept.get(&known, start), Some(Ok("yes")));
        kept.put(known, Err("no"), start + SECOND, SECOND);
        assert_eq!(kept.bad.len(), 1);
        assert_eq!(kept.get(&known, start + SECOND), Some(Err("no")));
    }
}
