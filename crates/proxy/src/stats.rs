//! Counters of listeners and clusters. In: events of connections. Out: numbers for `/stats`.
//! A counter is found once, when configuration is compiled, and lives as long as anyone holds it.

use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug, Default)]
pub struct Counters {
    opened: AtomicU64,
    closed: AtomicU64,
    failed: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
}

/// One of the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    Opened,
    Closed,
    Failed,
    /// Bytes from the downstream peer.
    Received,
    /// Bytes to it.
    Sent,
}

impl Counters {
    pub fn open(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection ended, with the bytes from and to the downstream peer.
    pub fn close(&self, received: u64, sent: u64, failed: bool) {
        self.closed.fetch_add(1, Ordering::Relaxed);
        self.received.fetch_add(received, Ordering::Relaxed);
        self.sent.fetch_add(sent, Ordering::Relaxed);
        if failed {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn get(&self, count: Count) -> u64 {
        let counter = match count {
            Count::Opened => &self.opened,
            Count::Closed => &self.closed,
            Count::Failed => &self.failed,
            Count::Received => &self.received,
            Count::Sent => &self.sent,
        };
        counter.load(Ordering::Relaxed)
    }

    pub fn active(&self) -> u64 {
        let closed = self.closed.load(Ordering::Relaxed);
        self.opened.load(Ordering::Relaxed).saturating_sub(closed)
    }

    /// Names and values, in the order in which they are shown.
    pub fn values(&self) -> [(&'static str, u64); 6] {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("connections_opened", load(&self.opened)),
            ("connections_closed", load(&self.closed)),
            ("connections_failed", load(&self.failed)),
            ("connections_active", self.active()),
            ("bytes_received", load(&self.received)),
            ("bytes_sent", load(&self.sent)),
        ]
    }
}
