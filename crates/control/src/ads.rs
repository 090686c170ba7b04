//! ADS sessions: one per proxy's stream. In: a node, snapshots, what the proxy accepted or refused.
//! Out: views of its resources, issues on the objects that they come from, and the proxies' page.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::Node;
use lateen_api::issue::{Code, Issue, ObjectRef};
use lateen_api::xds::ResourceType;
use lateen_model::Snapshot;
use lateen_translate::{Proxy, translate};
use lateen_xds::server::delivery::Delivery;
use lateen_xds::server::peer::{Peer, Refusal};
use lateen_xds::server::{Collection, Protocol, Resource, Session, Source, View, Want};
use tokio::sync::watch;

use crate::debug::Proxies;
use crate::findings::{Finder, Findings};
use crate::published::Published;
use crate::selectors::Gateways;

/// A proxy refused a resource that comes from this object.
const REFUSED: Code = Code("LTN0101");
/// A proxy cannot listen, because another program has the port.
const PORT_TAKEN: Code = Code("LTN0102");
/// How often a listener is tried again whose port is taken.
const PORT_RETRY: Duration = Duration::from_secs(3);

/// Opens the sessions.
pub struct Door {
    published: Arc<Published>,
    findings: Arc<Findings>,
    proxies: Arc<Proxies>,
    gateways: Arc<Gateways>,
    traffic: Option<Arc<dyn Collection>>,
    next: AtomicU64,
}

impl Door {
    pub fn new(
        published: Arc<Published>,
        findings: Arc<Findings>,
        proxies: Arc<Proxies>,
        gateways: Arc<Gateways>,
        traffic: Option<Arc<dyn Collection>>,
    ) -> Self {
        Self { published, findings, proxies, gateways, traffic, next: AtomicU64::new(1) }
    }
}

impl Source for Door {
    fn open(
        &self,
        node: &Node,
        protocol: Protocol,
        peer: &Peer,
    ) -> Result<Arc<dyn Session>, Refusal> {
        let proxy = Arc::new(Proxy::from_node(node).map_err(Refusal::Invalid)?);
        fits(&proxy, peer)?;
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        tracing::info!(session = id, proxy = proxy.id, ?protocol, ?peer, "proxy connected");
        self.proxies.connected(id, &proxy, protocol);
        self.gateways.connected(id, &proxy);
        Ok(Arc::new(Seat {
            id,
            proxy,
            published: self.published.clone(),
            findings: self.findings.clone(),
            proxies: self.proxies.clone(),
            gateways: self.gateways.clone(),
            refused: Mutex::default(),
        }))
    }

    fn collect(&self, node: &Node, peer: &Peer) -> Result<Arc<dyn Collection>, Refusal> {
        let unserved = || Refusal::Unserved("this control plane collects no telemetry".to_owned());
        let traffic = self.traffic.as_ref().ok_or_else(unserved)?;
        fits(&Proxy::from_node(node).map_err(Refusal::Invalid)?, peer)?;
        Ok(traffic.clone())
    }
}

/// Whether a proxy is who it says it is, as Istio asks it: a token speaks for its namespace and for its
/// ServiceAccount, if the proxy names one.
fn fits(proxy: &Proxy, peer: &Peer) -> Result<(), Refusal> {
    let Peer::ServiceAccount(account) = peer else { return Ok(()) };
    let said = proxy.service_account.as_ref().unwrap_or(&account.name);
    if proxy.namespace == account.namespace && *said == account.name {
        return Ok(());
    }
    let text = format!(
        "proxy {} says that it is ServiceAccount {}/{said}, but its token is of {}/{}: check NAMESPACE and \
         SERVICE_ACCOUNT in its node metadata",
        proxy.id, proxy.namespace, account.namespace, account.name
    );
    tracing::warn!("refused: {text}");
    Err(Refusal::Forbidden(text))
}

/// One proxy's session.
struct Seat {
    id: u64,
    proxy: Arc<Proxy>,
    published: Arc<Published>,
    findings: Arc<Findings>,
    proxies: Arc<Proxies>,
    gateways: Arc<Gateways>,
    /// What the proxy refuses at the moment, and the message, so that each is logged once.
    refused: Mutex<BTreeMap<(ResourceType, String), String>>,
}

/// One proxy's resources by one snapshot.
struct Pinned {
    session: u64,
    snapshot: Arc<Snapshot>,
    proxy: Arc<Proxy>,
    findings: Arc<Findings>,
}

impl View for Pinned {
    fn version(&self) -> u64 {
        self.snapshot.version()
    }

