//! Opening the upstream connection. In: an endpoint and a deadline. Out: a stream, or why not.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;

use lateen_routing::CompiledCluster;
use tokio::net::TcpStream;

use crate::error::{DataError, Kind};
use crate::socket;

pub async fn connect(
    cluster: &CompiledCluster,
    to: SocketAddr,
    mark: Option<u32>,
) -> Result<TcpStream, DataError> {
    let failed = |error: io::Error| DataError::io(Kind::ConnectFailed, &error);
    let source = cluster.source.filter(|source| source.is_ipv4() == to.is_ipv4());
    let (stream, connected) = socket::start_connect(to, source, mark).map_err(failed)?;
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
