//! The control plane on a cluster, as istiod serves there. In: an API, a place in it, and listening
//! sockets. Out: xDS and webhooks over TLS, the CA's root in every namespace, health for probes, and the live
//! graph's pages for whoever serves them.
//!
//! Every replica serves. What is written is written by one of them, which holds a Lease.

mod asked;
mod authority;
mod confined;
pub mod context;
mod health;
mod leads;
mod peers;
mod readers;
mod rights;
mod roots;
mod tokens;
pub mod webhook;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use futures::StreamExt;
use lateen_kube::lease::Times;
use lateen_kube::{Client, Source};
use lateen_runtime::pages::{Access, Pages, all};
use lateen_runtime::readiness::Readiness;
use lateen_runtime::socket::listen;
use lateen_runtime::tasks::Tasks;
use lateen_xds::server::Collection;
use lateen_xds::server::serve::{Connection, Door};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::core::{Core, Settings};
use crate::published::Published;
use crate::replicas::OwnAccount;
use crate::{Debounce, MakePages};
use authority::Material;
use confined::Confined;
use context::{Context, Place};
use health::Health;
use leads::Leads;
use peers::Peers;
use readers::Readers;
use rights::Own;
use tokens::Tokens;
use webhook::{NativeSidecars, Webhooks};

/// The identity in the CA's own certificate.
const TRUST_DOMAIN: &str = "cluster.local";

/// What a control plane on a cluster is given at its start.
pub struct Options {
    pub api: Source,
    pub place: Place,
    pub listeners: Listeners,
    /// How old a proxy's connection may become.
    pub max_connection_age: Option<Duration>,
    pub native_sidecars: NativeSidecars,
    /// For whom proxies' tokens may be meant.
    pub token_audiences: Vec<String>,
    /// The file of the own token, by which other replicas know this one.
    pub token: PathBuf,
    /// More names under which proxies reach this server.
    pub hosts: Vec<String>,
    pub version: &'static str,
    pub debounce: Debounce,
    pub election: Times,
    /// Where the proxies' traffic goes, if anybody wants it.
    pub traffic: Option<Arc<dyn Collection>>,
    /// Makes the pages of the graph API.
    pub pages: MakePages,
}

/// The listening sockets; their ports are Istio's.
pub struct Listeners {
    /// 15012: xDS over TLS.
    pub secure: TcpListener,
    /// 15010: xDS for anybody, which is opened only where a user asks for it.
    pub plaintext: Option<TcpListener>,
    /// 15017: webhooks, where the API is to ask them.
    pub webhooks: Option<TcpListener>,
    /// 8080: `/ready`, `/metrics` and `/version` for everybody; for the pod itself `/debug/` with [`crate::debug`]'s
    /// pages, and the graph's API, read only.
    pub health: TcpListener,
    /// 15014: the same.
    pub monitoring: TcpListener,
}

/// The live graph's API, for whoever serves it over TLS.
pub struct Graph {
    pub pages: Arc<dyn Pages>,
    pub access: Arc<dyn Access>,
    pub tls: watch::Receiver<Arc<ServerConfig>>,
}

/// Starts the control plane. It waits for the API, and until there is a certificate authority; `/ready` says
/// what it waits for.
///
/// # Errors
/// If the API's address or credentials cannot be read.
pub async fn start(
    options: Options,
    tasks: &Tasks,
    readiness: &Readiness,
) -> anyhow::Result<Graph> {
    let client = Client::connect(options.api).await?;
    let Listeners { secure, plaintext, webhooks, health, monitoring } = options.listeners;
    let place = Arc::new(options.place);
    let leads = Leads::run(&client, &place, options.election, tasks);
    let first_snapshot = readiness.guard("first snapshot");
    let webhooks = webhooks.map(|listener| (listener, readiness.guard("webhooks")));
    let core = core(&client, &place, options.debounce, &leads, tasks).collecting(options.traffic);
    let objects = core.objects(Arc::new(Own(client.clone())));
    let pages = all(vec![(options.pages)(core.inventory()), objects]);
    let (tell_end, authority_ends) = watch::channel(SystemTime::UNIX_EPOCH);
    let counters = Arc::new(OnceLock::new());
    Health::new(&core, readiness.clone(), options.version, leads.clone(), authority_ends)
        .counting(counters.clone())
        .serve(health, monitoring, core.pages(), pages.clone(), tasks);

    let settings = authority::Settings {
        namespace: place.namespace.clone(),
        trust_domain: TRUST_DOMAIN.to_owned(),
        names: server_names(&place, options.hosts),
    };
    let Material { tls, roots } = authority(&client, settings, tell_end, readiness, tasks).await;
    let context = Context { client, place, tls, roots, leads };
    let mesh = core.published.clone();
    let graph = graph(&context, &mesh, pages);
    share(&context, &core, options.token, tasks);
    let tokens = Tokens::new(context.client.clone(), options.token_audiences);
    let door = secure_door(secure, &context.tls, tokens, options.max_connection_age);
    let doors = std::iter::once(door).chain(plaintext.map(Door::Plaintext)).collect();
    tasks.essential("ads", core.serve(doors, tasks.clone(), first_snapshot));
    if let Some((listener, answered)) = webhooks {
        let native_sidecars = options.native_sidecars;
        let webhooks = Webhooks { context, mesh, listener, native_sidecars };
        counters.get_or_init(|| webhook::start(webhooks, tasks, answered));
    }
    Ok(graph)
}

