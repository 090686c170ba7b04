//! Readiness: ready is when every named guard has been dropped. In: guards. Out: what is still awaited.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::watch;

/// Shared by all who must become ready before the process says so.
#[derive(Clone)]
pub struct Readiness {
    waiting: Arc<watch::Sender<BTreeSet<&'static str>>>,
}

/// Something that is not ready yet; drop it when it is.
pub struct Guard {
    name: &'static str,
    waiting: Arc<watch::Sender<BTreeSet<&'static str>>>,
}

impl Readiness {
    pub fn new() -> Self {
        Self { waiting: Arc::new(watch::Sender::new(BTreeSet::new())) }
    }

    /// Names must differ: each is one thing that is waited for.
    pub fn guard(&self, name: &'static str) -> Guard {
        self.waiting.send_modify(|waiting| {
            waiting.insert(name);
        });
        Guard { name, waiting: self.waiting.clone() }
    }

    /// What is still awaited; empty when ready.
    pub fn pending(&self) -> Vec<&'static str> {
        self.waiting.borrow().iter().copied().collect()
    }

    pub async fn ready(&self) {
        let mut receiver = self.waiting.subscribe();
        receiver.wait_for(BTreeSet::is_empty).await.expect("self holds the sender");
    }
}

impl Default for Readiness {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.waiting.send_modify(|waiting| {
            waiting.remove(self.name);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ready_when_every_guard_is_dropped() {
        let readiness = Readiness::new();
        let listeners = readiness.guard("listeners");
        let ads = readiness.guard("ads");
        drop(listeners);
        assert_eq!(readiness.pending(), ["ads"]);
        drop(ads);
        readiness.ready().await;
    }
}
