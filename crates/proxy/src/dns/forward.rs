//! The host's resolvers, asked from the host's network namespace.
//!
//! In: a query's bytes. Out: the first useful answer, with the query's id; `None` when no resolver
//! answers. Each question has a socket of its own, thus a random port, and a fresh random id, and
//! only an answer to that very question from that very resolver counts.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use hickory_proto::op::{Message, MessageType, ResponseCode};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::{resolv_conf, tcp};

const DNS_PORT: u16 = 53;
/// Below the five seconds after which the C library gives up on us.
const UDP_PATIENCE: Duration = Duration::from_millis(1500);
const TCP_PATIENCE: Duration = Duration::from_secs(3);
/// The C library uses no more servers than this either (MAXNS of resolv.conf(5)).
const MAX_SERVERS: usize = 3;
const LARGEST_ANSWER: usize = 65535;

/// Where other people's names are resolved.
pub struct Upstream {
    source: Source,
}

enum Source {
    Fixed(Vec<SocketAddr>),
    /// Read again when it changes.
    File {
        path: PathBuf,
        own: IpAddr,
        cached: Mutex<Option<Cached>>,
    },
}

struct Cached {
    stamp: Stamp,
    servers: Vec<SocketAddr>,
}

type Stamp = Option<(SystemTime, u64)>;

impl Upstream {
    /// The resolvers named in the file at `path`, but for `own`, the workload's way to us.
    pub fn of_file(path: &Path, own: IpAddr) -> Self {
        Upstream { source: Source::File { path: path.into(), own, cached: Mutex::new(None) } }
    }

    pub fn fixed(servers: Vec<SocketAddr>) -> Self {
        Upstream { source: Source::Fixed(servers) }
    }

    /// Asks one resolver after the other. One that fails or refuses is passed over, but its answer
    /// is better than none.
    pub(super) async fn ask(&self, query: &[u8]) -> Option<Vec<u8>> {
        let mut second_best = None;
        for server in self.servers() {
            match exchange(server, query).await {
                Ok(answer) if is_useful(&answer) => return Some(answer),
                Ok(answer) => second_best = Some(answer),
                Err(error) => {
                    tracing::debug!(%server, %error, "a resolver of the host did not answer")
                }
            }
        }
        second_best
    }

    pub(super) fn servers(&self) -> Vec<SocketAddr> {
        match &self.source {
            Source::Fixed(servers) => servers.clone(),
            Source::File { path, own, cached } => {
                let mut cached = cached.lock().expect("nothing panics with the list in hand");
                let stamp = stamp(path);
                match &*cached {
                    Some(known) if known.stamp == stamp => known.servers.clone(),
                    _ => {
                        let servers = read(path, *own);
                        *cached = Some(Cached { stamp, servers: servers.clone() });
                        servers
                    }
                }
            }
        }
    }
}

fn stamp(path: &Path) -> Stamp {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// Without any server the C library asks the local machine; so do we.
fn read(path: &Path, own: IpAddr) -> Vec<SocketAddr> {
    let mut servers = resolv_conf::parse(&fs::read_to_string(path).unwrap_or_default()).nameservers;
    if servers.is_empty() {
        servers.push(Ipv4Addr::LOCALHOST.into());
    }
    servers.retain(|server| *server != own);
    servers.truncate(MAX_SERVERS);
    servers.into_iter().map(|server| SocketAddr::new(server, DNS_PORT)).collect()
}

/// Over UDP, and again over TCP if the answer does not fit.
async fn exchange(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let mut asked = query.to_vec();
    let (own, theirs) = (id(query)?, rand_id());
    asked[..2].copy_from_slice(&theirs);
    let mut answer = timeout(UDP_PATIENCE, over_udp(server, &asked)).await??;
    if is_truncated(&answer) {
        answer = timeout(TCP_PATIENCE, over_tcp(server, &asked)).await??;
    }
    answer[..2].copy_from_slice(&own);
    Ok(answer)
}

fn id(query: &[u8]) -> io::Result<[u8; 2]> {
    query.first_chunk().copied().ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// hickory draws from the system's generator for each new query.
fn rand_id() -> [u8; 2] {
    Message::query().metadata.id.to_be_bytes()
}

async fn over_udp(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(query).await?;
    let mut buffer = vec![0; LARGEST_ANSWER];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if answers(&buffer[..length], query) {
            buffer.truncate(length);
            return Ok(buffer);
        }
    }
}

async fn over_tcp(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    tcp::write(&mut stream, query).await?;
    let answer = tcp::read(&mut stream, LARGEST_ANSWER).await?;
    if answers(&answer, query) { Ok(answer) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// Whether `answer` is an answer to `query`: same id, same question.
fn answers(answer: &[u8], query: &[u8]) -> bool {
    if answer.get(..2) != query.get(..2) {
        return false;
    }
    let (Ok(answer), Ok(query)) = (Message::from_vec(answer), Message::from_vec(query)) else {
        return false;
    };
    // Some servers leave the question out when they refuse it.
    answer.metadata.message_type == MessageType::Response
        && (answer.queries == query.queries
            || answer.queries.is_empty() && answer.metadata.response_code != ResponseCode::NoError)
}

/// The TC bit of the header (RFC 1035, 4.1.1).
fn is_truncated(answer: &[u8]) -> bool {
    answer.get(2).is_some_and(|flags| flags & 0x02 != 0)
}

fn is_useful(answer: &[u8]) -> bool {
    let code = answer.get(3).map(|flags| flags & 0x0f);
    // Anything but SERVFAIL, NOTIMP and REFUSED.
    code.is_some_and(|code| !matches!(code, 2 | 4 | 5))
}
