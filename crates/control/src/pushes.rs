//! What pushes are spent on. In: moments of the writer and of the sessions. Out: times by stage and type, and a
//! line in the log for a push that was slow, with the stage that took most of it.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use lateen_api::xds::ResourceType;
use lateen_xds::server::delivery::Delivery;

use crate::metrics::Histogram;

/// A push that takes longer than this, from the first event to the proxy's answer, is told.
const SLOW: Duration = Duration::from_secs(1);
/// At most one is told in this time, with how many were not.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// Responses of one stream that wait for their answer; more are not timed.
const LEGS: usize = 64;

/// The stages of a push, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// From the first event until events pause.
    Debounce,
    /// Making the snapshot.
    Snapshot,
    /// From the snapshot until a proxy's turn comes.
    Queue,
    /// Making the resources of one type.
    Translate,
    /// From a response to its taking by the transport.
    Send,
    /// From there to the proxy's answer.
    Acknowledge,
}

/// How a snapshot came to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Making {
    pub debounce: Duration,
    pub snapshot: Duration,
}

/// The times of all pushes since the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Times {
    stages: [Histogram; Stage::ALL.len()],
    /// Translations by Istio's short name of the type.
    pub by_type: BTreeMap<&'static str, Histogram>,
}

/// Where pushes are timed.
#[derive(Default)]
pub struct Pushes {
    times: Mutex<Times>,
    told: Mutex<Told>,
}

/// What was said of slow pushes.
#[derive(Default)]
struct Told {
    last: Option<Instant>,
    untold: u64,
}

/// The responses of one stream.
#[derive(Default)]
pub struct Course {
    /// How old the snapshot was when its view was taken, and whether that is counted as waiting.
    queue: Option<Duration>,
    is_queue_counted: bool,
    /// What each type has cost since.
    translated: BTreeMap<ResourceType, Duration>,
    legs: VecDeque<Leg>,
}

/// One response on its way.
struct Leg {
    nonce: String,
    /// `None`: the proxy asked for it.
    queue: Option<Duration>,
    translate: Duration,
    made: Instant,
    sent: Option<Instant>,
}

/// The stages of one push that has arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stages([Duration; Stage::ALL.len()]);

impl Stage {
    pub const ALL: [Stage; 6] = [
        Stage::Debounce,
        Stage::Snapshot,
        Stage::Queue,
        Stage::Translate,
        Stage::Send,
        Stage::Acknowledge,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Stage::Debounce => "debounce",
            Stage::Snapshot => "snapshot",
            Stage::Queue => "queue",
            Stage::Translate => "translate",
            Stage::Send => "send",
            Stage::Acknowledge => "acknowledge",
        }
    }
}

impl Times {
    pub fn of(&self, stage: Stage) -> &Histogram {
        &self.stages[stage as usize]
    }
}

impl Pushes {
    pub fn observe(&self, stage: Stage, time: Duration) {
        self.locked().stages[stage as usize].observe(time.as_secs_f64());
    }

    pub fn times(&self) -> Times {
        self.locked().clone()
    }

    /// Tells of a push that was slow, unless another was told a moment ago.
    pub fn arrived(&self, proxy: &str, kind: ResourceType, stages: Stages, now: Instant) {
        let whole = stages.whole();
        if whole < SLOW {
            return;
        }
        let mut told = self.told.lock().expect("no panic while it is held");
        if told.last.is_some_and(|last| now.duration_since(last) < TELL_EVERY) {
            told.untold += 1;
            return;
        }
        told.last = Some(now);
        let untold = std::mem::take(&mut told.untold);
        drop(told);
        let (kind, most) = (kind.short_name(), stages.longest().name());
        tracing::warn!(proxy, kind, most, untold, "slow push: {}", stages.text());
    }

    fn translated(&self, kind: ResourceType, time: Duration) {
        let mut times = self.locked();
        times.stages[Stage::Translate as usize].observe(time.as_secs_f64());
        times.by_type.entry(kind.short_name()).or_default().observe(time.as_secs_f64());
    }

    fn locked(&self) -> MutexGuard<'_, Times> {
        self.times.lock().expect("no panic while the times are held")
    }
}

impl Course {
    /// A view of a snapshot of this age is taken.
    pub fn begin(&mut self, age: Option<Duration>) {
        (self.queue, self.is_queue_counted) = (age, false);
        self.translated.clear();
    }

    pub fn translated(&mut self, pushes: &Pushes, kind: ResourceType, time: Duration) {
        *self.translated.entry(kind).or_default() += time;
        pushes.translated(kind, time);
    }

    pub fn made(
        &mut self,
        pushes: &Pushes,
        (kind, delivery): (ResourceType, &Delivery),
        pushed: bool,
        now: Instant,
    ) {
        let queue = self.queue.filter(|_| pushed);
        if let Some(queue) = queue
            && !std::mem::replace(&mut self.is_queue_counted, true)
        {
            pushes.observe(Stage::Queue, queue);
        }
        let translate = self.translated.remove(&kind).unwrap_or_default();
        if self.legs.len() == LEGS {
            self.legs.pop_front();
        }
        let nonce = delivery.nonce.clone();
        self.legs.push_back(Leg { nonce, queue, translate, made: now, sent: None });
    }

    pub fn sent(&mut self, pushes: &Pushes, delivery: &Delivery, now: Instant) {
        if let Some(leg) = self.legs.iter_mut().find(|leg| leg.nonce == delivery.nonce) {
            leg.sent = Some(now);
            pushes.observe(Stage::Send, now.duration_since(leg.made));
        }
    }

    /// The proxy has answered; the stages, if it was a push.
    pub fn answered(
        &mut self,
        pushes: &Pushes,
        delivery: &Delivery,
        making: Option<Making>,
        now: Instant,
    ) -> Option<Stages> {
        let at = self.legs.iter().position(|leg| leg.nonce == delivery.nonce)?;
        let leg = self.legs.remove(at)?;
        let sent = leg.sent?;
        let acknowledge = now.duration_since(sent);
        pushes.observe(Stage::Acknowledge, acknowledge);
        let making = making?;
        let send = sent.duration_since(leg.made);
        let (debounce, snapshot, translate) = (making.debounce, making.snapshot, leg.translate);
        Some(Stages([debounce, snapshot, leg.queue?, translate, send, acknowledge]))
    }
}

impl Stages {
    pub fn whole(&self) -> Duration {
        self.0.iter().sum()
    }

    pub fn longest(&self) -> Stage {
        let longest = Stage::ALL.into_iter().max_by_key(|stage| self.0[*stage as usize]);
        longest.expect("there are stages")
    }

    /// As in `debounce 10 ms, snapshot 2 ms, …`.
    fn text(&self) -> String {
        let mut text = String::new();
        for (stage, time) in Stage::ALL.into_iter().zip(self.0) {
            let comma = if text.is_empty() { "" } else { ", " };
            let _ = write!(text, "{comma}{} {} ms", stage.name(), time.as_millis());
        }
        text
    }
}
