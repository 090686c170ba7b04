//! Whose a proxy's token is, asked of the API by TokenReviews. In: tokens. Out: ServiceAccounts, or a
//! refusal. Answers are kept for a moment, since proxies come again in crowds, and few are asked for at once.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use lateen_kube::Client;
use lateen_kube::tokens::Holder;
use lateen_xds::server::peer::{Authenticate, Refusal, ServiceAccount, Verdict};
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Reviews at once.
const REVIEWS: usize = 32;
/// How long a good answer counts, and a bad one: a token that was taken back is good for that long.
const GOOD_FOR: Duration = Duration::from_secs(30);
const BAD_FOR: Duration = Duration::from_secs(5);
/// Answers that are kept; a crowd of strangers does not make it more.
const KEPT: usize = 4096;

type Hash = [u8; 32];
type Answer = Result<ServiceAccount, Refusal>;

/// Asks the API.
pub struct Tokens {
    client: Client,
    /// A token is good that is meant for one of them.
    audiences: Vec<String>,
    reviews: Semaphore,
    kept: Mutex<Kept>,
}

/// Answers by the tokens' hashes: the tokens themselves are not kept.
#[derive(Default)]
struct Kept(HashMap<Hash, (Instant, Answer)>);

impl Tokens {
    pub fn new(client: Client, audiences: Vec<String>) -> Self {
        Self { client, audiences, reviews: Semaphore::new(REVIEWS), kept: Mutex::default() }
    }

    async fn whose(&self, token: &str) -> Answer {
        let mut hash = Hash::default();
        hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        if let Some(answer) = self.kept().get(&hash, Instant::now()) {
            return answer;
        }
        let _slot = self.reviews.acquire().await.expect("invariant: never closed");
        // It may have been asked for while this one waited.
        if let Some(answer) = self.kept().get(&hash, Instant::now()) {
            return answer;
        }
        let answer = match self.client.review_token(token, &self.audiences).await {
            Ok(holder) => account(holder),
            Err(error) => {
                tracing::warn!(%error, "cannot tell whose a proxy's token is");
                let text = "the Kubernetes API does not tell whose the token is: try again";
                return Err(Refusal::Unavailable(text.to_owned()));
            }
        };
        self.kept().put(hash, answer.clone(), Instant::now());
        answer
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("no panic while the answers are held")
    }
}

impl Authenticate for Tokens {
    fn authenticate<'a>(&'a self, token: &'a str) -> Verdict<'a> {
        Box::pin(self.whose(token))
    }
}

fn account(holder: Holder) -> Answer {
    let refusal = match holder {
        Holder::ServiceAccount { namespace, name, pod } => {
            return Ok(ServiceAccount { namespace, name, pod });
        }
        Holder::Other(user) => format!("the token is {user}'s, and not a ServiceAccount's"),
        Holder::Nobody(why) => why,
    };
    tracing::info!(why = refusal, "a proxy's token was refused");
    Err(Refusal::Unauthenticated(refusal))
}

impl Kept {
    fn get(&self, hash: &Hash, now: Instant) -> Option<Answer> {
        let (until, answer) = self.0.get(hash)?;
        (now < *until).then(|| answer.clone())
    }

    fn put(&mut self, hash: Hash, answer: Answer, now: Instant) {
        if self.0.len() >= KEPT {
            self.0.retain(|_, (until, _)| now < *until);
        }
        if self.0.len() < KEPT {
            let until = now + if answer.is_ok() { GOOD_FOR } else { BAD_FOR };
            self.0.insert(hash, (until, answer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Answer {
        account(Holder::ServiceAccount { namespace: "n".into(), name: "a".into(), pod: None })
    }

    #[test]
    fn an_answer_counts_for_a_while_and_a_bad_one_for_a_shorter_one() {
        let (mut kept, start) = (Kept::default(), Instant::now());
        kept.put([1; 32], answer(), start);
        kept.put([2; 32], account(Holder::Nobody("expired".into())), start);
        let known =
            |kept: &Kept, hash: u8, at: Duration| kept.get(&[hash; 32], start + at).is_some();
        assert!(known(&kept, 1, GOOD_FOR / 2) && !known(&kept, 1, GOOD_FOR));
        assert!(known(&kept, 2, BAD_FOR / 2) && !known(&kept, 2, BAD_FOR));
        assert_eq!(kept.get(&[3; 32], start), None);
    }

    #[test]
    fn strangers_fill_the_memory_only_so_far_and_for_a_moment() {
        let (mut kept, start) = (Kept::default(), Instant::now());
        let hash = |number: usize| {
            let mut hash = Hash::default();
            hash[..8].copy_from_slice(&number.to_le_bytes());
            hash
        };
        for number in 0..2 * KEPT {
            kept.put(hash(number), account(Holder::Nobody("no".into())), start);
        }
        assert_eq!(kept.0.len(), KEPT);
        kept.put(hash(2 * KEPT), answer(), start + BAD_FOR);
        assert_eq!(kept.0.len(), 1);
    }

    #[test]
    fn only_a_service_account_is_one() {
        assert!(answer().is_ok());
        let refused = account(Holder::Other("jane".into())).unwrap_err();
        assert_eq!(refused.to_string(), "the token is jane's, and not a ServiceAccount's");
    }
}
