//! What the control plane shows of itself: `/ready`, `/proxies`, `/issues`, `/snapshot` on its admin
//! socket. In: reports of the sessions. Out: pages of JSON.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use lateen_api::xds::ResourceType;
use lateen_runtime::admin::{Handler, Page};
use lateen_translate::{Proxy, Role};
use lateen_xds::server::Protocol;
use lateen_xds::server::delivery::Delivery;
use serde::Serialize;
use serde_json::json;

use crate::acts::Connected;
use crate::dropped::{Dropped, Why};
use crate::findings::Findings;
use crate::metrics::Histogram;
use crate::published::Published;

/// A connected proxy, as `/proxies` shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProxyView {
    pub session: u64,
    /// The node id.
    pub id: String,
    pub name: String,
    pub namespace: String,
    #[serde(skip)]
    pub role: Role,
    /// `delta` or `sotw`.
    pub protocol: &'static str,
    /// By Istio's short name of the type, such as `LDS`.
    pub types: BTreeMap<&'static str, TypeView>,
}

/// What one proxy was sent of one type.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TypeView {
    /// `SYNCED`, `STALE` (sent, not answered yet) or `REJECTED`.
    pub state: &'static str,
    /// The snapshot that was sent last, and the one that was accepted last.
    pub sent: u64,
    pub accepted: Option<u64>,
    pub nonce: String,
    /// From sending to the proxy's answer.
    pub answer_ms: Option<f64>,
    /// From the snapshot's publication to the proxy's acceptance.
    pub push_ms: Option<f64>,
    /// Why the last response was refused.
    pub rejected: Option<String>,
    #[serde(skip)]
    sent_at: Option<Instant>,
}

/// The proxies that are connected now, and what was sent since the start.
#[derive(Default)]
pub struct Proxies {
    all: Mutex<BTreeMap<u64, ProxyView>>,
    /// Proxies that came or went.
    changes: AtomicU64,
    /// Those that are connected to other replicas.
    elsewhere: Mutex<BTreeMap<u64, Workload>>,
    counts: Mutex<Counts>,
    dropped: Dropped,
}

/// Whose a proxy is: namespace, name and its role.
type Workload = (String, String, Role);

/// What was sent to proxies since the start, by Istio's short name of the type.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counts {
    pub pushes: BTreeMap<&'static str, u64>,
    pub rejects: BTreeMap<&'static str, u64>,
    /// Bytes of responses.
    pub sizes: BTreeMap<&'static str, Histogram>,
    /// How long proxies took to accept a new snapshot.
    pub convergence: Histogram,
    /// Telemetry of others that proxies told.
    pub foreign: u64,
    /// Messages of telemetry that would have taken too much memory.
    pub overweight: u64,
}

