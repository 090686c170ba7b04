//! Merged metrics: the agent's, the proxy's and the application's as one page. In: where the application has
//! its own, as its scrape annotations said. Out: one exposition in the format of the application's, which comes
//! last and as it is, because OpenMetrics ends with a mark. Several pages of an application are merged as text.

mod several;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::StreamExt;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyDataStream, BodyExt, Empty, StreamBody};
use hyper::body::Frame;
use lateen_telemetry::exposition::{Exposition, Format};
use serde::Deserialize;
use tokio::net::{TcpSocket, TcpStream};

use super::client::Incoming;
use super::paced::Paced;
use super::server::{Error, Reply};
use super::{State, client, status};
use crate::bind;
use crate::metrics::Pieces;

const TIMEOUT_HEADER: HeaderName = HeaderName::from_static("x-prometheus-scrape-timeout-seconds");
/// Prometheus' own default.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The part of it that the application may take: one that is silent does not take the rest of the page along.
const SHARE: f64 = 0.8;

/// Scrapes that wait for the application at once: it answers the kubelet's probes, too, and its backlog may be short.
pub(super) const AT_ONCE: usize = 4;

/// Where the application's metrics are; in one place at least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    targets: Vec<Target>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    port: u16,
    path: String,
}

#[derive(Debug, thiserror::Error)]
pub enum ApplicationError {
    #[error("the scrape annotations that the injector kept are not its JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("prometheus.io/port {0:?} is not a port: write a number")]
    Port(String),
    #[error(
        "prometheus.io/port {0} is the agent's own: the application's metrics must have another"
    )]
    Own(u16),
    #[error("prometheus.io/path {0:?} is not a path: begin it with a slash and leave out spaces")]
    Path(String),
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Annotations {
    scrape: String,
    #[serde(flatten)]
    one: Place,
    targets: Vec<Place>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Place {
    path: String,
    port: String,
}

impl Application {
    /// Reads what the injector kept of the application's annotations; `None` if it is not to be scraped.
    pub fn parse(json: &str, status_port: u16) -> Result<Option<Self>, ApplicationError> {
        let Annotations { scrape, one, targets } = serde_json::from_str(json)?;
        if scrape == "false" {
            return Ok(None);
        }
        let places = if targets.is_empty() { vec![one] } else { targets };
        let targets = places.into_iter().map(|place| Target::new(place, status_port));
        Ok(Some(Self { targets: targets.collect::<Result<_, _>>()? }))
    }
}

impl Target {
    fn new(place: Place, status_port: u16) -> Result<Self, ApplicationError> {
        let or = |text: String, or: &str| if text.is_empty() { or.to_owned() } else { text };
        let (port, path) = (or(place.port, "80"), or(place.path, "/metrics"));
        let path = if path.starts_with('/') { path } else { format!("/{path}") };
        let number = port.parse().map_err(|_| ApplicationError::Port(port))?;
        if number == status_port {
            return Err(ApplicationError::Own(number));
        }
        if path.parse::<http::uri::PathAndQuery>().is_err() {
            return Err(ApplicationError::Path(path));
        }
        Ok(Self { port: number, path })
    }
}

pub(super) async fn answer(state: &State, asked: &HeaderMap) -> Reply {
    state.scrapes.fetch_add(1, Ordering::Relaxed);
    let targets = state.options.application.as_ref().map_or(&[][..], |own| &own.targets);
    match targets {
        [] => alone(state, asked),
        [target] => with(state, target, asked).await,
        several => several::answer(state, several, asked).await,
    }
}

/// The page without the application's.
fn alone(state: &State, asked: &HeaderMap) -> Reply {
    let mut out = Exposition::new(status::wanted(asked));
    status::own(state, &mut out);
    status::page(state, out)
}

async fn with(state: &State, target: &Target, asked: &HeaderMap) -> Reply {
    let (format, response) = match scrape(state, target, asked).await {
        Ok(scraped) => scraped,
        Err(reason) => {
            failed(state, target, &reason);
            return alone(state, asked);
        }
    };
    let mut out = Exposition::new(format);
    status::own(state, &mut out);
    let own = Paced::new(state.view.metrics(out, true));
    let content_type = response.headers().get(CONTENT_TYPE).cloned();
    let mut reply = followed(own, response);
    let open = content_type.filter(|_| format == Format::OpenMetrics);
    let own = HeaderValue::from_static(format.content_type());
    reply.headers_mut().insert(CONTENT_TYPE, open.unwrap_or(own));
    reply
}

fn failed(state: &State, Target { port, path }: &Target, reason: &Error) {
    state.failed_scrapes.fetch_add(1, Ordering::Relaxed);
    tracing::warn!(port, path, %reason, "cannot scrape the application's metrics");
}

/// The application's page is passed on as it arrives.
fn followed(own: Paced<Pieces>, response: Response<Incoming>) -> Reply {
    let own = BodyDataStream::new(own).map(|chunk| chunk.map(Frame::data));
    let theirs = BodyDataStream::new(response.into_body());
    let theirs = theirs.map(|chunk| chunk.map(Frame::data).map_err(Error::from));
    Response::new(StreamBody::new(own.chain(theirs)).boxed_unsync())
}

/// The format of an answer. What has another type is read as text.
fn format(response: &Response<Incoming>) -> Result<Format, Error> {
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|text| text.to_str().ok());
    let text = content_type.unwrap_or_default().trim_start();
    let is = |media: &str| {
        text.get(..media.len()).is_some_and(|start| start.eq_ignore_ascii_case(media))
    };
    if is("application/openmetrics-text") {
        return Ok(Format::OpenMetrics);
    }
    if !is("application/vnd.google.protobuf") {
        return Ok(Format::Text);
    }
    // Its type is what a scrape would ask for.
    match Format::negotiate(Some(text)) {
        Format::Protobuf => Ok(Format::Protobuf),
        _ => Err(format!("it answered {text}: only delimited messages can be merged").into()),
    }
}

