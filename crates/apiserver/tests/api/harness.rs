//! A server in this process and a small client: in, a data directory; out, requests and answers.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use bytes::{Buf, Bytes};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use lateen_apiserver::{ApiServer, Config, Foresee, system_clock};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// A running server; dropped, it ends without any farewell.
pub struct Api {
    pub client: Client,
    pub foresight: Arc<OnceLock<Foresee>>,
    pub kubeconfig: String,
    tasks: JoinSet<()>,
    shutdown: oneshot::Sender<()>,
}

#[derive(Clone)]
pub struct Client {
    pub address: SocketAddr,
    pub ca: String,
    pub token: String,
}

impl Api {
    pub async fn start(data_dir: &Path) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = ApiServer::open(Config {
            data_dir: data_dir.to_owned(),
            service_cidr: "10.96.0.0/16".parse().unwrap(),
            listener,
            public_url: format!("https://{address}"),
            clock: system_clock(),
        })
        .await
        .unwrap();
        let client = Client {
            address,
            ca: server.ca_pem().to_owned(),
            token: server.admin_token().to_owned(),
        };
        let (kubeconfig, foresight) = (server.admin_kubeconfig(), server.foresight());
        let mut tasks = JoinSet::new();
        let (shutdown, stop) = oneshot::channel::<()>();
        tasks.spawn(server.serve(async { drop(stop.await) }));
        Self { client, foresight, kubeconfig, tasks, shutdown }
    }

    /// Ends it and waits until the data directory is free for another.
    pub async fn stop(mut self) {
        self.shutdown.send(()).unwrap();
        self.tasks.join_next().await;
    }
}

/// A status code and a JSON body.
pub type Answer = (u16, Value);

impl Client {
    pub async fn connect(&self) -> (SendRequest<Full<Bytes>>, JoinSet<()>) {
        let tls = lateen_identity::client_config(self.ca.as_bytes()).unwrap();
        let socket = TcpStream::connect(self.address).await.unwrap();
        let name = "localhost".try_into().unwrap();
        let stream = tokio_rustls::TlsConnector::from(Arc::clone(&tls)).connect(name, socket);
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream.await.unwrap()))
                .await
                .unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { drop(connection.await) });
        (sender, tasks)
    }

    pub fn request(
        &self,
        method: &str,
        path: &str,
        media: &str,
        body: Bytes,
    ) -> Request<Full<Bytes>> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("user-agent", "tests/1")
            .header("content-type", media);
        if !self.token.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        request.body(Full::new(body)).unwrap()
    }

    pub async fn send(&self, request: Request<Full<Bytes>>) -> (http::response::Parts, Value) {
        let (mut sender, _tasks) = self.connect().await;
        let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let value = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes)));
        (parts, value)
    }

    pub async fn call(&self, method: &str, path: &str, body: Value) -> Answer {
        let bytes = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let request = self.request(method, path, "application/json", bytes);
        let (parts, value) = self.send(request).await;
        (parts.status.as_u16(), value)
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, Value::Null).await
    }

    pub async fn patch(&self, path: &str, media: &str, body: Value) -> Answer {
        let request = self.request("PATCH", path, media, Bytes::from(body.to_string()));
        let (parts, value) = self.send(request).await;
        (parts.status.as_u16(), value)
    }

    pub async fn watch(&self, path: &str) -> Watch {
        let (mut sender, tasks) = self.connect().await;
        let request = self.request("GET", path, "application/json", Bytes::new());
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        Watch { body: response.into_body(), rest: Vec::new(), _tasks: tasks }
    }
}

/// The lines of a watch.
pub struct Watch {
    body: Incoming,
    rest: Vec<u8>,
    _tasks: JoinSet<()>,
}

impl Watch {
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let frame = self.body.frame().await?.ok()?;
            let mut data = frame.into_data().ok()?;
            self.rest.extend_from_slice(&data.copy_to_bytes(data.remaining()));
        }
    }

    /// Type and name of the next event.
    pub async fn step(&mut self) -> (String, String) {
        let event = self.next().await.expect("the watch goes on");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&event["type"]), text(&event["object"]["metadata"]["name"]))
    }
}

pub fn config_map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

pub fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"ports": [{"name": "tcp", "port": 8020}], "selector": {"app": name}},
    })
}

pub const CONFIGS: &str = "/api/v1/namespaces/default/configmaps";
pub const SERVICES: &str = "/api/v1/namespaces/default/services";
