//! The traffic as an existing Prometheus knows it, in place of what proxies send. In: Istio's counters of the last
//! hour, as Prometheus has scraped them. Out: the same points in the same store, so that the graph, its series and
//! replay are the same.
//!
//! Prometheus is asked for the counters at every step, and what they rose by is counted here: its own `increase`
//! extrapolates, and would make parts of connections.

mod client;
mod counters;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::collect::{Traffic, seconds};
use crate::store::{KEPT, STEP, step_of};
use client::Client;
use counters::{Counters, MOST};

pub use client::{Address, Failure, Settings};

/// Steps that are asked for at once; fewer where the answer is too large.
const BATCH: u32 = 60;
/// Everything that the graph is made of, and who tells it.
const QUERY: &str = "{__name__=~\"istio_tcp_sent_bytes_total|istio_tcp_received_bytes_total|\
istio_tcp_connections_opened_total|istio_tcp_connections_closed_total|istio_requests_total|\
istio_request_messages_total|istio_response_messages_total|istio_request_bytes_sum|istio_response_bytes_sum|\
istio_request_duration_milliseconds_bucket|istio_build\"}";

/// What has been read so far.
struct Reader {
    client: Client,
    counters: Counters,
    /// The first step that was not asked for yet.
    next: u32,
    batch: u32,
}

/// A place for the traffic of the last hour that [`follow`] fills.
pub fn traffic(limit: usize, settings: &Settings) -> Arc<Traffic> {
    Traffic::of_prometheus(limit, settings.address.to_string(), seconds() - HOUR)
}

const HOUR: u64 = KEPT as u64 * STEP;

/// Follows Prometheus until dropped.
pub async fn follow(settings: Settings, traffic: Arc<Traffic>) {
    let mut reader = Reader::new(settings, HOUR);
    let mut tick = tokio::time::interval(Duration::from_secs(STEP));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut said = String::new();
    loop {
        tick.tick().await;
        match reader.catch_up(&traffic).await {
            Ok(()) if said.is_empty() => {}
            Ok(()) => {
                tracing::info!("prometheus answers again");
                said.clear();
            }
            Err(failure) => {
                let text = failure.to_string();
                if said != text {
                    tracing::warn!("{text}");
                }
                said.clone_from(&text);
                traffic.failed(text);
            }
        }
    }
}

/// Reads the last `duration` seconds once.
///
/// # Errors
/// With the address, the reason and what to check.
pub async fn read(settings: Settings, traffic: &Traffic, duration: u64) -> Result<(), Failure> {
    Reader::new(settings, duration).catch_up(traffic).await
}

impl Reader {
    /// Beginning as many seconds ago.
    fn new(settings: Settings, ago: u64) -> Self {
        let (client, counters) = (Client::new(settings), Counters::new(MOST));
        // The step before the first says where the counters begin.
        let next = step_of(seconds() - ago.min(HOUR)) - 1;
        Self { client, counters, next, batch: BATCH }
    }

    /// Everything up to the last step that is over.
    async fn catch_up(&mut self, traffic: &Traffic) -> Result<(), Failure> {
        let last = step_of(seconds()) - 1;
        // What is too long ago is not kept anyway.
        self.next = self.next.max(last.saturating_sub(KEPT));
        while self.next <= last {
            let until = (self.next + self.batch - 1).min(last);
            // A step's counts are there at its end.
            let times = [self.next, until].map(|step| (u64::from(step) + 1) * STEP);
            let asked = until - self.next + 1;
            let series = match self.client.range(QUERY, times, STEP).await {
                Err(failure) if asked > 1 && failure.is_of_size() => {
                    self.batch = asked.div_ceil(2);
                    continue;
                }
                series => series?,
            };
            {
                let mut store = traffic.now();
                self.counters.take(&mut store, &series, self.next, until);
                // The next step is the one that is not over.
                store.advance((u64::from(until) + 1) * STEP);
            }
            self.next = until + 1;
            traffic.has_read(self.counters.proxies(), self.counters.left_out());
        }
        // It may have been its load alone.
        self.batch = BATCH;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
