//! Drain: stop accepting, wait until the work in hand is done, at a deadline give up. In: clones of
//! [`Watch`] held by whatever must finish. Out: whether all of them were dropped in time.

use std::time::Duration;

use tokio::sync::{mpsc, watch};

/// Held by the owner of the work; starts the drain.
pub struct Drainer {
    signal: watch::Sender<bool>,
    done: mpsc::Receiver<()>,
}

/// Held by each piece of work; the drain waits until all clones are gone.
#[derive(Clone)]
pub struct Watch {
    signal: watch::Receiver<bool>,
    _alive: mpsc::Sender<()>,
}

pub fn channel() -> (Drainer, Watch) {
    let (signal_sender, signal) = watch::channel(false);
    let (alive, done) = mpsc::channel(1);
    (Drainer { signal: signal_sender, done }, Watch { signal, _alive: alive })
}

impl Drainer {
    /// Signals the drain and waits for every [`Watch`], at most `deadline`. True when all are gone.
    pub async fn drain(mut self, deadline: Duration) -> bool {
        self.signal.send_replace(true);
        tokio::time::timeout(deadline, self.done.recv()).await.is_ok()
    }
}

impl Watch {
    /// Resolves when the drain has begun.
    pub async fn draining(&mut self) {
        // An error means that the drainer is gone without draining: the work may go on for ever.
        if self.signal.wait_for(|draining| *draining).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    pub fn is_draining(&self) -> bool {
        *self.signal.borrow()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn drain_ends_when_the_last_watch_is_dropped() {
        let (drainer, mut watch) = channel();
        let work = tokio::spawn(async move {
            watch.draining().await;
        });
        assert!(drainer.drain(Duration::from_secs(5)).await);
        work.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn drain_gives_up_at_the_deadline() {
        let (drainer, watch) = channel();
        assert!(!drainer.drain(Duration::from_secs(5)).await);
        assert!(watch.is_draining());
    }
}
