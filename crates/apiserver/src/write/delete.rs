//! Deleting: in, a target and options; out, the object gone, or marked and waiting for its
//! finalizers.

use std::sync::Arc;

use http::Response;
use lateen_api::intent::Intent;
use serde_json::{Value, json};

use super::body::Received;
use super::{ATTEMPTS, Change, Operation, Writer};
use crate::catalog;
use crate::error::ApiError;
use crate::object;
use crate::read::{self, Filter};
use crate::reply::{self, Body};
use crate::route::Target;
use crate::server::Server;
use crate::store::{Expect, Key, Stored, Write, WriteError};

/// Namespaces without which the mesh or kubectl has no place to stand.
const LASTING: [&str; 3] = ["default", "kube-system", "kube-public"];

/// What becomes of the objects owned by a deleted one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// They are deleted afterwards.
    Background,
    /// They are deleted first.
    Foreground,
    /// They stay, without the owner.
    Orphan,
}

struct Options {
    propagation: Propagation,
    uid: Option<String>,
    resource_version: Option<String>,
    dry_run: bool,
}

impl Writer<'_> {
    /// DELETE of one object.
    pub async fn delete(&self, received: &Received) -> Result<Response<Body>, ApiError> {
        let options = self.options(received)?;
        let (value, gone, warnings) = self.delete_one(self.target, &options).await?;
        let kind = self.target.kind;
        let answer = if gone {
            let mut details = json!({
                "name": self.target.name, "kind": kind.plural, "uid": value["metadata"]["uid"],
            });
            if !kind.group.is_empty() {
                details["group"] = json!(kind.group);
            }
            json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                "details": details,
            })
        } else {
            read::served(kind, self.target.version, value)
        };
        let mut response = reply::ok(&answer);
        reply::warn(&mut response, &warnings);
        Ok(response)
    }

    /// DELETE of all objects that the selectors let through.
    pub async fn delete_collection(&self, received: &Received) -> Result<Response<Body>, ApiError> {
        let options = self.options(received)?;
        let filter = Filter::new(self.target, self.query)?;
        let mut deleted = Vec::new();
        for (key, stored) in self.server.store.all(filter.resource(), filter.namespace()) {
            if !filter.covers(&key) || !filter.matches(&stored.bytes) {
                continue;
            }
            let target = Target { namespace: key.namespace, name: key.name, ..self.target.clone() };
            match self.delete_one(&target, &options).await {
                Ok((value, ..)) => {
                    deleted.push(read::served(target.kind, target.version, value));
                }
                Err(error) if error.code == 404 => {}
                Err(error) => return Err(error),
            }
        }
        Ok(reply::ok(&json!({
            "kind": format!("{}List", self.target.kind.kind),
            "apiVersion": self.target.api_version(),
            "metadata": {"resourceVersion": self.server.store.revision().to_string()},
            "items": deleted,
        })))
    }

    fn options(&self, received: &Received) -> Result<Options, ApiError> {
        let body = if received.bytes.is_empty() { json!({}) } else { received.object()? };
        let word = |name: &str| body[name].as_str().or(self.query.get(name));
        let orphans =
            body["orphanDependents"].as_bool().unwrap_or(self.query.flag("orphanDependents"));
        let propagation = match word("propagationPolicy") {
            Some("Orphan") => Propagation::Orphan,
            Some("Foreground") => Propagation::Foreground,
            None if orphans => Propagation::Orphan,
            Some("Background") | None => Propagation::Background,
            Some(other) => {
                let message = format!("propagationPolicy: Unsupported value: {other:?}");
                return Err(ApiError::new(422, "Invalid", message));
            }
        };
        let precondition = |name: &str| body["preconditions"][name].as_str().map(str::to_owned);
        Ok(Options {
            propagation,
            uid: precondition("uid"),
            resource_version: precondition("resourceVersion"),
            dry_run: self.dry_run()? || body["dryRun"][0] == "All",
        })
    }

    async fn delete_one(
        &self,
        target: &Target,
        options: &Options,
    ) -> Result<(Value, bool, Vec<String>), ApiError> {
        let kind = catalog::kind_of(&target.key());
        let name = &target.name;
        for _ in 0..ATTEMPTS {
            let stored = self.server.store.get(&target.key());
            let stored = stored.ok_or_else(|| ApiError::not_found(kind, name))?;
            let old = object::parse_stored(&stored.bytes);
            for (field, wanted) in
                [("uid", &options.uid), ("resourceVersion", &options.resource_version)]
            {
                let found = object::meta(&old, field);
                if let Some(wanted) = wanted.as_deref().filter(|wanted| *wanted != found) {
                    let why = format!(
                        "Precondition failed: {field} in precondition: {wanted}, {field} in object \
                         meta: {found}"
                    );
                    return Err(ApiError::conflict(kind, name, &why));
                }
            }
            if kind.kind == "Namespace" && LASTING.contains(&name.as_str()) {
                return Err(ApiError::forbidden(kind, name, "this namespace may not be deleted"));
            }
            let change = self.change(Operation::Delete)?;
            let mut change = Change { target, dry_run: options.dry_run, ..change };
            crate::admission::mutate(&mut change, Some(&old), Value::Null).await?;
            crate::admission::validate(&mut change, Some(&old), None).await?;
            // The answer of a collection has no place for it.
            if !self.target.name.is_empty() {
                change.warn_of_outlook(&old, Intent::Remove).await;
            }
            let warnings = change.warnings;
            if options.dry_run {
                return Ok((old, true, warnings));
            }
            let (server, key) = (Arc::clone(self.server), target.key());
            let propagation = options.propagation;
            let begun = async move { begin(&server, &key, &stored, propagation).await };
            let begun = self.server.owned.run(begun).await.ok_or_else(ApiError::unfinished)?;
            match begun {
                Ok((value, gone)) => return Ok((value, gone, warnings)),
                Err(WriteError::Conflict) => {}
                Err(error) => {
                    return Err(ApiError::from_write(error, kind, &target.namespace, name));
                }
            }
        }
        Err(ApiError::modified(kind, name))
    }
}

