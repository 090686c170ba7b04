//! HTTPS for the API's questions. In: a listener, TLS, the settings of the moment. Out: answers. What a
//! peer can take is bounded before anything is known of it: connections, their idleness, a question's
//! size and time, and the memory of all questions that are read at once.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::rt::{Read, Write};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use lateen_runtime::tasks::Tasks;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::counters::{Counters, Outcome};
use super::review::{self, Answer, Question};
use super::settings::Injector;
use super::variables::variables;
use super::{injection, validation};
use crate::published::Published;

/// Connections at once; more wait.
const CONNECTIONS: usize = 256;
/// What a connection may send before it is read.
const WINDOW: u32 = 128 << 10;
/// Questions at once on one connection.
const STREAMS: u32 = 128;
/// A connection on which nothing was asked for this long is ended.
const IDLE: Duration = Duration::from_secs(90);
/// How long a connection that is to end may take for what it has begun.
const GRACE: Duration = Duration::from_secs(10);
/// How long a head, or a whole question, may take to arrive.
const READ: Duration = Duration::from_secs(10);
/// The longest question. The API's own bound on an object is 3 MiB.
const QUESTION: usize = 6 << 20;
/// Questions being read and answered, together, in KiB.
const MEMORY: usize = 24 << 10;

/// Cheap to clone.
#[derive(Clone)]
pub struct Server {
    settings: watch::Receiver<Option<Injector>>,
    mesh: Arc<Published>,
    counters: Arc<Counters>,
    memory: Arc<Semaphore>,
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
        Self { settings, mesh, counters, memory: Arc::new(Semaphore::new(MEMORY)), tasks }
    }

    /// Serves until the process stops; connections then finish what they have begun.
    pub async fn serve(
        self,
        listener: TcpListener,
        tls: watch::Receiver<Arc<ServerConfig>>,
    ) -> anyhow::Result<()> {
        let mut incoming = lateen_runtime::tls::incoming(listener, tls);
        let slots = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let slot = slots.clone().acquire_owned().await?;
            let stream = tokio::select! {
                stream = incoming.next() => stream,
                () = self.tasks.stopping() => return Ok(()),
            };
            let Some(stream) = stream.transpose()? else { anyhow::bail!("the listener is gone") };
            let server = self.clone();
            self.tasks.child("webhook connection", async move {
                server.connection(TokioIo::new(stream)).await;
                drop(slot);
            });
        }
    }

    async fn connection(&self, io: impl Read + Write + Unpin + Send + 'static) {
        let activity = Arc::new(Activity::default());
        let service = service_fn(|request| {
            let (server, activity) = (self.clone(), activity.clone());
            async move {
                let _busy = Busy::start(activity);
                Ok::<_, Infallible>(server.respond(request).await)
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
        tokio::select! {
            ended = served.as_mut() => return log_end(ended),
            () = activity.idle() => {}
            () = self.tasks.stopping() => {}
        }
        served.as_mut().graceful_shutdown();
        if let Ok(ended) = tokio::time::timeout(GRACE, served).await {
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
        check(&request)?;
        let question = bounded("the question took too long", async {
            let (body, _memory) = self.read(request.into_body()).await?;
            review::decode(&body).map_err(|error| Refusal(StatusCode::BAD_REQUEST, error))
        });
        let question = question.await.inspect_err(|_| match route {
            Route::Validate => self.counters.unreadable(),
            Route::Inject { .. } => {}
        })?;
        let began = Instant::now();
        let (answer, outcome) = match route {
            Route::Inject { rest } => self.inject(&question, rest)?,
            Route::Validate => validation::answer(&question),
        };
        self.counters.count(outcome, began.elapsed());
        Ok(review::encode(&question, &answer))
    }

    /// Holds the memory of the body before it is read.
    async fn read(&self, body: Incoming) -> Result<(Bytes, OwnedSemaphorePermit), Refusal> {
        let too_large =
            || Refusal(StatusCode::PAYLOAD_TOO_LARGE, format!("at most {QUESTION} bytes"));
        let longest = u64::try_from(QUESTION).unwrap_or(u64::MAX);
        let length = body.size_hint().exact().unwrap_or(longest);
        if length > longest {
            return Err(too_large());
        }
        let kib = u32::try_from(length.div_ceil(1024)).unwrap_or(u32::MAX);
        let memory = self.memory.clone().acquire_many_owned(kib).await;
        let memory = memory.expect("invariant: the semaphore is never closed");
        match Limited::new(body, QUESTION).collect().await {
            Ok(read) => Ok((read.to_bytes(), memory)),
            Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
            Err(error) => Err(Refusal(StatusCode::BAD_REQUEST, format!("cannot read: {error}"))),
        }
    }

    fn inject(&self, question: &Question, rest: &str) -> Result<(Answer, Outcome), Refusal> {
        let Some(injector) = self.settings.borrow().clone() else {
            let message = "the injector's settings are not known yet: ask again".to_owned();
            return Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, message));
        };
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

async fn bounded<T>(
    late: &str,
    work: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    let done = tokio::time::timeout(READ, work).await;
    done.unwrap_or_else(|_| Err(Refusal(StatusCode::REQUEST_TIMEOUT, late.to_owned())))
}

fn log_end(ended: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = ended {
        tracing::debug!(error, "a connection to the webhooks broke off");
    }
}

/// What goes on on one connection.
#[derive(Default)]
struct Activity {
    busy: AtomicUsize,
    asked: AtomicU64,
}

impl Activity {
    /// Resolves when nothing has been asked for a while.
    async fn idle(&self) {
        let mut seen = 0;
        loop {
            tokio::time::sleep(IDLE).await;
            let asked = self.asked.load(Ordering::Relaxed);
            if asked == seen && self.busy.load(Ordering::Relaxed) == 0 {
                return;
            }
            seen = asked;
        }
    }
}

/// One question, from its head to its answer.
struct Busy(Arc<Activity>);

impl Busy {
    fn start(activity: Arc<Activity>) -> Self {
        activity.busy.fetch_add(1, Ordering::Relaxed);
        activity.asked.fetch_add(1, Ordering::Relaxed);
        Busy(activity)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
