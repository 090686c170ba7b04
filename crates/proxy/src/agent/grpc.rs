//! The gRPC health check, of <https://github.com/grpc/grpc/blob/master/doc/health-checking.md>. In: a connection
//! and a service's name. Out: whether it serves.

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, TE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::TcpStream;

use super::server::Error;

const METHOD: &str = "/grpc.health.v1.Health/Check";
/// `SERVING` of the answer's status.
const SERVING: i32 = 1;
/// A flag and four bytes of length before each message.
const PREFIX: usize = 5;
const LARGEST: usize = 4096;

#[derive(Clone, PartialEq, Message)]
struct CheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, PartialEq, Message)]
struct CheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// Fails with the reason unless the service answers that it serves.
pub async fn check(
    stream: TcpStream,
    authority: &str,
    service: &str,
    agent: Option<HeaderValue>,
) -> Result<(), Error> {
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    let exchange = async move {
        let response = sender.send_request(request(authority, service, agent)?).await?;
        status(response).await
    };
    tokio::pin!(exchange);
    tokio::select! {
        outcome = &mut exchange => outcome,
        // What it has sent before it went away is still read.
        _ = connection => exchange.await,
    }
}

fn request(
    authority: &str,
    service: &str,
    agent: Option<HeaderValue>,
) -> Result<Request<Full<Bytes>>, Error> {
    let message = CheckRequest { service: service.to_owned() };
    let mut body = BytesMut::new();
    body.put_u8(0);
    body.put_u32(u32::try_from(message.encoded_len())?);
    message.encode(&mut body)?;
    let agent = agent.unwrap_or(HeaderValue::from_static("kube-probe"));
    let request = Request::post(format!("http://{authority}{METHOD}"))
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .header(USER_AGENT, agent);
    Ok(request.body(Full::new(body.freeze()))?)
}

async fn status(response: Response<Incoming>) -> Result<(), Error> {
    if response.status() != StatusCode::OK {
        return Err(format!("it answered {}", response.status()).into());
    }
    let head = response.headers().clone();
    let body = Limited::new(response.into_body(), LARGEST).collect().await?;
    // An answer without a message has its status in the head.
    failure(body.trailers().unwrap_or(&head))?;
    let bytes = body.to_bytes();
    let message = bytes.get(PREFIX..).ok_or("it answered without a message")?;
    match CheckResponse::decode(message)?.status {
        SERVING => Ok(()),
        other => Err(format!("the service's status is {other}").into()),
    }
}

fn failure(trailers: &HeaderMap) -> Result<(), Error> {
    let text = |name: &str| trailers.get(name).and_then(|value| value.to_str().ok());
    match text("grpc-status") {
        Some("0") => Ok(()),
        Some(code) => {
            let message = text("grpc-message").unwrap_or_default();
            Err(format!("it answered with gRPC status {code} {message}").into())
        }
        None => Err("it answered without a gRPC status".into()),
    }
}
