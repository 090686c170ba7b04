//! Wall-clock instants as RFC 3339 text in UTC with milliseconds. In: `SystemTime`. Out: text.

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

/// Appends the instant in UTC as strftime(3) would. Known are `%Y %m %d %H %M %S %F %T %s %z %%` and
/// Envoy's fractions of a second, `%f` and `%1f` to `%9f`; another conversion is the error.
pub fn write_as(out: &mut String, time: SystemTime, pattern: &str) -> Result<(), String> {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut rest = pattern;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let conversion = &rest[at + 1..];
        let digits = conversion.chars().next().and_then(|digit| digit.to_digit(10));
        let (digits, kind) = match digits {
            Some(digits @ 1..=9) => (digits as usize, conversion.chars().nth(1)),
            _ => (0, conversion.chars().next()),
        };
        let unknown = || format!("%{}", conversion.chars().take(1).collect::<String>());
        let kind = kind.filter(|kind| digits == 0 || *kind == 'f').ok_or_else(unknown)?;
        if !convert(out, since, kind, digits) {
            return Err(unknown());
        }
        rest = &conversion[usize::from(digits > 0) + kind.len_utf8()..];
    }
    out.push_str(rest);
    Ok(())
}

/// One conversion; false if it is not known.
fn convert(out: &mut String, since: Duration, kind: char, digits: usize) -> bool {
    let seconds = since.as_secs();
    let (year, month, day) = civil(seconds / 86_400);
    let of_day = seconds % 86_400;
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let written = match kind {
        'Y' => write!(out, "{year:04}"),
        'm' => write!(out, "{month:02}"),
        'd' => write!(out, "{day:02}"),
        'H' => write!(out, "{hour:02}"),
        'M' => write!(out, "{minute:02}"),
        'S' => write!(out, "{second:02}"),
        'F' => write!(out, "{year:04}-{month:02}-{day:02}"),
        'T' => write!(out, "{hour:02}:{minute:02}:{second:02}"),
        's' => write!(out, "{seconds}"),
        'z' => write!(out, "+0000"),
        '%' => write!(out, "%"),
        'f' => {
            let nanos = format!("{:09}", since.subsec_nanos());
            write!(out, "{}", &nanos[..if digits == 0 { 9 } else { digits }])
        }
        _ => return false,
    };
    written.expect("writing to a string cannot fail");
    true
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

    use super::{UNIX_EPOCH, write, write_as};

    #[test]
    fn patterns_are_followed_and_unknown_conversions_named() {
        let time = UNIX_EPOCH + Duration::from_millis(951_782_400_123);
        let mut out = String::new();
        write_as(&mut out, time, "%F %T.%3f|%f|%s|%z|100%%é").unwrap();
        assert_eq!(out, "2000-02-29 00:00:00.123|123000000|951782400|+0000|100%é");
        for (pattern, named) in [("%q", "%q"), ("%", "%"), ("%3s", "%3"), ("a%é", "%é")] {
            assert_eq!(write_as(&mut out, time, pattern), Err(named.into()));
        }
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
