//! The WorkloadEntry by which the mesh knows a local program.
//!
//! In: who the workload is. Out: an object that exists as long as its owner does. The owner's process
//! is named in its annotations, so that one left behind by a killed process can be told from a living one.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context, Result, bail};
use lateen_api::kinds::{Kind, by_kind};
use lateen_control::owner::Owner;
use lateen_kube::Client;
use lateen_runtime::process::ProcessId;
use serde_json::{Value, json};

const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

pub(super) struct Workload<'a> {
    pub(super) name: &'a str,
    pub(super) namespace: &'a str,
    pub(super) labels: &'a BTreeMap<String, String>,
    pub(super) service_account: &'a str,
    pub(super) address: Ipv4Addr,
    pub(super) home: &'a Path,
}

/// Refuses a name that a living process, or somebody who is not us, has; clears one left by the dead.
pub(super) async fn reserve(client: &Client, namespace: &str, name: &str) -> Result<()> {
    let Some(existing) = client.get(kind(), Some(namespace), name).await? else { return Ok(()) };
    match Owner::of(&existing).map(|owner| owner.process) {
        None => bail!(
            "a WorkloadEntry {namespace}/{name} exists that `lateen run` did not make: choose another --name, or delete it"
        ),
        Some(owner) if owner.is_alive() => bail!(
            "a workload {namespace}/{name} runs already (process {}): choose another --name, or end it",
            owner.pid
        ),
        Some(_) => delete_this(client, namespace, name, &existing).await,
    }
}

pub(super) async fn create(client: &Client, workload: &Workload<'_>) -> Result<()> {
    let owner = Owner::current(workload.home);
    client
        .create(kind(), object(workload, &owner))
        .await
        .with_context(|| format!("cannot register the workload {}", workload.name))?;
    Ok(())
}

/// Deletes the entry if it is still this process's.
pub(super) async fn delete(client: &Client, namespace: &str, name: &str) -> Result<()> {
    match client.get(kind(), Some(namespace), name).await? {
        Some(existing) if is_ours(&existing) => {
            delete_this(client, namespace, name, &existing).await
        }
        _ => Ok(()),
    }
}

/// Deletes what was read, and not what took its name since.
async fn delete_this(client: &Client, namespace: &str, name: &str, entry: &Value) -> Result<()> {
    let uid = entry["metadata"]["uid"].as_str().unwrap_or_default();
    client.delete_exact(kind(), Some(namespace), name, uid).await?;
    Ok(())
}

fn kind() -> &'static Kind {
    by_kind("networking.istio.io", "WorkloadEntry").expect("the table of kinds has WorkloadEntry")
}

fn is_ours(entry: &Value) -> bool {
    Owner::of(entry).is_some_and(|owner| owner.process == ProcessId::current())
}

fn object(workload: &Workload<'_>, owner: &Owner) -> Value {
    let mut labels = workload.labels.clone();
    labels.insert(MANAGED_BY.into(), "lateen".into());
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "WorkloadEntry",
        "metadata": {
            "name": workload.name,
            "namespace": workload.namespace,
            "labels": labels,
            "annotations": owner.annotations(),
        },
        "spec": {
            "address": workload.address.to_string(),
            "labels": workload.labels,
            "serviceAccount": workload.service_account,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::{Owner, ProcessId, Workload, object};

    #[test]
    fn the_entry_names_its_owner_and_carries_the_labels() {
        let labels = [("app".to_owned(), "echo".to_owned())].into();
        let workload = Workload {
            name: "echo",
            namespace: "default",
            labels: &labels,
            service_account: "default",
            address: [10, 201, 0, 2].into(),
            home: "/h".as_ref(),
        };
        let owner = Owner { process: ProcessId { pid: 7, start: 99 }, home: "/h".into() };
        let entry = object(&workload, &owner);
        assert_eq!(Owner::of(&entry), Some(owner));
        assert_eq!(entry["spec"]["labels"]["app"], "echo");
        assert_eq!(entry["spec"]["labels"].as_object().unwrap().len(), 1);
        assert_eq!(entry["metadata"]["labels"]["app"], "echo");
        assert_eq!(entry["spec"]["address"], "10.201.0.2");
    }
}
