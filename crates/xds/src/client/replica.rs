//! The connection to another replica of the control plane. In: where it is, and messages. Out: they are passed on,
//! until one side ends it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use futures::Stream;
use prost::bytes::Bytes;
use tokio_rustls::rustls::pki_types::ServerName;
use tonic::Request;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic_prost::ProstCodec;

use super::dial::{DialError, dial_at, put_token, trusting};
use super::link::{plain, words};
use crate::passed::{NAME, PATH};

/// How another replica is reached.
#[derive(Clone, Debug)]
pub struct Replica {
    pub address: SocketAddr,
    /// The name that its certificate has.
    pub host: String,
    /// The roots that signed it, as PEM.
    pub roots: Arc<str>,
    /// The file of the own token, which is read for every connection.
    pub token: PathBuf,
    /// The own name.
    pub name: String,
}

/// A connection on which nothing has been said.
pub struct Opened {
    channel: Channel,
    request: Request<()>,
}

impl Replica {
    /// Connects, in a few seconds or not at all.
    ///
    /// # Errors
    /// Why not, in a few words.
    pub async fn connect(&self) -> Result<Opened, String> {
        self.open().await.map_err(|error| words(&error))
    }

    async fn open(&self) -> Result<Opened, DialError> {
        let config = trusting(self.roots.as_bytes()).map_err(DialError::Bundle)?;
        let malformed = || DialError::Address(self.host.clone());
        let host = ServerName::try_from(self.host.clone()).map_err(|_| malformed())?;
        let mut request = Request::new(());
        put_token(&self.token, &mut request).await?;
        let name = self.name.parse().map_err(|_| DialError::Address(self.name.clone()))?;
        request.metadata_mut().insert(NAME, name);
        let channel = dial_at(self.address.to_string(), config, host).await?;
        Ok(Opened { channel, request })
    }
}

impl Opened {
    /// Passes messages on until there are no more or the other side ends the stream; why that was.
    pub async fn pass(self, messages: impl Stream<Item = Bytes> + Send + 'static) -> String {
        let mut grpc = tonic::client::Grpc::new(self.channel);
        if let Err(error) = grpc.ready().await {
            return words(&DialError::Transport(error));
        }
        let request = self.request.map(|()| messages);
        let codec = ProstCodec::<Bytes, ()>::new();
        let sent = grpc.client_streaming(request, PathAndQuery::from_static(PATH), codec);
        match sent.await {
            Ok(_) => "the stream is over".to_owned(),
            Err(status) => plain(&status),
        }
    }
}
