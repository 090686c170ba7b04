//! Admission webhooks: in, a change; out, the object as the mutating ones leave it, and the consent
//! of the validating ones. Configurations are the stored objects themselves, in the order of their
//! names.

mod client;
mod matching;
mod review;

use std::collections::BTreeMap;

use lateen_api::kinds::by_kind;
use serde_json::Value;

use crate::catalog;
use crate::error::ApiError;
use crate::object;
use crate::patch::{self, Patch, PatchContext};
use crate::write::{Change, Operation};
use matching::Hook;
use review::Verdict;

const GROUP: &str = "admissionregistration.k8s.io";

/// Asks the mutating webhooks one after the other; one whose `reinvocationPolicy` is `IfNeeded` is
/// asked once more if another changed the object after it. `new` is null for a removal.
pub async fn mutate(
    change: &mut Change<'_>,
    old: Option<&Value>,
    new: Value,
) -> Result<Value, ApiError> {
    let hooks = hooks(change, "MutatingWebhookConfiguration", old, &new);
    if hooks.is_empty() {
        return Ok(new);
    }
    let mut new = new;
    let mut seen: BTreeMap<usize, Value> = BTreeMap::new();
    for round in 0..2 {
        for (index, hook) in hooks.iter().enumerate() {
            let again = hook.reinvoke && seen.get(&index).is_some_and(|seen| *seen != new);
            if round == 1 && !again {
                continue;
            }
            if let Some(patched) = ask_to_change(change, hook, old, &new).await? {
                new = patched;
            }
            seen.insert(index, new.clone());
        }
    }
    Ok(new)
}

async fn ask_to_change(
    change: &mut Change<'_>,
    hook: &Hook,
    old: Option<&Value>,
    new: &Value,
) -> Result<Option<Value>, ApiError> {
    let shown = Some(new).filter(|new| !new.is_null());
    let Some(verdict) = ask(change, hook, old, shown).await? else { return Ok(None) };
    let Some(operations) = verdict.patch else { return Ok(None) };
    if change.operation == Operation::Delete {
        return Ok(None);
    }
    let kind = change.target.kind;
    let now = object::timestamp(change.server.now());
    let context = PatchContext {
        manager: &change.manager,
        force: false,
        subresource: None,
        now: &now,
        api_version: &change.target.api_version(),
    };
    let patched = patch::apply(kind, Patch::Json(operations), Some(new), &context);
    let patched = patched.map_err(|error| {
        ApiError::internal(format!("applying the patch of webhook {}: {error}", hook.name))
    })?;
    let whole = patched["apiVersion"] == new["apiVersion"] && patched["kind"] == new["kind"];
    if whole && patched["metadata"].is_object() {
        return Ok(Some(patched));
    }
    let message = format!("the patch of webhook {} changes what the object is", hook.name);
    Err(ApiError::internal(message))
}

/// Asks the validating webhooks; the first refusal counts.
pub async fn validate(
    change: &mut Change<'_>,
    old: Option<&Value>,
    new: Option<&Value>,
) -> Result<(), ApiError> {
    let null = Value::Null;
    for hook in hooks(change, "ValidatingWebhookConfiguration", old, new.unwrap_or(&null)) {
        ask(change, &hook, old, new).await?;
    }
    Ok(())
}

/// One question. Nothing if the webhook failed and its policy is to ignore that.
async fn ask(
    change: &mut Change<'_>,
    hook: &Hook,
    old: Option<&Value>,
    new: Option<&Value>,
) -> Result<Option<Verdict>, ApiError> {
    if change.dry_run && !hook.without_side_effects {
        let message = format!("admission webhook \"{}\" does not support dry run", hook.name);
        return Err(ApiError::bad_request(message));
    }
    let uid = object::uuid();
    let question = review::question(change, &uid, old, new);
    let call = client::call(&change.server.store, hook, &question);
    let answer = match tokio::time::timeout(hook.timeout, call).await {
        Ok(answer) => answer.and_then(|answer| review::verdict(&answer, &uid)),
        Err(_) => Err("context deadline exceeded: the webhook did not answer in time".to_owned()),
    };
    match answer {
        Ok(verdict) => {
            change.warnings.extend(verdict.warnings.iter().cloned());
            match review::denial(&hook.name, &verdict) {
                Some(denial) => Err(denial),
                None => Ok(Some(verdict)),
            }
        }
        Err(error) if hook.ignore_failure => {
            tracing::warn!(webhook = hook.name, error, "webhook failed; its policy is to go on");
            Ok(None)
        }
        Err(error) => {
            let message = format!("failed calling webhook \"{}\": {error}", hook.name);
            Err(ApiError::internal(message))
        }
    }
}

/// The webhooks that a change concerns, in order.
fn hooks(change: &Change<'_>, kind: &str, old: Option<&Value>, new: &Value) -> Vec<Hook> {
    if change.target.kind.group == GROUP {
        // Else a broken configuration could not be mended.
        return Vec::new();
    }
    let kind = by_kind(GROUP, kind).expect("the table of kinds has webhook configurations");
    let configurations = change.server.store.all(catalog::resource_id(kind), None);
    if configurations.is_empty() {
        return Vec::new();
    }
    let labels = namespace_of(change, old, new);
    let mut hooks = Vec::new();
    for (_, stored) in configurations {
        let configuration = object::parse_stored(&stored.bytes);
        for hook in configuration["webhooks"].as_array().into_iter().flatten() {
            if matching::concerns(hook, change, old, new, labels.as_ref()) {
                hooks.push(Hook::read(hook));
            }
        }
    }
    hooks
}

/// The object whose labels a `namespaceSelector` looks at: the namespace, which may be the object
/// itself; nothing for other objects of the cluster.
fn namespace_of(change: &Change<'_>, old: Option<&Value>, new: &Value) -> Option<Value> {
    let target = change.target;
    if target.kind.group.is_empty() && target.kind.kind == "Namespace" {
        return if new.is_null() { old.cloned() } else { Some(new.clone()) };
    }
    if !target.kind.namespaced {
        return None;
    }
    let key = catalog::key(catalog::namespace_kind(), "", &target.namespace);
    let stored = change.server.store.get(&key);
    Some(stored.map_or(Value::Null, |stored| object::parse_stored(&stored.bytes)))
}
