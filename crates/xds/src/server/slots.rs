//! Places for streams. In: who opens one. Out: a place, which is free again when it is dropped, or a refusal: nobody
//! takes those of all others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tonic::Status;

use super::peer::Peer;

/// The part of all places that a token may have which is bound to no pod, and so to many proxies.
const SHARED: usize = 4;

/// The places for one purpose.
pub(super) struct Slots {
    /// What the streams are of.
    what: &'static str,
    limit: usize,
    /// Those of one pod.
    each: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by: HashMap<Peer, usize>,
}

/// One of the places.
pub(super) struct Slot {
    slots: Arc<Slots>,
    /// Whose it is, if that is known.
    peer: Option<Peer>,
}

impl Slots {
    pub fn new(what: &'static str, limit: usize, each: usize) -> Arc<Self> {
        Arc::new(Self { what, limit, each, taken: Mutex::default() })
    }

    pub fn take(self: &Arc<Self>, peer: &Peer) -> Result<Slot, Status> {
        let Self { what, limit, .. } = **self;
        let mut taken = self.taken();
        if taken.all >= limit {
            let text = format!("{limit} streams of {what} are open; try again later");
            return Err(Status::resource_exhausted(text));
        }
        let own = self.share(peer);
        if let Some(own) = own {
            let count = taken.by.entry(peer.clone()).or_default();
            if *count >= own {
                let text = format!("{own} streams of {what} are open with this token; end some");
                return Err(Status::resource_exhausted(text));
            }
            *count += 1;
        }
        taken.all += 1;
        Ok(Slot { slots: self.clone(), peer: own.map(|_| peer.clone()) })
    }

    /// How many one peer may have, if it is known who that is.
    fn share(&self, peer: &Peer) -> Option<usize> {
        match peer {
            Peer::Local | Peer::Plaintext => None,
            Peer::ServiceAccount(account) if account.pod.is_some() => Some(self.each),
            Peer::ServiceAccount(_) => Some((self.limit / SHARED).max(self.each)),
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.taken();
        taken.all -= 1;
        let Some(peer) = &self.peer else { return };
        let Some(count) = taken.by.get_mut(peer) else { return };
        *count -= 1;
        if *count == 0 {
            taken.by.remove(peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::peer::ServiceAccount;
    use super::{Peer, Slots};

    fn account(pod: Option<&str>) -> Peer {
        let (namespace, name) = ("default".to_owned(), "a".to_owned());
        Peer::ServiceAccount(ServiceAccount { namespace, name, pod: pod.map(str::to_owned) })
    }

    #[test]
    fn a_pod_has_its_places_and_takes_nobody_elses() {
        let slots = Slots::new("configuration", 12, 2);
        let (one, other) = (account(Some("a-1")), account(Some("a-2")));
        let held = [slots.take(&one), slots.take(&one)];
        assert!(held.iter().all(Result::is_ok));
        let refused = slots.take(&one).err().unwrap();
        assert_eq!(
            refused.message(),
            "2 streams of configuration are open with this token; end some"
        );
        assert!(slots.take(&other).is_ok());
        drop(held);
        assert!(slots.take(&one).is_ok());
        assert!(slots.taken().by.is_empty(), "nobody holds one");
    }

    #[test]
    fn a_token_of_many_proxies_has_a_quarter() {
        let slots = Slots::new("configuration", 12, 2);
        let held: Vec<_> = (0..4).map(|_| slots.take(&account(None))).collect();
        assert_eq!(held.iter().filter(|held| held.is_ok()).count(), 3);
        let others: Vec<_> = (0..10).map(|_| slots.take(&Peer::Local)).collect();
        assert_eq!(others.iter().filter(|held| held.is_ok()).count(), 9, "twelve in all");
    }
}
