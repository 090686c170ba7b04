//! Wall-clock instants as text in UTC: RFC 3339 with milliseconds, or as strftime(3) would. In: `SystemTime`. Out: text.

use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Appends `2024-02-29T12:00:00.123Z`; an instant before 1970 is written as 1970's first.
pub fn write(out: &mut String, time: SystemTime) {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs();
    let (year, month, day) = civil(seconds / 86_400);
    let of_day = seconds % 86_400;
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let millis = since.subsec_millis();
    write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
        .expect("writing to a string cannot fail");
}

/// Whether a pattern of [`write_as`] writes newlines.
pub fn has_newline(pattern: &str) -> bool {
    let mut rest = pattern;
    while let Some(at) = rest.find('%') {
        match rest[at + 1..].chars().next() {
            Some('n') => return true,
            Some(kind) => rest = &rest[at + 1 + kind.len_utf8()..],
            None => return false,
        }
    }
    pattern.contains('\n')
}

/// Appends the instant in UTC as strftime(3) would in the C locale, with Envoy's fractions of a second: `%f`, and `%1f` to
/// `%9f`, and `%E3S`, `%E*S`, `%E4Y` and `%Ez`. What is no conversion stays as it is, as in Envoy.
pub fn write_as(out: &mut String, time: SystemTime, pattern: &str) {
    let at = Instant::of(time);
    let mut rest = pattern;
    while let Some(start) = rest.find('%') {
        out.push_str(&rest[..start]);
        let conversion = &rest[start + 1..];
        let written = at.fraction(conversion, out).or_else(|| {
            let kind = conversion.chars().next()?;
            at.convert(kind, out).then_some(kind.len_utf8())
        });
        if written.is_none() {
            out.push('%');
        }
        rest = &conversion[written.unwrap_or(0)..];
    }
    out.push_str(rest);
}

const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// An instant, taken apart.
struct Instant {
    since: Duration,
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
    /// From Sunday on.
    weekday: u64,
    /// From 0 on.
    of_year: u64,
}

impl Instant {
    fn of(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (days, of_day) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
        let (year, month, day) = civil(days);
        // 1970 began on a Thursday.
        let (weekday, of_year) = ((days + 4) % 7, days - days_before(year));
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        Self { since, year, month, day, hour, minute, second, weekday, of_year }
    }

    /// A conversion of more than one letter: its length, if there is one.
    fn fraction(&self, conversion: &str, out: &mut String) -> Option<usize> {
        let nanos = format!("{:09}", self.since.subsec_nanos());
        let second = self.second;
        let written = match conversion.as_bytes() {
            [b'f', ..] => (1, nanos),
            [digits @ b'1'..=b'9', b'f', ..] => (2, nanos[..usize::from(digits - b'0')].to_owned()),
            [b'E', b'*', b'S', ..] => {
                let nanos = nanos.trim_end_matches('0');
                let point = if nanos.is_empty() { "" } else { "." };
                (3, format!("{second:02}{point}{nanos}"))
            }
            [b'E', digits @ b'1'..=b'9', b'S', ..] => {
                (3, format!("{second:02}.{}", &nanos[..usize::from(digits - b'0')]))
            }
            [b'E', b'4', b'Y', ..] => (3, format!("{:04}", self.year)),
            [b'E', b'z', ..] => (2, "+00:00".to_owned()),
            _ => return None,
        };
        out.push_str(&written.1);
        Some(written.0)
    }

    /// One conversion; false if there is no such.
    fn convert(&self, kind: char, out: &mut String) -> bool {
        // Those that stand for several others.
        let several = match kind {
            'D' | 'x' => "%m/%d/%y",
            'F' => "%Y-%m-%d",
            'R' => "%H:%M",
            'T' | 'X' => "%H:%M:%S",
            'c' => "%a %b %e %H:%M:%S %Y",
            'r' => "%I:%M:%S %p",
            _ => return self.convert_one(kind, out),
        };
        for part in several.split_inclusive(|letter: char| letter.is_ascii_alphabetic()) {
            let (literal, kind) = part.split_once('%').unwrap_or((part, ""));
            out.push_str(literal);
            for kind in kind.chars() {
                self.convert_one(kind, out);
            }
        }
        true
    }

