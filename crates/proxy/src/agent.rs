//! What surrounds a proxy in a pod, as Istio's agent does: health, the application's probes, merged metrics,
//! the admin pages on the loopback interface, and the orderly end. In: [`Options`] and a [`View`] of the
//! proxy. Out: HTTP on Istio's ports, and when to end.

mod client;
pub mod drain;
mod grpc;
mod merge;
mod paced;
pub mod podinfo;
pub mod probe;
pub mod processes;
mod server;
mod status;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lateen_runtime::tasks::Tasks;
use tokio::sync::{Notify, Semaphore};

use crate::view::View;
pub use merge::Application;
use probe::Probers;
use server::Routes;

/// Where the kubelet asks whether the proxy is ready.
pub const HEALTH_PORT: u16 = 15021;
/// Where the proxy's own metrics are.
pub const METRICS_PORT: u16 = 15090;
/// Where health, probes and merged metrics are, unless ProxyConfig says otherwise.
pub const STATUS_PORT: u16 = 15020;

/// After this a proxy that is not ready says why.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_secs(1);

/// How an agent is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where all but the admin pages are; every address of the pod without it.
    pub address: Option<IpAddr>,
    /// Health, probes and merged metrics; none of them on 0.
    pub status_port: u16,
    /// The admin pages, on the loopback interface only; 0 is none.
    pub admin_port: u16,
    /// The pod's address, where the application is asked.
    pub pod: IpAddr,
    pub probers: Probers,
    /// Where the application has metrics.
    pub application: Option<Application>,
    /// The network namespace of the application, if it is not the process' own.
    pub netns: Option<Arc<OwnedFd>>,
}

#[derive(Debug, thiserror::Error)]
#[error("cannot listen on port {port} for {what}: {reason}; check what else listens there")]
pub struct StartError {
    what: &'static str,
    port: u16,
    reason: io::Error,
}

/// A running agent; its servers are tasks of the supervisor that it was started with.
#[derive(Clone)]
pub struct Agent(Arc<State>);

/// What the servers share.
struct State {
    options: Options,
    view: View,
    started: Instant,
    /// Milliseconds from the start until the proxy was ready; 0 before.
    startup: AtomicU64,
    draining: AtomicBool,
    quit: Notify,
    scrapes: AtomicU64,
    failed_scrapes: AtomicU64,
    /// Of those who ask the application for its metrics.
    turns: Semaphore,
}

/// Binds every port and starts the servers.
pub fn start(options: Options, view: View, tasks: &Tasks) -> Result<Agent, StartError> {
    let (address, status_port, admin_port) =
        (options.address, options.status_port, options.admin_port);
    let state = Arc::new(State::new(options, view));
    let servers: [(&'static str, Option<IpAddr>, u16, Routes); 4] = [
        ("health", address, HEALTH_PORT, status::health(&state)),
        ("status", address, status_port, status::all(&state)),
        ("metrics", address, METRICS_PORT, status::metrics(&state)),
        ("admin", Some(Ipv4Addr::LOCALHOST.into()), admin_port, status::admin(&state)),
    ];
    for (what, address, port, routes) in servers {
        if port == 0 {
            continue;
        }
        let listener = server::listen(address, port);
        let listener = listener.map_err(|reason| StartError { what, port, reason })?;
        tasks.essential(what, async move {
            server::serve(listener, routes).await;
            Ok(())
        });
    }
    tasks.child("readiness", tell(state.clone()));
    Ok(Agent(state))
}

impl Agent {
    /// From now on it is not ready, so that nobody new is sent here.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    /// Resolves when a program of the pod asks the agent to end.
    pub async fn asked_to_quit(&self) {
        self.0.quit.notified().await;
    }
}

impl State {
    fn new(options: Options, view: View) -> Self {
        Self {
            options,
            view,
            started: Instant::now(),
            startup: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            quit: Notify::new(),
            scrapes: AtomicU64::new(0),
            failed_scrapes: AtomicU64::new(0),
            turns: Semaphore::new(merge::AT_ONCE),
        }
    }

    /// Why it is not ready; `None` if it is.
    fn unready(&self) -> Option<String> {
        if self.draining.load(Ordering::Relaxed) {
            return Some("the proxy is draining".to_owned());
        }
        if self.view.is_ready() {
            return None;
        }
        Some(match self.view.trouble() {
            Some(trouble) => format!("no configuration yet: control plane: {trouble}"),
            None => "no configuration yet: waiting for the control plane".to_owned(),
        })
    }
}

/// Notes when the proxy has become ready, and says why it has not for a long time, once per reason.
async fn tell(state: Arc<State>) {
    let mut told = None;
    let mut ready = state.view.ready.clone();
    loop {
        match tokio::time::timeout(LOOK, ready.wait_for(|ready| *ready)).await {
            Ok(Ok(_)) => break,
            // The engine has ended, which is somebody else's to tell.
            Ok(Err(_)) => return,
            Err(_) => {}
        }
        let reason = state.unready();
        if state.started.elapsed() >= PATIENCE && reason.is_some() && told != reason {
            tracing::warn!("not ready: {}", reason.as_deref().unwrap_or_default());
            told = reason;
        }
    }
    let millis = u64::try_from(state.started.elapsed().as_millis()).unwrap_or(u64::MAX);
    state.startup.store(millis.max(1), Ordering::Relaxed);
    tracing::info!("ready");
}
