//! The way of every write after its new object is computed: in, the old and the new object; out,
//! the new one as stored. Defaults, mutating webhooks, ownership of fields, checks, address,
//! validating webhooks, store: in this order, and nothing is stored before all have agreed.

use std::sync::Arc;
use std::time::Duration;

use lateen_api::intent::Intent;
use lateen_api::issue::{Issue, ObjectRef, Severity};
use lateen_api::kinds::{Kind, Source, by_kind};
use lateen_api::resource::object_ref;
use lateen_api::validate;
use serde_json::Value;
use tokio::time::timeout;

use super::addresses::Reservation;
use super::{check, defaults, prepare};
use crate::auth::User;
use crate::catalog;
use crate::error::{ApiError, Cause};
use crate::object::{self, MAX_DEPTH};
use crate::patch;
use crate::rbac::{self, Action};
use crate::reply::MOST_WARNINGS;
use crate::route::{Query, Target};
use crate::server::Server;
use crate::store::{Expect, Write, WriteError};

/// How long a write waits to know what it would do to others.
const SOON: Duration = Duration::from_millis(300);

/// What a webhook is told that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A new object.
    Create,
    /// A replacement or patch.
    Update,
    /// A removal.
    Delete,
}

impl Operation {
    /// As AdmissionReview writes it.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Create => "CREATE",
            Operation::Update => "UPDATE",
            Operation::Delete => "DELETE",
        }
    }
}

/// One write on its way.
pub struct Change<'a> {
    /// The server.
    pub server: &'a Arc<Server>,
    /// Who asks.
    pub user: &'a User,
    /// The path.
    pub target: &'a Target,
    /// What happens.
    pub operation: Operation,
    /// The field manager.
    pub manager: String,
    /// Server-side apply, which has settled the ownership of fields itself.
    pub apply: bool,
    /// Whether nothing shall be stored.
    pub dry_run: bool,
    /// The request's options.
    pub options: Query,
    /// What the client shall be told besides the answer.
    pub warnings: Vec<String>,
}

