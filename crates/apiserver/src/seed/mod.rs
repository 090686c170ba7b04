//! What is there before anybody writes, and what comes back if it is deleted: in, an empty or older
//! store; out, the namespaces, what each of them holds, and the Service of the API itself.

mod service;

use lateen_api::kinds::{Kind, by_kind};
use serde_json::{Value, json};

use crate::catalog;
use crate::object;
use crate::server::Server;
use crate::store::{Expect, Write, WriteError};

const NAMESPACES: [&str; 5] =
    ["default", "kube-system", "kube-public", "kube-node-lease", "istio-system"];

/// Makes what is missing of the namespaces that every cluster has, and of all others what an earlier
/// start left undone.
pub async fn populate(server: &Server) -> Result<(), WriteError> {
    for name in NAMESPACES {
        let namespace = json!({
            "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
            "spec": {"finalizers": ["kubernetes"]},
            "status": {"phase": "Active"},
        });
        if let Some(write) = missing(server, kind("", "Namespace"), "", namespace) {
            let mut writes = vec![write];
            writes.extend(content(server, name));
            server.store.write_all(writes).await?;
        }
    }
    repair(server).await;
    Ok(())
}

/// Makes again what was deleted and has to be there. What fails is logged, and the next sweep tries
/// again.
pub async fn repair(server: &Server) {
    for (key, stored) in server.store.all(catalog::NAMESPACES, None) {
        if stored.deleting {
            continue;
        }
        for write in content(server, &key.name) {
            let name = write.key.name.clone();
            match server.store.write(write).await {
                // Somebody else made it, or the namespace is on its way out.
                Ok(_)
                | Err(
                    WriteError::Exists | WriteError::NoNamespace | WriteError::NamespaceTerminating,
                ) => {}
                Err(error) => {
                    tracing::warn!(namespace = key.name, name, %error, "cannot populate");
                }
            }
        }
    }
    if let Err(error) = service::ensure(server).await {
        tracing::warn!(%error, "cannot write the service of the api itself");
    }
}

/// What a namespace lacks of its default ServiceAccount and its copy of the CA.
pub fn content(server: &Server, namespace: &str) -> Vec<Write> {
    let account = json!({"metadata": {"name": "default"}});
    let about = "Contains a CA bundle that can be used to verify the kube-apiserver";
    let bundle = json!({
        "metadata": {
            "name": "kube-root-ca.crt",
            "annotations": {"kubernetes.io/description": about},
        },
        "data": {"ca.crt": server.ca_pem},
    });
    [("ServiceAccount", account), ("ConfigMap", bundle)]
        .into_iter()
        .filter_map(|(name, object)| missing(server, kind("", name), namespace, object))
        .collect()
}

/// The creation of an object, unless it is there.
fn missing(server: &Server, kind: &Kind, namespace: &str, value: Value) -> Option<Write> {
    let key = catalog::key(kind, namespace, object::meta(&value, "name"));
    server.store.get(&key).is_none().then(|| creation(server, kind, namespace, value))
}

/// The creation of an object with the metadata that the server gives.
fn creation(server: &Server, kind: &Kind, namespace: &str, mut value: Value) -> Write {
    let key = catalog::key(kind, namespace, object::meta(&value, "name"));
    let metadata = object::meta_mut(&mut value);
    if kind.namespaced {
        metadata.insert("namespace".to_owned(), json!(namespace));
    }
    metadata.insert("uid".to_owned(), json!(object::uuid()));
    metadata.insert("creationTimestamp".to_owned(), json!(object::timestamp(server.now())));
    let value = object::normalize(value, &catalog::storage_version(kind), kind.kind);
    Write { key, expect: Expect::Absent, object: Some(value) }
}

/// A kind that is in the table.
pub fn kind(group: &str, name: &str) -> &'static Kind {
    by_kind(group, name).expect("the table of kinds has the kinds of the core")
}