impl Proxies {
    pub(crate) fn connected(&self, session: u64, proxy: &Proxy, protocol: Protocol) {
        let protocol = match protocol {
            Protocol::Delta => "delta",
            Protocol::StateOfTheWorld => "sotw",
        };
        let view = ProxyView {
            session,
            id: proxy.id.clone(),
            name: proxy.name.clone(),
            namespace: proxy.namespace.clone(),
            role: proxy.role,
            protocol,
            types: BTreeMap::new(),
        };
        self.all().insert(session, view);
        self.changes.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn disconnected(&self, session: u64) {
        self.all().remove(&session);
        self.changes.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn connected_elsewhere(&self, session: u64, proxy: &Proxy) {
        let workload = (proxy.namespace.clone(), proxy.name.clone(), proxy.role);
        self.elsewhere().insert(session, workload);
        self.changes.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn gone_elsewhere(&self, session: u64) {
        self.elsewhere().remove(&session);
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// Those that are connected to this replica or to another.
    pub fn workloads(&self) -> Connected {
        let own = |view: &ProxyView| ((view.namespace.clone(), view.name.clone()), view.role);
        let mut all: Connected = self.all().values().map(own).collect();
        let elsewhere = self.elsewhere();
        let others = elsewhere.values().cloned();
        all.extend(others.map(|(namespace, name, role)| ((namespace, name), role)));
        all
    }

    pub(crate) fn sent(&self, session: u64, kind: ResourceType, delivery: &Delivery) {
        let mut counts = self.counting();
        *counts.pushes.entry(kind.short_name()).or_default() += 1;
        let sizes = counts.sizes.entry(kind.short_name()).or_insert_with(Histogram::of_bytes);
        sizes.observe(delivery.bytes as f64);
        drop(counts);
        self.change(session, kind, |view| {
            view.state = "STALE";
            view.sent = delivery.view;
            view.nonce.clone_from(&delivery.nonce);
            view.sent_at = Some(Instant::now());
        });
    }

    /// `age` is how long ago the delivery's snapshot was published, if it is still the newest; `pushed` whether the
    /// delivery was for the sake of that.
    pub(crate) fn accepted(
        &self,
        session: u64,
        kind: ResourceType,
        delivery: &Delivery,
        age: Option<Duration>,
        pushed: bool,
    ) {
        if let Some(age) = age.filter(|_| pushed) {
            self.counting().convergence.observe(age.as_secs_f64());
        }
        self.change(session, kind, |view| {
            view.accepted = Some(delivery.view);
            view.rejected = None;
            view.push_ms = age.map(milliseconds).or(view.push_ms);
            if view.nonce == delivery.nonce {
                view.state = "SYNCED";
                view.answer_ms = view.sent_at.map(|at| milliseconds(at.elapsed()));
            }
        });
    }

    pub(crate) fn rejected(
        &self,
        session: u64,
        kind: ResourceType,
        delivery: &Delivery,
        message: &str,
    ) {
        *self.counting().rejects.entry(kind.short_name()).or_default() += 1;
        self.change(session, kind, |view| {
            view.rejected = Some(message.to_owned());
            if view.nonce == delivery.nonce {
                view.state = "REJECTED";
                view.answer_ms = view.sent_at.map(|at| milliseconds(at.elapsed()));
            }
        });
    }

    /// Another number after each one that came or went; to be read before they are.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Those that are connected to this replica.
    pub fn list(&self) -> Vec<ProxyView> {
        self.all().values().cloned().collect()
    }

    /// So many connections and samples were not this namespace's proxy's to tell.
    pub(crate) fn refused(&self, namespace: &str, count: usize) {
        if count > 0 {
            self.counting().foreign += count as u64;
            self.dropped.add(Why::Foreign, namespace, count as u64, Instant::now());
        }
    }

    pub(crate) fn overweight(&self) {
        self.counting().overweight += 1;
        self.dropped.add(Why::Overweight, "", 1, Instant::now());
    }

    /// What telemetry was dropped lately.
    pub(crate) fn dropped(&self) -> &Dropped {
        &self.dropped
    }

    pub fn counts(&self) -> Counts {
        self.counting().clone()
    }

    fn counting(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().expect("no panic while the counts are held")
    }

    fn change(&self, session: u64, kind: ResourceType, change: impl FnOnce(&mut TypeView)) {
        if let Some(proxy) = self.all().get_mut(&session) {
            change(proxy.types.entry(kind.short_name()).or_default());
        }
    }

    fn elsewhere(&self) -> MutexGuard<'_, BTreeMap<u64, Workload>> {
        self.elsewhere.lock().expect("no panic while the proxies are held")
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<u64, ProxyView>> {
        self.all.lock().expect("no panic while the proxies are held")
    }
}

/// The pages. `/ready` is 503 until the first snapshot is served.
pub(crate) fn handler(
    proxies: Arc<Proxies>,
    findings: Arc<Findings>,
    published: Arc<Published>,
) -> Handler {
    Arc::new(move |path, _query| match path {
        "/ready" if !published.is_published() => {
            Some(Page::text("waiting for the Kubernetes API\n").with_status(503))
        }
        "/ready" => Some(Page::text("ready\n")),
        "/proxies" => Some(Page::json(&proxies.list())),
        "/issues" => Some(Page::json(&issues(&findings))),
        "/snapshot" => Some(Page::json(&snapshot(&published))),
        _ => None,
    })
}

fn issues(findings: &Findings) -> Vec<serde_json::Value> {
    let verdicts = findings.verdicts();
    let all =
        verdicts.values().flat_map(|verdict| verdict.validation.iter().chain(&verdict.refusals));
    all.map(|issue| {
        json!({
            "object": issue.object.to_string(),
            "path": issue.path,
            "code": issue.code.0,
            "severity": issue.severity.to_string(),
            "message": issue.message,
        })
    })
    .collect()
}

fn snapshot(published: &Published) -> serde_json::Value {
    let snapshot = published.snapshot();
    json!({ "version": snapshot.version(), "rootNamespace": snapshot.root_namespace() })
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use envoy_types::pb::envoy::config::core::v3::Node;
    use lateen_api::xds::ResourceType::Cluster;
    use lateen_translate::Proxy;
    use lateen_xds::server::Protocol;
    use lateen_xds::server::delivery::Delivery;

    use super::Proxies;

    #[test]
    fn convergence_is_of_changes_and_not_of_what_proxies_ask_for() {
        let proxies = Proxies::default();
        let id = "sidecar~10.0.0.1~a.default~default.svc.cluster.local".to_owned();
        let proxy = Proxy::from_node(&Node { id, ..Default::default() }).unwrap();
        proxies.connected(1, &proxy, Protocol::Delta);
        let delivery =
            Delivery { nonce: "1".into(), view: 1, bytes: 20_000, ..Delivery::default() };
        proxies.sent(1, Cluster, &delivery);
        proxies.accepted(1, Cluster, &delivery, Some(Duration::from_secs(99)), false);
        assert_eq!(proxies.counts().convergence.count, 0);
        proxies.accepted(1, Cluster, &delivery, Some(Duration::from_millis(300)), true);
        let counts = proxies.counts();
        assert_eq!((counts.convergence.count, counts.convergence.buckets[5]), (1, 1));
        assert_eq!(counts.pushes["CDS"], 1);
        assert_eq!((counts.sizes["CDS"].sum, counts.sizes["CDS"].buckets[3]), (20_000.0, 1));
    }
}