    fn convert_one(&self, kind: char, out: &mut String) -> bool {
        let hour = if self.hour.is_multiple_of(12) { 12 } else { self.hour % 12 };
        let day = DAYS[self.weekday as usize];
        let month = MONTHS[self.month as usize - 1];
        let written = match kind {
            'a' => write!(out, "{}", &day[..3]),
            'A' => write!(out, "{day}"),
            'b' | 'h' => write!(out, "{}", &month[..3]),
            'B' => write!(out, "{month}"),
            'C' => write!(out, "{:02}", self.year / 100),
            'Y' => write!(out, "{:04}", self.year),
            'y' => write!(out, "{:02}", self.year % 100),
            'm' => write!(out, "{:02}", self.month),
            'd' => write!(out, "{:02}", self.day),
            'e' => write!(out, "{:2}", self.day),
            'j' => write!(out, "{:03}", self.of_year + 1),
            'H' => write!(out, "{:02}", self.hour),
            'k' => write!(out, "{:2}", self.hour),
            'I' => write!(out, "{hour:02}"),
            'l' => write!(out, "{hour:2}"),
            'p' => write!(out, "{}", if self.hour < 12 { "AM" } else { "PM" }),
            'P' => write!(out, "{}", if self.hour < 12 { "am" } else { "pm" }),
            'M' => write!(out, "{:02}", self.minute),
            'S' => write!(out, "{:02}", self.second),
            's' => write!(out, "{}", self.since.as_secs()),
            'z' => write!(out, "+0000"),
            'Z' => write!(out, "UTC"),
            'u' => write!(out, "{}", if self.weekday == 0 { 7 } else { self.weekday }),
            'w' => write!(out, "{}", self.weekday),
            'U' => write!(out, "{:02}", (self.of_year + 7 - self.weekday) / 7),
            'W' => write!(out, "{:02}", (self.of_year + 7 - (self.weekday + 6) % 7) / 7),
            'V' => write!(out, "{:02}", self.week().1),
            'G' => write!(out, "{:04}", self.week().0),
            'g' => write!(out, "{:02}", self.week().0 % 100),
            't' => write!(out, "\t"),
            '%' => write!(out, "%"),
            _ => return false,
        };
        written.expect("writing to a string cannot fail");
        true
    }

    /// Year and week of ISO 8601: those of the week's Thursday.
    fn week(&self) -> (u64, u64) {
        let days = self.since.as_secs() / 86_400;
        let thursday = days + 3 - (self.weekday + 6) % 7;
        let year = civil(thursday).0;
        (year, (thursday - days_before(year)) / 7 + 1)
    }
}

/// Days from 1970-01-01 to the first day of a year.
fn days_before(year: u64) -> u64 {
    let leap_days = |year: u64| year / 4 - year / 100 + year / 400;
    (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969)
}

/// Days since 1970-01-01 to year, month and day of the Gregorian calendar. Years are counted from
/// March, so that the leap day is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{UNIX_EPOCH, has_newline, write, write_as};

    fn written(millis: u64, pattern: &str) -> String {
        let mut out = String::new();
        write_as(&mut out, UNIX_EPOCH + Duration::from_millis(millis), pattern);
        out
    }

    #[test]
    fn patterns_are_followed_as_envoy_follows_them() {
        let at = |pattern| written(951_782_400_123, pattern);
        assert_eq!(
            at("%F %T.%3f|%f|%s|%z|100%%é"),
            "2000-02-29 00:00:00.123|123000000|951782400|+0000|100%é"
        );
        // What Envoy wrote at 2026-11-29 00:51:21.051.
        let at = |pattern| written(1_795_913_481_051, pattern);
        assert_eq!(
            at(
                "%a %b %j %e %y %I %p %Z %D %R %c %x %X %h %u %w %U %W %V %G %g %C %A %B %E4Y %Ez %E*S %E3S %k %l"
            ),
            "Sun Nov 333 29 26 12 AM UTC 11/29/26 00:51 Sun Nov 29 00:51:21 2026 11/29/26 00:51:21 Nov 7 0 48 47 48 2026 \
             26 20 Sunday November 2026 +00:00 21.051 21.051  0 12"
        );
        assert_eq!(at("%Q|%0f|%i|%P|%"), "%Q|%0f|%i|am|%", "what is no conversion stays");
    }

    #[test]
    fn weeks_are_counted_across_the_ends_of_years() {
        for (day, weeks) in [
            (18_628, "2021-01-01 00 00 53 2020 5"),
            (19_722, "2023-12-31 53 52 52 2023 0"),
            (20_088, "2024-12-31 52 53 01 2025 2"),
            (0, "1970-01-01 00 00 01 1970 4"),
        ] {
            assert_eq!(written(day * 86_400_000, "%F %U %W %V %G %w"), weeks);
        }
    }

    #[test]
    fn a_clock_may_be_as_wrong_as_can_be() {
        let mut out = String::new();
        write(&mut out, UNIX_EPOCH - Duration::from_secs(1));
        assert_eq!(out, "1970-01-01T00:00:00.000Z");
        let far = UNIX_EPOCH + Duration::from_secs(i64::MAX as u64);
        write_as(&mut out, far, "%F %c %j %U %V %G");
        write_as(&mut out, UNIX_EPOCH - Duration::from_secs(1), "%F %c %j %U %V %G");
        assert!(out.ends_with("1970-01-01 Thu Jan  1 00:00:00 1970 001 00 01 1970"), "{out}");
    }

    #[test]
    fn newlines_are_found() {
        assert!(has_newline("%H%n") && has_newline("a\n"));
        assert!(!has_newline("%%n %H%") && !has_newline(""));
    }

    #[test]
    fn leap_days_and_year_ends_are_written_as_the_calendar_has_them() {
        for (millis, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_123, "2000-02-29T00:00:00.123Z"),
            (1_735_689_599_999, "2024-12-31T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            let mut out = String::new();
            write(&mut out, UNIX_EPOCH + Duration::from_millis(millis));
            assert_eq!(out, expected);
        }
    }
}
