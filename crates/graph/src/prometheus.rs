//! The traffic as an existing Prometheus knows it, in place of what proxies send. In: Istio's counters of the last
//! hour, as Prometheus has scraped them. Out: the same points in the same store, so that the graph, its series and
//! replay are the same.
//!
//! Prometheus is asked for the counters at every step, and what they rose by is counted here: its own `increase`
//! extrapolates, and would make parts of connections. It answers with the newest samples, and is asked for their times:
//! what a counter rose by belongs to the time between two scrapes.

mod client;
mod counters;
mod course;
mod series;
mod targets;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;

use crate::collect::{Traffic, seconds};
use crate::store::{KEPT, LAG, STEP, Store, step_of};
use client::Client;
use counters::{Counters, MOST};
use series::Series;

pub use client::{Address, Failure, Settings};

/// Steps that are asked for at once; fewer where the answer is too large.
const BATCH: u32 = 60;
/// Everything that the graph is made of, and who tells it.
const QUERY: &str = "{__name__=~\"istio_tcp_sent_bytes_total|istio_tcp_received_bytes_total|\
istio_tcp_connections_opened_total|istio_tcp_connections_closed_total|istio_requests_total|\
istio_request_messages_total|istio_response_messages_total|istio_request_bytes_sum|istio_response_bytes_sum|\
istio_request_duration_milliseconds_bucket|istio_build\"}";

/// When each target's newest sample was taken; 0 while its last scrape is one that failed. What one of its metrics does
/// not tell another one does.
const TIMES: &str = "max by (job, instance) (timestamp(istio_build)) or \
max by (job, instance) (timestamp(istio_tcp_connections_opened_total)) or \
max by (job, instance) (timestamp(istio_requests_total)) or max by (job, instance) (up == 0)";

/// The proxies whose scrapes fail, and when they were scraped in the hour before: what they told may be too long ago to
/// be read.
const MISSED: &str = "max by (job, instance) \
(max_over_time(timestamp(istio_build{component=\"proxy\"})[1h:1m])) and on (job, instance) (up == 0)";

/// Seconds that are read first, so that the present is shown at once: a minute that ends with a scrape of a minute ago,
/// and the time since the scrape before it.
const PRESENT: u64 = 150;

/// What has been read so far.
struct Reader {
    client: Client,
    counters: Counters,
    /// The first step that was not asked for yet.
    next: u32,
    batch: u32,
    /// Nothing was asked for yet.
    is_new: bool,
}

/// What Prometheus says of the steps up to one.
struct Batch {
    series: Vec<Series>,
    times: Vec<Series>,
    /// Those who failed before, if nothing was asked for before.
    missed: Vec<Series>,
    until: u32,
}

/// Follows the present, and reads what was before it in the time that is left. A store is filled in the order of time:
/// the hour has one of its own, which takes the other's place when it has caught up.
struct Follower {
    present: Reader,
    past: Option<(Reader, Store)>,
}

/// A place for the traffic of the last hour that [`follow`] fills.
pub fn traffic(limit: usize, settings: &Settings) -> Arc<Traffic> {
    Traffic::of_prometheus(limit, settings.address.to_string(), seconds() - HOUR - BEFORE)
}

const HOUR: u64 = KEPT as u64 * STEP;
/// Seconds that are read before those that are asked for, which scrapes may be behind.
const BEFORE: u64 = LAG as u64 * STEP;

