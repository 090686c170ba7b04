//! Who is at the other end of a stream. In: the way by which it came, and a token where that way asks for
//! one. Out: a [`Peer`], or a [`Refusal`] with the gRPC status that says it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

/// Whoever opened a stream, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// A process of this machine's own user or of root, vouched for by the kernel.
    Local,
    /// Anybody who reaches the port without TLS.
    Plaintext,
    /// The holder of a Kubernetes token.
    ServiceAccount(ServiceAccount),
}

/// Whom a token was made for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServiceAccount {
    pub namespace: String,
    pub name: String,
    /// The pod that the token is bound to, if it is to one.
    pub pod: Option<String>,
}

/// Why a stream is not served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// What the peer says of itself cannot be understood.
    #[error("{0}")]
    Invalid(String),
    /// It has not shown who it is.
    #[error("{0}")]
    Unauthenticated(String),
    /// It is not who it says it is.
    #[error("{0}")]
    Forbidden(String),
    /// Who it is cannot be told now.
    #[error("{0}")]
    Unavailable(String),
    /// What it asks for is not to be had here.
    #[error("{0}")]
    Unserved(String),
}

impl Refusal {
    pub(super) fn status(self) -> Status {
        let code = match self {
            Refusal::Invalid(_) => Code::InvalidArgument,
            Refusal::Unauthenticated(_) => Code::Unauthenticated,
            Refusal::Forbidden(_) => Code::PermissionDenied,
            Refusal::Unavailable(_) => Code::Unavailable,
            Refusal::Unserved(_) => Code::Unimplemented,
        };
        Status::new(code, self.to_string())
    }
}

/// What [`Authenticate`] answers, later.
pub type Verdict<'a> = Pin<Box<dyn Future<Output = Result<ServiceAccount, Refusal>> + Send + 'a>>;

/// Tells whose a token is.
pub trait Authenticate: Send + Sync + 'static {
    fn authenticate<'a>(&'a self, token: &'a str) -> Verdict<'a>;
}

/// What a listening socket asks of those who come through it.
#[derive(Clone)]
pub(super) enum Entrance {
    Local,
    Plaintext,
    Token(Arc<dyn Authenticate>),
}

impl Entrance {
    pub(super) async fn peer(&self, metadata: &MetadataMap) -> Result<Peer, Refusal> {
        match self {
            Entrance::Local => Ok(Peer::Local),
            Entrance::Plaintext => Ok(Peer::Plaintext),
            Entrance::Token(authenticate) => {
                let account = authenticate.authenticate(bearer(metadata)?).await?;
                Ok(Peer::ServiceAccount(account))
            }
        }
    }
}

/// The token of `authorization: Bearer TOKEN`, as RFC 6750 section 2.1 has it.
fn bearer(metadata: &MetadataMap) -> Result<&str, Refusal> {
    let value = metadata.get("authorization").and_then(|value| value.to_str().ok());
    let token = value.and_then(|value| value.split_once(' '));
    let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let token = token.map(|(_, token)| token.trim()).filter(|token| !token.is_empty());
    token.ok_or_else(|| {
        let text = "this port asks for a ServiceAccount's token: send authorization: Bearer TOKEN";
        Refusal::Unauthenticated(text.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use tonic::metadata::MetadataMap;

    use super::{Refusal, bearer};

    fn metadata(value: &str) -> MetadataMap {
        let mut metadata = MetadataMap::new();
        metadata.insert("authorization", value.parse().unwrap());
        metadata
    }

    #[test]
    fn a_bearer_token_is_found_whatever_the_case_of_its_scheme() {
        assert_eq!(bearer(&metadata("Bearer a.b.c")), Ok("a.b.c"));
        assert_eq!(bearer(&metadata("bearer  a.b.c")), Ok("a.b.c"));
    }

    #[test]
    fn nothing_else_is_a_token() {
        for value in ["", "Bearer", "Bearer ", "Basic YTpi", "a.b.c"] {
            assert!(
                matches!(bearer(&metadata(value)), Err(Refusal::Unauthenticated(_))),
                "{value}"
            );
        }
        assert!(bearer(&MetadataMap::new()).is_err());
    }
}
