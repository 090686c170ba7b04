//! A worker thread: one current-thread runtime that does nothing but traffic. In: sockets to accept
//! from. Out: connections served, until it is told to stop and its connections ended or the deadline
//! came.

use std::cell::Cell;
use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use lateen_telemetry::record::ProxyFacts;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use crate::accept::accept;
use crate::bind;
use crate::collect::Collectors;
use crate::config::Config;
use crate::connect::Sockets;
use crate::decide::Demand;
use crate::log::LogWriter;
use crate::records::Records;
use crate::traffic::Traffic;

/// How often a draining worker looks whether its connections have ended.
const DRAIN_TICK: Duration = Duration::from_millis(20);

/// What all workers and the engine share.
#[derive(Debug)]
pub struct Shared {
    pub config: ArcSwap<Config>,
    /// The version of `config`, for those who wait for a change.
    pub published: watch::Sender<u64>,
    pub demands: mpsc::Sender<Demand>,
    /// A connection to the control plane is open.
    pub linked: AtomicBool,
    /// Why there is no such connection, once one has failed.
    pub trouble: ArcSwapOption<String>,
    pub records: Records,
    pub traffic: Traffic,
    pub reasons: Reasons,
    pub log: LogWriter,
    pub collectors: Collectors,
    pub sockets: Sockets,
    pub max_connections: usize,
    /// How many there are.
    pub workers: usize,
    /// What records of connections say of the proxy.
    pub facts: Arc<ProxyFacts>,
    pub started: Instant,
}

/// The two ordinary ends of a connection, allocated once.
#[derive(Debug)]
pub struct Reasons {
    ended: Arc<str>,
    cut: Arc<str>,
}

impl Default for Reasons {
    fn default() -> Self {
        Self { ended: "closed by both sides".into(), cut: "cut at the drain deadline".into() }
    }
}

impl Reasons {
    pub fn of(&self, ended: bool) -> Arc<str> {
        if ended { self.ended.clone() } else { self.cut.clone() }
    }
}

/// One worker, as its connections see it.
#[derive(Debug)]
pub struct Context {
    pub index: usize,
    pub shared: Arc<Shared>,
    pub active: AtomicUsize,
    /// Connections so far.
    count: AtomicU64,
}

thread_local! {
    static RANDOM: Cell<u64> = const { Cell::new(0) };
}

impl Context {
    /// The number of a new connection: no other one of the proxy has it, nor the one after it, which is that of the
    /// connection to its upstream.
    pub fn number(&self) -> u64 {
        let own = self.count.fetch_add(1, Ordering::Relaxed);
        2 * (own * self.shared.workers as u64 + self.index as u64)
    }

    /// The next of the thread's random numbers (splitmix64, seeded by time and worker).
    pub fn random(&self) -> u64 {
        let state = match RANDOM.get() {
            0 => {
                let nanos = std::time::UNIX_EPOCH.elapsed().map_or(1, |t| t.as_nanos() as u64);
                nanos ^ ((self.index as u64 + 1) << 48)
            }
            state => state,
        };
        let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        RANDOM.set(state);
        let mut z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

pub enum Command {
    /// Accept from a socket that is known by an address.
    Listen(SocketAddr, TcpListener),
    Unlisten(SocketAddr),
    /// Stop accepting, and end when the connections have or at this time.
    Drain(Instant),
}

pub struct Worker {
    pub commands: mpsc::UnboundedSender<Command>,
    pub thread: JoinHandle<()>,
    pub context: Arc<Context>,
}

impl Worker {
    pub fn start(
        index: usize,
        shared: Arc<Shared>,
        netns: Option<Arc<OwnedFd>>,
    ) -> io::Result<Self> {
        let (commands, receiver) = mpsc::unbounded_channel();
        let context = Arc::new(Context {
            index,
            shared,
            active: AtomicUsize::new(0),
            count: AtomicU64::new(0),
        });
        let own = context.clone();
        let thread =
            std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
                if let Err(error) = run(own, receiver, netns.as_deref()) {
                    tracing::error!(worker = index, %error, "worker ended: check the namespace");
                }
            })?;
        Ok(Self { commands, thread, context })
    }
}

fn run(
    context: Arc<Context>,
    mut commands: mpsc::UnboundedReceiver<Command>,
    netns: Option<&OwnedFd>,
) -> io::Result<()> {
    if let Some(netns) = netns {
        bind::enter(netns)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut accepting: HashMap<SocketAddr, AbortHandle> = HashMap::new();
        // When the engine is gone, the worker stops at once.
        let mut deadline = Instant::now();
        while let Some(command) = commands.recv().await {
            match command {
                Command::Listen(key, listener) => match tokio::net::TcpListener::from_std(listener)
                {
                    Ok(listener) => {
                        let task = tokio::spawn(accept(context.clone(), listener, key));
                        accepting.insert(key, task.abort_handle());
                    }
                    Err(error) => tracing::error!(%key, %error, "cannot watch the socket"),
                },
                Command::Unlisten(key) => {
                    if let Some(task) = accepting.remove(&key) {
                        task.abort();
                    }
                }
                Command::Drain(until) => {
                    deadline = until;
                    break;
                }
            }
        }
        accepting.values().for_each(AbortHandle::abort);
        while context.active.load(Ordering::Relaxed) > 0 && Instant::now() < deadline {
            tokio::time::sleep(DRAIN_TICK).await;
        }
    });
    Ok(())
}
