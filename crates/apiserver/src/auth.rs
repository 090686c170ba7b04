//! Who is asking: in, an `Authorization` header; out, a [`User`]. Bearer tokens only: the admin's,
//! and those of ServiceAccounts.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use lateen_api::kinds::by_kind;
use serde_json::{Value, json};

use crate::catalog;
use crate::object;
use crate::store::Store;
use crate::token::{Claims, Signer};

/// Whom a request comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// `system:admin`, `system:serviceaccount:NS:NAME`, `system:anonymous`.
    pub name: String,
    /// The uid of a ServiceAccount.
    pub uid: String,
    /// `system:masters` may do everything.
    pub groups: Vec<String>,
}

impl User {
    /// The holder of the admin token.
    pub fn admin() -> Self {
        let groups = ["system:masters", "system:authenticated"];
        Self {
            name: "system:admin".to_owned(),
            uid: String::new(),
            groups: groups.map(str::to_owned).to_vec(),
        }
    }

    fn anonymous() -> Self {
        Self {
            name: "system:anonymous".to_owned(),
            uid: String::new(),
            groups: vec!["system:unauthenticated".to_owned()],
        }
    }

    fn service_account(claims: &Claims) -> Self {
        let Claims { namespace, name, uid, .. } = claims;
        Self {
            name: format!("system:serviceaccount:{namespace}:{name}"),
            uid: uid.clone(),
            groups: vec![
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{namespace}"),
                "system:authenticated".to_owned(),
            ],
        }
    }

    /// Whether everything is allowed.
    pub fn is_master(&self) -> bool {
        self.groups.iter().any(|group| group == "system:masters")
    }

    /// Whether no token was shown.
    pub fn is_anonymous(&self) -> bool {
        self.name == "system:anonymous"
    }

    /// `authentication.k8s.io` UserInfo.
    pub fn info(&self) -> Value {
        let mut info = json!({"username": self.name, "groups": self.groups});
        if !self.uid.is_empty() {
            info["uid"] = json!(self.uid);
        }
        info
    }
}

/// The keys by which requests are told apart.
pub struct Authenticator {
    admin_token: String,
    signer: Signer,
}

impl Authenticator {
    /// From the admin's token and the signer of ServiceAccount tokens.
    pub fn new(admin_token: String, signer: Signer) -> Self {
        Self { admin_token, signer }
    }

    /// The signer of ServiceAccount tokens.
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// The user of a request; `None` for a token that is not good.
    pub fn user(&self, header: Option<&[u8]>, store: &Store, now: i64) -> Option<User> {
        let Some(header) = header else { return Some(User::anonymous()) };
        let (scheme, token) = std::str::from_utf8(header).ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (user, audiences) = self.token_user(token.trim(), store, now)?;
        let ours = audiences.is_none_or(|list| list.iter().any(|one| one == self.signer.issuer()));
        ours.then_some(user)
    }

    /// Whom a token speaks for, and for which audiences (`None`: any).
    pub fn token_user(
        &self,
        token: &str,
        store: &Store,
        now: i64,
    ) -> Option<(User, Option<Vec<String>>)> {
        if verify_slices_are_equal(token.as_bytes(), self.admin_token.as_bytes()).is_ok() {
            return Some((User::admin(), None));
        }
        let claims = self.signer.verify(token, now)?;
        let kind = by_kind("", "ServiceAccount")?;
        let stored = store.get(&catalog::key(kind, &claims.namespace, &claims.name))?;
        let account = object::parse_stored(&stored.bytes);
        let alive = object::meta(&account, "uid") == claims.uid;
        alive.then(|| (User::service_account(&claims), Some(claims.audiences)))
    }
}