/// What every control plane does, as one of several replicas here.
fn core(client: &Client, place: &Place, debounce: Debounce, leads: &Leads, tasks: &Tasks) -> Core {
    let settings = Settings {
        debounce,
        mesh_config: (place.namespace.clone(), place.revised("istio")),
        domain: place.domain.clone(),
        only_mesh_config: true,
    };
    Core::start(client, settings, leads.mesh.clone(), tasks).replicated(OwnAccount {
        namespace: place.namespace.clone(),
        account: place.service_account.clone(),
        name: place.pod.clone(),
    })
}

fn graph(context: &Context, mesh: &Arc<Published>, pages: Arc<dyn Pages>) -> Graph {
    Graph {
        pages: Arc::new(Confined(pages)),
        access: Arc::new(Readers::new(context.client.clone(), mesh.clone())),
        tls: context.tls.clone(),
    }
}

/// Starts what tells others: the root to every namespace, what the own proxies tell to other replicas.
fn share(context: &Context, core: &Core, token: PathBuf, tasks: &Tasks) {
    let Context { client, place, roots, leads, .. } = context.clone();
    let published = core.published.clone();
    let writer = roots::run(client.clone(), roots.clone(), published, leads.mesh);
    tasks.essential("root certificates", writer);
    let peers = Peers { client, place, roots, token, replicas: core.replicas.clone() };
    tasks.essential("replicas", peers.run());
}

/// Waits for the authority and starts its keeper.
async fn authority(
    client: &Client,
    settings: authority::Settings,
    ends: watch::Sender<SystemTime>,
    readiness: &Readiness,
    tasks: &Tasks,
) -> Material {
    let _awaited = readiness.guard("certificate authority");
    let (keeper, material) = authority::load(client, settings, ends).await;
    tasks.essential("certificate authority", keeper.run());
    material
}

/// xDS for whoever shows a ServiceAccount's token.
fn secure_door(
    listener: TcpListener,
    tls: &watch::Receiver<Arc<ServerConfig>>,
    tokens: Tokens,
    max_age: Option<Duration>,
) -> Door {
    let incoming = lateen_runtime::tls::incoming(listener, tls.clone());
    let boxed = |stream| Box::new(stream) as Box<dyn Connection>;
    Door::Secure {
        incoming: incoming.map(move |stream| stream.map(boxed)).boxed(),
        authenticate: Arc::new(tokens),
        max_age,
    }
}

/// The names of the server, as Istio's proxies and the API's webhook client know it.
fn server_names(place: &Place, more: Vec<String>) -> Vec<String> {
    let services = ["istiod".to_owned(), place.revised("istiod"), "istio-pilot".to_owned()];
    let mut names = Vec::new();
    for service in services {
        let host = format!("{service}.{}.svc", place.namespace);
        names.extend([host.clone(), format!("{host}.{}", place.domain.as_str())]);
        names.push(format!("{service}.{}", place.namespace));
    }
    names.extend(more);
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

/// Binds an address as Go writes it: `:15012` is every address, of both families where the system has both.
///
/// # Errors
/// With the address and what to check.
pub async fn bind(address: &str) -> anyhow::Result<TcpListener> {
    let addresses: Vec<SocketAddr> = match address.strip_prefix(':') {
        Some(port) => {
            let port = port.parse().with_context(|| format!("{address} names no port"))?;
            // The second one is for a machine without IPv6.
            vec![(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()]
        }
        None => {
            let found = tokio::net::lookup_host(address).await;
            found.with_context(|| format!("cannot listen on {address}: no such address"))?.collect()
        }
    };
    let mut failed = io::ErrorKind::AddrNotAvailable.into();
    for one in addresses {
        match listen(one) {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = error,
        }
        if failed.kind() == io::ErrorKind::AddrInUse {
            break;
        }
    }
    Err(failed).with_context(|| format!("cannot listen on {address}: is the port free?"))
}

/// Seconds since 1970.
fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use lateen_model::host::Domain;

    use super::context::Place;
    use super::server_names;

    #[test]
    fn a_revision_answers_to_its_own_name_and_to_the_common_one() {
        let place = Place {
            namespace: "istio-system".to_owned(),
            pod: "istiod-0".to_owned(),
            revision: "canary".to_owned(),
            service_account: "istiod-canary".to_owned(),
            domain: Domain::default(),
            cluster: "Kubernetes".to_owned(),
        };
        let names = server_names(&place, vec!["mesh.example.com".to_owned()]);
        for name in [
            "istiod.istio-system.svc",
            "istiod-canary.istio-system.svc",
            "istiod-canary.istio-system.svc.cluster.local",
            "mesh.example.com",
        ] {
            assert!(names.iter().any(|have| have == name), "{names:?}");
        }
        let default = Place { revision: String::new(), ..place };
        let names = server_names(&default, Vec::new());
        assert_eq!(names.iter().filter(|name| *name == "istiod.istio-system.svc").count(), 1);
    }
}
