//! Waiting between attempts to connect. In: a seed. Out: growing, jittered delays.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(50);
const LAST: Duration = Duration::from_secs(5);

/// Exponential backoff: each delay is between half and all of its step.
#[derive(Debug)]
pub struct Backoff {
    step: Duration,
    state: u64,
}

impl Backoff {
    /// `seed` makes the delays of different processes differ.
    pub fn new(seed: u64) -> Self {
        Self { step: FIRST, state: seed | 1 }
    }

    /// After a success.
    pub fn reset(&mut self) {
        self.step = FIRST;
    }

    pub fn next_delay(&mut self) -> Duration {
        // xorshift64: good enough to spread reconnects.
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let half = self.step / 2;
        let jitter = half.mul_f64((self.state % 1024) as f64 / 1024.0);
        self.step = (self.step * 2).min(LAST);
        half + jitter
    }
}

#[cfg(test)]
mod tests {
    use super::{Backoff, FIRST, LAST};

    #[test]
    fn delays_grow_to_a_limit_and_start_again() {
        let mut backoff = Backoff::new(7);
        assert!(backoff.next_delay() <= FIRST);
        for _ in 0..20 {
            let delay = backoff.next_delay();
            assert!(delay <= LAST && delay >= FIRST / 2);
        }
        assert!(backoff.next_delay() >= LAST / 2);
        backoff.reset();
        assert!(backoff.next_delay() <= FIRST);
    }
}
