//! Applications as a probe meets them. In: what they answer. Out: a port, and what they were asked.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>;
type Respond = Arc<dyn Fn(&str) -> Answer + Send + Sync>;

/// What an HTTP application says.
pub struct Answer {
    pub status: u16,
    pub content_type: &'static str,
    pub location: Option<&'static str>,
    pub body: String,
}

impl Answer {
    pub fn new(status: u16, body: &str) -> Self {
        Self { status, content_type: "text/plain", location: None, body: body.to_owned() }
    }

    pub fn to(location: &'static str) -> Self {
        Self { location: Some(location), ..Self::new(302, "") }
    }
}

#[derive(Clone)]
pub struct Question {
    pub uri: String,
    pub headers: HeaderMap,
}

pub struct Application {
    pub port: u16,
    asked: Arc<Mutex<Vec<Question>>>,
    server: JoinHandle<()>,
}

impl Application {
    pub async fn http(respond: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        Self::start(None, Some(Arc::new(respond))).await
    }

    pub async fn https(respond: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca = lateen_identity::Ca::load_or_create(folder.path(), "nobody's").unwrap();
        let issued = ca.issue_server(&["elsewhere.example"]).unwrap();
        let config = lateen_identity::server_config(issued, &[b"http/1.1"]).unwrap();
        Self::start(Some(TlsAcceptor::from(config)), Some(Arc::new(respond))).await
    }

    /// Has gRPC's health service, in which `serving` serves, `stopped` does not, and others are not known.
    pub async fn grpc() -> Self {
        Self::start(None, None).await
    }

    async fn start(tls: Option<TlsAcceptor>, respond: Option<Respond>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::<Mutex<Vec<Question>>>::default();
        let server = tokio::spawn(serve(listener, tls, respond, asked.clone()));
        Self { port, asked, server }
    }

    pub fn asked(&self) -> Vec<Question> {
        self.asked.lock().unwrap().clone()
    }

    pub async fn stop(&self) {
        self.server.abort();
        while !self.server.is_finished() {
            tokio::task::yield_now().await;
        }
    }
}

async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    respond: Option<Respond>,
    asked: Arc<Mutex<Vec<Question>>>,
) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, respond, asked) = (tls.clone(), respond.clone(), asked.clone());
        connections.spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let question = Question {
                    uri: request.uri().path_and_query().unwrap().to_string(),
                    headers: request.headers().clone(),
                };
                let respond = respond.clone();
                asked.lock().unwrap().push(question.clone());
                async move {
                    Ok::<_, Infallible>(match respond {
                        Some(respond) => page(respond(&question.uri)),
                        None => health(request).await,
                    })
                }
            });
            let server = auto::Builder::new(TokioExecutor::new());
            // How a connection ends is the client's business.
            let _ = match tls {
                Some(tls) => {
                    let Ok(stream) = tls.accept(stream).await else { return };
                    server.serve_connection(TokioIo::new(stream), service).await
                }
                None => server.serve_connection(TokioIo::new(stream), service).await,
            };
        });
    }
}

fn page(answer: Answer) -> Response<Body> {
    let mut response =
        Response::builder().status(answer.status).header("content-type", answer.content_type);
    if let Some(location) = answer.location {
        response = response.header("location", location);
    }
    response.body(Full::from(answer.body).boxed_unsync()).unwrap()
}

async fn health(request: Request<Incoming>) -> Response<Body> {
    let body = request.into_body().collect().await.unwrap().to_bytes();
    // A flag, a length, and field 1 as a string.
    let status = match body.get(7..).unwrap_or_default() {
        b"serving" => 1,
        b"stopped" => 2,
        _ => {
            let head = Response::builder().header("content-type", "application/grpc");
            let head = head.header("grpc-status", "5").header("grpc-message", "unknown service");
            return head.body(Full::default().boxed_unsync()).unwrap();
        }
    };
    let message = Bytes::from(vec![0, 0, 0, 0, 2, 8, status]);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    let frames = [Frame::data(message), Frame::trailers(trailers)].map(Ok::<_, Infallible>);
    let body = StreamBody::new(futures::stream::iter(frames)).boxed_unsync();
    Response::builder().header("content-type", "application/grpc").body(body).unwrap()
}
