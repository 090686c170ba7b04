//! What other replicas pass on, beside ADS and under the same rules. In: a stream of [`Passed`] from a replica that
//! shows who it is. Out: what it carries, to the source's [`Replica`](super::Replica).

use std::convert::Infallible;
use std::task::{Context, Poll};

use prost::Message;
use prost::bytes::Bytes;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::{ClientStreamingService, Grpc, NamedService};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use super::peer::Refusal;
use super::reports::next;
use super::serve::{Ads, Until};
use crate::passed::{NAME, PATH, Passed, SERVICE};

/// The gRPC service.
#[derive(Clone)]
pub(super) struct Passing(pub Ads);

impl NamedService for Passing {
    const NAME: &'static str = SERVICE;
}

impl Service<http::Request<Body>> for Passing {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let own = self.clone();
        Box::pin(async move {
            if request.uri().path() != PATH {
                return Ok(Status::unimplemented("there is no such method").into_http());
            }
            let codec = ProstCodec::<(), Bytes>::new();
            let mut grpc = Grpc::new(codec).max_decoding_message_size(own.0.message_limit());
            Ok(grpc.client_streaming(own, request).await)
        })
    }
}

impl ClientStreamingService<Bytes> for Passing {
    type Response = ();
    type Future = BoxFuture<Response<()>, Status>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let ads = self.0.clone();
        Box::pin(async move {
            let name = request.metadata().get(NAME).and_then(|name| name.to_str().ok());
            let name = name.unwrap_or_default().to_owned();
            let peer = ads.entrance.peer(request.metadata()).await.map_err(Refusal::status)?;
            let _slot = ads.telemetry.take(&peer)?;
            let until = Until::of(&request);
            let mut replica = ads.source.replica(&name, &peer).map_err(Refusal::status)?;
            let mut stream = request.into_inner();
            let over = ads.over(until);
            tokio::pin!(over);
            while let Some(message) = next(&mut stream, over.as_mut()).await? {
                let unread = |error| Status::invalid_argument(format!("cannot read: {error}"));
                replica.take(Passed::decode(message).map_err(unread)?);
            }
            Ok(Response::new(()))
        })
    }
}
