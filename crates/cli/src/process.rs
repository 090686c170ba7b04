//! The end of a long-running process. In: its tasks. Out: when a signal asks for it or an essential task has
//! ended, an orderly stop.

use std::time::Duration;

use anyhow::{Context, Result};
use lateen_runtime::tasks::Supervisor;

/// Runs until SIGTERM or SIGINT, or until a task ends that must not, which is the error.
pub async fn until_ended(mut supervisor: Supervisor, stop_within: Duration) -> Result<()> {
    let exit = tokio::select! {
        exit = supervisor.first_exit() => Some(exit),
        signal = lateen_runtime::signal::terminated() => {
            tracing::info!(signal = signal.context("cannot listen for signals")?, "stopping");
            None
        }
    };
    supervisor.stop(stop_within).await;
    exit.map_or(Ok(()), |exit| Err(exit.into()))
}
