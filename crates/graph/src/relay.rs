//! The page of a control plane elsewhere, for a browser on this machine. In: a listener, who may ask here, and a way
//! to the control plane. Out: the control plane's answers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use lateen_runtime::admin::Page;
use lateen_runtime::http::{Listener, Reply, read};
use lateen_runtime::pages::{Access, Reader};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use crate::serve::{LIMITS, bearer, dynamic};

/// How long an answer may take, and how long it may be.
const ANSWER: Duration = Duration::from_secs(30);
const LONGEST: usize = 64 << 20;
/// What is passed on of a request.
const ASKED: [HeaderName; 4] =
    [header::ACCEPT, header::ACCEPT_ENCODING, header::CONTENT_TYPE, header::IF_NONE_MATCH];
/// What is kept back of an answer: it is said anew of each connection.
const OF_CONNECTIONS: [HeaderName; 4] =
    [header::CONNECTION, header::CONTENT_LENGTH, header::DATE, header::TRANSFER_ENCODING];

/// Bytes there and back.
pub trait Bidirectional: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Bidirectional for S {}

/// The way to a control plane.
pub trait Way: Send + Sync {
    /// A connection on which it speaks HTTP/1.1.
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Bidirectional>, Trouble>>;

    /// The token by which it knows the reader at this moment.
    fn token(&self) -> BoxFuture<'_, Result<Arc<str>, Trouble>>;
}

/// Why there is no answer, for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The cluster does not know the reader any more: it does not help to ask again.
    #[error("{0}")]
    Unknown(String),
    #[error("{0}")]
    Other(String),
}

/// Connections to a control plane, which are made again when they are gone.
pub struct Relay {
    way: Box<dyn Way>,
    connections: Mutex<Connections>,
}

#[derive(Default)]
struct Connections {
    idle: Vec<SendRequest<Full<Bytes>>>,
    driven: JoinSet<()>,
}

impl Relay {
    pub fn new(way: Box<dyn Way>) -> Self {
        Self { way, connections: Mutex::default() }
    }

    /// An answer of the API, by path and query.
    ///
    /// # Errors
    /// If there is none.
    pub async fn get(&self, uri: &str) -> Result<Response<Bytes>, Trouble> {
        let request = Request::builder().uri(uri).body(Bytes::new());
        self.ask(request.map_err(other)?).await
    }

