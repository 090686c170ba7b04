//! Who may stay: in, connections and the news that a peer has shown who it is; out, which connection
//! has to go. Peers that have not are few and for a short time, and when there are too many the one
//! that has been so for longest goes, so that they cannot keep others out by doing nothing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// How many connections, and for how long.
pub struct Limits {
    /// Connections whose peer has not shown who it is.
    pub newcomers: usize,
    /// Connections whose peer has.
    pub known: usize,
    /// For the TLS handshake.
    pub handshake: Duration,
    /// From the handshake to the first request of a known user.
    pub introduction: Duration,
}

/// All connections.
pub struct Gate {
    limits: Limits,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    next: u64,
    /// In the order of their arrival.
    newcomers: BTreeMap<u64, Arc<Notify>>,
    known: usize,
}

/// One connection's stay; it ends when this is dropped.
pub struct Visit {
    gate: Arc<Gate>,
    number: u64,
    known: AtomicBool,
    go: Arc<Notify>,
}

impl Gate {
    /// Nobody is inside.
    pub fn new(limits: Limits) -> Self {
        Self { limits, inside: Mutex::default() }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Visit {
    /// A newcomer; the oldest one is sent away if there are too many.
    pub fn enter(gate: &Arc<Gate>) -> Self {
        let go = Arc::new(Notify::new());
        let mut inside = gate.inside();
        let number = inside.next;
        inside.next += 1;
        inside.newcomers.insert(number, Arc::clone(&go));
        if inside.newcomers.len() > gate.limits.newcomers
            && let Some((_, oldest)) = inside.newcomers.pop_first()
        {
            oldest.notify_one();
        }
        drop(inside);
        Self { gate: Arc::clone(gate), number, known: AtomicBool::new(false), go }
    }

    /// The peer has shown who it is. False if there is no place for it.
    pub fn admit(&self) -> bool {
        if self.is_known() {
            return true;
        }
        let mut inside = self.gate.inside();
        // Requests of one HTTP/2 connection come at once.
        if !self.is_known() {
            if inside.known >= self.gate.limits.known {
                return false;
            }
            inside.known += 1;
            inside.newcomers.remove(&self.number);
            self.known.store(true, Ordering::Release);
        }
        true
    }

    /// Resolves when the handshake has to be over.
    pub async fn no_handshake(&self) {
        tokio::select! {
            () = self.go.notified() => {}
            () = tokio::time::sleep(self.gate.limits.handshake) => {}
        }
    }

    /// Resolves when a peer that is still unknown has to go; for a known one, never.
    pub async fn overstay(&self) {
        tokio::select! {
            () = self.go.notified() => {}
            () = tokio::time::sleep(self.gate.limits.introduction) => {}
        }
        if self.is_known() {
            std::future::pending().await
        }
    }

    fn is_known(&self) -> bool {
        self.known.load(Ordering::Acquire)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut inside = self.gate.inside();
        inside.newcomers.remove(&self.number);
        if *self.known.get_mut() {
            inside.known -= 1;
        }
    }
}
