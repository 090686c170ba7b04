//! Connections at once, bounded in all and for each peer. In: peers that come. Out: seats; where there is no room, the
//! peer that has the most loses the one that has been idle longest, so that nobody keeps others out. Those on which
//! something goes on are bounded likewise, by the one that is longest at it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// How soon it is looked again whether there is room.
const LOOK: Duration = Duration::from_millis(100);

/// How many connections.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    pub all: usize,
    pub of_one_peer: usize,
}

#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub places: Share,
    /// Of these the ones on which something goes on.
    pub busy: Share,
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

/// Whether there is room, if need be since another one has lost its seat.
enum Room {
    Is,
    NotForPeer,
    Not,
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
        let mut seats = self.seats();
        // Not earlier: what others began meanwhile would be spared.
        let (peer, now) = (peer.to_canonical(), Instant::now());
        match seats.make_room(peer, self.limits.places, now - self.limits.spared, |_| true) {
            Room::Is => {}
            Room::NotForPeer => return Entry::Crowded,
            Room::Not => return Entry::Full,
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
    /// Takes a seat away, where one more of `peer` would be beyond the `share` of those that are `counted`, from one
    /// that has done the same since before `spared`.
    fn make_room(
        &mut self,
        peer: IpAddr,
        share: Share,
        spared: Instant,
        counted: impl Fn(&Activity) -> bool,
    ) -> Room {
        let places =
            self.taken.iter().map(|(number, place)| (*number, place.peer, place.activity()));
        let places: Vec<_> = places.filter(|(_, _, activity)| counted(activity)).collect();
        let own = places.iter().filter(|(_, other, _)| *other == peer).count();
        if own < share.of_one_peer && places.len() < share.all {
            return Room::Is;
        }
        let mut counts = HashMap::<IpAddr, usize>::new();
        if own < share.of_one_peer {
            for (_, other, _) in &places {
                *counts.entry(*other).or_default() += 1;
            }
        } else {
            counts.insert(peer, own);
        }
        let most = counts.values().max().copied();
        let ranked = places.iter().filter(|(_, other, activity)| {
            counts.get(other).copied() == most && activity.since <= spared
        });
        let longest =
            ranked.min_by_key(|(number, _, activity)| (activity.busy > 0, activity.since, *number));
        match longest.and_then(|(number, ..)| self.taken.remove(number)) {
            Some(place) => {
                place.evicted.notify_one();
                Room::Is
            }
            None if own < share.of_one_peer => Room::Not,
            None => Room::NotForPeer,
        }
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

    /// Something begins; where too much goes on already, the connection that is longest at it loses its seat.
    pub fn work(&self) -> Busy {
        if self.place.activity().busy == 0 {
            let (Limits { busy, spared, .. }, peer) = (self.crowd.limits, self.place.peer);
            // Where all are spared there is one more: of all there are no more than places.
            self.crowd.seats().make_room(peer, busy, Instant::now() - spared, |one| one.busy > 0);
        }
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
        let (places, busy) = (Share { all: 4, of_one_peer: 3 }, Share { all: 3, of_one_peer: 2 });
        Crowd::new(Limits { places, busy, spared })
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
    async fn of_those_on_which_much_goes_on_the_longest_at_it_makes_room() {
        let crowd = crowd(Duration::ZERO);
        let mut seats = Vec::new();
        for peer in [1, 1, 1, 2] {
            seats.push(enter(&crowd, peer).await);
        }
        let mut busy = Vec::new();
        for at in [1, 0] {
            busy.push(seats[at].as_ref().map(Seat::work));
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        busy.extend([seats[3].as_ref().map(Seat::work), seats[3].as_ref().map(Seat::work)]);
        assert_eq!(crowd.seats().taken.len(), 4);
        busy.push(seats[2].as_ref().map(Seat::work));
        assert!(is_evicted(seats[1].as_ref()), "of this peer's the longest at it");
        assert!(!is_evicted(seats[0].as_ref()) && !is_evicted(seats[3].as_ref()));
        assert_eq!(crowd.seats().taken.len(), 3);
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
