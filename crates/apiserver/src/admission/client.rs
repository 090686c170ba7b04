//! The HTTPS client of webhooks: in, where to ask and the question; out, the answer, or a sentence on
//! what failed. One connection per question.

use bytes::Bytes;
use http::{Method, Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use lateen_api::kinds::by_kind;
use rustls_pki_types::ServerName;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::matching::{Hook, Place};
use crate::catalog;
use crate::object;
use crate::store::Store;

/// An answer may be this long.
const ANSWER: usize = 3 << 20;

struct Destination {
    /// What to connect to.
    dial: String,
    /// The name that the certificate must have.
    server_name: String,
    /// `Host` and path.
    uri: Uri,
}

/// Asks once.
pub async fn call(store: &Store, hook: &Hook, question: &Value) -> Result<Value, String> {
    let to = destination(store, &hook.place)?;
    if hook.ca_bundle.is_empty() {
        return Err("clientConfig.caBundle is empty: it must hold the CA of the webhook".to_owned());
    }
    let tls = lateen_identity::client_config(&hook.ca_bundle).map_err(|error| error.to_string())?;
    let name = ServerName::try_from(to.server_name.clone())
        .map_err(|_| format!("{:?} is not a host name", to.server_name))?;
    let socket =
        TcpStream::connect(&to.dial).await.map_err(|error| format!("dial {}: {error}", to.dial))?;
    let stream = TlsConnector::from(tls).connect(name, socket).await;
    let stream = stream.map_err(|error| format!("tls with {}: {error}", to.dial))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(text)?;
    let host = to.uri.authority().map(|one| one.as_str().to_owned()).unwrap_or_default();
    let path = to.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(http::header::HOST, host)
        .header(http::header::CONTENT_TYPE, "application/json")
        .header(http::header::ACCEPT, "application/json")
        .body(Full::new(Bytes::from(question.to_string())))
        .map_err(text)?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(text)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER).collect().await;
        let body = body.map_err(|error| format!("the answer: {error}"))?.to_bytes();
        if !status.is_success() {
            return Err(format!("the server answered {status}"));
        }
        serde_json::from_slice(&body).map_err(|error| format!("the answer is not JSON: {error}"))
    };
    // The connection is driven here, not in a task of its own: it ends with the question.
    tokio::pin!(exchange, connection);
    tokio::select! {
        biased;
        answer = &mut exchange => answer,
        ended = &mut connection => {
            ended.map_err(text)?;
            exchange.await
        }
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn destination(store: &Store, place: &Place) -> Result<Destination, String> {
    match place {
        Place::Url(url) => {
            let uri: Uri = url.parse().map_err(|error| format!("url {url:?}: {error}"))?;
            let host = uri.host().filter(|_| uri.scheme_str() == Some("https"));
            let host =
                host.ok_or_else(|| format!("url {url:?} must be https://HOST[:PORT]/PATH"))?;
            let server_name = host.trim_matches(['[', ']']).to_owned();
            let dial = format!("{host}:{}", uri.port_u16().unwrap_or(443));
            Ok(Destination { dial, server_name, uri })
        }
        Place::Service { namespace, name, path, port } => {
            let dial = endpoint(store, namespace, name, *port)?;
            let server_name = format!("{name}.{namespace}.svc");
            let uri = format!("https://{server_name}:{port}{path}").parse();
            let uri = uri.map_err(|error| format!("path {path:?}: {error}"))?;
            Ok(Destination { dial, server_name, uri })
        }
    }
}

/// A ready endpoint of a Service's port, from its EndpointSlices.
fn endpoint(store: &Store, namespace: &str, name: &str, port: u16) -> Result<String, String> {
    let kind = by_kind("", "Service").expect("the table of kinds has services");
    let stored = store.get(&catalog::key(kind, namespace, name));
    let stored = stored.ok_or_else(|| format!("service \"{name}\" not found in {namespace:?}"))?;
    let service = object::parse_stored(&stored.bytes);
    let ports = service["spec"]["ports"].as_array();
    let entry = ports.into_iter().flatten().find(|entry| entry["port"] == port);
    let entry = entry.ok_or_else(|| format!("service \"{name}\" has no port {port}"))?;
    let port_name = entry["name"].as_str().unwrap_or_default();
    let slices = by_kind("discovery.k8s.io", "EndpointSlice");
    let slices = slices.map(|kind| store.all(catalog::resource_id(kind), Some(namespace)));
    for (_, stored) in slices.into_iter().flatten() {
        let slice = object::parse_stored(&stored.bytes);
        if slice["metadata"]["labels"]["kubernetes.io/service-name"] != name {
            continue;
        }
        let ports = slice["ports"].as_array();
        let number = ports.into_iter().flatten().find_map(|one| {
            let same = one["name"].as_str().unwrap_or_default() == port_name;
            one["port"].as_u64().filter(|_| same)
        });
        let endpoints = slice["endpoints"].as_array();
        let address = endpoints.into_iter().flatten().find_map(|one| {
            let ready = one["conditions"]["ready"].as_bool().unwrap_or(true);
            one["addresses"][0].as_str().filter(|_| ready)
        });
        if let (Some(number), Some(address)) = (number, address) {
            let colons = address.contains(':');
            return Ok(if colons {
                format!("[{address}]:{number}")
            } else {
                format!("{address}:{number}")
            });
        }
    }
    Err(format!("no endpoints available for service \"{name}\""))
}
