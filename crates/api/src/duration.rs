//! A duration as Istio's YAML writes it.
//!
//! In: text, either protobuf's (`1.5s`) or Go's (`1h2m`, `300ms`), which Istio takes too. Out:
//! nanoseconds, and the text as it was written, so that an object round-trips.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A signed duration; two are equal if they last equally long.
#[derive(Debug, Clone)]
pub struct Duration {
    nanos: i64,
    text: Box<str>,
}

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    #[error("{0:?} is not a duration, write a number with a unit, for example 1.5s, 300ms or 1h2m")]
    Syntax(String),
    #[error("the duration {0:?} is too long, at most 292 years fit")]
    Range(String),
}

impl Duration {
    /// Nanoseconds; negative if the text was.
    pub fn as_nanos(&self) -> i64 {
        self.nanos
    }

    /// `None` if negative.
    pub fn to_std(&self) -> Option<std::time::Duration> {
        u64::try_from(self.nanos).ok().map(std::time::Duration::from_nanos)
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// How long an argument of a command or a variable says.
///
/// # Errors
/// For a text that is no duration, and for less than nothing.
pub fn parse_span(text: &str) -> Result<std::time::Duration, String> {
    let duration: Duration = text.parse().map_err(|error: DurationError| error.to_string())?;
    duration.to_std().ok_or_else(|| format!("{text:?} is less than nothing"))
}

impl Default for Duration {
    fn default() -> Self {
        Duration { nanos: 0, text: "0s".into() }
    }
}

impl PartialEq for Duration {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Duration {}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let syntax = || DurationError::Syntax(text.to_owned());
        let range = || DurationError::Range(text.to_owned());
        let (negative, mut rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        if rest.is_empty() {
            return Err(syntax());
        }
        if rest == "0" {
            return Ok(Duration { nanos: 0, text: text.into() });
        }
        let mut total: i128 = 0;
        while !rest.is_empty() {
            let (nanos, tail) = component(rest).ok_or_else(syntax)?;
            total = total.checked_add(nanos).ok_or_else(range)?;
            rest = tail;
        }
        let signed = if negative { -total } else { total };
        let nanos = i64::try_from(signed).map_err(|_| range())?;
        Ok(Duration { nanos, text: text.into() })
    }
}

/// Reads one `number unit` off the front: its nanoseconds and what follows.
fn component(text: &str) -> Option<(i128, &str)> {
    let number_end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, tail) = text.split_at(number_end);
    let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
    let (unit, tail) = tail.split_at(unit_end);
    let scale: i128 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || whole.len() > 19 || fraction.contains('.') {
        return None;
    }
    let mut nanos = if whole.is_empty() { 0 } else { whole.parse::<i128>().ok()? * scale };
    let mut place = scale;
    for digit in fraction.bytes() {
        place /= 10;
        nanos += i128::from(digit - b'0') * place;
    }
    Some((nanos, tail))
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "x-lateen-format": "duration" })
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, DurationError};

    #[track_caller]
    fn check(text: &str, nanos: i64) {
        assert_eq!(text.parse::<Duration>().map(|d| d.as_nanos()), Ok(nanos), "{text}");
    }

    #[test]
    fn protobuf_and_go_notations_are_read() {
        check("1.5s", 1_500_000_000);
        check("0s", 0);
        check("0", 0);
        check("-2s", -2_000_000_000);
        check("1h2m", 3_720_000_000_000);
        check("300ms", 300_000_000);
        check(".5s", 500_000_000);
        check("1.000000001s", 1_000_000_001);
        check("87600h", 315_360_000_000_000_000);
    }

    #[test]
    fn what_is_not_a_duration_is_refused() {
        for text in
            ["", "s", "5", "1.5", "1..5s", "-", "1 s", "1d", "1s ", ".s", "1s0", "0s0", "١s"]
        {
            assert!(
                matches!(text.parse::<Duration>(), Err(DurationError::Syntax(_))),
                "{text:?} was taken"
            );
        }
        assert!(matches!("9999999999h".parse::<Duration>(), Err(DurationError::Range(_))));
    }

    #[test]
    fn the_text_survives_a_round_trip() {
        let duration: Duration = serde_json::from_str("\"1h2m\"").unwrap();
        assert_eq!(serde_json::to_string(&duration).unwrap(), "\"1h2m\"");
        assert_eq!(duration, "3720s".parse().unwrap());
    }
}
