//! Beside the threads that serve: work that may take long holds none of them. In: a piece of work. Out: what it
//! gives, once its turn has come.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// So many pieces of work at once of either kind, of all streams; the others wait in the order in which they came.
#[derive(Clone)]
pub(super) struct Aside {
    asked: Arc<Semaphore>,
    pushed: Arc<Semaphore>,
}

/// What work is for. A connection may wait for what is asked for: it does not wait for what others are told of a change.
#[derive(Clone, Copy, Debug)]
pub(super) enum Work {
    Asked,
    Pushed,
}

impl Aside {
    pub fn new(at_once: usize) -> Self {
        let [asked, pushed] = [(); 2].map(|()| Arc::new(Semaphore::new(at_once.max(1))));
        Self { asked, pushed }
    }

    /// Work that has begun goes on to its end, whether or not somebody waits for it still.
    pub async fn run<T: Send + 'static>(
        &self,
        kind: Work,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let turns = match kind {
            Work::Asked => &self.asked,
            Work::Pushed => &self.pushed,
        };
        let turn = turns.clone().acquire_owned().await.expect("turns are never over");
        let done = spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        match done.await.map_err(|error| error.try_into_panic()) {
            Ok(found) => found,
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            // The runtime ends, and with it whoever waits.
            Err(Err(_)) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    #[tokio::test]
    async fn work_has_its_turn_and_the_thread_that_serves_goes_on() {
        let aside = Aside::new(1);
        let (begun, mut begins) = unbounded_channel();
        let (release, held) = channel();
        let first = {
            let (aside, begun) = (aside.clone(), begun.clone());
            let work = move || {
                begun.send(1).unwrap();
                held.recv_timeout(Duration::from_secs(30)).unwrap();
            };
            tokio::spawn(async move { aside.run(Work::Pushed, work).await })
        };
        assert_eq!(begins.recv().await, Some(1));
        let later = |kind, number| {
            let (aside, begun) = (aside.clone(), begun.clone());
            tokio::spawn(async move { aside.run(kind, move || begun.send(number)).await })
        };
        let second = later(Work::Pushed, 2);
        let third = later(Work::Asked, 3);
        third.await.unwrap().unwrap();
        assert_eq!(begins.recv().await, Some(3), "who asks waits for no push");
        assert!(begins.is_empty());
        release.send(()).unwrap();
        first.await.unwrap();
        second.await.unwrap().unwrap();
        assert_eq!(begins.recv().await, Some(2));
    }
}
