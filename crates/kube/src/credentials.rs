//! By what a kubeconfig's user is known to others than the API. In: a connection. Out: the bearer token that it sends,
//! from wherever the kubeconfig says (a token, a file, a program), as it is at that moment; and connections with
//! somebody else's token.

use std::collections::HashMap;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex, MutexGuard};

use http::header::AUTHORIZATION;
use http::{Request, Response};
use kube::client::middleware::AuthLayer;
use kube::client::{Body, ConfigExt};
use kube::config::AuthInfo;
use tower::{BoxError, Layer, ServiceExt, service_fn};

use crate::client::{Client, Error};

/// Connections for others that are kept; the one that was not used for longest makes room.
const OTHERS: usize = 64;

/// The credentials of a connection.
pub struct Credentials(Option<AuthLayer>);

/// Connections with others' tokens.
#[derive(Default)]
pub struct Others(Mutex<Recent>);

/// By their tokens, each with the moment of its last use.
#[derive(Default)]
struct Recent {
    now: u64,
    known: HashMap<String, (u64, Client)>,
}

impl Others {
    fn lock(&self) -> MutexGuard<'_, Recent> {
        self.0.lock().expect("no panic while the connections are held")
    }
}

impl Recent {
    fn get(&mut self, token: &str) -> Option<Client> {
        self.now += 1;
        let (used, client) = self.known.get_mut(token)?;
        *used = self.now;
        Some(client.clone())
    }

    fn put(&mut self, token: &str, client: Client) {
        let oldest = self.known.iter().min_by_key(|(_, (used, _))| *used);
        let oldest = oldest.map(|(token, _)| token.clone());
        if let Some(oldest) = oldest.filter(|_| self.known.len() >= OTHERS) {
            self.known.remove(&oldest);
        }
        self.known.insert(token.to_owned(), (self.now, client));
    }
}

impl Client {
    /// The same API, for whoever has this token. Connections are kept for whoever comes again.
    pub fn with_token(&self, token: &str) -> Result<Client, Error> {
        if let Some(known) = self.others.lock().get(token) {
            return Ok(known);
        }
        let mut config = (*self.config).clone();
        config.auth_info = AuthInfo { token: Some(token.to_owned().into()), ..AuthInfo::default() };
        let client = Self::new(config, self.answer_timeout)?;
        self.others.lock().put(token, client.clone());
        Ok(client)
    }

    /// # Errors
    /// If the kubeconfig's program or file gives none.
    pub fn credentials(&self) -> Result<Credentials, Error> {
        let layer = self.config.auth_layer();
        Ok(Credentials(layer.map_err(|error| Error::Client(Box::new(error)))?))
    }
}

impl Credentials {
    /// `None` for a user who is known by a certificate or a password.
    pub async fn bearer(&self) -> Result<Option<Arc<str>>, Error> {
        let Some(layer) = &self.0 else { return Ok(None) };
        let asked = layer.layer(service_fn(mirror)).oneshot(Request::new(Body::empty()));
        let sent = asked.await.map_err(|error| Error::Credentials(error.to_string()))?;
        let header = sent.headers().get(AUTHORIZATION).and_then(|header| header.to_str().ok());
        Ok(header.and_then(|header| header.strip_prefix("Bearer ")).map(Arc::from))
    }
}

/// What a layer puts on a request comes back as it is.
fn mirror(request: Request<Body>) -> Ready<Result<Response<()>, BoxError>> {
    let mut response = Response::new(());
    if let Some(header) = request.headers().get(AUTHORIZATION) {
        response.headers_mut().insert(AUTHORIZATION, header.clone());
    }
    ready(Ok(response))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kube::Config;
    use kube::config::AuthInfo;

    use super::{Arc, Client, OTHERS};

    fn client(auth_info: AuthInfo) -> Client {
        let mut config = Config::new("http://127.0.0.1:1".parse().unwrap());
        config.auth_info = auth_info;
        Client::new(config, Duration::from_secs(1)).unwrap()
    }

    async fn bearer(client: &Client) -> Option<String> {
        let token = client.credentials().unwrap().bearer().await.unwrap();
        token.map(|token| token.to_string())
    }

    #[tokio::test]
    async fn a_token_is_told_wherever_it_is_from() {
        let given = AuthInfo { token: Some("abc".to_owned().into()), ..AuthInfo::default() };
        assert_eq!(bearer(&client(given)).await.as_deref(), Some("abc"));
        let file = std::env::temp_dir().join(format!("lateen-token-{}", std::process::id()));
        std::fs::write(&file, "from a file").unwrap();
        let path = file.display().to_string();
        let filed = AuthInfo { token_file: Some(path), ..AuthInfo::default() };
        assert_eq!(bearer(&client(filed)).await.as_deref(), Some("from a file"));
        std::fs::remove_file(file).unwrap();
    }

    #[tokio::test]
    async fn connections_for_others_are_kept_and_bounded() {
        let client = client(AuthInfo::default());
        let same = |one: &Client, other: &Client| Arc::ptr_eq(&one.config, &other.config);
        let first = client.with_token("first").unwrap();
        let second = client.with_token("second").unwrap();
        for number in 2..OTHERS {
            client.with_token(&number.to_string()).unwrap();
        }
        assert!(same(&first, &client.with_token("first").unwrap()));
        client.with_token("one more").unwrap();
        assert_eq!(client.others.lock().known.len(), OTHERS);
        assert!(same(&first, &client.with_token("first").unwrap()));
        assert!(!same(&second, &client.with_token("second").unwrap()), "unused for longest");
        assert_eq!(bearer(&first).await.as_deref(), Some("first"));
    }

    #[tokio::test]
    async fn a_user_without_a_token_has_none_but_may_get_one() {
        let password = AuthInfo {
            username: Some("jane".to_owned()),
            password: Some("x".to_owned().into()),
            ..AuthInfo::default()
        };
        let client = client(password);
        assert_eq!(bearer(&client).await, None);
        let other = client.with_token("def").unwrap();
        assert_eq!(bearer(&other).await.as_deref(), Some("def"));
    }
}
