//! Text with operators in it: `%NAME(ARGUMENT)%`. In: a format string. Out: its parts, and what they write.

use std::time::UNIX_EPOCH;

use serde_json::Value;

use super::FormatError;
use super::operator::{LONGEST, Operator, operator};
use crate::cel::Expression;
use crate::labels::cut;
use crate::record::AccessRecord;
use crate::timestamp;

/// Literal text and operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
    notes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Operator(Operator),
    /// The start in a format of its own.
    Time(String),
    Expression(Expression),
}

impl Template {
    pub fn parse(format: &str) -> Result<Self, FormatError> {
        let (mut parts, mut notes) = (Vec::new(), Vec::new());
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
            parts.push(part(&after[..end], &mut notes));
            rest = &after[end + 1..];
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self { parts, notes })
    }

    /// What is not written as it was asked for.
    pub fn notes(&self) -> impl Iterator<Item = &str> {
        self.notes.iter().map(String::as_str)
    }

    pub fn write(&self, record: &AccessRecord, omits_empty: bool, out: &mut String) {
        for part in &self.parts {
            let start = out.len();
            part.write(record, out);
            if omits_empty && part.may_be_empty() && &out[start..] == "-" {
                out.truncate(start);
            }
        }
    }

    /// A lone operator keeps its type: numbers are numbers and nothing is null.
    pub fn value(&self, record: &AccessRecord) -> Value {
        let mut text = String::new();
        self.write(record, false, &mut text);
        match self.parts.as_slice() {
            [part] if part.may_be_empty() && text == "-" => Value::Null,
            [Part::Operator(operator)] if operator.is_number() => {
                text.parse::<u64>().map_or(Value::Null, Value::from)
            }
            _ => Value::String(text),
        }
    }
}

impl Part {
    fn write(&self, record: &AccessRecord, out: &mut String) {
        match self {
            Self::Literal(text) => out.push_str(text),
            Self::Operator(operator) => operator.write(record, out),
            Self::Time(pattern) => {
                timestamp::write_as(out, record.start, pattern)
                    .expect("the pattern was tried when it was parsed");
            }
            Self::Expression(expression) => match expression.value(record) {
                Some(value) => out.push_str(&cut(&value.print(), LONGEST)),
                None => out.push('-'),
            },
        }
    }

    /// Whether a dash is no value. No flags are a dash in Envoy, too.
    fn may_be_empty(&self) -> bool {
        match self {
            Self::Literal(_) | Self::Time(_) => false,
            Self::Operator(operator) => !operator.is_flags(),
            Self::Expression(_) => true,
        }
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
fn part(text: &str, notes: &mut Vec<String>) -> Part {
    let name = text.split(['(', ':']).next().unwrap_or(text);
    let argument = &text[name.len()..];
    let argument = argument.strip_prefix('(').unwrap_or(argument);
    let argument = argument.rsplit_once(')').map_or(argument, |(inside, _)| inside);
    if name == "START_TIME" && !argument.is_empty() {
        let Err(unknown) = timestamp::write_as(&mut String::new(), UNIX_EPOCH, argument) else {
            return Part::Time(argument.to_owned());
        };
        notes.push(format!("%{text}% is written as RFC 3339: {unknown} is not supported"));
    }
    if name == "CEL" {
        match Expression::parse(argument) {
            Ok(expression) => return Part::Expression(expression),
            Err(error) => {
                notes.push(format!("%{text}% gives -: no usable CEL expression: {error}"));
                return Part::Operator(Operator::Absent);
            }
        }
    }
    let operator = operator(name, argument).unwrap_or_else(|| {
        notes.push(format!("operator %{text}% is not known and gives -"));
        Operator::Absent
    });
    Part::Operator(operator)
}
