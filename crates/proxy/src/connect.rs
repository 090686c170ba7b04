//! Opening the upstream connection. In: an endpoint, whom to connect for, and a deadline. Out: a stream, or
//! why not.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use lateen_routing::{CompiledCluster, OriginalSource};
use lateen_telemetry::record::NO_ANSWER;
use tokio::net::TcpStream;

use crate::bind;
use crate::error::{DataError, Kind};
use crate::options::KnownAs;
use crate::socket::{self, Origin};

/// A client by whose address an upstream knows it.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    pub address: IpAddr,
    pub how: OriginalSource,
}

/// What all upstream sockets of a proxy have.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sockets {
    pub mark: Option<u32>,
    pub known_as: Option<KnownAs>,
}

pub async fn connect(
    cluster: &CompiledCluster,
    to: SocketAddr,
    client: Option<Client>,
    sockets: Sockets,
) -> Result<TcpStream, DataError> {
    let started = start(to, origin(cluster, to, client, sockets), sockets);
    finish(cluster, started.map_err(|error| DataError::io(Kind::ConnectFailed, &error))?).await
}

/// The same for the proxy itself, from its network namespace and by whatever thread.
pub async fn connect_from(
    netns: Option<&Arc<OwnedFd>>,
    cluster: &CompiledCluster,
    to: SocketAddr,
    sockets: Sockets,
) -> Result<TcpStream, DataError> {
    let from = origin(cluster, to, None, sockets);
    let started = bind::within(netns, move || start(to, from, sockets));
    finish(cluster, started.map_err(|error| DataError::io(Kind::ConnectFailed, &error))?).await
}

/// Where the machine does not have the proxy's own address (yet), any will do: who it is matters less than the
/// connection.
fn start(
    to: SocketAddr,
    from: Origin,
    sockets: Sockets,
) -> io::Result<(std::net::TcpStream, bool)> {
    let source = from.source.map(|source| source.ip());
    let is_own =
        source.is_some_and(|source| sockets.known_as.is_some_and(|own| own.address == source));
    match socket::start_connect(to, &from) {
        Err(error) if is_own && error.kind() == io::ErrorKind::AddrNotAvailable => {
            socket::start_connect(to, &Origin { source: None, ..from })
        }
        started => started,
    }
}

async fn finish(
    cluster: &CompiledCluster,
    (stream, connected): (std::net::TcpStream, bool),
) -> Result<TcpStream, DataError> {
    let failed = |error: io::Error| DataError::io(Kind::ConnectFailed, &error);
    if let Some(keepalive) = cluster.keepalive {
        socket::keep_alive(&stream, keepalive).map_err(failed)?;
    }
    let stream = TcpStream::from_std(stream).map_err(failed)?;
    if connected {
        return Ok(stream);
    }
    // Within one host it is connected after one look at the sockets, and no timer need be armed.
    tokio::task::yield_now().await;
    let ready = poll_fn(|cx| stream.poll_write_ready(cx));
    match tokio::time::timeout(cluster.connect_timeout, ready).await {
        Err(_) => {
            let cause = format!("{NO_ANSWER} {:?}", cluster.connect_timeout);
            return Err(DataError::new(Kind::ConnectTimeout, cause));
        }
        Ok(Err(error)) => return Err(failed(error)),
        Ok(Ok(())) => {}
    }
    match stream.take_error() {
        Ok(None) => Ok(stream),
        Ok(Some(error)) | Err(error) => Err(failed(error)),
    }
}