impl Change<'_> {
    /// The kind as it is stored.
    pub fn kind(&self) -> &'static Kind {
        catalog::kind_of(&self.target.key())
    }

    /// Stores `new` over `old` (with its resource version) or as a new object.
    pub async fn run(&mut self, old: Option<(&Value, u64)>, new: Value) -> Result<Value, ApiError> {
        let before = old.map(|(value, _)| value);
        let mut new = self.mutated(before, new).await?;
        rbac::escalation::check(&self.server.store, self.user, self.target, before, &new)?;
        let kind = self.kind();
        if !self.apply {
            let subresource = Some(self.target.subresource.as_str()).filter(|sub| !sub.is_empty());
            let now = object::timestamp(self.server.now());
            let manager = &self.manager;
            patch::managed_fields_update(
                kind,
                before,
                &mut new,
                manager,
                "Update",
                subresource,
                &now,
            );
        }
        let (reservation, refused) = self.addressed(before, &mut new);
        if let Some(old) = before
            && prepare::same(old, &new)
        {
            return Ok(old.clone());
        }
        let subresource = &self.target.subresource;
        check::meaning(kind, subresource, before, &new, refused, &mut self.warnings)?;
        self.warn_of_providers(&new);
        crate::admission::validate(self, before, Some(&new)).await?;
        self.warn_of_outlook(&new, Intent::Store).await;
        if !self.dry_run {
            return self.store(old, new, reservation).await;
        }
        let name = object::meta(&new, "name");
        let there = self.server.store.get(&catalog::key(kind, &self.target.namespace, name));
        if before.is_none() && there.is_some() {
            return Err(ApiError::already_exists(kind, name));
        }
        Ok(new)
    }

    /// Of those that a Telemetry object names and MeshConfig does not have, in the words of the finding that the mesh will
    /// have of it.
    fn warn_of_providers(&mut self, new: &Value) {
        let kind = self.kind();
        if kind.kind != "Telemetry" || !self.target.subresource.is_empty() {
            return;
        }
        let (namespace, name, _) = validate::MESH_CONFIG;
        let maps = by_kind("", "ConfigMap").expect("invariant: the table holds it");
        let map = self.server.store.get(&catalog::key(maps, namespace, name));
        let config = map.and_then(|stored| serde_json::from_slice(&stored.bytes).ok());
        let known = validate::known_providers(config.as_ref());
        let found = validate::unusable_providers(new, &object_ref(kind, new), &known);
        let told = found.into_iter().map(|issue| Issue { severity: Severity::Error, ..issue });
        self.warnings.extend(told.map(|issue| issue.to_string()));
    }

    /// Of what would be wrong with the object, and newly with others, of those that the user may read, as far as that is
    /// known soon. Programs do not read it.
    pub async fn warn_of_outlook(&mut self, object: &Value, intent: fn(Value) -> Intent) {
        let kind = self.kind();
        let is_user_s = self.manager.starts_with("kubectl") && self.target.subresource.is_empty();
        let of_mesh =
            kind.source != Source::Kubernetes || is_service(object) || is_mesh_config(object);
        let foresee = self.server.foresee.get();
        let Some(foresee) = foresee.filter(|_| is_user_s && of_mesh) else {
            return;
        };
        let Ok(said) = timeout(SOON, foresee(kind, intent(object.clone()))).await else { return };
        for (object, text) in said {
            if self.warnings.len() >= MOST_WARNINGS {
                return;
            }
            if self.may_read(&object) && !self.warnings.contains(&text) {
                self.warnings.push(text);
            }
        }
    }

    fn may_read(&self, object: &ObjectRef) -> bool {
        let ObjectRef { group, kind, namespace, name } = object;
        by_kind(group, kind).is_some_and(|kind| {
            let resource = kind.plural.to_owned();
            let action = Action { verb: "get", group, resource, namespace, name, path: "" };
            rbac::allowed(&self.server.store, self.user, &action)
        })
    }

    /// Gives a Service its address and node ports.
    fn addressed(
        &self,
        before: Option<&Value>,
        new: &mut Value,
    ) -> (Option<Reservation>, Vec<Cause>) {
        let kind = self.kind();
        if (kind.group, kind.kind) != ("", "Service") || !self.target.subresource.is_empty() {
            return (None, Vec::new());
        }
        match self.server.addresses.assign(new, before) {
            Ok(reservation) => (Some(reservation), Vec::new()),
            Err(causes) => (None, causes),
        }
    }

    async fn mutated(&mut self, before: Option<&Value>, mut new: Value) -> Result<Value, ApiError> {
        let kind = self.kind();
        let settled = new.clone();
        defaults::apply(kind, &mut new, before);
        let mut new = crate::admission::mutate(self, before, new).await?;
        match before {
            Some(old) => prepare::for_update(kind, old, &mut new, &self.target.subresource)?,
            None => prepare::protect(&settled, &mut new),
        }
        let version = catalog::storage_version(kind);
        let mut new = object::normalize(new, &version, kind.kind);
        defaults::apply(kind, &mut new, before);
        Ok(new)
    }

    async fn store(
        &self,
        old: Option<(&Value, u64)>,
        new: Value,
        reservation: Option<Reservation>,
    ) -> Result<Value, ApiError> {
        let kind = self.kind();
        let name = object::meta(&new, "name").to_owned();
        if object::depth(&new) > MAX_DEPTH {
            let message = format!("the object is nested deeper than {MAX_DEPTH} levels");
            return Err(ApiError::new(422, "Invalid", message));
        }
        let key = catalog::key(kind, &self.target.namespace, &name);
        let is_namespace = key.resource == catalog::NAMESPACES;
        // The last finalizer of an object that is being deleted takes the object with it; a
        // namespace has one of its own kind, in its spec.
        let gone =
            object::is_deleting(&new) && object::finalizers(&new).is_empty() && !is_namespace;
        let expect = old.map_or(Expect::Absent, |(_, rv)| Expect::At(rv));
        let mut writes = vec![Write { key, expect, object: (!gone).then_some(new) }];
        if old.is_none() && is_namespace {
            writes.extend(crate::seed::content(self.server, &name));
        }
        let commit = Commit {
            server: Arc::clone(self.server),
            writes,
            before: old.map(|(value, _)| value.clone()),
            gone,
            reservation,
        };
        let written = self.server.owned.run(commit.run()).await.ok_or_else(ApiError::unfinished)?;
        written.map_err(|error| ApiError::from_write(error, kind, &self.target.namespace, &name))
    }
}

/// What has to happen together, whether or not the client waits for it.
struct Commit {
    server: Arc<Server>,
    /// The object itself first.
    writes: Vec<Write>,
    before: Option<Value>,
    gone: bool,
    reservation: Option<Reservation>,
}

impl Commit {
    async fn run(self) -> Result<Value, WriteError> {
        let written = self.server.store.write_all(self.writes).await?.into_iter().next();
        let written = written.expect("invariant: every write has a result");
        if let Some(reservation) = self.reservation {
            reservation.keep();
        }
        let addresses = &self.server.addresses;
        match &self.before {
            _ if self.gone => addresses.release(&written),
            Some(before) if is_service(before) => addresses.settle(before, &written),
            _ => {}
        }
        Ok(written)
    }
}

/// Of whichever revision.
fn is_mesh_config(value: &Value) -> bool {
    let (namespace, first, _) = validate::MESH_CONFIG;
    let of_revision = |name: &str| {
        name.strip_prefix(first).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    value["kind"] == "ConfigMap"
        && object::meta(value, "namespace") == namespace
        && of_revision(object::meta(value, "name"))
}

fn is_service(value: &Value) -> bool {
    value["apiVersion"] == "v1" && value["kind"] == "Service"
}
