//! Prometheus' HTTP API. In: an address, and queries over a range of times. Out: series; what is in the way names
//! the address and what to check.

use std::fmt::{self, Display};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, HOST, LOCATION};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper_util::rt::TokioIo;
use lateen_runtime::printable::printable;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::series::Series;

const PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer.
const LONGEST: usize = 64 << 20;
/// Characters of an error that are told.
const SENTENCE: usize = 300;

/// Where a Prometheus is: `http://HOST[:PORT][/PATH]`, or the same by https.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    is_tls: bool,
    host: String,
    port: u16,
    /// Without a slash at its end.
    path: String,
}

/// How to reach it.
#[derive(Clone, Debug)]
pub struct Settings {
    pub address: Address,
    /// Whom https trusts.
    pub tls: Option<Arc<ClientConfig>>,
    /// A file with a bearer token, which is read anew for every question.
    pub token: Option<PathBuf>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(
        "Prometheus at {url} cannot be reached ({reason}): check --prometheus and that it runs"
    )]
    Connect { url: String, reason: String },
    #[error("Prometheus at {url} did not answer within {waited:?}: look at its load")]
    Late { url: String, waited: Duration },
    #[error(
        "Prometheus at {url} answered {status} and sends on to {to:?}: give --prometheus the address that Prometheus itself has there"
    )]
    Elsewhere { url: String, status: StatusCode, to: String },
    #[error("the token of --prometheus-token-file cannot be read from {}: {reason}", path.display())]
    Token { path: PathBuf, reason: String },
    #[error("Prometheus at {url} answered {status}: {reason}: {}", remedy(*status))]
    Status { url: String, status: StatusCode, reason: String },
    #[error(
        "Prometheus at {url} answers with more than {} MiB for one step: have it drop series or labels of istio_*",
        LONGEST >> 20
    )]
    TooLarge { url: String },
    #[error("the answer of {url} is not Prometheus' ({reason}): check the path of --prometheus")]
    Foreign { url: String, reason: String },
}

impl Failure {
    /// Whether asking for less helps, as it was answered: limits on samples and on time are answered by 422 and 503.
    pub fn is_of_size(&self) -> bool {
        match self {
            Failure::TooLarge { .. } => true,
            Failure::Status { status, .. } => matches!(status.as_u16(), 422 | 503),
            Failure::Connect { .. }
            | Failure::Late { .. }
            | Failure::Token { .. }
            | Failure::Elsewhere { .. }
            | Failure::Foreign { .. } => false,
        }
    }
}

fn remedy(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 | 403 => "give a token with --prometheus-token-file",
        404 => "check the path of --prometheus",
        _ => "look at its log",
    }
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    error: String,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Series>,
}

pub struct Client {
    settings: Settings,
    /// How long an answer may take.
    pub patience: Duration,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("{why}: give http://HOST:PORT or https://HOST:PORT");
        let uri: Uri =
            text.parse().map_err(|error| wrong(&format!("{text:?} is no URL ({error})")))?;
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong(&format!("{text:?} has no scheme that is known"))),
        };
        let host = uri.host().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| wrong(&format!("{text:?} has no host")))?.to_owned();
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err("a password in the URL is not sent: use --prometheus-token-file".to_owned());
        }
        if uri.query().is_some() {
            return Err(format!("{text:?} has a query: leave it out"));
        }
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        Ok(Self { is_tls, host, port, path: uri.path().trim_end_matches('/').to_owned() })
    }
}

impl Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}{}", self.host, self.port, self.path)
    }
}

impl Address {
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }
}

impl Client {
    pub fn new(settings: Settings) -> Self {
        Self { settings, patience: PATIENCE }
    }

    /// The values of an expression from the first to the last time, in seconds since 1970.
    pub async fn range(
        &self,
        query: &str,
        [start, end]: [u64; 2],
        step: u64,
    ) -> Result<Vec<Series>, Failure> {
        let path = self.path(query, start, end, step);
        let asked = tokio::time::timeout(self.patience, self.get(&path)).await;
        let late = |_| Failure::Late { url: self.url(), waited: self.patience };
        let (status, body) = asked.map_err(late)??;
        self.read(status, &body)
    }

