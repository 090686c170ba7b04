//! Named, supervised tasks: one that was to run for ever and ends early ends the process with its
//! name. In: futures with names. Out: the first [`Exit`], and an orderly stop.

use std::future::Future;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Why an essential task ended.
#[derive(Debug, thiserror::Error)]
pub enum ExitCause {
    #[error("ended unexpectedly")]
    Ended,
    #[error("failed: {0:#}")]
    Failed(anyhow::Error),
    #[error("panicked: {0}")]
    Panicked(String),
}

/// An essential task that ended before it was told to.
#[derive(Debug, thiserror::Error)]
#[error("task {name} {cause}")]
pub struct Exit {
    pub name: &'static str,
    pub cause: ExitCause,
}

/// Starts tasks; cheap to clone and to hand to whoever starts more of them.
#[derive(Clone)]
pub struct Tasks {
    exits: mpsc::UnboundedSender<Exit>,
    tracker: TaskTracker,
    drain: CancellationToken,
    stop: CancellationToken,
}

/// Waits for the first essential task that ends, and stops all of them.
pub struct Supervisor {
    exits: mpsc::UnboundedReceiver<Exit>,
    tasks: Tasks,
}

impl Supervisor {
    pub fn new() -> Self {
        let (sender, exits) = mpsc::unbounded_channel();
        let drain = CancellationToken::new();
        let stop = CancellationToken::new();
        let tasks = Tasks { exits: sender, tracker: TaskTracker::new(), drain, stop };
        Self { exits, tasks }
    }

    pub fn tasks(&self) -> Tasks {
        self.tasks.clone()
    }

    /// Resolves when an essential task has ended although nobody asked for it.
    pub async fn first_exit(&mut self) -> Exit {
        self.exits.recv().await.expect("the supervisor itself holds a sender")
    }

    /// Resolves [`Tasks::draining`]: another process takes over while this one goes on serving.
    pub fn drain(&self) {
        self.tasks.drain.cancel();
    }

    /// Cancels [`Tasks::stopping`] and waits for all tasks, at most `deadline`. True when all ended.
    pub async fn stop(self, deadline: Duration) -> bool {
        self.tasks.drain.cancel();
        self.tasks.stop.cancel();
        self.tasks.tracker.close();
        tokio::time::timeout(deadline, self.tasks.tracker.wait()).await.is_ok()
    }
}

impl Default for Supervisor {
    fn default() -> Self {
        Self::new()
    }
}

impl Tasks {
    /// A task that runs until the process stops; its early end is reported as an [`Exit`].
    pub fn essential<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let exits = self.exits.clone();
        let stop = self.stop.clone();
        self.tracker.spawn(async move {
            let cause = match tokio::spawn(future).await {
                Ok(Ok(())) => ExitCause::Ended,
                Ok(Err(error)) => ExitCause::Failed(error),
                Err(join) => ExitCause::Panicked(join.to_string()),
            };
            if !stop.is_cancelled() {
                // The receiver is gone only while the process is already stopping.
                let _ = exits.send(Exit { name, cause });
            }
        });
    }

    /// A task that may end at any time, such as one connection. A panic is logged with its name.
    pub fn child<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tracker.spawn(async move {
            if let Err(error) = tokio::spawn(future).await
                && error.is_panic()
            {
                tracing::error!(task = name, %error, "task panicked");
            }
        });
    }

    /// Resolves when the supervisor drains, or stops without.
    pub async fn draining(&self) {
        self.drain.cancelled().await;
    }

    /// Resolves when the supervisor stops.
    pub async fn stopping(&self) {
        self.stop.cancelled().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_essential_task_that_fails_is_named() {
        let mut supervisor = Supervisor::new();
        supervisor.tasks().essential("writer", async { anyhow::bail!("disk full") });
        let exit = supervisor.first_exit().await;
        assert_eq!(exit.to_string(), "task writer failed: disk full");
    }

    #[tokio::test]
    async fn a_panic_is_an_exit_not_a_silence() {
        let mut supervisor = Supervisor::new();
        supervisor.tasks().essential("reader", async { panic!("boom") });
        assert!(matches!(supervisor.first_exit().await.cause, ExitCause::Panicked(_)));
    }

    #[tokio::test]
    async fn draining_stops_nobody_and_stopping_drains() {
        let supervisor = Supervisor::new();
        let tasks = supervisor.tasks();
        supervisor.drain();
        tasks.draining().await;
        assert!(!tasks.stop.is_cancelled());
        let undrained = Supervisor::new();
        let tasks = undrained.tasks();
        undrained.stop(Duration::ZERO).await;
        tasks.draining().await;
    }

    #[tokio::test]
    async fn stop_waits_for_tasks_that_listen() {
        let supervisor = Supervisor::new();
        let tasks = supervisor.tasks();
        let inner = tasks.clone();
        tasks.essential("loop", async move {
            inner.stopping().await;
            Ok(())
        });
        assert!(supervisor.stop(Duration::from_secs(5)).await);
    }
}
