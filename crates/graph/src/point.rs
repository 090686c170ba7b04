//! What went over one edge in one step, and a dense form to keep many of them. In: numbers. Out: bytes, of which
//! a step in which little happened takes few.

use std::ops::Range;

use lateen_telemetry::histogram::Native;

/// Counts of one step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Point {
    pub opened: u64,
    pub closed: u64,
    /// Bytes from the client, and to it.
    pub sent: u64,
    pub received: u64,
    pub requests: u64,
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub request_messages: u64,
    pub response_messages: u64,
    /// Milliseconds.
    pub latency: Native,
}

/// Fields in the order of their bits.
const FIELDS: usize = 9;
/// The bit that says that latencies follow.
const LATENCY: u64 = 1 << FIELDS;

impl Point {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Connections opened less those closed.
    pub fn net(&self) -> i64 {
        signed(self.opened) - signed(self.closed)
    }

    /// Bytes besides its own.
    pub fn heap(&self) -> usize {
        self.latency.buckets.capacity() * size_of::<(i32, u64)>()
    }

    pub fn add(&mut self, other: &Self) {
        let counts = other.counts();
        for (own, count) in self.counts_mut().into_iter().zip(counts) {
            // A peer may say any number.
            *own = own.saturating_add(count);
        }
        self.latency.merge(&other.latency);
    }

    /// A part of the time that it is of, in whose parts it is in proportion; they add up to the whole.
    pub fn part(&self, time: Range<u64>, of: u64) -> Self {
        let until = |count: u64, end: u64| count / of * end + count % of * end / of;
        let share = |count: u64| until(count, time.end) - until(count, time.start);
        let mut part = Self::default();
        for (own, count) in part.counts_mut().into_iter().zip(self.counts()) {
            *own = share(count);
        }
        part.latency.zeros = share(self.latency.zeros);
        let buckets = self.latency.buckets.iter().map(|(index, count)| (*index, share(*count)));
        part.latency.buckets = buckets.filter(|(_, count)| *count > 0).collect();
        part
    }

    fn counts(&self) -> [u64; FIELDS] {
        let Self { opened, closed, sent, received, requests, .. } = *self;
        let Self { request_bytes, response_bytes, request_messages, response_messages, .. } = *self;
        [
            opened,
            closed,
            sent,
            received,
            requests,
            request_bytes,
            response_bytes,
            request_messages,
            response_messages,
        ]
    }

    fn counts_mut(&mut self) -> [&mut u64; FIELDS] {
        [
            &mut self.opened,
            &mut self.closed,
            &mut self.sent,
            &mut self.received,
            &mut self.requests,
            &mut self.request_bytes,
            &mut self.response_bytes,
            &mut self.request_messages,
            &mut self.response_messages,
        ]
    }

    /// Appends the point.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let counts = self.counts();
        let has_latency = self.latency != Native::default();
        let mut mask = if has_latency { LATENCY } else { 0 };
        for (bit, _) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            mask |= 1 << bit;
        }
        write(out, mask);
        counts.into_iter().filter(|count| *count > 0).for_each(|count| write(out, count));
        if has_latency {
            write(out, self.latency.zeros);
            write(out, self.latency.buckets.len() as u64);
            let mut before = 0;
            for (index, count) in &self.latency.buckets {
                write(out, zigzag(i64::from(*index) - i64::from(before)));
                write(out, *count);
                before = *index;
            }
        }
    }

    /// The first point of the bytes, which are left at its end; `None` at theirs.
    pub fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let mut point = Self::default();
        point.add_encoded(bytes)?;
        Some(point)
    }

    /// Adds the first point of the bytes, which are left at its end; `None` at theirs.
    pub fn add_encoded(&mut self, bytes: &mut &[u8]) -> Option<()> {
        let mask = read(bytes)?;
        for (bit, own) in self.counts_mut().into_iter().enumerate() {
            if mask & (1 << bit) != 0 {
                *own = own.saturating_add(read(bytes)?);
            }
        }
        if mask & LATENCY != 0 {
            self.latency.zeros = self.latency.zeros.saturating_add(read(bytes)?);
            let mut index = 0_i32;
            for _ in 0..read(bytes)? {
                index = index.wrapping_add(unzigzag(read(bytes)?) as i32);
                add_bucket(&mut self.latency, index, read(bytes)?);
            }
        }
        Some(())
    }
}

/// A peer may say any number.
pub fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn add_bucket(latency: &mut Native, index: i32, count: u64) {
    match latency.buckets.binary_search_by_key(&index, |(index, _)| *index) {
        Ok(at) => latency.buckets[at].1 = latency.buckets[at].1.saturating_add(count),
        Err(at) => latency.buckets.insert(at, (index, count)),
    }
}

