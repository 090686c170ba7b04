//! Mesh DNS: what a workload's resolver talks to.
//!
//! In: a UDP socket and a TCP listener made inside the workload's network namespace, a [`Resolver`]
//! that knows the mesh's names, and the host's resolver configuration. Out: answers for mesh names,
//! and for every other question the answer of the host's resolvers, asked from outside.

mod answer;
mod forward;
pub mod names;
pub mod resolv_conf;
mod tcp;
#[cfg(test)]
mod tests;
mod udp;

use std::io;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::Semaphore;

pub use forward::Upstream;

/// Questions answered at the same time; more are dropped, and the asker tries again.
const CONCURRENT: usize = 512;
const TCP_CONNECTIONS: usize = 64;
const TCP_IDLE: Duration = Duration::from_secs(10);
/// The longest UDP answer, whatever the asker offers: it fits in one packet on any path (DNS flag day 2020).
const LARGEST_UDP: u16 = 1232;
/// Seconds that an answer about the mesh may be kept, as in Istio.
const TTL: u32 = 30;

/// The mesh's names.
pub trait Resolver: Send + Sync {
    /// The addresses of `name` (lower case, no final dot); `None` if it is not the mesh's. An empty
    /// list is a name without addresses. It must answer in bounded time, control plane or not.
    fn lookup<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<Vec<IpAddr>>>;
}

/// The sockets of one workload's DNS.
pub struct Dns {
    udp: tokio::net::UdpSocket,
    tcp: tokio::net::TcpListener,
    shared: Arc<Shared>,
}

/// What every question needs.
struct Shared {
    resolver: Arc<dyn Resolver>,
    upstream: Upstream,
    questions: Arc<Semaphore>,
    connections: Arc<Semaphore>,
    tcp_idle: Duration,
}

impl Dns {
    /// Takes over sockets made elsewhere. Must be called on the runtime that is going to serve.
    pub fn new(
        udp: UdpSocket,
        tcp: TcpListener,
        resolver: Arc<dyn Resolver>,
        upstream: Upstream,
    ) -> io::Result<Self> {
        udp.set_nonblocking(true)?;
        tcp.set_nonblocking(true)?;
        let shared = Shared {
            resolver,
            upstream,
            questions: Arc::new(Semaphore::new(CONCURRENT)),
            connections: Arc::new(Semaphore::new(TCP_CONNECTIONS)),
            tcp_idle: TCP_IDLE,
        };
        Ok(Dns {
            udp: tokio::net::UdpSocket::from_std(udp)?,
            tcp: tokio::net::TcpListener::from_std(tcp)?,
            shared: Arc::new(shared),
        })
    }

    /// Answers until dropped. Returns only if a socket fails for good.
    pub async fn serve(self) -> io::Error {
        tokio::select! {
            error = udp::serve(self.udp, self.shared.clone()) => error,
            error = tcp::serve(self.tcp, self.shared) => error,
        }
    }
}

impl Shared {
    /// The answer to one question of at most `limit` bytes; `None` for what is not a question.
    async fn answer(&self, query: &[u8], limit: Limit) -> Option<Vec<u8>> {
        let question = answer::parse(query)?;
        if let Some(name) = question.mesh_name()
            && let Some(addresses) = self.resolver.lookup(&name).await
        {
            return Some(answer::mesh(&question, &addresses, limit));
        }
        let answered = match self.upstream.ask(query).await {
            Some(answered) => answered,
            None => answer::server_failure(&question),
        };
        Some(answer::fit(&question, answered, limit))
    }
}

/// How long an answer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    /// What the asker's EDNS says, at least 512 and at most [`LARGEST_UDP`].
    Udp,
    /// What the length prefix can say.
    Tcp,
}
