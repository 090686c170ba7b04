//! Pods that started before the agent did: the container that checks their rules fails, again and again. In:
//! the pods of a node as the API sees them. Out: their rules, laid from here, after which the check passes; or
//! they are deleted or labelled, as the settings say.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use lateen_inject::node_agent::failed_validations;
use lateen_kube::events::{Occurrence, record};
use lateen_kube::watch::{Event, Scope, watch_scope};
use lateen_netns::find;
use serde_json::{Value, json};

use super::flags::Means;
use super::{Agent, answers, blocking, kind};
use crate::interception::rules;

const COMPONENT: &str = "cni-repair";

/// How often a pod had failed when it was looked after, by its UID.
type Done = BTreeMap<String, i64>;

/// Runs until dropped.
pub async fn run(node: String, agent: Arc<Agent>) -> Result<()> {
    ensure!(!node.is_empty(), "NODE_NAME is not set: it is the node whose pods are repaired");
    let mut events = watch_scope(agent.client.clone(), kind("", "Pod"), &Scope::of_node(&node));
    let mut done = Done::new();
    while let Some(event) = events.next().await {
        match event {
            Event::Put(_, pod) => agent.look_after(&pod, &mut done).await,
            Event::Replace(_, pods) => {
                done.retain(|uid, _| pods.iter().any(|pod| pod["metadata"]["uid"] == uid.as_str()));
                for pod in &pods {
                    agent.look_after(pod, &mut done).await;
                }
            }
            Event::Delete(_, pod) => {
                done.remove(pod["metadata"]["uid"].as_str().unwrap_or_default());
            }
            Event::Unserved(_) => {}
        }
    }
    Ok(())
}

impl Agent {
    async fn look_after(&self, pod: &Value, done: &mut Done) {
        let repair = &self.options.repair;
        let (Some(means), Some(failures)) =
            (repair.means, failed_validations(pod, &repair.container))
        else {
            return;
        };
        let metadata = &pod["metadata"];
        let text = |field: &str| metadata[field].as_str().unwrap_or_default();
        let (namespace, name, uid) = (text("namespace"), text("name"), text("uid"));
        let is_going = !metadata["deletionTimestamp"].is_null();
        if is_going
            || self.options.excluded_namespaces.iter().any(|one| one == namespace)
            || done.get(uid).is_some_and(|before| *before >= failures)
        {
            return;
        }
        let outcome = match means {
            Means::Repair => self.repair(pod).await,
            Means::Delete => self.delete(namespace, name, uid).await,
            Means::Label => self.label(pod, namespace, name).await,
        };
        self.metrics.repaired(means.word(), outcome.is_ok());
        let message = match &outcome {
            Ok(()) => format!("it started without interception rules: {}", means.done()),
            Err(error) => {
                format!("it started without interception rules, and cannot be helped: {error:#}")
            }
        };
        match outcome {
            Ok(()) => {
                tracing::info!(namespace, name, "{message}");
                // What fails is tried again when the pod's check has failed again.
                done.insert(uid.to_owned(), failures);
            }
            Err(_) => tracing::warn!(namespace, name, "{message}"),
        }
        let occurrence = Occurrence { severity: "Warning", reason: means.reason(), message };
        if let Err(error) = record(&self.client, COMPONENT, pod, &occurrence, true).await {
            tracing::debug!(%error, "an event could not be recorded");
        }
    }

    async fn repair(&self, pod: &Value) -> Result<()> {
        let Some(Ok(told)) = answers::told(pod, &self.resolv_conf)? else { return Ok(()) };
        let intercept = rules::read(&told)?.context("nothing of it is intercepted")?;
        let ips = pod["status"]["podIPs"].as_array().into_iter().flatten();
        let addresses: Vec<IpAddr> =
            ips.filter_map(|one| one["ip"].as_str()?.parse().ok()).collect();
        ensure!(!addresses.is_empty(), "it has no address yet");
        let proc = self.options.proc.clone();
        let remarks = blocking(move || {
            let namespace = find::of_addresses(&proc, &addresses)?;
            rules::lay(&intercept, namespace.as_fd())
        });
        for remark in remarks.await? {
            tracing::warn!("{remark}");
        }
        Ok(())
    }

    /// Once the plugin is in the chain: the pod that takes this one's place would be without rules again.
    async fn delete(&self, namespace: &str, name: &str, uid: &str) -> Result<()> {
        if !*self.chained.borrow() {
            tracing::info!(
                namespace,
                name,
                "a pod without rules goes once the plugin is in the chain"
            );
            self.chained.subscribe().wait_for(|is| *is).await?;
        }
        self.client.delete_exact(kind("", "Pod"), Some(namespace), name, uid).await?;
        Ok(())
    }

    /// By its status, which asks for fewer rights than the pod.
    async fn label(&self, pod: &Value, namespace: &str, name: &str) -> Result<()> {
        let (key, value) = &self.options.repair.label;
        if pod["metadata"]["labels"][key].is_string() {
            return Ok(());
        }
        let patch = json!({ "metadata": { "labels": { key: value } } });
        Ok(self.client.patch_status(kind("", "Pod"), Some(namespace), name, &patch).await?)
    }
}

impl Means {
    fn word(self) -> &'static str {
        match self {
            Means::Repair => "repair",
            Means::Delete => "delete",
            Means::Label => "label",
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Means::Repair => "RepairBrokenPod",
            Means::Delete => "DeleteBrokenPod",
            Means::Label => "LabelBrokenPod",
        }
    }

    fn done(self) -> &'static str {
        match self {
            Means::Repair => "the node's agent has laid them",
            Means::Delete => "the node's agent has deleted it",
            Means::Label => "the node's agent has labelled it",
        }
    }
}
