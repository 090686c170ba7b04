//! How late a stream's messages are. In: when each was made by its proxy's clock, which may begin anywhere, and when it came
//! by ours. Out: by how much longer than others it was on its way, as where the receiver was stopped for a while.

/// Milliseconds that nobody reads off a rate.
const LAG: f64 = 500.0;
/// So many late ones in a row mean that one of the clocks stood still, as on a machine that slept.
const RUN: u32 = 12;

#[derive(Debug, Default)]
pub struct Late {
    /// The shortest way, in the difference of the clocks.
    least: Option<f64>,
    /// How many late ones came one after the other, and the shortest way of theirs.
    run: u32,
    least_of_run: f64,
}

impl Late {
    /// Milliseconds, of times in milliseconds.
    pub fn by(&mut self, made: f64, came: f64) -> u64 {
        let way = came - made;
        let least = *self.least.get_or_insert(way);
        self.least = Some(least.min(way));
        let late = way - least;
        if late <= LAG {
            self.run = 0;
            return 0;
        }
        self.least_of_run = if self.run == 0 { way } else { self.least_of_run.min(way) };
        self.run += 1;
        if self.run < RUN {
            return late as u64;
        }
        (self.least, self.run) = (Some(self.least_of_run), 0);
        0
    }
}

#[cfg(test)]
mod tests {
    use super::{LAG, Late, RUN};

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
    fn a_clock_that_stood_still_is_forgiven() {
        let mut late = Late::default();
        late.by(0.0, 0.0);
        for _ in 1..RUN {
            assert_eq!(late.by(0.0, 60_000.0), 60_000);
        }
        assert_eq!(late.by(0.0, 60_000.0), 0);
        assert_eq!(late.by(0.0, 60_000.0), 0);
    }
}
