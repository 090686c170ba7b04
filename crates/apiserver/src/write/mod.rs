//! Writing: in, a target, query and body; out, the object as stored, or a refusal with nothing
//! stored. Create, replace, the four patches and `scale` all end in one pipeline: defaults,
//! admission, checks, store. What begins with the store goes on if the client goes away.

mod addresses;
pub mod body;
mod check;
mod defaults;
pub mod delete;
mod names;
pub mod patch;
mod pipeline;
mod prepare;
pub mod scale;
mod service;
mod workload;

use std::sync::Arc;

use http::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};

pub use addresses::Addresses;
pub use pipeline::{Change, Operation};

use crate::auth::User;
use crate::error::{ApiError, Cause};
use crate::object;
use crate::read::{self, events};
use crate::reply::{self, Body};
use crate::route::{Query, Target};
use crate::server::Server;
use body::Received;

/// How often a write without a resource version of its own is tried on a newer object.
const ATTEMPTS: usize = 8;

/// Who writes where.
pub struct Writer<'a> {
    /// The server.
    pub server: &'a Arc<Server>,
    /// The user.
    pub user: &'a User,
    /// The path.
    pub target: &'a Target,
    /// The query.
    pub query: &'a Query,
    /// The request's headers.
    pub headers: &'a HeaderMap,
}

impl<'a> Writer<'a> {
    /// The field manager: the one named, or the client's own name.
    pub fn manager(&self) -> String {
        if let Some(manager) = self.query.get("fieldManager") {
            return manager.to_owned();
        }
        let agent =
            self.headers.get(http::header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        let name = agent.and_then(|agent| agent.split('/').next()).unwrap_or_default();
        if name.is_empty() { "unknown".to_owned() } else { name.chars().take(128).collect() }
    }

    /// Whether nothing shall be stored.
    pub fn dry_run(&self) -> Result<bool, ApiError> {
        match self.query.get("dryRun") {
            None => Ok(false),
            Some("All") => Ok(true),
            Some(other) => Err(ApiError::bad_request(format!(
                "dryRun: Unsupported value: {other:?}: supported values: \"All\""
            ))),
        }
    }

    fn change(&self, operation: Operation) -> Result<Change<'a>, ApiError> {
        let &Writer { server, user, target, query, .. } = self;
        Ok(Change {
            server,
            user,
            target,
            operation,
            manager: self.manager(),
            apply: false,
            dry_run: self.dry_run()?,
            options: query.clone(),
            warnings: Vec::new(),
        })
    }

    fn answer(
        &self,
        code: StatusCode,
        stored: Value,
        warnings: &[String],
    ) -> Result<Response<Body>, ApiError> {
        let form = read::form(self.headers)?;
        let value = read::served(self.target.kind, self.target.version, stored);
        let shown = read::shaped(self.server, self.target, self.query, form, value);
        let mut response = reply::json(code, &shown);
        reply::warn(&mut response, warnings);
        Ok(response)
    }

    /// POST.
    pub async fn create(&self, received: &Received) -> Result<Response<Body>, ApiError> {
        let mut change = self.change(Operation::Create)?;
        let mut value = self.sent(received, &mut change.warnings)?;
        let generated = name_it(&mut value, self.target)?;
        let namespace = &self.target.namespace;
        prepare::for_create(change.kind(), &mut value, namespace, self.server.now())?;
        let mut outcome = change.run(None, value.clone()).await;
        for _ in 0..ATTEMPTS {
            // A generated name that is taken is the server's bad luck, not the client's mistake.
            let taken = matches!(&outcome, Err(error) if error.reason == "AlreadyExists");
            if !(generated && taken) {
                break;
            }
            object::meta_mut(&mut value).shift_remove("name");
            name_it(&mut value, self.target)?;
            outcome = change.run(None, value.clone()).await;
        }
        self.answer(StatusCode::CREATED, outcome?, &change.warnings)
    }

    /// PUT.
    pub async fn update(&self, received: &Received) -> Result<Response<Body>, ApiError> {
        let mut change = self.change(Operation::Update)?;
        let value = self.sent(received, &mut change.warnings)?;
        let compute = |_: &Value| {
            check_versioned(self.target, &value)?;
            Ok(value.clone())
        };
        let stored = self.retry(&mut change, compute).await?;
        self.answer(StatusCode::OK, stored, &change.warnings)
    }

