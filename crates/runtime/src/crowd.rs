//! Connections at once, bounded in all and for each peer. In: peers that come. Out: seats; where there is no room, the
//! peer that has the most loses the one that has been idle longest, so that nobody keeps others out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// How soon it is looked again whether there is room.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub all: usize,
    pub of_one_peer: usize,
    /// Whoever came or did something since keeps the seat.
    pub spared: Duration,
}

/// All that are there.
pub struct Crowd {
    limits: Limits,
    seats: Mutex<Seats>,
    freed: Notify,
}

#[derive(Default)]
struct Seats {
    next: u64,
    taken: HashMap<u64, Arc<Place>>,
}

struct Place {
    peer: IpAddr,
    activity: Mutex<Activity>,
    evicted: Notify,
}

#[derive(Clone, Copy)]
struct Activity {
    /// What goes on.
    busy: usize,
    /// When something began or ended last.
    since: Instant,
}

/// A connection's place, until it is dropped.
pub struct Seat {
    crowd: Arc<Crowd>,
    number: u64,
    place: Arc<Place>,
}

/// Something that goes on on a connection, until it is dropped.
pub struct Busy(Arc<Place>);

pub enum Entry {
    Seat(Seat),
    /// This peer has too many that are spared.
    Crowded,
    /// There are too many, and all are spared.
    Full,
}

impl Crowd {
    pub fn new(limits: Limits) -> Arc<Self> {
        let (seats, freed) = (Mutex::default(), Notify::new());
        Arc::new(Self { limits, seats, freed })
    }

    pub fn enter(self: &Arc<Self>, peer: IpAddr) -> Entry {
        let (peer, now) = (peer.to_canonical(), Instant::now());
        let mut seats = self.seats();
        let own = seats.taken.values().filter(|place| place.peer == peer).count();
        if own >= self.limits.of_one_peer {
            if !seats.evict(now, self.limits.spared, |other| other == peer) {
                return Entry::Crowded;
            }
        } else if seats.taken.len() >= self.limits.all {
            let counts = seats.counts();
            let most = counts.values().max().copied();
            if !seats.evict(now, self.limits.spared, |other| counts.get(&other).copied() == most) {
                return Entry::Full;
            }
        }
        let activity = Mutex::new(Activity { busy: 0, since: now });
        let place = Arc::new(Place { peer, activity, evicted: Notify::new() });
        let number = seats.next;
        seats.next += 1;
        seats.taken.insert(number, place.clone());
        Entry::Seat(Seat { crowd: self.clone(), number, place })
    }

    /// Resolves when there may be room again.
    pub async fn room(&self) {
        // Time alone may make room too.
        let _ = tokio::time::timeout(LOOK, self.freed.notified()).await;
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().expect("no panic while the seats are held")
    }
}

impl Seats {
    fn counts(&self) -> HashMap<IpAddr, usize> {
        let mut counts = HashMap::new();
        for place in self.taken.values() {
            *counts.entry(place.peer).or_default() += 1;
        }
        counts
    }

    /// Takes a seat away from one of `whom`; false if there is none to take.
    fn evict(&mut self, now: Instant, spared: Duration, whom: impl Fn(IpAddr) -> bool) -> bool {
        let places = self.taken.iter().filter(|(_, place)| whom(place.peer));
        let ranked = places.map(|(number, place)| (*number, place.activity()));
        let longest = ranked
            .filter(|(_, activity)| now.duration_since(activity.since) >= spared)
            .min_by_key(|(number, activity)| (activity.busy > 0, activity.since, *number));
        let Some((number, _)) = longest else { return false };
        if let Some(place) = self.taken.remove(&number) {
            place.evicted.notify_one();
        }
        true
    }
}

impl Place {
    fn activity(&self) -> Activity {
        *self.activity.lock().expect("no panic while it is held")
    }