/// Removes an object, or marks it if something has to happen first. Says whether it is gone.
pub async fn begin(
    server: &Server,
    key: &Key,
    stored: &Stored,
    propagation: Propagation,
) -> Result<(Value, bool), WriteError> {
    let mut value = object::parse_stored(&stored.bytes);
    let is_namespace = key.resource == catalog::NAMESPACES;
    if propagation == Propagation::Orphan {
        crate::controller::orphan_dependents(server, object::meta(&value, "uid")).await;
    }
    let mut finalizers: Vec<String> =
        object::finalizers(&value).into_iter().map(str::to_owned).collect();
    let foreground = crate::controller::FOREGROUND;
    if propagation == Propagation::Foreground && !finalizers.iter().any(|one| one == foreground) {
        finalizers.push(foreground.to_owned());
    }
    let expect = Expect::At(stored.rv);
    if finalizers.is_empty() && !is_namespace {
        let write = Write { key: key.clone(), expect, object: None };
        let written = server.store.write(write).await?;
        server.addresses.release(&written);
        return Ok((written, true));
    }
    if object::is_deleting(&value) {
        return Ok((value, false));
    }
    let now = object::timestamp(server.now());
    let metadata = object::meta_mut(&mut value);
    metadata.insert("deletionTimestamp".to_owned(), json!(now));
    if !finalizers.is_empty() {
        metadata.insert("finalizers".to_owned(), json!(finalizers));
    }
    if !is_namespace {
        metadata.insert("deletionGracePeriodSeconds".to_owned(), json!(0));
    } else {
        object::child_mut(&mut value, "status").insert("phase".to_owned(), json!("Terminating"));
    }
    let write = Write { key: key.clone(), expect, object: Some(value) };
    Ok((server.store.write(write).await?, false))
}
