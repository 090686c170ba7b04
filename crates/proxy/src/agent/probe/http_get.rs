//! An HTTP probe. In: the probe and the kubelet's request. Out: the application's status and the beginning of
//! what it says. The kubelet's headers are passed on, the probe's own take their place; redirects are
//! followed on the pod only, as the kubelet does.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use futures::StreamExt;
use http::header::{CONNECTION, HOST, LOCATION, TE, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyDataStream, Empty};

use super::Http;
use crate::agent::client::{self, Incoming};
use crate::agent::server::{Error, Reply, text};

/// What the kubelet reads of an answer.
const LARGEST: usize = 10 << 10;
const REDIRECTS: usize = 10;
/// Headers about one connection only.
const HOP: [HeaderName; 4] = [CONNECTION, TE, TRANSFER_ENCODING, UPGRADE];

/// Where one request goes.
struct Target {
    tls: bool,
    port: u16,
    path: PathAndQuery,
}

pub async fn ask(
    probe: &Http,
    pod: IpAddr,
    status_port: u16,
    asked: &Parts,
) -> Result<Reply, Error> {
    let headers = headers(probe, pod, status_port, asked)?;
    let path = probe.path.parse()?;
    let mut target = Target { tls: probe.tls, port: probe.port, path };
    let mut followed = 0;
    loop {
        let response = send(&target, pod, &headers).await?;
        match redirected(&response, &target, pod) {
            Some(next) if followed < REDIRECTS => {
                followed += 1;
                target = next;
            }
            Some(_) => return Err(format!("stopped after {REDIRECTS} redirects").into()),
            None => return beginning(response).await,
        }
    }
}

async fn send(
    target: &Target,
    pod: IpAddr,
    headers: &HeaderMap,
) -> Result<Response<Incoming>, Error> {
    let mut request = Request::get(target.path.as_str()).body(Empty::<Bytes>::new())?;
    *request.headers_mut() = headers.clone();
    let stream = client::connect(SocketAddr::new(pod, target.port)).await?;
    Ok(if target.tls {
        client::send(client::encrypt(stream, pod).await?, request).await?
    } else {
        client::send(stream, request).await?
    })
}

fn headers(probe: &Http, pod: IpAddr, status_port: u16, asked: &Parts) -> Result<HeaderMap, Error> {
    let mut headers = asked.headers.clone();
    for name in HOP {
        headers.remove(name);
    }
    for (name, _) in &probe.headers {
        headers.remove(name);
    }
    for (name, value) in &probe.headers {
        headers.append(name, value.clone());
    }
    let host = match (&probe.host, asked.headers.get(HOST)) {
        (Some(own), _) => own.clone(),
        (None, Some(theirs)) => with_port(theirs, status_port, probe.port),
        (None, None) => SocketAddr::new(pod, probe.port).to_string().try_into()?,
    };
    headers.insert(HOST, host);
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(headers)
}

/// The kubelet names the agent's port: the application is to see its own.
fn with_port(host: &HeaderValue, agent: u16, own: u16) -> HeaderValue {
    let text = host.to_str().unwrap_or_default();
    let Some((name, port)) = text.rsplit_once(':') else { return host.clone() };
    if port.parse() != Ok(agent) {
        return host.clone();
    }
    format!("{name}:{own}").try_into().unwrap_or_else(|_| host.clone())
}

/// The next target, if the answer sends the probe on within the pod.
fn redirected(response: &Response<Incoming>, from: &Target, pod: IpAddr) -> Option<Target> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    let uri: Uri = location.parse().ok()?;
    let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    let Some(authority) = uri.authority() else {
        return Some(Target { tls: from.tls, port: from.port, path });
    };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    if host.parse() != Ok(pod) {
        return None;
    }
    let tls = uri.scheme_str() == Some("https");
    let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
    Some(Target { tls, port, path })
}

async fn beginning(response: Response<Incoming>) -> Result<Reply, Error> {
    let status = response.status();
    let mut chunks = BodyDataStream::new(response.into_body());
    let mut body = Vec::new();
    while body.len() < LARGEST
        && let Some(chunk) = chunks.next().await
    {
        let chunk = chunk?;
        body.extend_from_slice(&chunk[..chunk.len().min(LARGEST - body.len())]);
    }
    Ok(text(status, body))
}