    fn change(&self, busy: impl Fn(usize) -> usize) {
        let mut activity = self.activity.lock().expect("no panic while it is held");
        *activity = Activity { busy: busy(activity.busy), since: Instant::now() };
    }
}

impl Seat {
    /// Resolves when another one has got the seat.
    pub async fn evicted(&self) {
        self.place.evicted.notified().await;
    }

    /// Resolves when nothing has gone on for this long.
    pub async fn idle(&self, limit: Duration) {
        loop {
            let Activity { busy, since } = self.place.activity();
            let until = since + limit;
            let now = Instant::now();
            if busy == 0 && until <= now {
                return;
            }
            tokio::time::sleep_until(if busy == 0 { until } else { now + limit }).await;
        }
    }

    pub fn work(&self) -> Busy {
        self.place.change(|busy| busy + 1);
        Busy(self.place.clone())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.crowd.seats().taken.remove(&self.number);
        self.crowd.freed.notify_one();
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.change(|busy| busy - 1);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use futures::FutureExt;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn crowd(spared: Duration) -> Arc<Crowd> {
        Crowd::new(Limits { all: 4, of_one_peer: 3, spared })
    }

    async fn enter(crowd: &Arc<Crowd>, peer: u8) -> Option<Seat> {
        let entry = crowd.enter(IpAddr::V4(Ipv4Addr::new(10, 0, 0, peer)));
        tokio::time::advance(Duration::from_millis(1)).await;
        match entry {
            Entry::Seat(seat) => Some(seat),
            Entry::Crowded | Entry::Full => None,
        }
    }

    fn is_evicted(seat: Option<&Seat>) -> bool {
        seat.unwrap().evicted().now_or_never().is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_the_most_makes_room_for_others() {
        let crowd = crowd(Duration::ZERO);
        let mut greedy = Vec::new();
        for _ in 0..3 {
            greedy.push(enter(&crowd, 1).await);
        }
        let other = enter(&crowd, 2).await;
        let busy = greedy[0].as_ref().map(Seat::work);
        let third = enter(&crowd, 3).await;
        assert!(third.is_some() && is_evicted(greedy[1].as_ref()), "the first one is busy");
        assert!(!is_evicted(other.as_ref()) && !is_evicted(greedy[0].as_ref()));
        drop(busy);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_has_no_more_than_its_share() {
        let crowd = crowd(Duration::ZERO);
        let mut greedy = Vec::new();
        for _ in 0..4 {
            greedy.push(enter(&crowd, 1).await);
        }
        assert!(is_evicted(greedy[0].as_ref()) && !is_evicted(greedy[1].as_ref()));
        assert_eq!(crowd.seats().taken.len(), 3);
        drop(greedy);
        assert_eq!(crowd.seats().taken.len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_came_just_now_keeps_the_seat() {
        let crowd = crowd(SECOND);
        let mut seats = Vec::new();
        for peer in [1, 1, 1, 2] {
            seats.push(enter(&crowd, peer).await);
        }
        assert!(enter(&crowd, 1).await.is_none() && enter(&crowd, 3).await.is_none());
        tokio::time::advance(SECOND).await;
        assert!(enter(&crowd, 3).await.is_some() && is_evicted(seats[0].as_ref()));
        drop(seats.pop());
        assert!(enter(&crowd, 4).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_when_nothing_begins_and_nothing_goes_on() {
        let seat = Arc::new(enter(&crowd(Duration::ZERO), 1).await.unwrap());
        let idle = {
            let seat = seat.clone();
            tokio::spawn(async move { seat.idle(SECOND).await })
        };
        let busy = seat.work();
        tokio::time::sleep(SECOND * 3).await;
        assert!(!idle.is_finished(), "something goes on");
        drop(busy);
        tokio::time::sleep(SECOND / 2).await;
        drop(seat.work());
        tokio::time::sleep(SECOND * 3 / 4).await;
        assert!(!idle.is_finished(), "something has begun since");
        tokio::time::sleep(SECOND * 3).await;
        assert!(idle.is_finished());
    }
}
