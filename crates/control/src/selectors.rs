//! Gateways that no gateway proxy serves. In: the gateway proxies that are connected, and snapshots.
//! Out: Istio's finding that a Gateway's `selector` matches nothing.
//!
//! A proxy that starts again, and proxies that connect one after the other, are no reason for alarm: a
//! finding is told only after it has been true for a while, and never while no gateway is connected.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use lateen_api::issue::{Code, Issue};
use lateen_model::Snapshot;
use lateen_model::service::Labels;
use lateen_model::workload::matches;
use lateen_translate::{Proxy, Role};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::findings::{Finder, Findings};
use crate::published::Published;

/// Longer than a gateway takes to start again.
const PATIENCE: Duration = Duration::from_secs(2);

/// The gateway proxies that are connected now, by session.
#[derive(Default)]
pub struct Gateways {
    labels: Mutex<BTreeMap<u64, Labels>>,
    changed: Notify,
}

impl Gateways {
    pub fn connected(&self, session: u64, proxy: &Proxy) {
        if proxy.role == Role::Gateway {
            self.labels().insert(session, proxy.labels.clone());
            self.changed.notify_one();
        }
    }

    pub fn disconnected(&self, session: u64) {
        if self.labels().remove(&session).is_some() {
            self.changed.notify_one();
        }
    }

    /// Their labels.
    pub fn connected_now(&self) -> Vec<Labels> {
        self.labels().values().cloned().collect()
    }

    fn labels(&self) -> MutexGuard<'_, BTreeMap<u64, Labels>> {
        self.labels.lock().expect("no panic while the gateways are held")
    }
}

/// Reports until dropped.
pub async fn run(
    gateways: Arc<Gateways>,
    published: Arc<Published>,
    findings: Arc<Findings>,
) -> anyhow::Result<()> {
    let mut changes = published.changes();
    let mut verdicts = Verdicts::default();
    loop {
        let due = async {
            match verdicts.due() {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = changes.changed() => changed?,
            () = gateways.changed.notified() => {}
            () = due => {}
        }
        let connected = gateways.connected_now();
        let issues = verdicts.look(&published.snapshot(), connected, Instant::now());
        findings.set(Finder::Selectors, issues);
    }
}

/// What is told, and what may have to be.
#[derive(Default)]
struct Verdicts {
    /// The gateways that were connected when there were any.
    last: Vec<Labels>,
    told: BTreeSet<Issue>,
    /// Since when each has been true.
    waiting: BTreeMap<Issue, Instant>,
}

impl Verdicts {
    /// What to tell now. Without a connected gateway nothing new is told, and what is told stays.
    fn look(&mut self, snapshot: &Snapshot, connected: Vec<Labels>, now: Instant) -> Vec<Issue> {
        let away = connected.is_empty();
        if !away {
            self.last = connected;
        }
        let found = unmatched(snapshot, &self.last);
        self.told.retain(|issue| found.contains(issue));
        self.waiting.retain(|issue, _| found.contains(issue) && !away);
        let fresh = found.into_iter().filter(|issue| !self.told.contains(issue) && !away);
        for issue in fresh.collect::<Vec<_>>() {
            let since = *self.waiting.entry(issue.clone()).or_insert(now);
            if now.duration_since(since) >= PATIENCE {
                self.waiting.remove(&issue);
                self.told.insert(issue);
            }
        }
        self.told.iter().cloned().collect()
    }

    fn due(&self) -> Option<Instant> {
        self.waiting.values().min().map(|since| *since + PATIENCE)
    }
}

/// The Gateways whose selector no gateway satisfies. A workload that does counts too: another control
/// plane may serve it.
pub fn unmatched(snapshot: &Snapshot, gateways: &[Labels]) -> BTreeSet<Issue> {
    let served = |selector: &Labels| {
        gateways.iter().any(|labels| matches(selector, labels))
            || snapshot.endpoint_index().workloads().any(|w| matches(selector, &w.labels))
    };
    let all = snapshot.routes().gateways().iter().filter(|gateway| !served(&gateway.selector));
    all.map(|gateway| {
        let labels: Vec<String> =
            gateway.selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let message = format!(
            "no gateway proxy has the labels {}: nothing serves this Gateway; check the selector, or \
             start a gateway with these labels",
            labels.join(",")
        );
        let code = Code::REFERENCED_RESOURCE_NOT_FOUND;
        Issue::error(gateway.meta.object.clone(), "spec.selector", code, message)
    })
    .collect()
}
