//! One object by itself. In: its JSON, as the API has it. Out: what the model is made of, and what is wrong with its
//! text or that nothing comes of it.

use std::collections::BTreeSet;

use lateen_api::issue::{Issue, ObjectRef};
use lateen_api::kinds::{Kind, Source};
use lateen_api::resource::Resource;
use lateen_api::validate::validate;
use lateen_kube::watch::decode;
use lateen_model::convert::NOT_SUPPORTED;
use serde_json::{Value, json};

use crate::writer::follows;

/// An object, as far as its own text tells.
pub struct Reading {
    pub object: ObjectRef,
    /// `None` for what cannot be read.
    pub resource: Option<Resource>,
    pub issues: BTreeSet<Issue>,
    /// Of one of Istio's kinds, as the API has it.
    pub status: Value,
}

/// Reads an object as the mesh does.
pub fn reading(kind: &'static Kind, mut value: Value) -> Reading {
    let (mut issues, mut status) = (BTreeSet::new(), Value::Null);
    if kind.source == Source::Istio {
        let found = value.as_object_mut().and_then(|fields| fields.remove("status"));
        status = found.unwrap_or_default();
        // Without the status: it is not the user's text.
        issues.extend(validate(kind, kind.storage_version(), &value));
        match kind.kind {
            "WorkloadEntry" => value["status"] = health(&status),
            "ServiceEntry" => value["status"] = given(&status),
            _ => {}
        }
    }
    let without_effect = without_effect(kind, &value);
    let decoded = decode(kind, value);
    issues.extend(decoded.issues);
    issues.extend(without_effect.map(|issue| issue(decoded.object.clone())));
    Reading { object: decoded.object, resource: decoded.resource, issues, status }
}

/// That nothing acts on an object, if that is so: an error where somebody might feel safe behind it.
fn without_effect(kind: &Kind, object: &Value) -> Option<impl FnOnce(ObjectRef) -> Issue + use<>> {
    let idle = kind.kind == "WorkloadGroup"
        || kind.kind == "PeerAuthentication" && !demands_mtls(&object["spec"]);
    if idle || follows(kind) {
        return None;
    }
    let (name, protects) = (kind.kind, kind.group == "security.istio.io");
    Some(move |object| match protects {
        true => {
            let text =
                format!("{name} is not enforced yet: connections pass as if it were not there");
            Issue::error(object, "", NOT_SUPPORTED, text)
        }
        false => {
            let text = format!("{name} has no effect here yet: remove it or do without its effect");
            Issue::warning(object, "", NOT_SUPPORTED, text)
        }
    })
}

/// Plain text, which is all that there is yet, is what every other mode takes.
fn demands_mtls(spec: &Value) -> bool {
    let ports = spec["portLevelMtls"].as_object().into_iter().flat_map(|ports| ports.values());
    std::iter::once(&spec["mtls"]).chain(ports).any(|mtls| mtls["mode"] == "STRICT")
}

/// As much of a ServiceEntry's status as the mesh follows.
fn given(status: &Value) -> Value {
    let all = status["addresses"].as_array().into_iter().flatten();
    json!({ "addresses": all.collect::<Vec<&Value>>() })
}

/// As much of a WorkloadEntry's status as the mesh follows.
fn health(status: &Value) -> Value {
    let all = status["conditions"].as_array().into_iter().flatten();
    let health: Vec<&Value> = all.filter(|condition| condition["type"] == "Healthy").collect();
    json!({ "conditions": health })
}
