//! Pulling by the kubelet's own interface, CRI, of containerd and CRI-O
//! (<https://github.com/kubernetes/cri-api/blob/master/pkg/apis/runtime/v1/api.proto>). In: a socket and an
//! image. Out: whether the runtime could pull it.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use lateen_registry::auth::Credentials;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

const CONNECT: Duration = Duration::from_secs(5);
const PULL: Duration = Duration::from_secs(600);

/// containerd before 1.6 has only the older one.
const PATHS: [&str; 2] =
    ["/runtime.v1.ImageService/PullImage", "/runtime.v1alpha2.ImageService/PullImage"];

#[derive(Clone, PartialEq, prost::Message)]
struct ImageSpec {
    #[prost(string, tag = "1")]
    image: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct AuthConfig {
    #[prost(string, tag = "1")]
    username: String,
    #[prost(string, tag = "2")]
    password: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PullImageRequest {
    #[prost(message, optional, tag = "1")]
    image: Option<ImageSpec>,
    #[prost(message, optional, tag = "2")]
    auth: Option<AuthConfig>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PullImageResponse {
    #[prost(string, tag = "1")]
    image_ref: String,
}

/// Pulls an image; the error is the runtime's own.
pub async fn pull(socket: &str, image: &str, credentials: Option<&Credentials>) -> Result<()> {
    let endpoint = Endpoint::from_shared(format!("unix://{socket}"))?;
    let channel = endpoint.connect_timeout(CONNECT).connect().await;
    let channel = channel.with_context(|| format!("cannot reach the runtime at {socket}"))?;
    let request = PullImageRequest {
        image: Some(ImageSpec { image: image.to_owned() }),
        auth: credentials.map(|credentials| AuthConfig {
            username: credentials.user.clone(),
            password: credentials.password.clone(),
        }),
    };
    let mut answer = call(&channel, PATHS[0], &request).await;
    if answer.as_ref().is_err_and(|status| status.code() == Code::Unimplemented) {
        answer = call(&channel, PATHS[1], &request).await;
    }
    answer.map_err(|status| anyhow!(status.message().to_owned()))
}

async fn call(
    channel: &Channel,
    path: &'static str,
    request: &PullImageRequest,
) -> Result<(), Status> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let mut request = Request::new(request.clone());
    request.set_timeout(PULL);
    let codec: ProstCodec<PullImageRequest, PullImageResponse> = ProstCodec::default();
    grpc.unary(request, PathAndQuery::from_static(path), codec).await.map(drop)
}
