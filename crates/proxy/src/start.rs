//! Starting and stopping a proxy. In: [`Options`]. Out: a [`Handle`]. The engine and the admin server
//! run on the caller's runtime, traffic on the workers' threads.

use std::ffi::OsString;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use envoy_types::pb::envoy::service::discovery::v3::Resource;
use envoy_types::pb::google::protobuf::Any;
use lateen_runtime::admin::{self, Handler};
use lateen_runtime::pages::reading;
use lateen_telemetry::cel::Value;
use lateen_telemetry::record::ProxyFacts;
use lateen_xds::client::{DeltaClient, Event, connect};
use prost::{Message, Name};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::collect::{self, Collectors};
use crate::config::Config;
use crate::connect::Sockets;
use crate::decide::Demand;
use crate::engine::{Binder, Engine, Inlets, Resources};
use crate::log::LogWriter;
use crate::options::{Options, Source, StaticResources};
use crate::records::Records;
use crate::traffic::{Peers, Traffic, own, report};
use crate::view::View;
use crate::worker::{Command, Reasons, Shared, Worker};

/// Questions of connections that may wait for the engine.
const DEMANDS: usize = 1024;
/// How long the last lines and entries of access logs may take, and the last report.
const FLUSH: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
    #[error("the fixed configuration is refused: {0}")]
    Static(String),
}

/// The proxy.
pub struct Proxy;

/// A running proxy. Dropping it stops the engine and cuts its connections.
pub struct Handle {
    view: View,
    workers: Vec<Worker>,
    tasks: JoinSet<()>,
    finish: report::Finish,
    drain: Duration,
}

impl Proxy {
    /// Must be called within a tokio runtime, which must live as long as the handle.
    pub async fn start(mut options: Options) -> Result<Handle, StartError> {
        let (demands, demand_receiver) = mpsc::channel(DEMANDS);
        let (resolved, resolved_receiver) = mpsc::channel(DEMANDS);
        let (questions, peers) = mpsc::channel(DEMANDS);
        let (collectors, orders) = Collectors::new();
        let mut tasks = JoinSet::new();
        let shared = shared(&mut options, demands, questions, collectors)?;
        let netns = options.netns.map(Arc::new);
        tasks.spawn(collect::run(shared.clone(), options.node.clone(), netns.clone(), orders));
        let workers = workers(options.workers, &shared, netns.as_ref())?;
        let senders = workers.iter().map(|worker| worker.commands.clone()).collect();
        let resources = Resources::new(Binder { netns, workers: senders, resolved });
        let (ready, ready_receiver) = watch::channel(false);
        let view = View {
            shared: shared.clone(),
            ready: ready_receiver,
            workers: workers.iter().map(|worker| worker.context.clone()).collect(),
        };
        if let Some(path) = options.admin_socket {
            tasks.spawn(administer(path, view.admin()));
        }
        let mut engine = Engine::new(
            shared.clone(),
            DeltaClient::new(options.node.clone()),
            resources,
            ready,
            options.role,
            options.subscribe_all,
            options.cache,
        );
        let events = events(options.source, &mut engine, &mut tasks)?;
        let uplinks = engine.uplink.subscribe();
        let inlets =
            Inlets { events, demands: demand_receiver, resolved: resolved_receiver, peers };
        tasks.spawn(engine.run(inlets));
        let (finish, asked) = oneshot::channel();
        tasks.spawn(report::run(shared, options.node, uplinks, asked));
        Ok(Handle { view, workers, tasks, finish, drain: options.drain })
    }
}

/// What the workers share.
fn shared(
    options: &mut Options,
    demands: mpsc::Sender<Demand>,
    questions: mpsc::Sender<IpAddr>,
    collectors: Collectors,
) -> Result<Arc<Shared>, StartError> {
    // A fixed configuration has nobody to ask.
    let questions = matches!(options.source, Source::Ads(_)).then_some(questions);
    let count = options.workers.max(1);
    let own = own::whole(&options.node);
    let facts = facts(own.node.clone());
    Ok(Arc::new(Shared {
        config: ArcSwap::from_pointee(Config::default()),
        published: watch::Sender::new(0),
        demands,
        linked: AtomicBool::new(false),
        trouble: ArcSwapOption::empty(),
        records: Records::new(count),
        traffic: Traffic::new(own, Peers::new(questions), count),
        reasons: Reasons::default(),
        log: LogWriter::start(options.stdout_log.take()).map_err(StartError::Thread)?,
        collectors,
        sockets: Sockets { mark: options.mark, known_as: options.known_as },
        max_connections: options.max_connections,
        workers: count,
        facts: Arc::new(facts),
        started: Instant::now(),
    }))
}

