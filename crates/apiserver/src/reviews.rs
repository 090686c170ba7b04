//! Questions that are asked by creating an object: in, a review; out, the same with its status. Also
//! TokenRequest, which is the `token` subresource of ServiceAccounts.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::auth::User;
use crate::error::ApiError;
use crate::object;
use crate::rbac::{self, Action};
use crate::route::Target;
use crate::server::Server;
use crate::token::Claims;

const AUTHENTICATION: &str = "authentication.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";
/// Kubernetes refuses shorter tokens, and longer ones are of no use.
const LIFE: std::ops::RangeInclusive<i64> = 600..=(1 << 32);

/// The reviews served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Review {
    /// Whose token is this?
    Token,
    /// Who am I?
    SelfSubject,
    /// May I?
    SelfAccess,
    /// May that user?
    Access,
    /// What may I?
    SelfRules,
}

impl Review {
    /// Its API group.
    pub fn group(self) -> &'static str {
        match self {
            Review::Token | Review::SelfSubject => AUTHENTICATION,
            Review::SelfAccess | Review::Access | Review::SelfRules => AUTHORIZATION,
        }
    }

    /// Its plural.
    pub fn plural(self) -> &'static str {
        match self {
            Review::Token => "tokenreviews",
            Review::SelfSubject => "selfsubjectreviews",
            Review::SelfAccess => "selfsubjectaccessreviews",
            Review::Access => "subjectaccessreviews",
            Review::SelfRules => "selfsubjectrulesreviews",
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Review::Token => "TokenReview",
            Review::SelfSubject => "SelfSubjectReview",
            Review::SelfAccess => "SelfSubjectAccessReview",
            Review::Access => "SubjectAccessReview",
            Review::SelfRules => "SelfSubjectRulesReview",
        }
    }
}

/// The review at a path.
pub fn find(path: &str) -> Option<Review> {
    let all =
        [Review::Token, Review::SelfSubject, Review::SelfAccess, Review::Access, Review::SelfRules];
    all.into_iter().find(|one| path == format!("/apis/{}/v1/{}", one.group(), one.plural()))
}

/// Answers a review.
pub fn answer(
    server: &Server,
    user: &User,
    review: Review,
    mut value: Value,
) -> Result<Value, ApiError> {
    if !value.is_object() {
        return Err(ApiError::bad_request("the body must be an object"));
    }
    let status = match review {
        Review::Token => token_status(server, &value["spec"]),
        Review::SelfSubject => json!({"userInfo": user.info()}),
        Review::SelfAccess => access_status(server, user, &value["spec"]),
        Review::SelfRules => rules_status(server, user, &value["spec"]),
        Review::Access => access_status(server, &subject(&value["spec"]), &value["spec"]),
    };
    value["apiVersion"] = json!(format!("{}/v1", review.group()));
    value["kind"] = json!(review.kind());
    object::meta_mut(&mut value)
        .entry("creationTimestamp")
        .or_insert(json!(object::timestamp(server.now())));
    value["status"] = status;
    Ok(value)
}

fn token_status(server: &Server, spec: &Value) -> Value {
    let token = object::text(spec, &["token"]);
    let found = server.auth.token_user(token, &server.store, server.now().as_second());
    let Some((user, audiences)) = found else {
        return json!({"authenticated": false, "user": {}, "error": "the token is not valid"});
    };
    let list = spec["audiences"].as_array();
    let asked: Vec<&str> = list.into_iter().flatten().filter_map(Value::as_str).collect();
    let issuer = server.auth.signer().issuer();
    let asked = if asked.is_empty() { vec![issuer] } else { asked };
    let shared: Vec<&str> = match &audiences {
        Some(own) => asked.into_iter().filter(|one| own.iter().any(|o| o == one)).collect(),
        None => asked,
    };
    if shared.is_empty() {
        let error = "the token is meant for other audiences";
        return json!({"authenticated": false, "user": {}, "error": error});
    }
    json!({"authenticated": true, "user": user.info(), "audiences": shared})
}

fn subject(spec: &Value) -> User {
    let groups = spec["groups"].as_array();
    User {
        name: object::text(spec, &["user"]).to_owned(),
        uid: object::text(spec, &["uid"]).to_owned(),
        groups: groups.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect(),
    }
}

fn access_status(server: &Server, user: &User, spec: &Value) -> Value {
    let about = &spec["resourceAttributes"];
    let path = &spec["nonResourceAttributes"];
    let word = |name: &str| object::text(about, &[name]);
    let action = if about.is_object() {
        let slash = if word("subresource").is_empty() { "" } else { "/" };
        Action {
            verb: word("verb"),
            group: word("group"),
            resource: format!("{}{slash}{}", word("resource"), word("subresource")),
            namespace: word("namespace"),
            name: word("name"),
            path: "",
        }
    } else {
        Action {
            verb: object::text(path, &["verb"]),
            path: object::text(path, &["path"]),
            ..Action::default()
        }
    };
    let allowed = rbac::allowed(&server.store, user, &action);
    if allowed {
        json!({"allowed": true})
    } else {
        json!({"allowed": false, "reason": action.denial(user)})
    }
}

fn rules_status(server: &Server, user: &User, spec: &Value) -> Value {
    let rules = rbac::rules(&server.store, user, object::text(spec, &["namespace"]));
    let (paths, resources): (Vec<Value>, Vec<Value>) =
        rules.into_iter().partition(|rule| rule.get("nonResourceURLs").is_some());
    json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": false})
}

/// Answers a TokenRequest.
pub fn token(server: &Server, target: &Target, request: &Value) -> Result<Value, ApiError> {
    let stored = server.store.get(&target.key());
    let stored = stored.ok_or_else(|| ApiError::not_found(target.kind, &target.name))?;
    let account = object::parse_stored(&stored.bytes);
    let list = request["spec"]["audiences"].as_array();
    let mut audiences: Vec<String> =
        list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    if audiences.is_empty() {
        audiences.push(server.auth.signer().issuer().to_owned());
    }
    let seconds = request["spec"]["expirationSeconds"].as_i64().unwrap_or(3600);
    if !LIFE.contains(&seconds) {
        let problem = "may not specify a duration less than 10 minutes or larger than 2^32 seconds";
        let cause =
            crate::error::Cause::invalid("spec.expirationSeconds", &json!(seconds), problem);
        return Err(ApiError::invalid(target.kind, &target.name, vec![cause]));
    }
    let now = server.now();
    let expires: Timestamp = now
        .checked_add(SignedDuration::from_secs(seconds))
        .map_err(|error| ApiError::internal(format!("the token's end: {error}")))?;
    let claims = Claims {
        namespace: target.namespace.clone(),
        name: target.name.clone(),
        uid: object::meta(&account, "uid").to_owned(),
        audiences: audiences.clone(),
        issued: now.as_second(),
        expires: expires.as_second(),
    };
    Ok(json!({
        "kind": "TokenRequest",
        "apiVersion": format!("{AUTHENTICATION}/v1"),
        "metadata": {
            "name": target.name,
            "namespace": target.namespace,
            "creationTimestamp": object::timestamp(now),
        },
        "spec": {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": null},
        "status": {
            "token": server.auth.signer().sign(&claims),
            "expirationTimestamp": object::timestamp(expires),
        },
    }))
}
