//! List and watch of many kinds as one stream. In: a client and kinds. Out: [`Event`]s; a relist
//! arrives as one whole set, so that nobody ever sees half of it.

#[cfg(test)]
mod tests;

use std::time::Duration;

use futures::stream::{BoxStream, SelectAll};
use futures::{Stream, StreamExt};
use kube::api::DynamicObject;
use kube::runtime::watcher;
use lateen_api::issue::{Issue, ObjectRef};
use lateen_api::kinds::Kind;
use lateen_api::resource::{self, Resource};
use serde_json::Value;

use crate::client::{Client, object_value};

/// The first pause after a failure, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// How often a kind is asked for that the server does not serve.
const UNSERVED_PAUSE: Duration = Duration::from_secs(30);

/// What a watch saw. Objects are JSON, as the server stores them.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    Put(&'static Kind, Value),
    Delete(&'static Kind, Value),
    /// These are all objects of the kind.
    Replace(&'static Kind, Vec<Value>),
    /// The server does not serve this kind; said once, and asked again now and then.
    Unserved(&'static Kind),
}

/// An object as the mesh reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    pub object: ObjectRef,
    /// `None` if it cannot be used at all; the issues say why.
    pub resource: Option<Resource>,
    pub issues: Vec<Issue>,
}

/// Parses an object in the version in which it was watched.
pub fn decode(kind: &'static Kind, value: Value) -> Decoded {
    let object = resource::object_ref(kind, &value);
    let (resource, issues) = resource::parse(kind, kind.storage_version(), value);
    Decoded { object, resource, issues }
}

/// Which objects of a kind are watched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Those of one namespace, or of all.
    pub namespace: Option<String>,
    /// Those of one name, or of all.
    pub name: Option<String>,
    /// Pods of one node, or of all.
    pub node: Option<String>,
}

impl Scope {
    /// One object.
    pub fn one(namespace: &str, name: &str) -> Self {
        let (namespace, name) = (Some(namespace.to_owned()), Some(name.to_owned()));
        Self { namespace, name, node: None }
    }

    /// The objects of one name in all namespaces.
    pub fn named(name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..Self::default() }
    }

    /// The pods of a node.
    pub fn of_node(node: &str) -> Self {
        Self { node: Some(node.to_owned()), ..Self::default() }
    }
}

/// Watches all kinds until dropped. Failures are logged and tried again; the stream never ends.
pub fn watch_all(
    client: &Client,
    kinds: impl IntoIterator<Item = &'static Kind>,
) -> impl Stream<Item = Event> + Send + Unpin + 'static {
    watch_each(client, kinds.into_iter().map(|kind| (kind, Scope::default())))
}

/// The same, with a scope for each kind.
pub fn watch_each(
    client: &Client,
    kinds: impl IntoIterator<Item = (&'static Kind, Scope)>,
) -> impl Stream<Item = Event> + Send + Unpin + 'static {
    let mut all = SelectAll::new();
    for (kind, scope) in kinds {
        all.push(watch_scope(client.clone(), kind, &scope));
    }
    all
}

/// Watches all objects of one kind until dropped.
pub fn watch(client: Client, kind: &'static Kind) -> BoxStream<'static, Event> {
    watch_scope(client, kind, &Scope::default())
}

/// Watches some objects of one kind until dropped.
pub fn watch_scope(
    client: Client,
    kind: &'static Kind,
    scope: &Scope,
) -> BoxStream<'static, Event> {
    let mut config = watcher::Config::default();
    let name = scope.name.as_ref().map(|name| format!("metadata.name={name}"));
    let node = scope.node.as_ref().map(|node| format!("spec.nodeName={node}"));
    let fields: Vec<String> = name.into_iter().chain(node).collect();
    if !fields.is_empty() {
        config = config.fields(&fields.join(","));
    }
    let inner = watcher(client.api(kind, scope.namespace.as_deref()), config).boxed();
    let state = Watch { inner, folding: Folding::new(kind), failures: 0 };
    futures::stream::unfold(state, |mut watch| async move {
        let event = watch.next().await;
        Some((event, watch))
    })
    .boxed()
}

struct Watch {
    inner: BoxStream<'static, watcher::Result<watcher::Event<DynamicObject>>>,
    folding: Folding,
    failures: u32,
}

impl Watch {
    async fn next(&mut self) -> Event {
        loop {
            match self.inner.next().await.expect("kube's watcher never ends") {
                Ok(event) => {
                    if let Some(event) = self.folding.take(event) {
                        self.failures = 0;
                        return event;
                    }
                }
                Err(error) if is_unserved(&error) => {
                    if let Some(event) = self.folding.unserved() {
                        return event;
                    }
                    tokio::time::sleep(UNSERVED_PAUSE).await;
                }
                Err(error) => self.pause(&error).await,
            }
        }
    }

    async fn pause(&mut self, error: &watcher::Error) {
        let kind = self.folding.kind;
        // The first failure of a row is often just the server's orderly end of a watch.
        if self.failures == 1 {
            tracing::warn!(?kind, %error, "cannot watch, trying again");
        } else {
            tracing::debug!(?kind, %error, failures = self.failures, "watch failed");
        }
        tokio::time::sleep(backoff(self.failures)).await;
        self.failures = self.failures.saturating_add(1);
    }
}

/// Collects a relist until it is whole.
struct Folding {
    kind: &'static Kind,
    listing: Option<Vec<Value>>,
    said_unserved: bool,
}

impl Folding {
    fn new(kind: &'static Kind) -> Self {
        Self { kind, listing: None, said_unserved: false }
    }

    fn take(&mut self, event: watcher::Event<DynamicObject>) -> Option<Event> {
        match event {
            watcher::Event::Init => {
                self.listing = Some(Vec::new());
                None
            }
            watcher::Event::InitApply(object) => {
                let value = self.value(object)?;
                self.listing.get_or_insert_default().push(value);
                None
            }
            watcher::Event::InitDone => {
                self.said_unserved = false;
                Some(Event::Replace(self.kind, self.listing.take().unwrap_or_default()))
            }
            watcher::Event::Apply(object) => Some(Event::Put(self.kind, self.value(object)?)),
            watcher::Event::Delete(object) => Some(Event::Delete(self.kind, self.value(object)?)),
        }
    }

    /// The event for a kind that is not served, the first time in a row.
    fn unserved(&mut self) -> Option<Event> {
        let first = !std::mem::replace(&mut self.said_unserved, true);
        first.then(|| {
            tracing::info!(kind = ?self.kind, "the Kubernetes API does not serve this kind");
            Event::Unserved(self.kind)
        })
    }

    /// Nobody reads who owns which field, and it is often half of the object.
    fn value(&self, mut object: DynamicObject) -> Option<Value> {
        object.metadata.managed_fields = None;
        match object_value(self.kind, object) {
            Ok(value) => Some(value),
            Err(error) => {
                tracing::error!(kind = ?self.kind, %error, "an object cannot be written as json");
                None
            }
        }
    }
}

fn backoff(failures: u32) -> Duration {
    let (first, longest) = BACKOFF;
    first.saturating_mul(1 << failures.min(10)).min(longest)
}

fn is_unserved(error: &watcher::Error) -> bool {
    use watcher::Error::{InitialListFailed, WatchStartFailed};
    match error {
        InitialListFailed(kube::Error::Api(status))
        | WatchStartFailed(kube::Error::Api(status)) => status.code == 404,
        _ => false,
    }
}