/// Follows Prometheus until dropped.
pub async fn follow(settings: Settings, traffic: Arc<Traffic>) {
    let mut follower = Follower::new(settings, &traffic);
    let mut tick = tokio::time::interval(Duration::from_secs(STEP));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut said = String::new();
    loop {
        tick.tick().await;
        match follower.read_on(&traffic).await {
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
    Reader::new(settings, duration.min(HOUR) + BEFORE).catch_up(traffic).await
}

impl Reader {
    /// Beginning as many seconds ago.
    fn new(settings: Settings, ago: u64) -> Self {
        let (client, counters) = (Client::new(settings), Counters::new(MOST));
        // The step before the first says where the counters begin.
        let next = step_of(seconds() - ago) - 1;
        Self { client, counters, next, batch: BATCH, is_new: true }
    }

    /// Everything up to the last step that is over.
    async fn catch_up(&mut self, traffic: &Traffic) -> Result<(), Failure> {
        let last = self.begin();
        while self.next <= last {
            let batch = self.ask(last).await?;
            self.take(&mut traffic.now(), &batch);
            traffic.has_read(self.counters.found());
        }
        Ok(())
    }

    /// The last step that is over. What is too long ago is not kept anyway.
    fn begin(&mut self) -> u32 {
        let last = step_of(seconds()) - 1;
        self.next = self.next.max(last.saturating_sub(KEPT + LAG));
        last
    }

    /// As many of the next steps as are answered at once, and the last of them.
    async fn ask(&mut self, last: u32) -> Result<Batch, Failure> {
        let mut late = Duration::ZERO;
        loop {
            let is_least = self.steps(last) == 1;
            match self.try_once(last).await {
                Err(Failure::Late { url, waited }) => {
                    late += waited;
                    if is_least {
                        return Err(Failure::Late { url, waited: late });
                    }
                }
                Err(failure) if !is_least && failure.is_of_size() => {}
                done => return done,
            }
        }
    }

    /// The same if it is answered in one try; after it less is asked for, or more again.
    async fn try_once(&mut self, last: u32) -> Result<Batch, Failure> {
        let asked = self.steps(last);
        let until = self.next + asked - 1;
        let answer = self.range(until).await;
        self.batch = match &answer {
            // What was in the way may have been a moment's load.
            Ok(_) => (2 * self.batch).min(BATCH),
            // What hangs is known sooner.
            Err(Failure::Late { .. }) => asked.div_ceil(4),
            Err(failure) if failure.is_of_size() => asked.div_ceil(2),
            Err(_) => self.batch,
        };
        answer
    }

    async fn range(&self, until: u32) -> Result<Batch, Failure> {
        // A step's counts are there at its end.
        let ends = [self.next, until].map(|step| (u64::from(step) + 1) * STEP);
        let series = self.client.range(QUERY, ends, STEP).await?;
        let times = self.client.range(TIMES, ends, STEP).await?;
        let missed = match self.is_new {
            true => self.client.range(MISSED, [ends[1]; 2], STEP).await?,
            false => Vec::new(),
        };
        Ok(Batch { series, times, missed, until })
    }

    /// Steps that are asked for next.
    fn steps(&self, last: u32) -> u32 {
        self.batch.min(last + 1 - self.next)
    }

    fn take(&mut self, store: &mut Store, batch: &Batch) {
        let Batch { series, times, missed, until } = batch;
        self.is_new = false;
        self.counters.missed(missed);
        self.counters.take(store, series, times, self.next..=*until);
        self.next = until + 1;
    }
}

impl Follower {
    /// Both stores have the room of one.
    fn new(settings: Settings, traffic: &Traffic) -> Self {
        let (limit, now) = (traffic.now().fill().limit, seconds());
        *traffic.now() = Store::of_scrapes(limit / 4, now - PRESENT);
        let mut past = Reader::new(settings.clone(), HOUR + BEFORE);
        // The present waits for it.
        past.client.patience = Duration::from_secs(STEP);
        let store = Store::of_scrapes(limit - limit / 4, now - HOUR - BEFORE);
        Self { present: Reader::new(settings, PRESENT), past: Some((past, store)) }
    }

    /// The present, and then the past for as long as a step lasts.
    async fn read_on(&mut self, traffic: &Traffic) -> Result<(), Failure> {
        let began = Instant::now();
        self.present.catch_up(traffic).await?;
        let Some((reader, store)) = &mut self.past else { return Ok(()) };
        let last = reader.begin().min(self.present.next - 1);
        while reader.next <= last {
            let minutes = (u64::from(last + 1 - reader.next) * STEP / 60).clamp(1, HOUR / 60);
            let notice = format!(
                "what is shown is the present: {minutes} minutes of the last hour are still to be read from Prometheus"
            );
            traffic.is_behind(Some(notice.clone()));
            let is_least = reader.steps(last) == 1;
            match reader.try_once(last).await {
                Ok(batch) => reader.take(store, &batch),
                Err(failure) if !is_least && failure.is_of_size() => {}
                // What took long is asked for again after the present.
                Err(failure) => {
                    traffic.is_behind(Some(format!("{notice}: {failure}")));
                    return Ok(());
                }
            }
            if reader.next <= last && began.elapsed().as_secs() >= STEP {
                return Ok(());
            }
        }
        if let Some((Reader { counters, .. }, mut store)) = self.past.take() {
            let mut now = traffic.now();
            store.grow(now.fill().limit);
            *now = store;
            drop(now);
            self.present.counters = counters;
            traffic.is_behind(None);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
