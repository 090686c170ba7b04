//! One connection to an ADS server. In: an address. Out: a channel, and the credentials on a request. Over
//! TLS the roots and the token are files that somebody else renews: they are read here, every time.

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use tonic::Request;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};

use super::address::AdsAddress;

/// Until the server's name is resolved, the connection is made and the handshake is done.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const KEEP_ALIVE: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum DialError {
    #[error("{0}")]
    Transport(#[from] tonic::transport::Error),
    #[error("cannot read {}: {reason}", path.display())]
    File { path: PathBuf, reason: String },
    #[error("{}: {reason}", path.display())]
    Roots { path: PathBuf, reason: lateen_identity::Error },
    #[error("the roots are not usable: {0}")]
    Bundle(lateen_identity::Error),
    #[error("{} holds no token that can be sent: check its content", .0.display())]
    Token(PathBuf),
    #[error("{0:?} is not host:port: check the address of the control plane")]
    Address(String),
}

/// Connects, for as long as it takes at most.
pub async fn dial(address: &AdsAddress) -> Result<Channel, DialError> {
    match address {
        AdsAddress::Tcp(host) => Ok(endpoint(host)?.connect().await?),
        AdsAddress::Unix(path) => {
            let path = path.clone();
            let connector = tower::service_fn(move |_| {
                let path = path.clone();
                async move { UnixStream::connect(path).await.map(TokioIo::new) }
            });
            Ok(endpoint("ads")?.connect_with_connector(connector).await?)
        }
        AdsAddress::Tls { host, roots, .. } => {
            dial_at(host.clone(), client_config(roots).await?, server_name(host)?).await
        }
    }
}

/// Connects over TLS to an address, or to a name with a port, that has the certificate of `name`.
pub(super) async fn dial_at(
    target: String,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
) -> Result<Channel, DialError> {
    let endpoint = endpoint(&target)?;
    let connector = tower::service_fn(move |_| {
        let (config, name, target) = (config.clone(), name.clone(), target.clone());
        async move { handshake(config, name, target).await.map(TokioIo::new) }
    });
    Ok(endpoint.connect_with_connector(connector).await?)
}

/// Puts the token on a request, where the address has one.
pub async fn authorize<T>(address: &AdsAddress, request: &mut Request<T>) -> Result<(), DialError> {
    match address {
        AdsAddress::Tls { token, .. } => put_token(token, request).await,
        AdsAddress::Unix(_) | AdsAddress::Tcp(_) => Ok(()),
    }
}

/// Puts the token of a file on a request.
pub(super) async fn put_token<T>(path: &Path, request: &mut Request<T>) -> Result<(), DialError> {
    let token =
        String::from_utf8(read(path).await?).map_err(|_| DialError::Token(path.to_owned()))?;
    if token.trim().is_empty() {
        return Err(DialError::Token(path.to_owned()));
    }
    let value: Result<MetadataValue<_>, _> = format!("Bearer {}", token.trim()).parse();
    let mut value = value.map_err(|_| DialError::Token(path.to_owned()))?;
    // Never kept in a compression table.
    value.set_sensitive(true);
    request.metadata_mut().insert("authorization", value);
    Ok(())
}

/// The scheme stands in the requests only: what encrypts them is the connector's concern.
fn endpoint(host: &str) -> Result<Endpoint, DialError> {
    let endpoint = Endpoint::from_shared(format!("http://{host}"))?;
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .tcp_nodelay(true))
}

async fn client_config(roots: &Path) -> Result<Arc<ClientConfig>, DialError> {
    let pem = read(roots).await?;
    trusting(&pem).map_err(|reason| DialError::Roots { path: roots.to_owned(), reason })
}

/// For HTTP/2 with a server whose certificate one of these roots has signed.
pub(super) fn trusting(roots: &[u8]) -> Result<Arc<ClientConfig>, lateen_identity::Error> {
    let mut config = Arc::unwrap_or_clone(lateen_identity::client_config(roots)?);
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

fn server_name(host: &str) -> Result<ServerName<'static>, DialError> {
    let malformed = || DialError::Address(host.to_owned());
    let (name, _) = host.rsplit_once(':').ok_or_else(malformed)?;
    let name = name.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(name.to_owned()).map_err(|_| malformed())
}

async fn handshake(
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    target: String,
) -> io::Result<TlsStream<TcpStream>> {
    let connected = async {
        let stream = TcpStream::connect(target).await?;
        stream.set_nodelay(true)?;
        let refused = |error: io::Error| io::Error::new(error.kind(), format!("tls: {error}"));
        TlsConnector::from(config).connect(name, stream).await.map_err(refused)
    };
    let late = || io::Error::new(io::ErrorKind::TimedOut, "no tls connection in time");
    tokio::time::timeout(CONNECT_TIMEOUT, connected).await.map_err(|_| late())?
}

async fn read(path: &Path) -> Result<Vec<u8>, DialError> {
    tokio::fs::read(path).await.map_err(|error| {
        let reason = error.to_string().to_lowercase();
        let reason = reason.split(" (os error").next().unwrap_or_default().to_owned();
        DialError::File { path: path.to_owned(), reason }
    })
}
