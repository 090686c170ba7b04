//! Text with operators in it: `%NAME(ARGUMENT):LENGTH%`. In: a format string. Out: its parts, and what they write.

use serde_json::Value;

use super::FormatError;
use super::operator::{Operator, shortened};
use super::table::{Written, operator};
use crate::record::AccessRecord;

/// Literal text and operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// With the letters that its value may have.
    Operator(Operator, Option<usize>),
}

impl Template {
    pub fn parse(format: &str) -> Result<Self, FormatError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = format;
        while let Some(at) = rest.find('%') {
            literal.push_str(&rest[..at]);
            let after = &rest[at + 1..];
            if let Some(escaped) = after.strip_prefix('%') {
                literal.push('%');
                rest = escaped;
                continue;
            }
            let end = operator_end(after).ok_or_else(|| FormatError::Unclosed(literal.clone()))?;
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(part(&after[..end])?);
            rest = &after[end + 1..];
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self(parts))
    }

    /// What has no value is a dash, or nothing.
    pub fn write(&self, record: &AccessRecord, omits_empty: bool, out: &mut String) {
        for part in &self.0 {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Operator(operator, longest) => {
                    let start = out.len();
                    match operator.write(record, out) {
                        true => shorten(out, start, *longest),
                        false if omits_empty => {}
                        false => out.push('-'),
                    }
                }
            }
        }
    }

    /// A lone operator keeps its type: numbers are numbers and nothing is null.
    pub fn value(&self, record: &AccessRecord) -> Value {
        if let [Part::Operator(operator, longest)] = self.0.as_slice() {
            return shortened(operator.value(record), *longest);
        }
        let mut text = String::new();
        self.write(record, false, &mut text);
        Value::String(text)
    }
}

/// Cuts what was written since `start`.
fn shorten(out: &mut String, start: usize, longest: Option<usize>) {
    let Some(longest) = longest else { return };
    if let Some((at, _)) = out[start..].char_indices().nth(longest) {
        out.truncate(start + at);
    }
}

/// The closing percent sign; those inside parentheses belong to the argument.
fn operator_end(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b'%' if depth == 0 => return Some(at),
            _ => {}
        }
    }
    None
}

/// One operator, from between its percent signs.
fn part(text: &str) -> Result<Part, FormatError> {
    let written = written(text).ok_or_else(|| FormatError::Shape(text.to_owned()))?;
    match operator(written) {
        Ok(operator) => Ok(Part::Operator(operator, written.longest)),
        Err(reason) => Err(FormatError::Operator { text: text.to_owned(), reason }),
    }
}

fn written(text: &str) -> Option<Written<'_>> {
    let is_name = |letter: char| matches!(letter, 'A'..='Z' | '0'..='9' | '_');
    let (name, rest) = text.split_at(text.find(|letter| !is_name(letter)).unwrap_or(text.len()));
    let (argument, rest) = match rest.strip_prefix('(') {
        Some(inside) => inside.rsplit_once(')')?,
        None => ("", rest),
    };
    let longest = match rest.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => {
            Some(digits.parse().ok()?)
        }
        None if rest.is_empty() => None,
        _ => return None,
    };
    (!name.is_empty()).then_some(Written { name, argument, longest })
}
