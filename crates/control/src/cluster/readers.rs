//! Who looks at the live graph, and what they may see: asked of the API by TokenReviews and SubjectAccessReviews. In:
//! Kubernetes tokens. Out: readers, confined to the namespaces whose Services they may list, or a refusal.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt};
use lateen_kube::access::{Account, Action};
use lateen_kube::{Client, Error};
use lateen_runtime::pages::{Access, Reader, Refusal, Secret, User};

use super::asked::Asked;
use crate::published::Published;

/// Tokens that the API is asked about at once.
const REVIEWS: usize = 8;
/// Questions about one reader at once.
const QUESTIONS: usize = 16;
/// How long a good answer counts, and a bad one: rights that were taken away are there for that long. An answer that
/// takes a question for every namespace counts for longer where there are many, but not too long.
const GOOD_FOR: Duration = Duration::from_secs(60);
const NAMESPACES: usize = 1000;
const AT_MOST: Duration = Duration::from_secs(5 * 60);
const BAD_FOR: Duration = Duration::from_secs(5);
/// By which the API is said to know nobody and nothing.
const SILENT: &str = "the Kubernetes API does not tell whose the token is: try again";

type Answer = Result<Reader, Refusal>;

/// Asks the API.
pub struct Readers {
    client: Client,
    published: Arc<Published>,
    asked: Asked<Reader, Refusal>,
}

impl Readers {
    pub fn new(client: Client, published: Arc<Published>) -> Self {
        Self { client, published, asked: Asked::new(REVIEWS) }
    }

    /// The API's answer, and how long it counts.
    async fn review(&self, token: &str) -> (Answer, Duration) {
        match self.reader(token).await {
            Ok(answer) => {
                if let Err(refusal) = &answer {
                    tracing::info!(?refusal, "somebody was not let in to the graph");
                }
                let good_for = match &answer {
                    Ok(reader) if reader.confined_to().is_some() => self.good_for(),
                    Ok(_) => GOOD_FOR,
                    Err(_) => BAD_FOR,
                };
                (answer, good_for)
            }
            Err(error) => {
                tracing::warn!(%error, "cannot tell who asks for the graph");
                (Err(Refusal::Unavailable(SILENT.to_owned())), Duration::ZERO)
            }
        }
    }

    fn good_for(&self) -> Duration {
        let namespaces = self.published.snapshot().namespaces().count();
        let minutes = u32::try_from(namespaces.div_ceil(NAMESPACES).max(1)).unwrap_or(u32::MAX);
        GOOD_FOR.saturating_mul(minutes).min(AT_MOST)
    }

    async fn reader(&self, token: &str) -> Result<Answer, Error> {
        let account = match self.client.review_account(token).await? {
            Ok(account) => account,
            Err(why) => {
                return Ok(Err(Refusal::Unknown(format!("{why}: {}", self.invitation()))));
            }
        };
        let namespaces = match self.lists_services(&account, None).await? {
            true => None,
            false => Some(Arc::new(self.namespaces(&account).await?)),
        };
        if namespaces.as_ref().is_some_and(|some| some.is_empty()) {
            return Ok(Err(Refusal::Forbidden(format!(
                "{} may see no namespace: it needs the right to list services, in one or in all",
                account.name
            ))));
        }
        let Account { name, groups, .. } = account;
        let user = User { name, groups, token: Secret::new(token), namespaces };
        Ok(Ok(Reader::User(user)))
    }

    /// The namespaces that an account may look into, of those that the mesh knows.
    async fn namespaces(&self, account: &Account) -> Result<BTreeSet<String>, Error> {
        let snapshot = self.published.snapshot();
        let known: Vec<String> = snapshot.namespaces().map(|(name, _)| name.clone()).collect();
        let asked = known.into_iter().map(|namespace| async {
            let may = self.lists_services(account, Some(&namespace)).await?;
            Ok(may.then_some(namespace))
        });
        let asked = futures::stream::iter(asked).buffer_unordered(QUESTIONS);
        asked.try_filter_map(|namespace| std::future::ready(Ok(namespace))).try_collect().await
    }

    async fn lists_services(
        &self,
        account: &Account,
        namespace: Option<&str>,
    ) -> Result<bool, Error> {
        let action =
            Action { verb: "list", group: "", resource: "services", namespace, name: None };
        self.client.may(account, &action).await
    }
}

impl Access for Readers {
    fn authenticate<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Answer> {
        Box::pin(self.asked.about(token, self.review(token)))
    }

    fn invitation(&self) -> &str {
        "use lateen dashboard, or send a Kubernetes token as authorization: Bearer TOKEN"
    }
}

#[cfg(test)]
mod tests;