/// Leaves out the first point of the bytes; `None` at their end.
pub fn skip(bytes: &mut &[u8]) -> Option<()> {
    let mask = read(bytes)?;
    let mut numbers = u64::from((mask & (LATENCY - 1)).count_ones());
    if mask & LATENCY != 0 {
        numbers += 2;
        while numbers > 1 {
            read(bytes)?;
            numbers -= 1;
        }
        numbers = read(bytes)?.checked_mul(2)?;
    }
    for _ in 0..numbers {
        read(bytes)?;
    }
    Some(())
}

/// LEB128, as protobuf has it.
pub fn write(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The first number of the bytes, which are left behind it.
#[inline]
pub fn read(bytes: &mut &[u8]) -> Option<u64> {
    let (first, rest) = bytes.split_first()?;
    if *first < 0x80 {
        *bytes = rest;
        return Some(u64::from(*first));
    }
    match bytes.first_chunk() {
        Some(eight) => read_long(bytes, u64::from_le_bytes(*eight)),
        None => read_slowly(bytes),
    }
}

/// The same of a number of more than one byte, with the first eight at once: the high bits of its bytes but for the
/// last one are set, and the groups of seven bits below them are moved together in three steps.
#[inline]
fn read_long(bytes: &mut &[u8], eight: u64) -> Option<u64> {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let last = (!eight & HIGH).trailing_zeros();
    if last >= u64::BITS {
        return read_slowly(bytes);
    }
    *bytes = &bytes[last as usize / 8 + 1..];
    let groups = eight & (u64::MAX >> (u64::BITS - 1 - last)) & !HIGH;
    let pairs = (groups & 0x007f_007f_007f_007f) | (groups & 0x7f00_7f00_7f00_7f00) >> 1;
    let fours = (pairs & 0x0000_3fff_0000_3fff) | (pairs & 0x3fff_0000_3fff_0000) >> 2;
    Some((fours & 0x0fff_ffff) | (fours & 0x0fff_ffff_0000_0000) >> 4)
}

fn read_slowly(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::{Native, Point, read, skip, write};

    pub(crate) fn points() -> impl Strategy<Value = Point> {
        let latency = prop::collection::btree_map(-200i32..200, 1u64..1000, 0..6);
        (prop::collection::vec(any::<u64>(), 9), any::<u64>(), latency).prop_map(
            |(counts, zeros, buckets)| {
                let mut point = Point::default();
                for (own, count) in point.counts_mut().into_iter().zip(counts) {
                    *own = if count % 3 == 0 { 0 } else { count };
                }
                point.latency = Native { zeros, buckets: buckets.into_iter().collect() };
                point
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(all in prop::collection::vec(points(), 0..5)) {
            let mut bytes = Vec::new();
            all.iter().for_each(|point| point.encode(&mut bytes));
            let mut rest = bytes.as_slice();
            let read: Vec<Point> = all.iter().map_while(|_| Point::decode(&mut rest)).collect();
            prop_assert_eq!(&read, &all);
            prop_assert!(rest.is_empty());
            let mut rest = bytes.as_slice();
            all.iter().for_each(|_| skip(&mut rest).unwrap());
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn numbers_of_every_length_are_read(low in any::<u64>(), tail in 0usize..9) {
            for shift in 0..u64::BITS {
                let (number, mut bytes) = (low >> shift, Vec::new());
                write(&mut bytes, number);
                bytes.resize(bytes.len() + tail, 0xff);
                let mut rest = bytes.as_slice();
                prop_assert_eq!(read(&mut rest), Some(number));
                prop_assert_eq!(rest.len(), tail);
            }
        }

        #[test]
        fn points_are_added_where_they_are(one in points(), other in points()) {
            let mut bytes = Vec::new();
            other.encode(&mut bytes);
            let (mut added, mut expected) = (one.clone(), one);
            added.add_encoded(&mut bytes.as_slice()).unwrap();
            expected.add(&other);
            prop_assert_eq!(added, expected);
        }

        #[test]
        fn parts_are_in_proportion_and_add_up_to_the_whole(whole in points(), of in 1u64..40, long in 1u64..9) {
            let mut sum = Point::default();
            for start in (0..of).step_by(long as usize) {
                let time = start..of.min(start + long);
                let part = whole.part(time.clone(), of);
                sum.add(&part);
                let expected = u128::from(whole.sent) * u128::from(time.end - time.start) / u128::from(of);
                prop_assert!(u128::from(part.sent).abs_diff(expected) <= 1);
            }
            prop_assert_eq!(sum, whole);
        }

        #[test]
        fn bytes_that_are_no_points_end(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut rest = bytes.as_slice();
            while Point::decode(&mut rest).is_some() {}
            let mut rest = bytes.as_slice();
            while skip(&mut rest).is_some() {}
        }
    }

    #[test]
    fn a_quiet_step_takes_few_bytes() {
        let mut bytes = Vec::new();
        Point { opened: 1, closed: 1, sent: 300, received: 90, ..Point::default() }
            .encode(&mut bytes);
        assert!(bytes.len() <= 6, "{bytes:?}");
    }
}
