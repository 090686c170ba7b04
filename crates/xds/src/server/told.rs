//! Services to which proxies tell telemetry in a stream. In: messages, which are weighed before they are read. Out:
//! streams of them, to whoever takes them; a message that is too heavy ends its stream and is counted.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{Context, Poll};

use prost::Message;
use prost::bytes::Buf;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder};
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::{ClientStreamingService, Grpc, NamedService};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::{ProstCodec, ProstEncoder};

use super::Source;
use super::serve::Ads;
use super::weight::{Shape, fits};

/// How much more than the largest message one may take once it is read.
const GROWTH: usize = 4;

/// A service with one method, which takes a stream.
pub(super) trait Telling: Send + Sync + 'static {
    const SERVICE: &'static str;
    const PATH: &'static str;
    const SHAPE: &'static Shape;
    type Message: Message + Default + 'static;
    type Answer: Message + Default + 'static;

    fn take(
        ads: Ads,
        request: Request<Streaming<Self::Message>>,
    ) -> BoxFuture<Response<Self::Answer>, Status>;
}

/// The gRPC service.
pub(super) struct Told<T> {
    ads: Ads,
    telling: PhantomData<T>,
}

impl<T> Told<T> {
    pub fn new(ads: Ads) -> Self {
        Self { ads, telling: PhantomData }
    }
}

impl<T> Clone for Told<T> {
    fn clone(&self) -> Self {
        Self::new(self.ads.clone())
    }
}

impl<T: Telling> NamedService for Told<T> {
    const NAME: &'static str = T::SERVICE;
}

impl<T: Telling> Service<http::Request<Body>> for Told<T> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let own = self.clone();
        Box::pin(async move {
            if request.uri().path() != T::PATH {
                return Ok(Status::unimplemented("there is no such method").into_http());
            }
            let (limit, source) = (own.ads.message_limit(), own.ads.source.clone());
            let codec = Weighed::<T> { most: GROWTH * limit, source, telling: PhantomData };
            let mut grpc = Grpc::new(codec).max_decoding_message_size(limit);
            Ok(grpc.client_streaming(own, request).await)
        })
    }
}

impl<T: Telling> ClientStreamingService<T::Message> for Told<T> {
    type Response = T::Answer;
    type Future = BoxFuture<Response<T::Answer>, Status>;

    fn call(&mut self, request: Request<Streaming<T::Message>>) -> Self::Future {
        T::take(self.ads.clone(), request)
    }
}

/// Reads messages that are not too heavy.
struct Weighed<T> {
    most: usize,
    source: Arc<dyn Source>,
    telling: PhantomData<T>,
}

impl<T: Telling> Codec for Weighed<T> {
    type Encode = T::Answer;
    type Decode = T::Message;
    type Encoder = ProstEncoder<T::Answer>;
    type Decoder = Self;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T::Answer, T::Message>::default().encoder()
    }

    fn decoder(&mut self) -> Self {
        Self { most: self.most, source: self.source.clone(), telling: PhantomData }
    }
}

impl<T: Telling> Decoder for Weighed<T> {
    type Item = T::Message;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<T::Message>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        if !fits(&bytes, T::SHAPE, self.most) {
            self.source.overweight();
            let text = format!(
                "a message of {} bytes would take more than {} once it is read: tell less at once",
                bytes.len(),
                self.most
            );
            return Err(Status::resource_exhausted(text));
        }
        let unread = |error| Status::invalid_argument(format!("cannot read: {error}"));
        T::Message::decode(bytes).map(Some).map_err(unread)
    }
}