/// At least one.
fn workers(
    count: usize,
    shared: &Arc<Shared>,
    netns: Option<&Arc<OwnedFd>>,
) -> Result<Vec<Worker>, StartError> {
    (0..count.max(1))
        .map(|index| Worker::start(index, shared.clone(), netns.cloned()))
        .collect::<Result<_, _>>()
        .map_err(StartError::Thread)
}

async fn administer(path: PathBuf, pages: Handler) {
    if let Err(error) = admin::serve_unix(&path, reading(pages)).await {
        tracing::error!(%error, "no admin server");
    }
}

/// What the engine will be told by its source.
fn events(
    source: Source,
    engine: &mut Engine,
    tasks: &mut JoinSet<()>,
) -> Result<mpsc::Receiver<Event>, StartError> {
    match source {
        Source::Static(resources) => {
            engine.load(&resources).map_err(StartError::Static)?;
            // Nothing ever comes, and the channel stays open.
            let (sender, receiver) = mpsc::channel(1);
            tasks.spawn(async move { sender.closed().await });
            Ok(receiver)
        }
        Source::Ads(address) => {
            engine.prepare();
            let (events, link) = connect(address, seed());
            tasks.spawn(link);
            Ok(events)
        }
    }
}

/// What is the same for all connections: the node, the name that the machine or the pod has, the process' variables.
fn facts(node: Value) -> ProxyFacts {
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    // What is no UTF-8 could not be in a line.
    let texts = |(name, value): (OsString, OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    ProxyFacts {
        hostname: hostname.trim().to_owned(),
        environment: std::env::vars_os().filter_map(texts).collect(),
        seed: seed(),
        node,
    }
}

/// A random number; std's hash keys are.
fn seed() -> u64 {
    RandomState::new().hash_one(())
}

impl Engine {
    /// Takes a fixed configuration; one refused resource refuses all of it.
    fn load(&mut self, source: &StaticResources) -> Result<(), String> {
        let clusters: Vec<_> = source.clusters.iter().map(|c| resource(&c.name, c)).collect();
        let endpoints: Vec<_> =
            source.endpoints.iter().map(|e| resource(&e.cluster_name, e)).collect();
        let listeners: Vec<_> = source.listeners.iter().map(|l| resource(&l.name, l)).collect();
        let mut rejected = self.resources.apply_clusters(&clusters, &[]);
        rejected.extend(self.resources.apply_endpoints(&endpoints, &[]));
        rejected.extend(self.resources.apply_listeners(&listeners, &[]));
        if let Some((_, reason)) = rejected.into_iter().next() {
            return Err(reason);
        }
        self.publish_static();
        Ok(())
    }
}

fn resource<T: Message + Name>(name: &str, message: &T) -> Resource {
    Resource {
        name: name.to_owned(),
        version: "static".into(),
        resource: Some(Any { type_url: T::type_url(), value: message.encode_to_vec() }),
        ..Default::default()
    }
}

/// A control plane that does not take it has its reasons.
async fn last_report(finish: report::Finish) {
    let (done, reported) = oneshot::channel();
    if finish.send(done).is_ok() {
        let _ = timeout(FLUSH, reported).await;
    }
}

impl Handle {
    /// What others may see of it.
    pub fn view(&self) -> View {
        self.view.clone()
    }

    /// Resolves when the initial configuration is complete and its listeners listen.
    pub fn ready(&self) -> impl Future<Output = ()> + use<> {
        let mut ready = self.view.ready.clone();
        async move {
            // An engine that ended will never be ready, and its end is reported elsewhere.
            if ready.wait_for(|ready| *ready).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Resolves only if the engine, the link or the admin server ended, which they must not.
    pub async fn failed(&mut self) {
        if self.tasks.join_next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    /// Stops accepting, waits for connections until the deadline (the configured drain time if
    /// none is given), then cuts the rest. True if none had to be cut.
    pub async fn drain_and_stop(mut self, deadline: Option<Duration>) -> bool {
        let until = Instant::now() + deadline.unwrap_or(self.drain);
        for worker in &self.workers {
            // A worker that ended has nothing left to drain.
            let _ = worker.commands.send(Command::Drain(until));
        }
        let workers = std::mem::take(&mut self.workers);
        let joined = tokio::task::spawn_blocking(move || {
            let contexts: Vec<_> = workers.iter().map(|worker| worker.context.clone()).collect();
            for worker in workers {
                // A panic was printed by its thread.
                let _ = worker.thread.join();
            }
            if let Some(context) = contexts.first() {
                context.shared.log.flush(FLUSH);
            }
            contexts
        });
        let _contexts = joined.await.expect("joining does not panic");
        let clean = Instant::now() < until;
        let Self { view, mut tasks, finish, .. } = self;
        tokio::join!(view.shared.collectors.flush(FLUSH), last_report(finish));
        tasks.shutdown().await;
        clean
    }
}

#[cfg(test)]
mod tests;
