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
mod zone;

use std::io;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::Semaphore;

use answer::{End, Question};
pub use forward::Upstream;
pub use zone::Zone;

/// Questions answered at the same time; more are dropped, and the asker tries again.
const CONCURRENT: usize = 512;
const TCP_CONNECTIONS: usize = 64;
const TCP_IDLE: Duration = Duration::from_secs(10);
/// The longest UDP answer, whatever the asker offers: it fits in one packet on any path (DNS flag day 2020).
const LARGEST_UDP: u16 = 1232;
/// Seconds that an answer about the mesh may be kept, as in Istio.
const TTL: u32 = 30;

/// Aliases that may lead to each other; more are a mistake, as resolvers see it too.
const LONGEST_CHAIN: usize = 8;

/// What a name means in the mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Its addresses; none is a name without addresses.
    Addresses(Vec<IpAddr>),
    /// Another name stands for it (lower case, no final dot).
    Alias(String),
    /// The mesh does not have it.
    Absent,
    /// The control plane did not say.
    Unknown,
}

/// The mesh's names.
pub trait Resolver: Send + Sync {
    /// What `name` (lower case, no final dot) means. It must answer in bounded time, control plane or
    /// not.
    fn lookup<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Meaning>;
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
    zone: Zone,
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
        zone: Zone,
    ) -> io::Result<Self> {
        udp.set_nonblocking(true)?;
        tcp.set_nonblocking(true)?;
        let shared = Shared {
            resolver,
            upstream,
            zone,
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
        let Some(name) = question.mesh_name(&self.zone) else {
            return Some(self.forward(&question, query, limit).await);
        };
        let end = match self.resolver.lookup(&name).await {
            Meaning::Addresses(addresses) => End::Addresses(addresses),
            Meaning::Alias(target) => {
                return Some(self.follow(&question, name, target, limit).await);
            }
            Meaning::Absent if self.zone.contains(&name) => End::absent(&name, &self.zone),
            Meaning::Unknown if self.zone.contains(&name) => End::Failure,
            Meaning::Absent | Meaning::Unknown => {
                return Some(self.forward(&question, query, limit).await);
            }
        };
        Some(answer::mesh(&question, &[], &end, &self.zone, limit))
    }

    /// The answer of the host's resolvers.
    async fn forward(&self, question: &Question, query: &[u8], limit: Limit) -> Vec<u8> {
        match self.upstream.ask(query).await {
            Some(answered) => answer::fit(question, answered, limit),
            None => answer::server_failure(question),
        }
    }

    /// The names that `name` stands for, one after the other, and what the last one means: in the mesh
    /// if it has it, else as the host's resolvers say.
    async fn follow(
        &self,
        question: &Question,
        name: String,
        target: String,
        limit: Limit,
    ) -> Vec<u8> {
        let mut chain = vec![target];
        let end = loop {
            let Some(last) = chain.last().filter(|_| !question.asks_for_alias()) else {
                break End::Chain;
            };
            match self.resolver.lookup(last).await {
                Meaning::Addresses(addresses) => break End::Addresses(addresses),
                Meaning::Absent if self.zone.contains(last) => break End::absent(last, &self.zone),
                Meaning::Unknown if self.zone.contains(last) => break End::Failure,
                Meaning::Absent | Meaning::Unknown => break self.elsewhere(question, last).await,
                Meaning::Alias(next) => {
                    if next == name || chain.contains(&next) || chain.len() == LONGEST_CHAIN {
                        break End::Failure;
                    }
                    chain.push(next);
                }
            }
        };
        answer::mesh(question, &chain, &end, &self.zone, limit)
    }

    /// What the host's resolvers say about the name at the end of a chain.
    async fn elsewhere(&self, question: &Question, name: &str) -> End {
        let Some(query) = question.about(name) else { return End::Failure };
        let answered = self.upstream.ask(&query).await;
        answered.and_then(|bytes| answer::received(&bytes)).unwrap_or(End::Failure)
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
