//! How long a proxy serves after it was asked to end. In: Istio's settings and the connections of this moment.
//! Out: the moment to stop. Until then it goes on as before, new connections included: those who send
//! here learn of the end one by one, and the application may need the network for its own end.

use std::time::Duration;

/// How often connections are counted.
const LOOK: Duration = Duration::from_millis(100);

/// When to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// After this time, whoever is still connected (`terminationDrainDuration`).
    After(Duration),
    /// When nobody is connected any more, but not before this time (`EXIT_ON_ZERO_ACTIVE_CONNECTIONS`,
    /// `MINIMUM_DRAIN_DURATION`).
    Idle(Duration),
    /// When nobody is connected any more, but after this time at the latest: the application has ended.
    IdleWithin(Duration),
}

impl Drain {
    /// Resolves when it is time.
    pub async fn wait(self, active: impl Fn() -> usize) {
        let idle = async {
            while active() > 0 {
                tokio::time::sleep(LOOK).await;
            }
        };
        match self {
            Self::After(time) => tokio::time::sleep(time).await,
            Self::Idle(least) => {
                tokio::time::sleep(least).await;
                idle.await;
            }
            Self::IdleWithin(most) => {
                // Past the deadline the rest is cut.
                let _ = tokio::time::timeout(most, idle).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Drain;

    const SECOND: Duration = Duration::from_secs(1);

    /// How long it takes when the last connection ends after `connected`.
    async fn waited(drain: Drain, connected: Duration) -> Duration {
        let start = Instant::now();
        let calls = AtomicUsize::new(0);
        let active = || {
            calls.fetch_add(1, Ordering::Relaxed);
            usize::from(start.elapsed() < connected)
        };
        drain.wait(active).await;
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn the_fixed_time_is_waited_out() {
        assert_eq!(waited(Drain::After(5 * SECOND), Duration::ZERO).await, 5 * SECOND);
        assert_eq!(waited(Drain::After(5 * SECOND), 60 * SECOND).await, 5 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn connections_are_waited_for_where_that_is_asked_for() {
        assert_eq!(waited(Drain::Idle(5 * SECOND), Duration::ZERO).await, 5 * SECOND);
        assert_eq!(waited(Drain::Idle(5 * SECOND), 60 * SECOND).await, 60 * SECOND);
        assert_eq!(waited(Drain::IdleWithin(5 * SECOND), Duration::ZERO).await, Duration::ZERO);
        assert_eq!(waited(Drain::IdleWithin(5 * SECOND), 2 * SECOND).await, 2 * SECOND);
        assert_eq!(waited(Drain::IdleWithin(5 * SECOND), 60 * SECOND).await, 5 * SECOND);
    }
}
