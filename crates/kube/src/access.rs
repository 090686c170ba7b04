//! Who a person is and what they may do, as the API says it. In: tokens and actions. Out: accounts, and yes or no.

use std::collections::BTreeMap;

use k8s_openapi::api::authentication::v1::{
    TokenRequest, TokenRequestSpec, TokenReview, TokenReviewSpec, TokenReviewStatus,
};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReview,
    SubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::PostParams;

use crate::client::{Client, Error};

/// A user or a ServiceAccount, with all by which the API decides what it may do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    pub name: String,
    pub uid: String,
    pub groups: Vec<String>,
    pub extra: BTreeMap<String, Vec<String>>,
}

/// Something that is allowed or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action<'a> {
    pub verb: &'a str,
    pub group: &'a str,
    /// Its plural.
    pub resource: &'a str,
    /// `None`: in all.
    pub namespace: Option<&'a str>,
    /// `None`: of any.
    pub name: Option<&'a str>,
}

impl Action<'_> {
    fn attributes(&self) -> ResourceAttributes {
        let some = |text: &str| Some(text.to_owned());
        ResourceAttributes {
            verb: some(self.verb),
            group: some(self.group),
            resource: some(self.resource),
            namespace: self.namespace.map(str::to_owned),
            name: self.name.map(str::to_owned),
            ..ResourceAttributes::default()
        }
    }
}

impl Client {
    /// Whose a token for the API is, by a TokenReview; or why it is nobody's.
    pub async fn review_account(&self, token: &str) -> Result<Result<Account, String>, Error> {
        let spec = TokenReviewSpec { token: token.to_owned(), audiences: None };
        Ok(account(self.token_review(spec).await?))
    }

    /// Asks the API about a token.
    pub(crate) async fn token_review(
        &self,
        spec: TokenReviewSpec,
    ) -> Result<TokenReviewStatus, Error> {
        let review = TokenReview { spec, ..TokenReview::default() };
        let api: Api<TokenReview> = Api::all(self.inner.clone());
        let params = PostParams::default();
        let reviewed = self.bounded("review a token", api.create(&params, &review)).await?;
        Ok(reviewed.status.unwrap_or_default())
    }

    /// Whether an account may do something, by a SubjectAccessReview.
    pub async fn may(&self, account: &Account, action: &Action<'_>) -> Result<bool, Error> {
        let Account { name, uid, groups, extra } = account;
        let spec = SubjectAccessReviewSpec {
            user: Some(name.clone()),
            uid: Some(uid.clone()).filter(|uid| !uid.is_empty()),
            groups: Some(groups.clone()),
            extra: Some(extra.clone()).filter(|extra| !extra.is_empty()),
            resource_attributes: Some(action.attributes()),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let api: Api<SubjectAccessReview> = Api::all(self.inner.clone());
        let params = PostParams::default();
        let asked = self.bounded("review an access", api.create(&params, &review)).await?;
        Ok(asked.status.is_some_and(|status| status.allowed))
    }

    /// Whether this connection's own account may do something, which everybody may ask.
    pub async fn may_i(&self, action: &Action<'_>) -> Result<bool, Error> {
        let spec = SelfSubjectAccessReviewSpec {
            resource_attributes: Some(action.attributes()),
            ..SelfSubjectAccessReviewSpec::default()
        };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let api: Api<SelfSubjectAccessReview> = Api::all(self.inner.clone());
        let params = PostParams::default();
        let asked = self.bounded("review the own access", api.create(&params, &review)).await?;
        Ok(asked.status.is_some_and(|status| status.allowed))
    }

    /// A token of a ServiceAccount for the API, good for so many seconds.
    pub async fn request_token(
        &self,
        namespace: &str,
        name: &str,
        seconds: i64,
    ) -> Result<String, Error> {
        let spec =
            TokenRequestSpec { expiration_seconds: Some(seconds), ..TokenRequestSpec::default() };
        let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
        let api: Api<ServiceAccount> = Api::namespaced(self.inner.clone(), namespace);
        let action = format!("create a token of ServiceAccount {namespace}/{name}");
        let params = PostParams::default();
        let asked = api.create_token_request(name, &params, &request);
        let given = self.bounded(&action, asked).await?;
        Ok(given.status.and_then(|status| status.token).unwrap_or_default())
    }
}

fn account(status: TokenReviewStatus) -> Result<Account, String> {
    if status.authenticated != Some(true) {
        let why = status.error.filter(|why| !why.is_empty());
        return Err(why.unwrap_or_else(|| "the token is not valid".to_owned()));
    }
    let user = status.user.unwrap_or_default();
    Ok(Account {
        name: user.username.unwrap_or_default(),
        uid: user.uid.unwrap_or_default(),
        groups: user.groups.unwrap_or_default(),
        extra: user.extra.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::authentication::v1::{TokenReviewStatus, UserInfo};

    use super::{Account, account};

    #[test]
    fn a_token_is_somebodys_or_it_is_said_why_not() {
        let user = UserInfo {
            username: Some("jane".to_owned()),
            groups: Some(vec!["dev".to_owned()]),
            ..UserInfo::default()
        };
        let good = TokenReviewStatus {
            authenticated: Some(true),
            user: Some(user),
            ..TokenReviewStatus::default()
        };
        let jane =
            Account { name: "jane".into(), groups: vec!["dev".into()], ..Account::default() };
        assert_eq!(account(good.clone()), Ok(jane));
        let bad = TokenReviewStatus { authenticated: None, ..good };
        assert_eq!(account(bad), Err("the token is not valid".to_owned()));
    }
}
