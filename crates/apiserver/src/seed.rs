//! What is there before anybody writes: in, an empty or older store; out, the namespaces and what
//! each of them holds.

use serde_json::{Value, json};

use lateen_api::kinds::by_kind;

use crate::catalog;
use crate::object;
use crate::server::Server;
use crate::store::{Expect, Write, WriteError};

const NAMESPACES: [&str; 5] =
    ["default", "kube-system", "kube-public", "kube-node-lease", "istio-system"];

/// Makes what is missing of the namespaces that every cluster has.
pub async fn populate(server: &Server) -> Result<(), WriteError> {
    for name in NAMESPACES {
        let namespace = json!({
            "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
            "spec": {"finalizers": ["kubernetes"]},
            "status": {"phase": "Active"},
        });
        create(server, "Namespace", "", namespace).await?;
        populate_namespace(server, name).await;
    }
    Ok(())
}

/// Makes a namespace's default ServiceAccount and its copy of the CA. What fails is logged; for the
/// namespaces that every cluster has, the next start tries again.
pub async fn populate_namespace(server: &Server, namespace: &str) {
    let account = json!({"metadata": {"name": "default"}});
    let about = "Contains a CA bundle that can be used to verify the kube-apiserver";
    let bundle = json!({
        "metadata": {
            "name": "kube-root-ca.crt",
            "annotations": {"kubernetes.io/description": about},
        },
        "data": {"ca.crt": server.ca_pem},
    });
    for (kind, object) in [("ServiceAccount", account), ("ConfigMap", bundle)] {
        if let Err(error) = create(server, kind, namespace, object).await {
            tracing::warn!(namespace, kind, %error, "cannot populate the namespace");
        }
    }
}

async fn create(
    server: &Server,
    kind: &str,
    namespace: &str,
    mut value: Value,
) -> Result<(), WriteError> {
    let kind = by_kind("", kind).expect("the table of kinds has the core kinds");
    let key = catalog::key(kind, namespace, object::meta(&value, "name"));
    if server.store.get(&key).is_some() {
        return Ok(());
    }
    let metadata = object::meta_mut(&mut value);
    if kind.namespaced {
        metadata.insert("namespace".to_owned(), json!(namespace));
    }
    metadata.insert("uid".to_owned(), json!(object::uuid()));
    metadata.insert("creationTimestamp".to_owned(), json!(object::timestamp(server.now())));
    let value = object::normalize(value, &catalog::storage_version(kind), kind.kind);
    match server.store.write(Write { key, expect: Expect::Absent, object: Some(value) }).await {
        // Somebody else made it, or the namespace is on its way out.
        Err(WriteError::Exists | WriteError::NoNamespace | WriteError::NamespaceTerminating) => {
            Ok(())
        }
        outcome => outcome.map(|_| ()),
    }
}
