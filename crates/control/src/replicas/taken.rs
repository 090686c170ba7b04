//! What another replica passes on. In: its messages. Out: its proxies among those that are connected, their traffic
//! in the collection. All of it is over when the connection is, or when the replica opens another one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use envoy_types::pb::envoy::config::core::v3::Node;
use lateen_api::issue::ObjectRef;
use lateen_api::xds::ResourceType;
use lateen_translate::Proxy;
use lateen_xds::passed::{Entries, News, Origin, Passed, Refused};
use lateen_xds::server::{Collection, Collector, Replica};

use super::{Replicas, locked};
use crate::ads::{ORIGINS, TOLD, refusal};
use crate::debug::Proxies;
use crate::findings::{Finder, Findings};
use crate::selectors::Gateways;

/// What one replica may have open: a session and a stream of metrics for each stream that it may have.
const OPEN: usize = 2 * 4096;

/// What each replica that tells something has open, by its name.
#[derive(Default)]
pub struct Takers(Mutex<BTreeMap<String, Arc<Told>>>);

/// What a replica has open, until it opens another connection.
struct Told(Mutex<Option<HashMap<u64, Open>>>);

/// Something that is over when this is dropped.
enum Open {
    Session(Elsewhere),
    Reports(Arc<dyn Collector>),
}

/// A proxy that is connected to another replica.
struct Elsewhere {
    session: u64,
    name: String,
    refused: BTreeSet<(ResourceType, String)>,
    places: Places,
}

/// Where it goes.
#[derive(Clone)]
pub struct Places {
    pub proxies: Arc<Proxies>,
    pub findings: Arc<Findings>,
    pub gateways: Arc<Gateways>,
    pub traffic: Option<Arc<dyn Collection>>,
    /// Numbers of sessions, the own ones too.
    pub sessions: Arc<AtomicU64>,
}

/// One connection of a replica's.
pub struct Taken {
    replicas: Arc<Replicas>,
    name: String,
    told: Arc<Told>,
    places: Places,
}

impl Takers {
    /// Whether this replica tells something.
    pub fn has(&self, name: &str) -> bool {
        locked(&self.0).contains_key(name)
    }
}

impl Taken {
    /// What an earlier connection of the same replica's has told is over.
    pub fn new(replicas: &Arc<Replicas>, name: &str, places: Places) -> Self {
        let told = Arc::new(Told(Mutex::new(Some(HashMap::new()))));
        let before = locked(&replicas.takers.0).insert(name.to_owned(), told.clone());
        if let Some(before) = before {
            before.end();
        }
        tracing::info!(replica = name, "a replica passes on what its proxies tell");
        Self { replicas: replicas.clone(), name: name.to_owned(), told, places }
    }

    fn session(&self, node: &Node) -> Option<Open> {
        let proxy = Proxy::from_node(node).ok()?;
        let session = self.places.sessions.fetch_add(1, Ordering::Relaxed);
        self.places.proxies.connected_elsewhere(session, &proxy);
        self.places.gateways.connected(session, &proxy);
        let (name, places) = (proxy.name, self.places.clone());
        Some(Open::Session(Elsewhere { session, name, refused: BTreeSet::new(), places }))
    }
}

impl Replica for Taken {
    fn take(&mut self, Passed { stream, news }: Passed) {
        if let Some(News::Connections(Entries { proxy, all })) = news {
            if let Some(traffic) = &self.places.traffic {
                traffic.connections(&node(proxy), all);
            }
            return;
        }
        let mut told = locked(&self.told.0);
        let Some(told) = told.as_mut() else { return };
        let opened = match news {
            Some(News::Session(node)) if told.len() < OPEN => self.session(&node),
            Some(News::Reports(standing)) if told.len() < OPEN => {
                let traffic = self.places.traffic.as_ref();
                let collector = traffic.and_then(|traffic| traffic.stream(&node(standing.proxy)));
                collector.map(|collector| {
                    collector.metrics(standing.all);
                    Open::Reports(collector)
                })
            }
            Some(News::Metrics(families)) => {
                if let Some(Open::Reports(collector)) = told.get(&stream) {
                    collector.metrics(families.all);
                }
                None
            }
            Some(News::Refusal(refused)) => {
                if let Some(Open::Session(elsewhere)) = told.get_mut(&stream) {
                    elsewhere.refuses(refused);
                }
                None
            }
            Some(News::Over(())) => {
                told.remove(&stream);
                None
            }
            Some(_) | None => None,
        };
        told.extend(opened.map(|open| (stream, open)));
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut takers = locked(&self.replicas.takers.0);
        if takers.get(&self.name).is_some_and(|told| Arc::ptr_eq(told, &self.told)) {
            takers.remove(&self.name);
            tracing::info!(replica = self.name, "a replica passes nothing on any more");
        }
        drop(takers);
        self.told.end();
    }
}

impl Told {
    fn end(&self) {
        let open = locked(&self.0).take();
        drop(open);
    }
}

/// What is known of a proxy that reports elsewhere.
fn node(id: String) -> Node {
    Node { id, ..Node::default() }
}

impl Elsewhere {
    fn refuses(&mut self, Refused { kind, resource, message, origins }: Refused) {
        let Some(kind) = ResourceType::from_type_url(&kind) else { return };
        let key = (kind, resource.clone());
        let issues = match message {
            Some(message) if self.refused.len() < TOLD || self.refused.contains(&key) => {
                self.refused.insert(key);
                let origins = origins.into_iter().take(ORIGINS).map(object).collect();
                refusal(origins, kind, &resource, &message, &self.name)
            }
            Some(_) => return,
            None if self.refused.remove(&key) => Vec::new(),
            None => return,
        };
        let finder = Finder::Refusal { session: self.session, kind, resource };
        self.places.findings.set(finder, issues);
    }
}

fn object(Origin { group, kind, namespace, name }: Origin) -> ObjectRef {
    ObjectRef { group, kind, namespace, name }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        self.places.findings.clear_session(self.session);
        self.places.proxies.gone_elsewhere(self.session);
        self.places.gateways.disconnected(self.session);
    }
}
