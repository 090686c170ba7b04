//! HTTPS for the API's questions. In: a listener, TLS, the settings of the moment. Out: answers. What a
//! peer can take is bounded before anything is known of it: connections, their idleness, a question's
//! size and time, and the memory of all questions that are read at once. Every pod can connect, so one that takes
//! all it can must not keep the API out.

mod memory;

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::rt::{Read, Write};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use lateen_api::validate::KnownProvider;
use lateen_runtime::crowd::{Crowd, Entry, Limits, Seat, Share};
use lateen_runtime::tasks::Tasks;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use super::counters::{Counters, Outcome};
use super::review::{self, Answer, Question};
use super::settings::Injector;
use super::variables::variables;
use super::{injection, validation};
use crate::published::Published;
use memory::{Held, Memory};

/// Connections at once; of whom has the most, the one that was idle longest makes room.
const CROWD: Share = Share { all: 256, of_one_peer: 64 };
/// Those that make room and have not ended yet.
const LEAVING: usize = 256;
const LEAVE: Duration = Duration::from_secs(1);
/// What a connection may send before it is read.
const WINDOW: u32 = 128 << 10;
/// Questions at once on one connection.
const STREAMS: u32 = 128;
/// A connection on which nothing was asked for this long is ended.
const IDLE: Duration = Duration::from_secs(90);
/// How long a connection that is to end may take for what it has begun.
const GRACE: Duration = Duration::from_secs(10);
/// How long a head, or a whole question, may take to arrive, and how long nothing of a question may.
const READ: Duration = Duration::from_secs(5);
const STALL: Duration = Duration::from_secs(2);
/// The longest question. The API's own bound on an object is 3 MiB.
const QUESTION: usize = 6 << 20;
/// How much of a longer one is taken, and how long, so that whoever sends it first and reads then sees the answer.
const DISCARDED: usize = 256 << 20;
const DISCARD: Duration = Duration::from_secs(20);

/// Cheap to clone.
#[derive(Clone)]
pub struct Server {
    settings: watch::Receiver<Option<Injector>>,
    mesh: Arc<Published>,
    counters: Arc<Counters>,
    memory: Arc<Memory>,
    tasks: Tasks,
}

/// Why there is no answer, for the API's log.
struct Refusal(StatusCode, String);

/// Which question a path is for.
enum Route<'a> {
    Inject { rest: &'a str },
    Validate,
}

impl Server {
    pub fn new(
        settings: watch::Receiver<Option<Injector>>,
        mesh: Arc<Published>,
        counters: Arc<Counters>,
        tasks: Tasks,
    ) -> Self {
        Self { settings, mesh, counters, memory: Arc::default(), tasks }
    }

    /// Serves until the process stops; connections then finish what they have begun.
    pub async fn serve(
        self,
        listener: TcpListener,
        tls: watch::Receiver<Arc<ServerConfig>>,
    ) -> anyhow::Result<()> {
        let mut incoming = lateen_runtime::tls::incoming(listener, tls);
        let slots = Arc::new(Semaphore::new(CROWD.all + LEAVING));
        let crowd = Crowd::new(Limits { places: CROWD, busy: CROWD, spared: Duration::ZERO });
        loop {
            let slot = slots.clone().acquire_owned().await?;
            let stream = tokio::select! {
                stream = incoming.next() => stream,
                () = self.tasks.stopping() => return Ok(()),
            };
            let Some(stream) = stream.transpose()? else { anyhow::bail!("the listener is gone") };
            // One without a peer has ended already.
            let Ok(peer) = stream.get_ref().0.peer_addr() else { continue };
            let Entry::Seat(seat) = crowd.enter(peer.ip()) else { continue };
            let server = self.clone();
            self.tasks.child("webhook connection", async move {
                server.connection(TokioIo::new(stream), &seat).await;
                drop(slot);
            });
        }
    }