    /// Asks with the reader's token whatever is the API's; the page itself is everybody's.
    async fn ask(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, Trouble> {
        let headers = request.headers_mut();
        headers.insert(header::HOST, HeaderValue::from_static("istiod"));
        if request.uri().path().starts_with("/api/") {
            let token = self.way.token().await?;
            let value = HeaderValue::try_from(format!("Bearer {token}"));
            let mut value = value.map_err(|_| other("the token is no text for a header"))?;
            value.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        let answer = tokio::time::timeout(ANSWER, self.answer(request)).await;
        answer.unwrap_or_else(|_| {
            Err(other(format!("the control plane did not answer within {} s", ANSWER.as_secs())))
        })
    }

    async fn answer(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Trouble> {
        loop {
            let idle = self.idle().await;
            let was_idle = idle.is_some();
            let sender = match idle {
                Some(sender) => sender,
                None => self.connect().await?,
            };
            match self.exchange(sender, request.clone()).await {
                // The other side may have ended what was idle.
                Err(_) if was_idle && request.method().is_safe() => {}
                Err(Broken { sent: false, .. }) if was_idle => {}
                answer => return answer.map_err(|broken| Trouble::Other(broken.why)),
            }
        }
    }

    /// A connection whose last answer is through and that is not known to have ended.
    async fn idle(&self) -> Option<SendRequest<Full<Bytes>>> {
        loop {
            let mut sender = self.connections().idle.pop()?;
            if sender.ready().await.is_ok() {
                return Some(sender);
            }
        }
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Trouble> {
        let stream = self.way.connect().await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(other)?;
        let driven = &mut self.connections().driven;
        while driven.try_join_next().is_some() {}
        driven.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the control plane ended");
            }
        });
        Ok(sender)
    }

    async fn exchange(
        &self,
        mut sender: SendRequest<Full<Bytes>>,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, Broken> {
        let response = sender.send_request(request.map(Full::new)).await?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, LONGEST).collect().await;
        let body = body.map_err(|error| Broken { why: error.to_string(), sent: true })?;
        self.connections().idle.push(sender);
        Ok(Response::from_parts(head, body.to_bytes()))
    }

    fn connections(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn other(why: impl ToString) -> Trouble {
    Trouble::Other(why.to_string())
}

/// Why there was no answer, and whether the control plane may have heard the question.
struct Broken {
    why: String,
    sent: bool,
}

impl From<hyper::Error> for Broken {
    fn from(error: hyper::Error) -> Self {
        let why = format!("the connection to the control plane broke off: {error}");
        Self { why, sent: !error.is_canceled() }
    }
}

/// Serves until dropped: everything of the API for whoever shows the token of `access`, and the page.
pub async fn serve(listener: impl Listener, access: Arc<dyn Access>, relay: Arc<Relay>) {
    lateen_runtime::http::serve(listener, LIMITS, move |request, _| {
        let (access, relay) = (access.clone(), relay.clone());
        async move {
            let reads_html = reads_html(&request);
            let shown = |page| if reads_html { readable(page) } else { page };
            passed_on(request, &*access, &relay).await.unwrap_or_else(|page| dynamic(shown(page)))
        }
    })
    .await;
}

async fn passed_on(
    request: Request<Incoming>,
    access: &dyn Access,
    relay: &Relay,
) -> Result<Reply, Page> {
    let uri = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    if uri.starts_with("/api/") {
        let Some(token) = bearer(request.headers()) else {
            let text = format!("a token is needed: {}", access.invitation());
            return Err(Page::problem(401, text));
        };
        access.authenticate(token).await.map_err(|refusal| refusal.page())?;
    }
    let headers = selected(request.headers());
    let ask = read(request, Reader::Owner).await?;
    let mut asked = Request::new(ask.body);
    *asked.method_mut() = Method::clone(&ask.method);
    *asked.headers_mut() = headers;
    *asked.uri_mut() =
        uri.parse().map_err(|_| Page::problem(400, "the path is none".to_owned()))?;
    let answer = relay.ask(asked).await.map_err(|trouble| match trouble {
        Trouble::Unknown(why) => ended(&why),
        Trouble::Other(why) => Page::problem(502, why),
    })?;
    if answer.status() == StatusCode::UNAUTHORIZED {
        // The browser's own token is right.
        return Err(ended("the control plane refuses it"));
    }
    let (mut head, body) = answer.into_parts();
    for name in OF_CONNECTIONS {
        head.headers.remove(name);
    }
    Ok(Response::from_parts(head, Full::new(body)))
}

/// Not 401, for which the reader would be asked for the token of this page, and not 5xx, which may pass by itself.
fn ended(why: &str) -> Page {
    let text = format!(
        "your token for the cluster has ended or is refused: sign in to the cluster again, and then start `lateen \
         dashboard` again ({why})"
    );
    Page::problem(424, text)
}

/// Whether a person asks by their browser, and not the page by a script.
fn reads_html(request: &Request<Incoming>) -> bool {
    let accepted = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    !request.uri().path().starts_with("/api/")
        && accepted.is_some_and(|accepted| accepted.contains("text/html"))
}

/// A problem as a page for people, without styles, which the policy of all pages forbids to write into it.
fn readable(problem: Page) -> Page {
    let said: Value = serde_json::from_slice(&problem.body).unwrap_or_default();
    let said = said["message"].as_str().unwrap_or("there is no answer");
    let said = said.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let body = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Lateen</title>\n\
         <h1>The mesh cannot be shown</h1>\n<p role=\"alert\">{said}</p>\n\
         <p><a href=\"\">Try again</a></p>\n</html>\n"
    );
    Page { content_type: "text/html; charset=utf-8", body: body.into(), ..problem }
}

fn selected(headers: &HeaderMap) -> HeaderMap {
    ASKED
        .into_iter()
        .filter_map(|name| {
            let value = headers.get(&name)?.clone();
            Some((name, value))
        })
        .collect()
}

#[cfg(test)]
mod tests;
