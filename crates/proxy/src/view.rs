//! What others may see of a running proxy: whether it is ready, how many connections it has, its admin pages
//! and its metrics. In: nothing. Out: values of this moment.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use lateen_runtime::admin::Handler;
use lateen_telemetry::exposition::Exposition;
use tokio::sync::watch;

use crate::admin;
use crate::metrics::Pieces;
use crate::worker::{Context, Shared};

/// Cheap to clone; it keeps nothing running.
#[derive(Clone)]
pub struct View {
    pub(crate) shared: Arc<Shared>,
    pub(crate) ready: watch::Receiver<bool>,
    pub(crate) workers: Arc<[Arc<Context>]>,
}

impl View {
    /// The initial configuration is complete and its listeners listen.
    pub fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// Why the last connection to the control plane was not made or ended, while there is none.
    pub fn trouble(&self) -> Option<Arc<String>> {
        self.shared.trouble.load_full()
    }

    /// Connections at this moment.
    pub fn active(&self) -> usize {
        self.workers.iter().map(|worker| worker.active.load(Ordering::Relaxed)).sum()
    }

    /// The pages that the admin socket serves.
    pub fn admin(&self) -> Handler {
        admin::handler(self.clone())
    }

    /// A page of metrics after what it has already; `goes_on` if more than ours follows.
    pub fn metrics(&self, page: Exposition, goes_on: bool) -> Pieces {
        Pieces::new(self, page, goes_on)
    }
}
