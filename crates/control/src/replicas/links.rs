//! Queues for other replicas. In: messages. Out: their bytes, in order. A queue that is full is cut: its reader comes
//! to its end and begins again with what is open then, so that one who is slow misses traffic but is never wrong about
//! what there is. What was missed is counted.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use bytes::Bytes;
use futures::Stream;
use lateen_xds::passed::{Passed, encoded};
use tokio::sync::mpsc;

/// Bytes that may wait for one replica, besides those that it begins with: more than the largest report has, of series
/// whose labels have 40 MiB.
pub const QUEUE: usize = 64 << 20;
/// Bytes that one begins with.
const FIRST: usize = 64 << 20;
/// Bytes of one message: a proxy that tells more at once is not passed on, and harms no other.
pub const LARGEST: usize = 4 << 20;
/// About what a message costs besides its bytes.
const OVERHEAD: usize = 64;

#[derive(Default)]
pub struct Links {
    open: Vec<Link>,
    /// The replicas that should have one.
    pub others: BTreeSet<String>,
    passed: u64,
    dropped: u64,
}

/// The writing end of a queue.
struct Link {
    queue: mpsc::UnboundedSender<Bytes>,
    waiting: Arc<AtomicUsize>,
    limit: usize,
}

/// How much was passed on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Other replicas that there are, and those that take what is passed on.
    pub others: usize,
    pub links: usize,
    /// Messages, for each replica that they were for.
    pub passed: u64,
    pub dropped: u64,
}

impl Links {
    /// A new queue that begins with these.
    pub fn open(
        &mut self,
        first: &mut dyn Iterator<Item = Passed>,
    ) -> impl Stream<Item = Bytes> + Send + use<> {
        let (queue, mut receiver) = mpsc::unbounded_channel::<Bytes>();
        let waiting = Arc::new(AtomicUsize::new(0));
        let mut link = Link { queue, waiting: waiting.clone(), limit: usize::MAX };
        for message in first.map(|passed| encoded(&passed)) {
            let fits = message.len() <= LARGEST && waiting.load(Ordering::Relaxed) < FIRST;
            if !fits || !link.send(&message) {
                self.dropped += 1;
            }
        }
        link.limit = waiting.load(Ordering::Relaxed) + QUEUE;
        self.open.push(link);
        futures::stream::poll_fn(move |context| {
            let next = receiver.poll_recv(context);
            if let Poll::Ready(Some(message)) = &next {
                waiting.fetch_sub(cost(message), Ordering::Relaxed);
            }
            next
        })
    }

    /// To all of them, as far as they can be reached.
    pub fn send(&mut self, passed: impl FnOnce() -> Passed) {
        let message = self.is_wanted().then(|| encoded(&passed()));
        self.pass(message);
    }

    /// Whether anybody takes what is passed on.
    pub fn is_wanted(&self) -> bool {
        !self.open.is_empty()
    }

    /// The same of a message that was made while somebody took them.
    pub fn pass(&mut self, message: Option<Bytes>) {
        let mut reached = 0;
        if let Some(message) = message.filter(|message| message.len() <= LARGEST) {
            self.open.retain(|link| link.send(&message));
            reached = self.open.len();
        }
        self.passed += reached as u64;
        self.dropped += self.others.len().saturating_sub(reached) as u64;
    }

    pub fn counts(&mut self) -> Counts {
        self.open.retain(|link| !link.queue.is_closed());
        let Self { open, others, passed, dropped } = self;
        let (others, links) = (others.len(), open.len());
        Counts { others, links, passed: *passed, dropped: *dropped }
    }
}

impl Link {
    /// False if this queue is of no use any more.
    fn send(&self, message: &Bytes) -> bool {
        let before = self.waiting.fetch_add(cost(message), Ordering::Relaxed);
        before + cost(message) <= self.limit && self.queue.send(message.clone()).is_ok()
    }
}

fn cost(message: &Bytes) -> usize {
    message.len() + OVERHEAD
}