/// The client's address goes before the cluster's, and that before the proxy's own; a source of another family cannot be used.
fn origin(
    cluster: &CompiledCluster,
    to: SocketAddr,
    client: Option<Client>,
    Sockets { mark, known_as }: Sockets,
) -> Origin {
    let own = || {
        let own = known_as.filter(|own| own.within.contains(&to.ip()))?;
        Some(SocketAddr::new(own.address, 0))
    };
    match client.filter(|client| client.address.is_ipv4() == to.is_ipv4()) {
        Some(client) => Origin {
            source: Some(SocketAddr::new(client.address, 0)),
            transparent: true,
            mark: client.how.mark.or(mark),
        },
        None => {
            let source = cluster.source(to.ip()).or_else(own);
            Origin { source, transparent: false, mark }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use envoy_types::pb::envoy::config::cluster::v3::Cluster;
    use envoy_types::pb::envoy::config::core::v3::{BindConfig, ExtraSourceAddress, SocketAddress};
    use lateen_routing::{OriginalSource, compile_cluster};

    use super::{Client, KnownAs, Sockets, connect, origin};
    use crate::socket::Origin;

    /// From a cluster that connects from 127.0.0.6.
    fn from(client: Option<&str>, mark: Option<u32>, to: &str) -> Origin {
        from_one_of(&[], client, mark, to)
    }

    /// Or from one of more addresses.
    fn from_one_of(more: &[&str], client: Option<&str>, mark: Option<u32>, to: &str) -> Origin {
        let source =
            |address: &str| SocketAddress { address: address.into(), ..Default::default() };
        let extra = more.iter().map(|address| ExtraSourceAddress {
            address: Some(source(address)),
            ..Default::default()
        });
        let bind = BindConfig {
            source_address: Some(source("127.0.0.6")),
            extra_source_addresses: extra.collect(),
            ..Default::default()
        };
        let cluster =
            Cluster { name: "a".into(), upstream_bind_config: Some(bind), ..Default::default() };
        let how = OriginalSource { mark };
        let client = client.map(|client| Client { address: client.parse().unwrap(), how });
        let sockets = Sockets { mark: Some(7), known_as: None };
        origin(&compile_cluster(&cluster).unwrap(), to.parse().unwrap(), client, sockets)
    }

    fn at(text: &str) -> Option<SocketAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn a_clients_address_and_mark_go_before_the_clusters_and_the_proxys() {
        let found = from(Some("192.0.2.1"), Some(1337), "10.0.0.1:80");
        assert_eq!((found.source, found.mark), (at("192.0.2.1:0"), Some(1337)));
        assert!(found.transparent);
        assert_eq!(from(Some("192.0.2.1"), None, "10.0.0.1:80").mark, Some(7));
        let found = from(None, None, "10.0.0.1:80");
        assert_eq!((found.source, found.mark), (at("127.0.0.6:0"), Some(7)));
        assert!(!found.transparent);
    }

    #[test]
    fn an_address_of_another_family_is_no_source() {
        let found = from(Some("2001:db8::1"), Some(1337), "127.0.0.1:80");
        assert_eq!((found.source, found.mark), (at("127.0.0.6:0"), Some(7)));
        assert!(!found.transparent);
        assert_eq!(from(None, None, "[::1]:80").source, None);
        let either = |to: &str| from_one_of(&["::6"], None, None, to).source;
        assert_eq!((either("[::1]:80"), either("10.0.0.1:80")), (at("[::6]:0"), at("127.0.0.6:0")));
    }

    fn known_as(address: &str) -> Sockets {
        let (address, within) = (address.parse().unwrap(), "127.0.0.0/16".parse().unwrap());
        Sockets { mark: None, known_as: Some(KnownAs { address, within }) }
    }

    #[test]
    fn the_proxys_own_address_is_for_its_network_and_clusters_that_name_none() {
        let cluster = compile_cluster(&Cluster { name: "a".into(), ..Cluster::default() }).unwrap();
        let from = |to: &str| origin(&cluster, to.parse().unwrap(), None, known_as("127.0.0.9"));
        assert_eq!(from("127.0.1.1:80").source, at("127.0.0.9:0"));
        assert_eq!(from("127.1.0.1:80").source, None);
        assert_eq!(from("[::1]:80").source, None);
    }

    #[tokio::test]
    async fn a_proxy_whose_own_address_is_not_there_connects_from_another() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let cluster = compile_cluster(&Cluster { name: "a".into(), ..Cluster::default() }).unwrap();
        for (own, seen) in [("127.0.0.9", "127.0.0.9"), ("192.0.2.1", "127.0.0.1")] {
            let _stream = connect(&cluster, to, None, known_as(own)).await.unwrap();
            assert_eq!(listener.accept().unwrap().1.ip().to_string(), seen);
        }
    }
}
