//! Who has which address. In: questions of connections, answers of the control plane. Out: peers; a question
//! that was not asked before is passed on.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use lateen_api::xds::{Address, Workload, address};
use lateen_telemetry::peer::{Peer, unknown};
use prost::Message;
use rustc_hash::FxHashMap;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use super::PATIENCE;

/// A workload that is gone is known for so long: what it did last is counted afterwards. Whoever uses its address after
/// such a pause may be another one.
const GONE: Duration = Duration::from_secs(10);
/// Addresses that are remembered; each is a name that the control plane keeps up to date.
const KEPT: usize = 4096;

/// What is known of an address.
#[derive(Clone, Debug, PartialEq)]
pub enum Lookup {
    Known(Arc<Peer>),
    /// No workload of the mesh has it.
    Nobody,
    /// It is being asked for, or nobody had it when it was a moment ago, or was used again: the control plane may not have
    /// heard yet of a workload that has just begun.
    Pending,
}

#[derive(Debug)]
pub struct Peers {
    known: RwLock<FxHashMap<IpAddr, Entry>>,
    /// `None`: nobody can be asked.
    questions: Option<mpsc::Sender<IpAddr>>,
    /// That there was an answer.
    answered: Notify,
    started: Instant,
}

#[derive(Debug)]
struct Entry {
    lookup: Lookup,
    /// Milliseconds from the start until it was asked for, or used again after a pause.
    asked: AtomicU64,
    /// Since when the workload that is known is gone.
    gone: Option<Instant>,
    /// The same until it was used last.
    used: AtomicU64,
}

impl Peers {
    pub fn new(questions: Option<mpsc::Sender<IpAddr>>) -> Self {
        let (known, answered) = (RwLock::default(), Notify::new());
        Self { known, questions, answered, started: Instant::now() }
    }

    pub fn look(&self, address: IpAddr) -> Lookup {
        let address = address.to_canonical();
        if address.is_loopback() {
            return Lookup::Nobody;
        }
        let now = millis(self.started.elapsed());
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = known.get(&address) {
            return entry.look(now);
        }
        drop(known);
        self.ask(address, now)
    }

    fn ask(&self, address: IpAddr, now: u64) -> Lookup {
        let Some(questions) = &self.questions else { return Lookup::Nobody };
        // Held until the entry is there, or the answer could come before it and be lost.
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = known.get(&address) {
            return entry.lookup.clone();
        }
        match questions.try_send(address) {
            Ok(()) => {}
            // The engine is busy: it is asked the next time, and what is to be counted waits for that.
            Err(TrySendError::Full(_)) => return Lookup::Pending,
            Err(TrySendError::Closed(_)) => return Lookup::Nobody,
        }
        let (asked, used) = (AtomicU64::new(now), AtomicU64::new(now));
        known.insert(address, Entry { lookup: Lookup::Pending, asked, gone: None, used });
        Lookup::Pending
    }

    /// Takes the control plane's answer about an address: its resource, or that there is none.
    ///
    /// # Errors
    /// With the reason, if the resource cannot be read; the address is nobody's then.
    pub fn answer(&self, address: IpAddr, resource: Option<&[u8]>) -> Result<(), String> {
        let (lookup, result) = match resource.map(read).transpose() {
            Ok(Some(peer)) => (Lookup::Known(Arc::new(peer)), Ok(())),
            Ok(None) => (Lookup::Nobody, Ok(())),
            Err(reason) => (Lookup::Nobody, Err(reason)),
        };
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = known.get_mut(&address) {
            let is_gone = resource.is_none() && matches!(entry.lookup, Lookup::Known(_));
            entry.gone = is_gone.then(|| entry.gone.unwrap_or_else(Instant::now));
            if !is_gone {
                entry.lookup = lookup;
            }
        }
        drop(known);
        self.answered.notify_waiters();
        result
    }

    /// Those that are gone for long are nobody's.
    pub fn let_go(&self, now: Instant) {
        let is_long = |since: Instant| now.saturating_duration_since(since) >= GONE;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        for entry in known.values_mut().filter(|entry| entry.gone.is_some_and(is_long)) {
            (entry.lookup, entry.gone) = (Lookup::Nobody, None);
        }
    }

    /// Waits for the answers that are on their way, and no longer than this.
    pub async fn settled(&self, patience: Duration) {
        let all = async {
            loop {
                let answered = self.answered.notified();
                if !self.awaits() {
                    return;
                }
                answered.await;
            }
        };
        // Without them it goes on as well.
        let _ = timeout(patience, all).await;
    }

    fn awaits(&self) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.values().any(|entry| entry.lookup == Lookup::Pending)
    }

    /// Forgets those that were not needed for longest, if there are too many.
    pub fn surplus(&self) -> Vec<IpAddr> {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() <= KEPT {
            return Vec::new();
        }
        let mut by_use: Vec<(u64, IpAddr)> =
            known.iter().map(|(ip, entry)| (entry.used.load(Ordering::Relaxed), *ip)).collect();
        // Some at a time, so that this is rare.
        let surplus = known.len() - KEPT * 3 / 4;
        by_use.select_nth_unstable(surplus - 1);
        let gone: Vec<IpAddr> = by_use[..surplus].iter().map(|(_, ip)| *ip).collect();
        gone.iter().for_each(|ip| drop(known.remove(ip)));
        gone
    }
}

impl Entry {
    fn look(&self, now: u64) -> Lookup {
        let used = self.used.swap(now, Ordering::Relaxed);
        if now.saturating_sub(used) >= millis(GONE) {
            self.asked.store(now, Ordering::Relaxed);
        }
        let asked = self.asked.load(Ordering::Relaxed);
        match &self.lookup {
            Lookup::Nobody if now.saturating_sub(asked) < millis(PATIENCE) => Lookup::Pending,
            known => known.clone(),
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Istio's name of an address: its network, which is empty for the only one, and itself.
pub fn name(address: IpAddr) -> String {
    format!("/{address}")
}

/// The address of such a name.
pub fn address_of(name: &str) -> Option<IpAddr> {
    name.split_once('/')?.1.parse().ok()
}

fn read(bytes: &[u8]) -> Result<Peer, String> {
    let message = Address::decode(bytes).map_err(|error| format!("is no Address: {error}"))?;
    match message.r#type {
        Some(address::Type::Workload(workload)) => Ok(peer(&workload)),
        // A service's address: nobody connects from there.
        None => Ok(Peer::default()),
    }
}

fn peer(workload: &Workload) -> Peer {
    let text = |text: &str| if text.is_empty() { unknown() } else { text.into() };
    let (service, revision) = (text(&workload.canonical_name), text(&workload.canonical_revision));
    Peer {
        cluster: text(&workload.cluster_id),
        namespace: text(&workload.namespace),
        workload: text(&workload.workload_name),
        app: service.clone(),
        version: revision.clone(),
        canonical_service: service,
        canonical_revision: revision,
        principal: unknown(),
    }
}

#[cfg(test)]
mod tests {
    use super::{AtomicU64, Entry, Lookup};

    #[test]
    fn an_address_that_nobody_had_is_waited_for_again_when_it_is_used_after_a_pause() {
        let [asked, used] = [0, 0].map(AtomicU64::new);
        let entry = Entry { lookup: Lookup::Nobody, asked, gone: None, used };
        let looks = [1, 4, 5, 9, 18, 30, 34, 35].map(|seconds| entry.look(seconds * 1000));
        let is_awaited = looks.map(|lookup| lookup == Lookup::Pending);
        assert_eq!(is_awaited, [true, true, false, false, false, true, true, false]);
    }
}
