//! Ends the WorkloadEntries whose program has ended. `lateen run` deletes its own; this is for the one
//! that could not. In: WorkloadEntries and the process table. Out: deletions.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::StreamExt;
use lateen_kube::Client;
use lateen_kube::watch::Event;
use lateen_runtime::process::ProcessId;
use serde_json::Value;
use tokio::time::MissedTickBehavior;

use crate::owner::Owner;

const PERIOD: Duration = Duration::from_secs(1);

/// An entry that stands for a process here.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Claim {
    process: ProcessId,
    /// Of the entry: one of the same name may be another program's by the time this one is deleted.
    uid: String,
}

/// Namespace and name.
type Name = (String, String);

pub async fn run(client: Client, home: PathBuf) -> anyhow::Result<()> {
    let kind = super::kind("networking.istio.io", "WorkloadEntry");
    let mut events = lateen_kube::watch::watch_all(&client, [kind]);
    let mut claims = BTreeMap::new();
    let mut tick = tokio::time::interval(PERIOD);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(event) => fold(&mut claims, event, &home),
                None => anyhow::bail!("the watch of workload entries ended"),
            },
            _ = tick.tick() => reap(&client, &claims).await,
        }
    }
}

async fn reap(client: &Client, claims: &BTreeMap<Name, Claim>) {
    let kind = super::kind("networking.istio.io", "WorkloadEntry");
    for ((namespace, name), claim) in claims {
        if claim.process.is_alive() {
            continue;
        }
        tracing::info!(
            namespace,
            name,
            pid = claim.process.pid,
            "program ended, removing its entry"
        );
        // A failure is repeated with the next tick: the watch has not said that the entry is gone.
        if let Err(error) = client.delete_exact(kind, Some(namespace), name, &claim.uid).await {
            tracing::warn!(%error, "cannot remove a workload entry");
        }
    }
}

fn fold(claims: &mut BTreeMap<Name, Claim>, event: Event, home: &Path) {
    match event {
        Event::Put(_, value) => {
            match claim(&value, home) {
                Some(claim) => claims.insert(name(&value), claim),
                None => claims.remove(&name(&value)),
            };
        }
        Event::Delete(_, value) => {
            claims.remove(&name(&value));
        }
        Event::Replace(_, values) => {
            let found = values.iter().filter_map(|value| Some((name(value), claim(value, home)?)));
            *claims = found.collect();
        }
        Event::Unserved(_) => claims.clear(),
    }
}

fn name(value: &Value) -> Name {
    let text = |field: &str| value["metadata"][field].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}

/// `None` for an entry that `lateen run` did not make, or made for another home.
fn claim(value: &Value, home: &Path) -> Option<Claim> {
    let owner = Owner::of(value).filter(|owner| owner.home == home)?;
    let uid = value["metadata"]["uid"].as_str()?.to_owned();
    Some(Claim { process: owner.process, uid })
}
