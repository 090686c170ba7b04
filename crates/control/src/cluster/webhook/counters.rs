//! How many questions there were and what became of them, under Istio's names for the metrics. In:
//! outcomes. Out: [`Counts`] of the moment.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use crate::metrics::Histogram;

/// Counted since the start.
#[derive(Debug, Default)]
pub struct Counters {
    injection_requests: AtomicU64,
    injection_successes: AtomicU64,
    injection_failures: AtomicU64,
    injection_skips: AtomicU64,
    validations_passed: AtomicU64,
    validations_failed: AtomicU64,
    unreadable: AtomicU64,
    injection_time: Mutex<Histogram>,
}

/// The counters at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counts {
    /// `sidecar_injection_requests_total`
    pub injection_requests: u64,
    /// `sidecar_injection_success_total`
    pub injection_successes: u64,
    /// `sidecar_injection_failure_total`
    pub injection_failures: u64,
    /// `sidecar_injection_skip_total`
    pub injection_skips: u64,
    /// `galley_validation_passed`
    pub validations_passed: u64,
    /// `galley_validation_failed`
    pub validations_failed: u64,
    /// `galley_validation_http_error`
    pub unreadable: u64,
    /// `sidecar_injection_time_seconds`
    pub injection_time: Histogram,
}

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Injected,
    NotInjected,
    Skipped,
    Valid,
    Invalid,
}

impl Counters {
    /// A question about an object that could not be read.
    pub fn unreadable(&self) {
        self.unreadable.fetch_add(1, Ordering::Relaxed);
    }

    /// An answer that took `time` to find.
    pub fn count(&self, outcome: Outcome, time: Duration) {
        let (of_injection, counter) = match outcome {
            Outcome::Injected => (true, &self.injection_successes),
            Outcome::NotInjected => (true, &self.injection_failures),
            Outcome::Skipped => (true, &self.injection_skips),
            Outcome::Valid => (false, &self.validations_passed),
            Outcome::Invalid => (false, &self.validations_failed),
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if of_injection {
            self.injection_requests.fetch_add(1, Ordering::Relaxed);
            self.times().observe(time.as_secs_f64());
        }
    }

    pub fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            injection_requests: read(&self.injection_requests),
            injection_successes: read(&self.injection_successes),
            injection_failures: read(&self.injection_failures),
            injection_skips: read(&self.injection_skips),
            validations_passed: read(&self.validations_passed),
            validations_failed: read(&self.validations_failed),
            unreadable: read(&self.unreadable),
            injection_time: self.times().clone(),
        }
    }

    fn times(&self) -> MutexGuard<'_, Histogram> {
        self.injection_time.lock().expect("no panic while the times are held")
    }
}
