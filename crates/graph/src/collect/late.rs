//! How late a stream's messages are. In: when each was made by its proxy's clock, which may begin anywhere, and when it came
//! by ours. Out: by how much longer than others it was on its way, as where the receiver was stopped for a while.

/// Milliseconds that nobody reads off a rate.
const LAG: f64 = 500.0;
/// What is later than five minutes was not held up: a clock is another one.
const LATEST: f64 = 300_000.0;
/// So many in a row that are late by the same time mean that one of the clocks stood still, as on a machine that slept.
/// What was held up comes at once, each message less late than the one before.
const RUN: u32 = 3;

#[derive(Debug, Default)]
pub struct Late {
    /// The shortest way, in the difference of the clocks.
    least: Option<f64>,
    /// The way of the last one that was late, and how many had the same one after the other.
    last: f64,
    run: u32,
}

impl Late {
    /// Milliseconds that a message is late by, of times in milliseconds.
    pub fn by(&mut self, made: f64, came: f64) -> u64 {
        let way = came - made;
        let least = self.least.map_or(way, |least| least.min(way));
        let late = way - least;
        let is_like_last = self.run > 0 && (way - self.last).abs() <= LAG;
        (self.least, self.last) = (Some(least), way);
        if late <= LAG {
            self.run = 0;
            return 0;
        }
        self.run = if is_like_last { self.run + 1 } else { 1 };
        if self.run < RUN && late <= LATEST {
            return late as u64;
        }
        (self.least, self.run) = (Some(way), 0);
        0
    }
}

#[cfg(test)]
mod tests {
    use super::{LAG, LATEST, Late, RUN};

    #[test]
    fn what_was_held_up_is_late_by_that_time() {
        let mut late = Late::default();
        let came = [1000.0, 6100.0, 31_000.0, 31_001.0, 31_002.0, 31_003.0, 36_000.0];
        let lateness =
            came.into_iter().enumerate().map(|(at, came)| late.by(at as f64 * 5e3, came));
        assert_eq!(lateness.collect::<Vec<_>>(), [0, 0, 20_000, 15_001, 10_002, 5003, 5000]);
    }

    #[test]
    fn a_message_that_was_sooner_than_the_first_is_the_measure() {
        let mut late = Late::default();
        assert_eq!(late.by(0.0, 9000.0), 0);
        assert_eq!(late.by(5000.0, 5000.0), 0);
        assert_eq!(late.by(10_000.0, 10_000.0 + LAG), 0);
        assert_eq!(late.by(15_000.0, 16_000.0), 1000);
    }

    #[test]
    fn many_that_were_held_up_are_late_by_what_each_of_them_was() {
        let mut late = Late::default();
        late.by(0.0, 0.0);
        for sent in 1..40 {
            let made = f64::from(sent) * 5000.0;
            assert_eq!(late.by(made, 200_000.0), 200_000 - made as u64);
        }
        assert_eq!(late.by(200_000.0, 200_001.0), 0);
    }

    #[test]
    fn a_clock_that_stood_still_is_forgiven() {
        let mut late = Late::default();
        late.by(0.0, 0.0);
        for sent in 1..RUN {
            let made = f64::from(sent) * 5000.0;
            assert_eq!(late.by(made, made + 60_000.0), 60_000);
        }
        assert_eq!(late.by(20_000.0, 80_000.0), 0);
        assert_eq!(late.by(25_000.0, 85_000.0), 0);
    }

    #[test]
    fn a_clock_that_is_another_one_is_taken_at_once() {
        let mut late = Late::default();
        late.by(f64::MAX, 0.0);
        assert_eq!(
            [late.by(5000.0, 5000.0), late.by(10_000.0, 10_000.0 + LATEST)],
            [0, LATEST as u64]
        );
        assert_eq!(late.by(f64::MIN, 15_000.0), 0);
        assert_eq!(late.by(f64::MAX, 20_000.0), 0);
    }
}
