//! What injection depends on, kept up to date. In: watches of the ConfigMaps `istio` and
//! `istio-sidecar-injector`, of ProxyConfig objects and of the nodes. Out: [`Injector`]s as they change; one
//! that cannot be read, or is deleted, leaves the one before, and where there is none before, injects nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use lateen_api::kinds::{Kind, by_kind};
use lateen_api::resource::Key;
use lateen_inject::{ProxyConfigs, Settings, proxy_config_kind};
use lateen_kube::Client;
use lateen_kube::watch::{Event, Scope, watch, watch_scope};
use serde_json::Value;
use tokio::sync::watch::Sender;
use tokio::time::Instant;

use crate::cluster::context::{Context, Place};

/// How long the first answers wait for nodes and ProxyConfigs, which this process may not be allowed to see.
const LISTS: Duration = Duration::from_secs(5);

/// Which sidecars are init containers that go on running. `ENABLE_NATIVE_SIDECARS` of Istio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NativeSidecars {
    /// Where nothing is said: if every node has them as a stable feature.
    Stable,
    /// `true`: if every node has them.
    Wanted,
    /// `false`
    Never,
}

impl NativeSidecars {
    /// What the variable says; nothing if it is empty.
    pub fn of_variable(text: &str) -> Self {
        match text {
            "true" => NativeSidecars::Wanted,
            "false" => NativeSidecars::Never,
            _ => NativeSidecars::Stable,
        }
    }

    /// The first minor version of Kubernetes 1 that will do.
    fn since(self) -> Option<u32> {
        match self {
            NativeSidecars::Stable => Some(33),
            NativeSidecars::Wanted => Some(29),
            NativeSidecars::Never => None,
        }
    }
}

/// What pods are injected with.
#[derive(Debug, Clone, Default)]
pub struct Injector {
    plain: Arc<Settings>,
    native: Arc<Settings>,
    nodes: Arc<Nodes>,
    trouble: Option<Arc<str>>,
}

impl Injector {
    /// What is wrong with the settings, if nothing can be injected with them.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// The settings for a pod. One that names its node is that node's matter alone, as in Istio.
    pub fn settings(&self, pod: &Value) -> &Settings {
        let node = named_node(&pod["spec"]);
        if self.nodes.have_native_sidecars(node) { &self.native } else { &self.plain }
    }
}

/// The nodes' minor versions; `None` where one cannot be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Nodes {
    since: Option<u32>,
    versions: BTreeMap<String, Option<u32>>,
}

impl Nodes {
    /// Of Node objects.
    pub fn new(native: NativeSidecars, nodes: &[Value]) -> Self {
        let versions = nodes.iter().map(|node| (name(node), version(node))).collect();
        Self { since: native.since(), versions }
    }

    /// Whether those have them that a pod may come to, or that it names.
    pub fn have_native_sidecars(&self, node: Option<&str>) -> bool {
        let Some(since) = self.since else { return false };
        let enough = |version: &Option<u32>| version.is_some_and(|minor| minor >= since);
        match node.and_then(|node| self.versions.get(node)) {
            Some(version) => enough(version),
            None => !self.versions.is_empty() && self.versions.values().all(enough),
        }
    }
}

/// The node that a pod's spec names, past the scheduler.
pub fn named_node(spec: &Value) -> Option<&str> {
    spec["nodeName"].as_str().filter(|name| !name.is_empty())
}