async fn scrape(
    state: &State,
    target: &Target,
    asked: &HeaderMap,
) -> Result<(Format, Response<Incoming>), Error> {
    let scraped = async {
        let _turn = state.turns.acquire().await?;
        get(state, target, asked).await
    };
    tokio::time::timeout(within(asked), scraped).await.map_err(|_| "no answer in time")?
}

/// How long the application may take.
fn within(asked: &HeaderMap) -> Duration {
    let told = asked.get(TIMEOUT_HEADER).and_then(|value| value.to_str().ok()?.parse().ok());
    let whole = told.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    whole.unwrap_or(TIMEOUT).mul_f64(SHARE)
}

/// Asks with the scraper's own headers.
async fn get(
    state: &State,
    Target { port, path }: &Target,
    asked: &HeaderMap,
) -> Result<(Format, Response<Incoming>), Error> {
    let mut request = Request::get(path.as_str()).header(HOST, format!("localhost:{port}"));
    for name in [ACCEPT, USER_AGENT, TIMEOUT_HEADER] {
        if let Some(value) = asked.get(&name) {
            request = request.header(name, value);
        }
    }
    let stream = loopback(state.options.netns.as_ref(), *port).await?;
    let response = client::send(stream, request.body(Empty::new())?).await?;
    match response.status() {
        StatusCode::OK => Ok((format(&response)?, response)),
        other => Err(format!("it answered {other}").into()),
    }
}

/// Connects to the application as the programs beside it do.
async fn loopback(netns: Option<&Arc<OwnedFd>>, port: u16) -> io::Result<TcpStream> {
    let to = |address: IpAddr| SocketAddr::new(address, port);
    let socket = bind::within(netns, TcpSocket::new_v4)?;
    match socket.connect(to(Ipv4Addr::LOCALHOST.into())).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            let Ok(socket) = bind::within(netns, TcpSocket::new_v6) else { return Err(error) };
            socket.connect(to(Ipv6Addr::LOCALHOST.into())).await.map_err(|_| error)
        }
        connected => connected,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderMap, HeaderValue};

    use super::{Application, TIMEOUT_HEADER, Target, within};

    fn at(places: &[(u16, &str)]) -> Result<Option<Application>, String> {
        let target = |(port, path): &(u16, &str)| Target { port: *port, path: (*path).to_owned() };
        Ok(Some(Application { targets: places.iter().map(target).collect() }))
    }

    fn parse(json: &str) -> Result<Option<Application>, String> {
        Application::parse(json, 15020).map_err(|error| error.to_string())
    }

    #[test]
    fn what_the_annotations_leave_out_is_as_in_prometheus() {
        let parsed = parse(r#"{"scrape":"true","path":"","port":""}"#);
        assert_eq!(parsed, at(&[(80, "/metrics")]));
        let parsed = parse(r#"{"path":"stats?a=b","port":"9090"}"#);
        assert_eq!(parsed, at(&[(9090, "/stats?a=b")]));
        assert_eq!(parse(r#"{"scrape":"false","port":"x"}"#), Ok(None));
    }

    #[test]
    fn an_application_that_does_not_answer_leaves_the_scraper_time_for_the_rest() {
        let told = |seconds: &'static str| {
            let headers = [(TIMEOUT_HEADER, HeaderValue::from_static(seconds))];
            within(&HeaderMap::from_iter(headers))
        };
        assert_eq!(told("10"), Duration::from_secs(8));
        assert_eq!(told("0.5"), Duration::from_millis(400));
        assert_eq!(within(&HeaderMap::new()), told("10"));
        assert_eq!(told("soon"), told("10"));
        assert_eq!(told("-1"), told("10"));
        assert_eq!(told("0"), Duration::ZERO);
    }

    #[test]
    fn several_targets_take_the_place_of_the_one() {
        let targets = r#"[{"port":"8080","path":"/a"},{"port":"9100"}]"#;
        let parsed = parse(&format!(r#"{{"port":"8080","path":"/a","targets":{targets}}}"#));
        assert_eq!(parsed, at(&[(8080, "/a"), (9100, "/metrics")]));
        let own = r#"{"targets":[{"port":"8080"},{"port":"15020"}]}"#;
        assert!(parse(own).unwrap_err().contains("agent's own"));
    }

    #[test]
    fn annotations_that_cannot_be_followed_are_refused() {
        assert!(parse(r#"{"port":"15020"}"#).unwrap_err().contains("agent's own"));
        assert!(parse(r#"{"port":"http"}"#).unwrap_err().contains("not a port"));
        assert!(parse(r#"{"path":"/a b"}"#).unwrap_err().contains("not a path"));
        assert!(parse("[").unwrap_err().contains("JSON"));
    }
}
