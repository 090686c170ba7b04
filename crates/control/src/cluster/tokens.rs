//! Whose a proxy's token is, asked of the API by TokenReviews. In: tokens. Out: ServiceAccounts, or a
//! refusal. Proxies come again in crowds.

use std::time::Duration;

use lateen_kube::Client;
use lateen_kube::tokens::Holder;
use lateen_xds::server::peer::{Authenticate, Refusal, ServiceAccount, Verdict};

use super::asked::Asked;

/// Reviews at once.
const REVIEWS: usize = 32;
/// How long a good answer counts, and a bad one: a token that was taken back is good for that long.
const GOOD_FOR: Duration = Duration::from_secs(30);
const BAD_FOR: Duration = Duration::from_secs(5);

type Answer = Result<ServiceAccount, Refusal>;

/// Asks the API.
pub struct Tokens {
    client: Client,
    /// A token is good that is meant for one of them.
    audiences: Vec<String>,
    asked: Asked<ServiceAccount, Refusal>,
}

impl Tokens {
    pub fn new(client: Client, audiences: Vec<String>) -> Self {
        Self { client, audiences, asked: Asked::new(REVIEWS) }
    }

    async fn whose(&self, token: &str) -> Answer {
        self.asked.about(token, self.review(token)).await
    }

    /// The API's answer, and how long it counts.
    async fn review(&self, token: &str) -> (Answer, Duration) {
        match self.client.review_token(token, &self.audiences).await {
            Ok(holder) => {
                let answer = account(holder);
                let good_for = if answer.is_ok() { GOOD_FOR } else { BAD_FOR };
                (answer, good_for)
            }
            Err(error) => {
                tracing::warn!(%error, "cannot tell whose a proxy's token is");
                let text = "the Kubernetes API does not tell whose the token is: try again";
                (Err(Refusal::Unavailable(text.to_owned())), Duration::ZERO)
            }
        }
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

#[cfg(test)]
mod tests {
    use super::{Holder, account};

    #[test]
    fn only_a_service_account_is_one() {
        let holder = Holder::ServiceAccount { namespace: "n".into(), name: "a".into(), pod: None };
        assert!(account(holder).is_ok());
        let refused = account(Holder::Other("jane".into())).unwrap_err();
        assert_eq!(refused.to_string(), "the token is jane's, and not a ServiceAccount's");
    }
}