    /// The object of a body, checked against its schema and the path, in the form in which it is stored.
    fn sent(&self, received: &Received, warnings: &mut Vec<String>) -> Result<Value, ApiError> {
        let Target { kind, version, name, .. } = self.target;
        let mut value = received.object()?;
        prepare::check_type(&mut value, kind, version, false)?;
        let twice = received.duplicates();
        check::shape(kind, version, self.query, &twice, &mut value, warnings)?;
        if !name.is_empty() {
            check_name(&value, name)?;
        }
        check_namespace(self.target, &value)?;
        Ok(to_stored(self.target, value))
    }

    /// Computes a new object from the current one and stores it; again on a newer one if another
    /// writer came first and the new object names no resource version.
    async fn retry(
        &self,
        change: &mut Change<'_>,
        mut compute: impl FnMut(&Value) -> Result<Value, ApiError>,
    ) -> Result<Value, ApiError> {
        let kind = change.kind();
        let name = &self.target.name;
        for _ in 0..ATTEMPTS {
            let stored = self.server.store.get(&self.target.key());
            let stored = stored.ok_or_else(|| ApiError::not_found(kind, name))?;
            let old = object::parse_stored(&stored.bytes);
            let mut new = compute(&old)?;
            let sent = object::meta(&new, "resourceVersion").to_owned();
            let current = object::meta(&old, "resourceVersion");
            if !sent.is_empty() && sent != current {
                return Err(ApiError::modified(kind, name));
            }
            prepare::for_update(kind, &old, &mut new, &self.target.subresource)?;
            let before = change.warnings.len();
            match change.run(Some((&old, stored.rv)), new).await {
                // Whoever named a resource version finds it outdated in the next round.
                Err(error) if error.reason == "Conflict" => change.warnings.truncate(before),
                outcome => return outcome,
            }
        }
        Err(ApiError::modified(kind, name))
    }
}

/// An object of the path's version as it is stored.
fn to_stored(target: &Target, value: Value) -> Value {
    let kind = crate::catalog::kind_of(&target.key());
    let value = if target.kind.stored_as.is_some() { events::to_core(value) } else { value };
    object::normalize(value, &crate::catalog::storage_version(kind), kind.kind)
}

/// Makes a name of `generateName` if there is none; says whether it did.
fn name_it(value: &mut Value, target: &Target) -> Result<bool, ApiError> {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    if !object::meta(value, "name").is_empty() {
        return Ok(false);
    }
    let prefix = object::meta(value, "generateName");
    if prefix.is_empty() {
        let cause = Cause::required("metadata.name", "name or generateName is required");
        return Err(ApiError::invalid(target.kind, "", vec![cause]));
    }
    let letter = |_| char::from(LETTERS[rand::random_range(0..LETTERS.len())]);
    let suffix: String = (0..5).map(letter).collect();
    let name: String = prefix.chars().take(58).chain(suffix.chars()).collect();
    object::meta_mut(value).insert("name".to_owned(), json!(name));
    Ok(true)
}

fn check_name(value: &Value, expected: &str) -> Result<(), ApiError> {
    let name = object::meta(value, "name");
    if name.is_empty() || name == expected {
        return Ok(());
    }
    let message =
        format!("the name of the object ({name}) does not match the name on the URL ({expected})");
    Err(ApiError::bad_request(message))
}

/// A custom resource is replaced only by who says which version of it; a patch names the current one.
fn check_versioned(target: &Target, value: &Value) -> Result<(), ApiError> {
    let version = object::meta(value, "resourceVersion");
    if !crate::openapi::is_custom(target.kind) || !matches!(version, "" | "0") {
        return Ok(());
    }
    let cause = Cause {
        reason: "FieldValueInvalid".to_owned(),
        message: "Invalid value: 0x0: must be specified for an update".to_owned(),
        field: "metadata.resourceVersion".to_owned(),
    };
    Err(ApiError::invalid(target.kind, &target.name, vec![cause]))
}

fn check_namespace(target: &Target, value: &Value) -> Result<(), ApiError> {
    let sent = object::meta(value, "namespace");
    if sent.is_empty() || sent == target.namespace || !target.kind.namespaced {
        return Ok(());
    }
    let message =
        "the namespace of the provided object does not match the namespace sent on the request";
    Err(ApiError::bad_request(message))
}
