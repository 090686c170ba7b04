//! Opening the upstream connection. In: an endpoint, whom to connect for, and a deadline. Out: a stream, or
//! why not.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};

use lateen_routing::{CompiledCluster, OriginalSource};
use tokio::net::TcpStream;

use crate::error::{DataError, Kind};
use crate::socket::{self, Origin};

/// A client by whose address an upstream knows it.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    pub address: IpAddr,
    pub how: OriginalSource,
}

pub async fn connect(
    cluster: &CompiledCluster,
    to: SocketAddr,
    client: Option<Client>,
    mark: Option<u32>,
) -> Result<TcpStream, DataError> {
    let failed = |error: io::Error| DataError::io(Kind::ConnectFailed, &error);
    let from = origin(cluster, to, client, mark);
    let (stream, connected) = socket::start_connect(to, &from).map_err(failed)?;
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
            let cause = format!("no connection within {:?}", cluster.connect_timeout);
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

/// The client's address goes before the cluster's; a source of another family cannot be used.
fn origin(
    cluster: &CompiledCluster,
    to: SocketAddr,
    client: Option<Client>,
    mark: Option<u32>,
) -> Origin {
    match client.filter(|client| client.address.is_ipv4() == to.is_ipv4()) {
        Some(client) => Origin {
            source: Some(SocketAddr::new(client.address, 0)),
            transparent: true,
            mark: client.how.mark.or(mark),
        },
        None => Origin {
            source: cluster.source.filter(|source| source.is_ipv4() == to.is_ipv4()),
            transparent: false,
            mark,
        },
    }
}
