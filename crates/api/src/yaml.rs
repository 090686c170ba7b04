//! Values as YAML that every reader takes for the same, those of version 1.1 too (PyYAML, and with it Ansible), where a
//! plain `12:30` is a number and `2001-01-01` a date; and YAML as kubectl reads it. In: JSON values. Out: text, and back.

mod read;
mod scalar;

use std::cell::Cell;
use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_saphyr::{DoubleQuoted, ser};

pub use read::{all, all_with, one};

/// One document.
///
/// # Errors
/// What the writer says.
pub fn write(value: &Value) -> Result<String, ser::Error> {
    serde_saphyr::to_string(&Written(value))
}

/// A document for each of the values.
///
/// # Errors
/// What the writer says.
pub fn write_all(values: &[Value]) -> Result<String, ser::Error> {
    serde_saphyr::to_string_multiple(&values.iter().map(Written).collect::<Vec<_>>())
}

struct Written<'a>(&'a Value);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::String(text) if is_taken_otherwise(text) => {
                DoubleQuoted(text).serialize(serializer)
            }
            Value::Array(all) => serializer.collect_seq(all.iter().map(Written)),
            Value::Object(all) => {
                serializer.collect_map(all.iter().map(|(key, value)| {
                    (Key { text: key, seen: Cell::new(false) }, Written(value))
                }))
            }
            other => other.serialize(serializer),
        }
    }
}

/// The writer cannot be told to quote a key; what it takes for no scalar it writes as a value behind `?`.
struct Key<'a> {
    text: &'a str,
    seen: Cell<bool>,
}

impl Serialize for Key<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match is_taken_otherwise(self.text) && !is_quoted_key(self.text) {
            false => serializer.serialize_str(self.text),
            true if self.seen.replace(true) => DoubleQuoted(self.text).serialize(serializer),
            true => serializer.serialize_bytes(&[]),
        }
    }
}

/// Whether the writer quotes the key by itself.
fn is_quoted_key(text: &str) -> bool {
    let written = serde_saphyr::to_string(&BTreeMap::from([(text, ())]));
    written.is_ok_and(|written| written.starts_with('"'))
}

/// Whether some reader takes a plain text for no text; beyond what the writer itself knows of.
fn is_taken_otherwise(text: &str) -> bool {
    matches!(text, "=" | "<<") || is_number(text) || is_date(text)
}

/// With a sign, `_` between the digits, a point, an exponent, a base, or parts of sixty (`190:20:30`).
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if let [b'0', b'b' | b'B' | b'o' | b'O' | b'x' | b'X', rest @ ..] = digits.as_bytes() {
        return rest.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'_');
    }
    let (digits, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    digits.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        && digits.bytes().any(|byte| byte.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'_' | b'.' | b':'))
        && digits.matches('.').count() <= 1
        && exponent.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_')
}

/// `2001-01-01`, perhaps with a time.
fn is_date(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let mut next = || parts.next().unwrap_or_default();
    let (year, month, rest) = (next(), next(), next());
    let day = rest.split(['T', 't', ' ', '\t']).next().unwrap_or_default();
    let is_of = |part: &str, lengths: &[usize]| {
        lengths.contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    is_of(year, &[4]) && is_of(month, &[1, 2]) && is_of(day, &[1, 2]) && !text.contains('\n')
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{write, write_all};

    /// What a reader of version 1.1 or 1.2 takes for no text when it is plain.
    const TAKEN_OTHERWISE: [&str; 58] = [
        "12:30",
        "190:20:30",
        "190:20:30.15",
        "-1:30",
        "2001-01-01",
        "2001-1-1T12:30:00Z",
        "2001-12-14t21:59:43.10-05:00",
        "2001-12-14 21:59:43.10 -5",
        "=",
        "<<",
        "0o17",
        "0O17",
        "017",
        "-017",
        "08",
        "1_000",
        "+1_0",
        "1__0",
        "1_",
        "0_7",
        "0b1",
        "0b1_0",
        "-0b1",
        "0x1F",
        "0x_1",
        ".5",
        "-.5",
        ".5_0",
        "1.",
        "1_0.5",
        "1e3",
        "1e+3",
        "1.5E-3",
        "1_0.5e+3",
        "0",
        "-0",
        "+12",
        ".inf",
        "+.inf",
        "-.INF",
        ".nan",
        ".NaN",
        "y",
        "Y",
        "n",
        "yes",
        "No",
        "on",
        "OFF",
        "true",
        "False",
        "~",
        "null",
        "Null",
        "",
        "685_230.15",
        "0xffffffffffffffffff",
        "1:2:3",
    ];
    /// What is a text for all of them.
    const TEXTS: [&str; 14] = [
        "10.0.0.1",
        "1.2.3",
        "v1.2",
        "100m",
        "128Mi",
        "10.0.0.0/8",
        "12h30m",
        "2001-01",
        "istio-proxy",
        "a:b",
        "e3",
        "noon",
        "0.0.0.0:15090",
        "1-2-3",
    ];

    #[test]
    fn what_a_reader_takes_for_no_text_is_quoted() {
        for text in TAKEN_OTHERWISE {
            let quoted = format!("\"{text}\"");
            assert_eq!(write(&json!(text)).unwrap(), format!("{quoted}\n"));
            let [as_value, as_key] = [json!({ "a": text }), json!({ text: { "a": [text] } })];
            assert_eq!(write(&as_value).unwrap(), format!("a: {quoted}\n"));
            let written = write(&as_key).unwrap();
            assert_eq!(written.matches(&quoted).count(), 2, "{written}");
            for value in [as_value, as_key] {
                let written = write(&value).unwrap();
                assert_eq!(serde_saphyr::from_str::<Value>(&written).unwrap(), value, "{written}");
            }
        }
    }

    #[test]
    fn other_texts_stay_plain() {
        for text in TEXTS {
            let written = write(&json!({ "a": text })).unwrap();
            assert_eq!(written, format!("a: {text}\n"));
        }
        let lines = json!({ "a": "2001-01-01 it began\nand ended\n", "b": 12, "c": [true, null] });
        let written = write(&lines).unwrap();
        assert_eq!(
            written,
            "a: |\n  2001-01-01 it began\n  and ended\nb: 12\nc:\n- true\n- null\n"
        );
    }

    #[test]
    fn a_key_that_the_writer_would_leave_plain_is_quoted_behind_a_question_mark() {
        for (text, expected) in
            [("12:30", "\"12:30\": 1\n"), ("12", "\"12\": 1\n"), ("=", "? \"=\"\n: 1\n")]
        {
            assert_eq!(write(&json!({ text: 1 })).unwrap(), expected);
        }
    }

    #[test]
    fn several_values_are_several_documents() {
        let written = write_all(&[json!({ "a": "12:30" }), json!({ "b": {}, "c": [] })]).unwrap();
        assert_eq!(written, "a: \"12:30\"\n---\nb: {}\nc: []\n");
    }
}
