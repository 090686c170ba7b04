//! What readers of the live graph may do with single objects of a cluster: what the API lets them. In: readers.
//! Out: the API with the reader's own token in it.

use futures::future::BoxFuture;
use lateen_api::resource::Key;
use lateen_kube::Client;
use lateen_kube::access::Action;
use lateen_runtime::pages::{Reader, Refusal};

use crate::objects::Rights;

/// With the control plane's own client. Whoever reaches its loopback reads with it what it reads itself.
pub struct Own(pub Client);

impl Rights for Own {
    fn client(&self, reader: &Reader) -> Result<Client, Refusal> {
        match reader {
            Reader::Owner => Ok(self.0.clone()),
            Reader::User(user) => self.0.with_token(user.token.reveal()).map_err(|error| {
                Refusal::Unavailable(format!("cannot ask the Kubernetes API: {error}"))
            }),
        }
    }

    fn may_update<'a>(&'a self, reader: &'a Reader, key: &'a Key) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let Reader::User(_) = reader else { return false };
            let Ok(client) = self.client(reader) else { return false };
            let action = Action {
                verb: "update",
                group: key.kind.group,
                resource: key.kind.plural,
                namespace: Some(&*key.namespace).filter(|namespace| !namespace.is_empty()),
                name: Some(&key.name),
            };
            client.may_i(&action).await.unwrap_or_else(|error| {
                tracing::warn!(%error, object = %key, "cannot tell who may update an object");
                false
            })
        })
    }
}

#[cfg(test)]
mod tests;