    async fn connection(&self, io: impl Read + Write + Unpin + Send + 'static, seat: &Seat) {
        let service = service_fn(|request| {
            let (server, busy) = (self.clone(), seat.work());
            async move {
                let response = server.respond(request).await;
                drop(busy);
                Ok::<_, Infallible>(response)
            }
        });
        let mut builder = Builder::new(TokioExecutor::new());
        let timer = TokioTimer::new;
        builder.http1().timer(timer()).header_read_timeout(READ).max_buf_size(WINDOW as usize);
        builder
            .http2()
            .timer(timer())
            .max_concurrent_streams(STREAMS)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW);
        let mut served = pin!(builder.serve_connection(io, service));
        let grace = tokio::select! {
            ended = served.as_mut() => return log_end(ended),
            () = seat.idle(IDLE) => GRACE,
            () = seat.evicted() => LEAVE,
            () = self.tasks.stopping() => GRACE,
        };
        served.as_mut().graceful_shutdown();
        if let Ok(ended) = tokio::time::timeout(grace, served).await {
            log_end(ended);
        }
    }

    async fn respond(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        match self.answer(request).await {
            Ok(body) => {
                let mut response = Response::new(Full::new(Bytes::from(body)));
                let json = header::HeaderValue::from_static("application/json");
                response.headers_mut().insert(header::CONTENT_TYPE, json);
                response
            }
            Err(Refusal(status, message)) => {
                tracing::debug!(%status, message, "a question to the webhooks is refused");
                let mut response = Response::new(Full::new(Bytes::from(message + "\n")));
                *response.status_mut() = status;
                response
            }
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Vec<u8>, Refusal> {
        let path = request.uri().path().to_owned();
        let route = route(&path)?;
        let began = Instant::now();
        let answered = self.answer_by(&route, request).await;
        answered.inspect_err(|_| match route {
            Route::Validate => self.counters.unreadable(),
            Route::Inject { .. } => self.counters.count(Outcome::NotInjected, began.elapsed()),
        })
    }

    async fn answer_by(
        &self,
        route: &Route<'_>,
        request: Request<Incoming>,
    ) -> Result<Vec<u8>, Refusal> {
        check(&request)?;
        let waits = request.headers().contains_key(header::EXPECT);
        let mut body = request.into_body();
        let question = bounded(async {
            let (body, _memory) = self.read(&mut body).await?;
            review::decode(&body).map_err(|error| Refusal(StatusCode::BAD_REQUEST, error))
        });
        let question = question.await;
        if matches!(question, Err(Refusal(StatusCode::PAYLOAD_TOO_LARGE, _))) && !waits {
            discard(body).await;
        }
        let question = question?;
        let began = Instant::now();
        let (answer, outcome) = match route {
            Route::Inject { rest } => self.inject(&question, rest)?,
            Route::Validate => validation::answer(&question, self.providers().as_deref()),
        };
        self.counters.count(outcome, began.elapsed());
        Ok(review::encode(&question, &answer))
    }

    /// Holds the memory of what has arrived; what is only announced takes nothing from others.
    async fn read(&self, body: &mut Incoming) -> Result<(Vec<u8>, Held), Refusal> {
        let too_large = || {
            let message = format!(
                "the question has more than {QUESTION} bytes: the API lets no object be that large"
            );
            Refusal(StatusCode::PAYLOAD_TOO_LARGE, message)
        };
        if body.size_hint().lower() > QUESTION as u64 {
            return Err(too_large());
        }
        let (mut read, mut held) = (Vec::new(), Held::default());
        loop {
            let frame = tokio::time::timeout(STALL, body.frame()).await.map_err(|_| late())?;
            let Some(frame) = frame else { return Ok((read, held)) };
            let frame = frame.map_err(|error| {
                Refusal(StatusCode::BAD_REQUEST, format!("cannot read: {error}"))
            })?;
            let Ok(data) = frame.into_data() else { continue };
            if read.len() + data.len() > QUESTION {
                return Err(too_large());
            }
            held.grow(&self.memory, read.len() + data.len()).await;
            read.extend_from_slice(&data);
        }
    }

    /// The mesh's providers, once it has been read.
    fn providers(&self) -> Option<Vec<KnownProvider>> {
        let mesh = self.mesh.is_published().then(|| self.mesh.snapshot())?;
        let known = mesh.mesh().providers.iter();
        let known = known.map(|one| KnownProvider { name: one.name.clone(), kind: one.field() });
        Some(known.collect())
    }

    fn inject(&self, question: &Question, rest: &str) -> Result<(Answer, Outcome), Refusal> {
        let Some(injector) = self.settings.borrow().clone() else {
            let message = "the injector's settings are not known yet: ask again".to_owned();
            return Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, message));
        };
        if let Some(trouble) = injector.trouble() {
            let message = format!("the injector's settings have errors, mend them: {trouble}");
            return Err(Refusal(StatusCode::INTERNAL_SERVER_ERROR, message));
        }
        let settings = injector.settings(&question.object);
        let mesh = self.mesh.is_published().then(|| self.mesh.snapshot());
        let sees = |name: &str| mesh.as_ref().is_none_or(|mesh| mesh.sees_namespace(name));
        Ok(injection::answer(question, settings, sees, &variables(rest)))
    }
}

fn route(path: &str) -> Result<Route<'_>, Refusal> {
    if let Some(rest) = path.strip_prefix("/inject")
        && (rest.is_empty() || rest.starts_with('/'))
    {
        return Ok(Route::Inject { rest: rest.strip_prefix('/').unwrap_or_default() });
    }
    match path.trim_end_matches('/') {
        "/validate" => Ok(Route::Validate),
        _ => Err(Refusal(StatusCode::NOT_FOUND, "ask /inject or /validate".to_owned())),
    }
}

fn check(request: &Request<Incoming>) -> Result<(), Refusal> {
    if request.method() != Method::POST {
        return Err(Refusal(StatusCode::METHOD_NOT_ALLOWED, "questions are posted".to_owned()));
    }
    let content =
        request.headers().get(header::CONTENT_TYPE).map_or(&b""[..], |one| one.as_bytes());
    let essence = content.split(|byte| *byte == b';').next().unwrap_or_default();
    if essence.trim_ascii() != b"application/json" {
        let message = "invalid Content-Type, want `application/json`".to_owned();
        return Err(Refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    Ok(())
}

/// Reads what is left, if that is not too much, and keeps nothing of it.
async fn discard(mut body: Incoming) {
    let read = async {
        let mut left = DISCARDED;
        while let Ok(Some(Ok(frame))) = tokio::time::timeout(STALL, body.frame()).await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            let Some(less) = left.checked_sub(length) else { return };
            left = less;
        }
    };
    // Whoever is slower than that is answered all the same.
    let _ = tokio::time::timeout(DISCARD, read).await;
}

async fn bounded<T>(work: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    tokio::time::timeout(READ, work).await.unwrap_or_else(|_| Err(late()))
}

fn late() -> Refusal {
    Refusal(StatusCode::REQUEST_TIMEOUT, "the question took too long".to_owned())
}

fn log_end(ended: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = ended {
        tracing::debug!(error, "a connection to the webhooks broke off");
    }
}

#[cfg(test)]
mod tests;
