//! The webhooks that the cluster's API asks: `/inject` about new pods, `/validate` about Istio's objects.
//!
//! In: a listener, and the context with TLS, roots and leases. Out: answers over HTTPS, and webhook
//! configurations that hold the CA of the moment. The answers themselves are pure functions of the
//! question and the settings.

mod bundle;
mod counters;
mod injection;
mod repair;
mod review;
mod server;
mod settings;
mod validation;
mod variables;

use std::sync::Arc;

use lateen_runtime::readiness::Guard;
use lateen_runtime::tasks::Tasks;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::cluster::context::Context;
use crate::published::Published;

pub use counters::{Counters, Counts};
pub use settings::{NativeSidecars, Nodes, named_node};
pub use validation::{PROBE_REFUSAL, probe};

/// What the webhooks are given at their start.
pub struct Webhooks {
    pub context: Context,
    /// Says which namespaces the mesh sees.
    pub mesh: Arc<Published>,
    /// Port 15017.
    pub listener: TcpListener,
    pub native_sidecars: NativeSidecars,
}

/// Starts the webhooks' tasks. `ready` is dropped when the settings are known and questions are answered.
pub fn start(webhooks: Webhooks, tasks: &Tasks, ready: Guard) -> Arc<Counters> {
    let Webhooks { context, mesh, listener, native_sidecars } = webhooks;
    let counters = Arc::new(Counters::default());
    let (publish, published) = watch::channel(None);
    let reader = settings::Reader::new(&context, native_sidecars);
    tasks.essential("webhook settings", reader.run(publish));
    let server = server::Server::new(published.clone(), mesh, counters.clone(), tasks.clone());
    tasks.essential("webhook server", server.serve(listener, context.tls.clone()));
    tasks.essential("webhook configurations", bundle::run(context));
    tasks.child("webhook readiness", async move {
        let mut published = published;
        // The sender lives as long as the settings' task.
        let _ = published.wait_for(Option::is_some).await;
        drop(ready);
    });
    counters
}