    fn path(&self, query: &str, start: u64, end: u64, step: u64) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("query", query);
        for (name, number) in [("start", start), ("end", end), ("step", step)] {
            form.append_pair(name, &number.to_string());
        }
        format!("{}/api/v1/query_range?{}", self.settings.address.path, form.finish())
    }

    fn url(&self) -> String {
        self.settings.address.to_string()
    }

    async fn get(&self, path: &str) -> Result<(StatusCode, Bytes), Failure> {
        let Address { host, port, is_tls, .. } = &self.settings.address;
        let refused = |reason: String| Failure::Connect { url: self.url(), reason };
        // An IPv6 address has brackets in a URL and none elsewhere.
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((bare, *port)).await;
        let stream = stream.map_err(|error| refused(error.to_string()))?;
        if !is_tls {
            return self.exchange(stream, path).await;
        }
        let tls = self.settings.tls.clone();
        let tls = tls.ok_or_else(|| refused("https needs --prometheus-ca".to_owned()))?;
        let name = ServerName::try_from(bare.to_owned());
        let name = name.map_err(|error| refused(error.to_string()))?;
        let stream = TlsConnector::from(tls).connect(name, stream).await;
        self.exchange(stream.map_err(|error| refused(error.to_string()))?, path).await
    }

    async fn exchange<S>(&self, stream: S, path: &str) -> Result<(StatusCode, Bytes), Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let broken = |reason: String| Failure::Connect { url: self.url(), reason };
        let Address { host, port, .. } = &self.settings.address;
        let mut request = Request::get(path)
            .header(HOST, format!("{host}:{port}"))
            .header(ACCEPT, "application/json");
        if let Some(path) = &self.settings.token {
            let failed = |reason: std::io::Error| Failure::Token {
                path: path.clone(),
                reason: reason.to_string(),
            };
            let token = tokio::fs::read_to_string(path).await.map_err(failed)?;
            request = request.header(AUTHORIZATION, format!("Bearer {}", token.trim()));
        }
        let request = request.body(Empty::<Bytes>::new());
        let request = request.map_err(|error| broken(error.to_string()))?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| broken(error.to_string()))?;
        let asking = async {
            let response = sender.send_request(request).await;
            let response = response.map_err(|error| broken(error.to_string()))?;
            let status = response.status();
            if let Some(to) = response.headers().get(LOCATION).filter(|_| status.is_redirection()) {
                let to = String::from_utf8_lossy(to.as_bytes()).chars().take(SENTENCE).collect();
                return Err(Failure::Elsewhere { url: self.url(), status, to });
            }
            let body = Limited::new(response.into_body(), LONGEST).collect().await;
            drop(sender);
            match body {
                Ok(body) => Ok((status, body.to_bytes())),
                Err(error) if error.is::<LengthLimitError>() => {
                    Err(Failure::TooLarge { url: self.url() })
                }
                Err(error) => Err(broken(error.to_string())),
            }
        };
        tokio::pin!(asking);
        // The connection does the work; it may end first, or last long.
        tokio::select! {
            answer = &mut asking => answer,
            _ = connection => asking.await,
        }
    }

    fn read(&self, status: StatusCode, body: &[u8]) -> Result<Vec<Series>, Failure> {
        let answer: Result<Answer, _> = serde_json::from_slice(body);
        if !status.is_success() {
            let text = match answer {
                Ok(answer) => answer.error,
                Err(_) => String::from_utf8_lossy(body).into_owned(),
            };
            let reason = printable(text.trim()).chars().take(SENTENCE).collect();
            return Err(Failure::Status { url: self.url(), status, reason });
        }
        let foreign = |reason: String| Failure::Foreign { url: self.url(), reason };
        let answer = answer.map_err(|error| foreign(error.to_string()))?;
        let data = answer.data.ok_or_else(|| foreign("it has no data".to_owned()))?;
        Ok(data.result)
    }
}