    fn resources(&self, kind: ResourceType, want: Want<'_>) -> Vec<Resource> {
        let (want, whole) = match want {
            Want::All => (lateen_translate::Want::All, true),
            Want::Names(names) => (lateen_translate::Want::Names(names), false),
        };
        let output = translate(&self.snapshot, &self.proxy, kind, want);
        let finder = Finder::Translation { session: self.session, kind, whole };
        self.findings.set(finder, output.issues);
        let resources = output.resources.into_iter();
        resources.map(|named| Resource { name: named.name, body: named.body }).collect()
    }
}

impl Session for Seat {
    fn view(&self) -> Arc<dyn View> {
        Arc::new(Pinned {
            session: self.id,
            snapshot: self.published.snapshot(),
            proxy: self.proxy.clone(),
            findings: self.findings.clone(),
        })
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.published.changes()
    }

    fn sent(&self, kind: ResourceType, delivery: &Delivery) {
        self.proxies.sent(self.id, kind, delivery);
    }

    fn accepted(&self, kind: ResourceType, delivery: &Delivery) {
        self.proxies.accepted(self.id, kind, delivery, self.published.age(delivery.view));
        for name in delivery.names.iter().chain(&delivery.removed) {
            self.cleared(kind, name);
        }
    }

    fn rejected(
        &self,
        kind: ResourceType,
        delivery: &Delivery,
        blamed: &[String],
        message: &str,
    ) -> Option<Duration> {
        self.proxies.rejected(self.id, kind, delivery, message);
        let spoken_of = delivery.names.iter().chain(&delivery.removed);
        for name in spoken_of.filter(|name| !blamed.contains(name)) {
            self.cleared(kind, name);
        }
        for name in blamed {
            self.refused(kind, name, message);
        }
        is_port_taken(message).then_some(PORT_RETRY)
    }
}

impl Seat {
    fn refused(&self, kind: ResourceType, name: &str, message: &str) {
        let mut refused = self.refused.lock().expect("no panic while the refusals are held");
        let before = refused.insert((kind, name.to_owned()), message.to_owned());
        drop(refused);
        if before.as_deref() == Some(message) {
            return;
        }
        let proxy = &self.proxy.id;
        tracing::warn!(proxy, kind = kind.short_name(), resource = name, message, "proxy refused");
        let names = BTreeSet::from([name.to_owned()]);
        let snapshot = self.published.snapshot();
        let want = lateen_translate::Want::Names(&names);
        let output = translate(&snapshot, &self.proxy, kind, want);
        let origins = output.resources.into_iter().flat_map(|resource| resource.origins).collect();
        let issues = refusal(origins, kind, name, message, &self.proxy.name);
        let resource = name.to_owned();
        self.findings.set(Finder::Refusal { session: self.id, kind, resource }, issues);
    }

    fn cleared(&self, kind: ResourceType, name: &str) {
        let mut refused = self.refused.lock().expect("no panic while the refusals are held");
        if refused.remove(&(kind, name.to_owned())).is_some() {
            let proxy = &self.proxy.id;
            tracing::info!(proxy, kind = kind.short_name(), resource = name, "proxy accepts again");
            let resource = name.to_owned();
            self.findings.set(Finder::Refusal { session: self.id, kind, resource }, Vec::new());
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        tracing::info!(session = self.id, proxy = self.proxy.id, "proxy disconnected");
        self.proxies.disconnected(self.id);
        self.gateways.disconnected(self.id);
        self.findings.clear_session(self.id);
    }
}

fn is_port_taken(message: &str) -> bool {
    message.to_ascii_lowercase().contains("address already in use")
}

/// The issues of a refusal, on the objects that the resource comes from. A port that is taken is the
/// Gateways' concern only: what is routed behind it has no part in it.
fn refusal(
    origins: BTreeSet<ObjectRef>,
    kind: ResourceType,
    resource: &str,
    message: &str,
    proxy: &str,
) -> Vec<Issue> {
    let taken = kind == ResourceType::Listener && is_port_taken(message);
    let gateways: BTreeSet<ObjectRef> =
        origins.iter().filter(|origin| origin.kind == "Gateway").cloned().collect();
    let (blamed, path, code, text) = if taken && !gateways.is_empty() {
        let (address, port) = resource.rsplit_once('_').unwrap_or(("", resource));
        let text = format!(
            "port {port} of {address} is in use by another program on the machine of proxy {proxy}: \
             stop that program or choose another port; it is tried again every {} seconds",
            PORT_RETRY.as_secs()
        );
        (gateways, "spec.servers", PORT_TAKEN, text)
    } else {
        let text = format!("proxy {proxy} refused {} {resource}: {message}", kind.short_name());
        (origins, "", REFUSED, text)
    };
    blamed.into_iter().map(|object| Issue::error(object, path, code, text.clone())).collect()
}
