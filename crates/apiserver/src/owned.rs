//! Work that a client cannot call off. In: a future; out, its result for whoever still waits. It runs
//! to its end even if nobody does, and the server waits for it before it ends.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// The tasks of writes that are under way.
#[derive(Default)]
pub struct Owned {
    tasks: Mutex<JoinSet<()>>,
}

impl Owned {
    /// Runs `work` in a task of its own; `None` if it panicked. Dropping the returned future leaves
    /// the task alone.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        let task = async move {
            // Whoever asked may have gone away; the work is done all the same.
            let _ = reply.send(work.await);
        };
        {
            let mut tasks = self.tasks();
            while tasks.try_join_next().is_some() {}
            tasks.spawn(task);
        }
        answer.await.ok()
    }

    /// Waits for everything that was begun.
    pub async fn drain(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks());
        while tasks.join_next().await.is_some() {}
    }

    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