fn name(node: &Value) -> String {
    node["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

fn version(node: &Value) -> Option<u32> {
    minor(node["status"]["nodeInfo"]["kubeletVersion"].as_str()?)
}

/// `v1.34.2+k3s1` is 34.
fn minor(version: &str) -> Option<u32> {
    let (major, rest) = version.trim_start_matches('v').split_once('.')?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok().filter(|_| major == "1")
}

/// Watches, and publishes what comes of it.
pub struct Reader {
    client: Client,
    place: Arc<Place>,
    state: State,
}

/// What is known. A watch that has not listed yet is `None`.
struct State {
    place: Arc<Place>,
    /// The data of the two ConfigMaps; `Null` where there is none.
    mesh: Option<Value>,
    injector: Option<Value>,
    listed_nodes: bool,
    nodes: Arc<Nodes>,
    /// ProxyConfig objects.
    objects: Option<BTreeMap<Key, Value>>,
    proxy_configs: Arc<ProxyConfigs>,
    settings: Option<[Arc<Settings>; 2]>,
    /// What is wrong with them, where there were no others before.
    trouble: Option<Arc<str>>,
}

impl Reader {
    pub fn new(context: &Context, native: NativeSidecars) -> Self {
        let place = context.place.clone();
        let state = State::new(place.clone(), native);
        Self { client: context.client.clone(), place, state }
    }

    pub async fn run(mut self, publish: Sender<Option<Injector>>) -> anyhow::Result<()> {
        let map = |name: &str| {
            let scope = Scope::one(&self.place.namespace, &self.place.revised(name));
            watch_scope(self.client.clone(), kind("ConfigMap"), &scope)
        };
        let (mut mesh, mut injector) = (map("istio"), map("istio-sidecar-injector"));
        let mut nodes = match self.state.listed_nodes {
            false => watch(self.client.clone(), kind("Node")),
            true => futures::stream::pending().boxed(),
        };
        let mut proxy_configs = watch(self.client.clone(), proxy_config_kind());
        let patience = tokio::time::sleep_until(Instant::now() + LISTS);
        tokio::pin!(patience);
        loop {
            let changed = tokio::select! {
                Some(event) = mesh.next() => self.state.mesh(event),
                Some(event) = injector.next() => self.state.injector(event),
                Some(event) = nodes.next() => self.state.node(event),
                Some(event) = proxy_configs.next() => self.state.proxy_config(event),
                () = &mut patience, if !self.state.is_listed() => self.state.without_lists(),
            };
            if changed && let Some(injector) = self.state.current() {
                publish.send_replace(Some(injector));
            }
        }
    }
}

impl State {
    fn new(place: Arc<Place>, native: NativeSidecars) -> Self {
        let since = native.since();
        Self {
            place,
            mesh: None,
            injector: None,
            listed_nodes: since.is_none(),
            nodes: Arc::new(Nodes { since, versions: BTreeMap::new() }),
            objects: None,
            proxy_configs: Arc::default(),
            settings: None,
            trouble: None,
        }
    }

    fn is_listed(&self) -> bool {
        self.listed_nodes && self.objects.is_some()
    }

    fn without_lists(&mut self) -> bool {
        if !self.listed_nodes {
            tracing::warn!(
                "the nodes' versions are not known: sidecars are plain containers until this process may \
                 list nodes"
            );
            self.listed_nodes = true;
        }
        if self.objects.is_none() {
            tracing::warn!(
                "ProxyConfig objects are not known: they have no effect until this process may list them"
            );
            self.objects = Some(BTreeMap::new());
        }
        true
    }

    /// Whether there is something new to publish.
    fn mesh(&mut self, event: Event) -> bool {
        let data = data(event);
        if data.is_null() && self.goes_on_without("istio") {
            return false;
        }
        self.mesh = Some(data);
        self.read()
    }

    fn injector(&mut self, event: Event) -> bool {
        let data = data(event);
        if data.is_null() && self.goes_on_without("istio-sidecar-injector") {
            return false;
        }
        if data.is_null() {
            let name = self.place.revised("istio-sidecar-injector");
            tracing::warn!(name, "there is no such ConfigMap: pods are injected by the defaults");
        }
        self.injector = Some(data);
        self.read()
    }

    fn node(&mut self, event: Event) -> bool {
        let mut versions = self.nodes.versions.clone();
        match event {
            Event::Put(_, node) => drop(versions.insert(name(&node), version(&node))),
            Event::Delete(_, node) => drop(versions.remove(&name(&node))),
            Event::Replace(_, nodes) => {
                versions = nodes.iter().map(|node| (name(node), version(node))).collect();
            }
            Event::Unserved(_) => {}
        }
        let first = !std::mem::replace(&mut self.listed_nodes, true);
        let changed = versions != self.nodes.versions;
        if changed {
            self.nodes = Arc::new(Nodes { since: self.nodes.since, versions });
        }
        first || changed
    }

    fn proxy_config(&mut self, event: Event) -> bool {
        let first = self.objects.is_none();
        let objects = self.objects.get_or_insert_default();
        match event {
            Event::Put(kind, object) => drop(objects.insert(Key::of(kind, &object), object)),
            Event::Delete(kind, object) => drop(objects.remove(&Key::of(kind, &object))),
            Event::Replace(kind, all) => {
                *objects = all.into_iter().map(|object| (Key::of(kind, &object), object)).collect();
            }
            Event::Unserved(_) => objects.clear(),
        }
        let (configs, issues) = ProxyConfigs::read(objects.values().cloned());
        for issue in &issues {
            tracing::warn!(%issue, "the proxies' settings");
        }
        if configs == *self.proxy_configs {
            return first;
        }
        self.proxy_configs = Arc::new(configs);
        for settings in self.settings.iter_mut().flatten() {
            let proxy_configs = self.proxy_configs.clone();
            *settings = Arc::new(Settings { proxy_configs, ..Settings::clone(settings) });
        }
        true
    }

    /// Whether a ConfigMap that is gone leaves settings from before.
    fn goes_on_without(&self, name: &str) -> bool {
        let goes_on = self.settings.is_some();
        if goes_on {
            let name = self.place.revised(name);
            tracing::error!(
                name,
                "the ConfigMap is gone: the settings from before stay, put it back"
            );
        }
        goes_on
    }

    /// Reads both ConfigMaps anew, once both are known.
    fn read(&mut self) -> bool {
        let (Some(mesh), Some(injector)) = (&self.mesh, &self.injector) else { return false };
        let text = |data: &Value, key: &str| data[key].as_str().unwrap_or_default().to_owned();
        let (config, values) = (text(injector, "config"), text(injector, "values"));
        let mesh = text(mesh, "mesh");
        let (mut settings, issues) =
            Settings::from_config_map(&config, &values, &mesh, &self.place.revision);
        for issue in &issues {
            tracing::warn!(%issue, "the injector's settings");
        }
        let errors = issues.iter().filter(|issue| issue.is_error()).map(ToString::to_string);
        let errors = errors.collect::<Vec<_>>().join("; ");
        if !errors.is_empty() && self.settings.is_some() && self.trouble.is_none() {
            tracing::error!("the injector's settings have errors: those from before stay");
            return false;
        }
        self.trouble = (!errors.is_empty()).then(|| errors.into());
        if self.trouble.is_some() {
            tracing::error!(
                "the injector's settings have errors: no pod is injected until they are mended"
            );
        }
        settings.istio_namespace.clone_from(&self.place.namespace);
        settings.proxy_configs = self.proxy_configs.clone();
        let native = |native_sidecar| Arc::new(Settings { native_sidecar, ..settings.clone() });
        self.settings = Some([native(false), native(true)]);
        true
    }

    fn current(&self) -> Option<Injector> {
        let [plain, native] = self.settings.clone().filter(|_| self.is_listed())?;
        let (nodes, trouble) = (self.nodes.clone(), self.trouble.clone());
        Some(Injector { plain, native, nodes, trouble })
    }
}

/// The data of the one object that is watched.
fn data(event: Event) -> Value {
    let object = match event {
        Event::Put(_, object) => Some(object),
        Event::Replace(_, objects) => objects.into_iter().next(),
        Event::Delete(..) | Event::Unserved(_) => None,
    };
    object.map_or(Value::Null, |mut object| object["data"].take())
}

fn kind(name: &str) -> &'static Kind {
    by_kind("", name).expect("invariant: the table holds the kinds of Kubernetes")
}

#[cfg(test)]
mod tests;
