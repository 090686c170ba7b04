//! Whose a token is, as the API says it. In: a token and the audiences one of which it must be made for. Out: the
//! ServiceAccount, or that the token is not good.

use k8s_openapi::api::authentication::v1::{TokenReviewSpec, TokenReviewStatus};

use crate::client::{Client, Error};

const SERVICE_ACCOUNT: &str = "system:serviceaccount:";
/// Where the API says which pod a token is bound to.
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";

/// Whom a token was made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    ServiceAccount {
        namespace: String,
        name: String,
        /// The pod that the token is bound to, if it is to one.
        pod: Option<String>,
    },
    /// The API knows the token, but it is a user's.
    Other(String),
    /// The token is not good for any of the audiences; why.
    Nobody(String),
}

impl Client {
    /// Asks the API by a TokenReview.
    pub async fn review_token(&self, token: &str, audiences: &[String]) -> Result<Holder, Error> {
        let spec = TokenReviewSpec { token: token.to_owned(), audiences: Some(audiences.to_vec()) };
        Ok(holder(self.token_review(spec).await?, audiences))
    }
}

fn holder(status: TokenReviewStatus, wanted: &[String]) -> Holder {
    if status.authenticated != Some(true) {
        let why = status.error.filter(|why| !why.is_empty());
        return Holder::Nobody(why.unwrap_or_else(|| "the token is not valid".to_owned()));
    }
    // An API that knows nothing of audiences answers without any; its word is not enough then.
    let audiences = status.audiences.unwrap_or_default();
    if !audiences.iter().any(|one| wanted.contains(one)) {
        return Holder::Nobody(format!("the token is not meant for {}", wanted.join(" or ")));
    }
    let user = status.user.unwrap_or_default();
    let name = user.username.unwrap_or_default();
    let pod = user.extra.and_then(|extra| extra.get(POD_NAME)?.first().cloned());
    match name.strip_prefix(SERVICE_ACCOUNT).and_then(|account| account.split_once(':')) {
        Some((namespace, account)) => {
            Holder::ServiceAccount { namespace: namespace.into(), name: account.into(), pod }
        }
        None => Holder::Other(name),
    }
}

#[cfg(test)]
mod tests {
    use super::{Holder, TokenReviewStatus, holder};
    use k8s_openapi::api::authentication::v1::UserInfo;

    fn status(user: &str, audiences: &[&str]) -> TokenReviewStatus {
        let pod = ("authentication.kubernetes.io/pod-name".to_owned(), vec!["a-1".to_owned()]);
        TokenReviewStatus {
            authenticated: Some(true),
            audiences: Some(audiences.iter().map(|one| (*one).to_owned()).collect()),
            error: None,
            user: Some(UserInfo {
                username: Some(user.to_owned()),
                extra: Some([pod].into()),
                ..UserInfo::default()
            }),
        }
    }

    fn wanted() -> [String; 2] {
        ["istio-ca".to_owned(), "mesh.example".to_owned()]
    }

    #[test]
    fn a_service_account_is_told_with_its_pod() {
        let found = holder(status("system:serviceaccount:default:a", &["istio-ca"]), &wanted());
        let pod = Some("a-1".to_owned());
        let (namespace, name) = ("default".to_owned(), "a".to_owned());
        assert_eq!(found, Holder::ServiceAccount { namespace, name, pod });
        assert_eq!(
            holder(status("system:serviceaccount:default:a", &["mesh.example"]), &wanted()),
            found
        );
    }

    #[test]
    fn a_token_for_another_audience_is_nobodys_even_if_the_api_ignores_audiences() {
        for audiences in [&["https://kubernetes.default.svc"][..], &[]] {
            let found = holder(status("system:serviceaccount:default:a", audiences), &wanted());
            assert_eq!(
                found,
                Holder::Nobody("the token is not meant for istio-ca or mesh.example".to_owned())
            );
        }
    }

    #[test]
    fn a_users_token_is_no_service_accounts() {
        let found = holder(status("jane", &["istio-ca"]), &wanted());
        assert_eq!(found, Holder::Other("jane".to_owned()));
        let refused = TokenReviewStatus { authenticated: Some(false), ..status("", &["istio-ca"]) };
        assert!(matches!(holder(refused, &wanted()), Holder::Nobody(_)));
    }
}
