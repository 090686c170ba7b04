//! The embedded Kubernetes-compatible API.
//!
//! In: HTTPS requests of kubectl, kube clients and webhooks' owners. Out: objects, lists, watches,
//! tables and discovery as Kubernetes serves them, for the kinds of `lateen_api::kinds`. What was
//! acknowledged is on disk.

pub mod openapi;
pub mod patch;
pub mod selector;
pub mod strict;
pub mod table;

mod admission;
mod auth;
mod catalog;
mod containers;
mod controller;
mod discovery;
mod error;
mod object;
mod owned;
mod rbac;
mod read;
mod reply;
mod reviews;
mod route;
mod seed;
mod serve;
mod server;
mod store;
mod token;
mod wire;
mod write;

use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::future::BoxFuture;
use ipnet::Ipv4Net;
use lateen_api::intent::Intent;
use lateen_api::issue::ObjectRef;
use lateen_api::kinds::Kind;
use lateen_identity::{Ca, private_dir, read_or_create_token};

pub use server::Clock;

/// Names by which the server may be reached.
const NAMES: [&str; 6] =
    ["localhost", "127.0.0.1", "::1", "kubernetes", "kubernetes.default", "kubernetes.default.svc"];

/// What a server is made of.
pub struct Config {
    /// Where keys, tokens and objects are kept; made with mode 0700.
    pub data_dir: PathBuf,
    /// From which Services get their cluster IPs.
    pub service_cidr: Ipv4Net,
    /// Bound and listening, on loopback.
    pub listener: std::net::TcpListener,
    /// How clients reach the listener, such as `https://127.0.0.1:6443`; also the issuer of tokens.
    pub public_url: String,
    /// The time; [`system_clock`] outside tests.
    pub clock: Clock,
}

/// Tells what would be wrong with an object if it were stored, and what newly with others if it were stored or went, of
/// each with its name.
pub type Foresee = Arc<
    dyn Fn(&'static Kind, Intent) -> BoxFuture<'static, Vec<(ObjectRef, String)>> + Send + Sync,
>;

/// Why a server cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Keys or certificates.
    #[error(transparent)]
    Identity(#[from] lateen_identity::Error),
    /// The store's file.
    #[error(transparent)]
    Store(#[from] store::OpenError),
    /// The first objects.
    #[error(transparent)]
    Seed(#[from] store::WriteError),
    /// The listening socket.
    #[error("the API's listening socket: {0}")]
    Socket(#[from] std::io::Error),
}

/// The server, ready to serve.
pub struct ApiServer {
    server: Arc<server::Server>,
    listener: tokio::net::TcpListener,
    tls: Arc<rustls::ServerConfig>,
    admin_token: String,
}

/// The machine's clock.
pub fn system_clock() -> Clock {
    Arc::new(jiff::Timestamp::now)
}

impl ApiServer {
    /// Opens the store and makes, the first time, keys, the admin's token and the namespaces that
    /// every cluster has. Needs a tokio runtime.
    pub async fn open(config: Config) -> Result<Self, OpenError> {
        let Config { data_dir, service_cidr, listener, public_url, clock } = config;
        private_dir(&data_dir)?;
        let ca = Ca::load_or_create(&data_dir, "lateen-api")?;
        let tls = lateen_identity::server_config(ca.issue_server(&NAMES)?, &[b"h2", b"http/1.1"])?;
        let admin_token = read_or_create_token(&data_dir.join("admin.token"))?;
        let signing_key = read_or_create_token(&data_dir.join("tokens.key"))?;
        let signer = token::Signer::new(signing_key.as_bytes(), "https://kubernetes.default.svc");
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let store = store::Store::open(&data_dir.join("objects.redb"))?;
        let server = Arc::new(server::Server {
            addresses: write::Addresses::load(service_cidr, &store),
            auth: auth::Authenticator::new(admin_token.clone(), signer),
            store,
            ca_pem: ca.pem().to_owned(),
            public_url,
            address,
            clock,
            owned: owned::Owned::default(),
            foresee: Arc::default(),
            stop: tokio::sync::watch::Sender::new(false),
        });
        seed::populate(&server).await?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        Ok(Self { server, listener, tls, admin_token })
    }

    /// A kubeconfig with the admin's token; keep it to its owner (mode 0600).
    pub fn admin_kubeconfig(&self) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: lateen\nclusters:\n- name: lateen\n  \
             cluster:\n    server: {}\n    certificate-authority-data: {}\nusers:\n- name: admin\n  \
             user:\n    token: {}\ncontexts:\n- name: lateen\n  context:\n    cluster: lateen\n    \
             user: admin\n    namespace: default\n",
            self.server.public_url,
            STANDARD.encode(&self.server.ca_pem),
            self.admin_token,
        )
    }

    /// The place of what foresees, from which users are warned: it can be there only after the API.
    pub fn foresight(&self) -> Arc<OnceLock<Foresee>> {
        self.server.foresee.clone()
    }

    /// The certificate of the CA that signed the server's own.
    pub fn ca_pem(&self) -> &str {
        &self.server.ca_pem
    }

    /// The admin's bearer token.
    pub fn admin_token(&self) -> &str {
        &self.admin_token
    }

    /// Serves until `shutdown` completes and what was under way has ended; or until the store cannot
    /// be written any more, which opening it again may cure.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        let Self { server, listener, tls, .. } = self;
        let over = async {
            tokio::select! {
                () = shutdown => {}
                () = server.store.ended() => tracing::error!("the store has to be opened again"),
            }
        };
        let serving = serve::serve(Arc::clone(&server), listener, tls, over);
        tokio::join!(serving, controller::run(&server));
    }
}
