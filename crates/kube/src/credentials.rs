//! By what a kubeconfig's user is known to others than the API. In: a connection. Out: the bearer token that it sends,
//! from wherever the kubeconfig says (a token, a file, a program), as it is at that moment; and connections with
//! somebody else's token.

use std::future::{Ready, ready};
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{Request, Response};
use kube::client::middleware::AuthLayer;
use kube::client::{Body, ConfigExt};
use kube::config::AuthInfo;
use tower::{BoxError, Layer, ServiceExt, service_fn};

use crate::client::{Client, Error};

/// The credentials of a connection.
pub struct Credentials(Option<AuthLayer>);

impl Client {
    /// The same API, for whoever has this token.
    pub fn with_token(&self, token: &str) -> Result<Client, Error> {
        let mut config = (*self.config).clone();
        config.auth_info = AuthInfo { token: Some(token.to_owned().into()), ..AuthInfo::default() };
        Self::new(config, self.answer_timeout)
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

    use super::Client;

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
