//! Access logs that go to services. In: records of connections that have ended, and whom they are for. Out:
//! entries in batches, over gRPC. Traffic hands a record over and never waits: what finds a queue full is
//! dropped and counted.

mod als;
mod dial;
mod follow;
mod otlp;
#[cfg(test)]
mod tests;

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::Node;
use lateen_routing::{Collector, Protocol};
use lateen_telemetry::AccessRecord;
use lateen_telemetry::exposition::{Exposition, Kind};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::worker::Shared;
use dial::Dialer;
use follow::{Follower, Item};

/// Entries on their way from the workers.
const QUEUE: usize = 8192;
/// Entries that may wait for one collector, besides a batch that is being sent.
const WAITING: usize = 2048;

/// What hands records over.
#[derive(Debug)]
pub struct Collectors {
    orders: mpsc::Sender<Order>,
    counts: Counts,
}

/// Something for the task that tells collectors apart.
#[derive(Debug)]
pub enum Order {
    Entry(Arc<Collector>, Box<AccessRecord>),
    /// To be dropped when everything before it has been sent.
    Flush(mpsc::Sender<()>),
}

/// Entries, by what became of them.
#[derive(Debug, Default)]
pub struct Counts {
    als: Count,
    otlp: Count,
}

#[derive(Debug, Default)]
pub struct Count {
    written: AtomicU64,
    dropped: AtomicU64,
}

impl Collectors {
    /// The receiver is for [`run`].
    pub fn new() -> (Self, mpsc::Receiver<Order>) {
        let (orders, receiver) = mpsc::channel(QUEUE);
        (Self { orders, counts: Counts::default() }, receiver)
    }

    /// Hands a record over.
    pub fn entry(&self, to: &Arc<Collector>, record: &AccessRecord) {
        let order = Order::Entry(to.clone(), Box::new(record.clone()));
        if self.orders.try_send(order).is_err() {
            self.counts.of(to).drop_entries(1);
        }
    }

    /// Waits until what there is has been sent, as long as it takes at most.
    pub async fn flush(&self, within: Duration) {
        let (guard, mut done) = mpsc::channel(1);
        if self.orders.try_send(Order::Flush(guard)).is_ok() {
            // What takes longer is lost, as what finds the queue full.
            let _ = tokio::time::timeout(within, done.recv()).await;
        }
    }

    pub fn write(&self, out: &mut Exposition) {
        for (service, count) in [("grpc", &self.counts.als), ("open_telemetry", &self.counts.otlp)]
        {
            let mut one = |what: &str, help: &str, value: &AtomicU64| {
                let name = format!("envoy_access_logs_{service}_access_log_logs_{what}");
                out.single(&name, Kind::Counter, help, value.load(Ordering::Relaxed));
            };
            one("written", "Entries that were sent to a service of access logs", &count.written);
            one("dropped", "Entries that a service of access logs did not take", &count.dropped);
        }
    }
}

impl Counts {
    pub fn of(&self, collector: &Collector) -> &Count {
        match collector.protocol {
            Protocol::Tcp | Protocol::Http => &self.als,
            Protocol::Otlp(_) => &self.otlp,
        }
    }
}

impl Count {
    pub fn write_entries(&self, count: usize) {
        self.written.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub fn drop_entries(&self, count: usize) {
        self.dropped.fetch_add(count as u64, Ordering::Relaxed);
    }
}

/// One collector and the task that sends to it.
struct Open {
    collector: Arc<Collector>,
    items: mpsc::Sender<Item>,
}

/// Tells collectors apart, for ever. One that is slow or away is no other's concern.
pub async fn run(
    shared: Arc<Shared>,
    node: Node,
    netns: Option<Arc<OwnedFd>>,
    mut orders: mpsc::Receiver<Order>,
) {
    let dialer = Dialer { shared: shared.clone(), netns };
    let mut open: Vec<Open> = Vec::new();
    let mut tasks = JoinSet::new();
    while let Some(order) = orders.recv().await {
        // Those that had nothing to do for long have ended.
        while tasks.try_join_next().is_some() {}
        open.retain(|one| !one.items.is_closed());
        match order {
            Order::Entry(collector, record) => {
                let found = open.iter().position(|one| {
                    Arc::ptr_eq(&one.collector, &collector) || one.collector == collector
                });
                let place = found.unwrap_or_else(|| {
                    let (items, receiver) = mpsc::channel(WAITING);
                    let follower = Follower::new(collector.clone(), dialer.clone(), node.clone());
                    tasks.spawn(follower.run(receiver));
                    open.push(Open { collector: collector.clone(), items });
                    open.len() - 1
                });
                if open[place].items.try_send(Item::Entry(record)).is_err() {
                    shared.collectors.counts.of(&collector).drop_entries(1);
                }
            }
            Order::Flush(guard) => {
                for one in &open {
                    // One whose queue is full is not waited for.
                    let _ = one.items.try_send(Item::Flush(guard.clone()));
                }
            }
        }
    }
}
