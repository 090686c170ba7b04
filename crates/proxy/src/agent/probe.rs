//! The application's probes, which the kubelet sends to the agent, past interception. In: the probes as the
//! injector kept them, and a request. Out: what the application answers, asked in the kubelet's place.
//! Names and shapes are those of Kubernetes' Probe and of Istio's agent.

mod http_get;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use http::header::USER_AGENT;
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::server::{Error, Reply, text};
use super::{State, client, grpc};
use crate::error::words;

/// What Kubernetes gives a probe without a timeout.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The probes by the agent's path.
#[derive(Clone, Debug, Default)]
pub struct Probers(BTreeMap<String, Prober>);

#[derive(Clone, Debug)]
struct Prober {
    call: Call,
    timeout: Duration,
}

#[derive(Clone, Debug)]
enum Call {
    Http(Http),
    Tcp(u16),
    Grpc { port: u16, service: String },
}

/// An HTTP probe; the host of its URL is the pod's whatever it says.
#[derive(Clone, Debug)]
struct Http {
    tls: bool,
    port: u16,
    path: String,
    /// `Host`, where the probe has one of its own.
    host: Option<HeaderValue>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct ProbeError {
    path: String,
    reason: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    http_get: Option<RawHttp>,
    tcp_socket: Option<RawTcp>,
    grpc: Option<RawGrpc>,
    timeout_seconds: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawHttp {
    #[serde(default)]
    path: String,
    port: Value,
    #[serde(default)]
    scheme: String,
    http_headers: Option<Vec<RawHeader>>,
}

#[derive(Deserialize)]
struct RawHeader {
    name: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
struct RawTcp {
    port: Value,
}

#[derive(Deserialize)]
struct RawGrpc {
    port: Value,
    service: Option<String>,
}

impl Probers {
    /// Reads the JSON that the injector made.
    pub fn parse(json: &str) -> Result<Self, ProbeError> {
        let error = |path: &str, reason: String| ProbeError { path: path.to_owned(), reason };
        let raw: BTreeMap<String, Raw> = serde_json::from_str(json)
            .map_err(|reason| error("the injector's probes", reason.to_string()))?;
        let parsed = raw.into_iter().map(|(path, raw)| match prober(raw) {
            Ok(prober) => Ok((path, prober)),
            Err(reason) => Err(error(&path, reason)),
        });
        Ok(Self(parsed.collect::<Result<_, _>>()?))
    }
}

fn prober(raw: Raw) -> Result<Prober, String> {
    let timeout = raw.timeout_seconds.filter(|seconds| *seconds > 0);
    let timeout = timeout.map_or(TIMEOUT, |seconds| Duration::from_secs(seconds.into()));
    let call = match (raw.http_get, raw.tcp_socket, raw.grpc) {
        (Some(http), _, _) => Call::Http(http_probe(http)?),
        (None, Some(tcp), _) => Call::Tcp(port(&tcp.port)?),
        (None, None, Some(grpc)) => {
            let service = grpc.service.unwrap_or_default();
            Call::Grpc { port: port(&grpc.port)?, service }
        }
        (None, None, None) => return Err("neither httpGet, tcpSocket nor grpc".to_owned()),
    };
    Ok(Prober { call, timeout })
}

fn http_probe(raw: RawHttp) -> Result<Http, String> {
    let mut headers = Vec::new();
    let mut host = None;
    for RawHeader { name, value } in raw.http_headers.unwrap_or_default() {
        let malformed = || format!("the header {name:?} cannot be sent");
        let value = HeaderValue::from_str(&value).map_err(|_| malformed())?;
        if name.eq_ignore_ascii_case("host") || name == ":authority" {
            host = Some(value);
        } else {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| malformed())?;
            headers.push((name, value));
        }
    }
    let slash = if raw.path.starts_with('/') { "" } else { "/" };
    let path = format!("{slash}{}", raw.path);
    if path.parse::<http::uri::PathAndQuery>().is_err() {
        return Err(format!("the path {path:?} cannot be sent"));
    }
    let tls = raw.scheme.eq_ignore_ascii_case("https");
    Ok(Http { tls, port: port(&raw.port)?, path, host, headers })
}

/// A number, as text or not; names were resolved by the injector.
fn port(value: &Value) -> Result<u16, String> {
    let number = match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64().and_then(|number| u16::try_from(number).ok()),
    };
    number.filter(|port| *port != 0).ok_or_else(|| format!("{value} is not a port"))
}

pub(super) async fn answer(state: &State, asked: &Parts) -> Reply {
    let path = asked.uri.path();
    let Some(prober) = state.options.probers.0.get(path) else {
        tracing::warn!(path, "a probe is asked for that the injector did not write");
        return text(StatusCode::BAD_REQUEST, format!("there is no probe for {path}\n"));
    };
    let asking = ask(state, prober, asked);
    let outcome = tokio::time::timeout(prober.timeout, asking).await;
    match outcome.unwrap_or_else(|_| Err("no answer in time".into())) {
        Ok(reply) => reply,
        Err(error) => {
            let reason = match error.downcast_ref() {
                Some(error) => words(error).into_owned(),
                None => error.to_string(),
            };
            tracing::warn!(path, %reason, "the application fails its probe");
            text(StatusCode::INTERNAL_SERVER_ERROR, format!("{reason}\n"))
        }
    }
}

async fn ask(state: &State, prober: &Prober, asked: &Parts) -> Result<Reply, Error> {
    let pod = state.options.pod;
    match &prober.call {
        Call::Http(http) => http_get::ask(http, pod, state.options.status_port, asked).await,
        Call::Tcp(port) => {
            client::connect(SocketAddr::new(pod, *port)).await?;
            Ok(text(StatusCode::OK, ""))
        }
        Call::Grpc { port, service } => {
            let at = SocketAddr::new(pod, *port);
            let agent = asked.headers.get(USER_AGENT).cloned();
            grpc::check(client::connect(at).await?, &at.to_string(), service, agent).await?;
            Ok(text(StatusCode::OK, ""))
        }
    }
}

#[cfg(test)]
mod tests;
