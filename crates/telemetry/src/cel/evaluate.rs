//! A tree of operations and attributes -> a value; none where CEL has an error.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use super::Attributes;
use super::parse::{Binary, Function, Node};
use super::value::Value;

/// Evaluates a tree.
pub fn value(node: &Node, about: &dyn Attributes) -> Option<Value> {
    let of = |node: &Node| value(node, about);
    match node {
        Node::Literal(value) => Some(value.clone()),
        Node::Attribute(group, name) => about.attribute(group, name),
        Node::Member(of_what, name) => member(&of(of_what)?, &of(name)?),
        Node::Has(node) => Some(Value::Bool(of(node).is_some())),
        Node::Not(node) => Some(Value::Bool(!truth(of(node))?)),
        Node::Negative(node) => match of(node)? {
            Value::Int(value) => value.checked_neg().map(Value::Int),
            Value::Double(value) => Some(Value::Double(-value)),
            _ => None,
        },
        // An error on one side is none if the other decides.
        Node::Both(a, b) => decided(false, || truth(of(a)), || truth(of(b))),
        Node::Either(a, b) => decided(true, || truth(of(a)), || truth(of(b))),
        Node::Choice(condition, yes, no) => of(if truth(of(condition))? { yes } else { no }),
        Node::Binary(binary, a, b) => apply(*binary, &of(a)?, &of(b)?),
        Node::Matches(node, pattern) => match of(node)? {
            Value::Text(text) => Some(Value::Bool(pattern.is_match(&text))),
            _ => None,
        },
        Node::Call(function, a, b) => {
            let second = match b {
                Some(b) => Some(of(b)?),
                None => None,
            };
            call(*function, of(a)?, second)
        }
        Node::List(all) => Some(Value::List(all.iter().map(of).collect::<Option<Arc<[_]>>>()?)),
    }
}

fn truth(value: Option<Value>) -> Option<bool> {
    match value {
        Some(Value::Bool(value)) => Some(value),
        _ => None,
    }
}

fn decided(
    by: bool,
    a: impl FnOnce() -> Option<bool>,
    b: impl FnOnce() -> Option<bool>,
) -> Option<Value> {
    let a = a();
    if a == Some(by) {
        return Some(Value::Bool(by));
    }
    match (a, b()) {
        (_, Some(b)) if b == by => Some(Value::Bool(by)),
        (Some(_), Some(_)) => Some(Value::Bool(!by)),
        _ => None,
    }
}

fn member(of: &Value, name: &Value) -> Option<Value> {
    match (of, name) {
        (Value::Map(_), Value::Text(name)) => of.member(name),
        (Value::List(all), index) => all.get(usize::try_from(index.whole()?).ok()?).cloned(),
        _ => None,
    }
}

fn apply(binary: Binary, a: &Value, b: &Value) -> Option<Value> {
    let ordered = |fits: fn(Ordering) -> bool| a.order(b).map(|order| Value::Bool(fits(order)));
    match binary {
        Binary::Equal => Some(Value::Bool(a.equals(b).unwrap_or(false))),
        Binary::Unequal => Some(Value::Bool(!a.equals(b).unwrap_or(false))),
        Binary::Less => ordered(Ordering::is_lt),
        Binary::AtMost => ordered(Ordering::is_le),
        Binary::More => ordered(Ordering::is_gt),
        Binary::AtLeast => ordered(Ordering::is_ge),
        Binary::In => match (a, b) {
            (_, Value::List(all)) => {
                Some(Value::Bool(all.iter().any(|one| one.equals(a) == Some(true))))
            }
            (Value::Text(name), Value::Map(members)) => {
                Some(Value::Bool(members.contains_key(name)))
            }
            _ => None,
        },
        Binary::Add | Binary::Subtract | Binary::Multiply | Binary::Divide | Binary::Remainder => {
            compute(binary, a, b)
        }
    }
}

fn compute(binary: Binary, a: &Value, b: &Value) -> Option<Value> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => match binary {
            Binary::Add => a.checked_add(*b),
            Binary::Subtract => a.checked_sub(*b),
            Binary::Multiply => a.checked_mul(*b),
            Binary::Divide => a.checked_div(*b),
            _ => a.checked_rem(*b),
        }
        .map(Value::Int),
        (Value::Uint(a), Value::Uint(b)) => match binary {
            Binary::Add => a.checked_add(*b),
            Binary::Subtract => a.checked_sub(*b),
            Binary::Multiply => a.checked_mul(*b),
            Binary::Divide => a.checked_div(*b),
            _ => a.checked_rem(*b),
        }
        .map(Value::Uint),
        (Value::Double(a), Value::Double(b)) => match binary {
            Binary::Add => Some(a + b),
            Binary::Subtract => Some(a - b),
            Binary::Multiply => Some(a * b),
            Binary::Divide => Some(a / b),
            _ => None,
        }
        .map(Value::Double),
        (Value::Text(a), Value::Text(b)) if binary == Binary::Add => {
            Some(Value::text(format!("{a}{b}")))
        }
        (Value::List(a), Value::List(b)) if binary == Binary::Add => {
            Some(Value::List(a.iter().chain(b.iter()).cloned().collect()))
        }
        (Value::Duration(a), Value::Duration(b)) => match binary {
            Binary::Add => a.checked_add(*b),
            Binary::Subtract => a.checked_sub(*b),
            _ => None,
        }
        .map(Value::Duration),
        _ => None,
    }
}

fn call(function: Function, a: Value, b: Option<Value>) -> Option<Value> {
    match (function, a, b) {
        (Function::Contains, Value::Text(a), Some(Value::Text(b))) => {
            Some(Value::Bool(a.contains(&*b)))
        }
        (Function::StartsWith, Value::Text(a), Some(Value::Text(b))) => {
            Some(Value::Bool(a.starts_with(&*b)))
        }
        (Function::EndsWith, Value::Text(a), Some(Value::Text(b))) => {
            Some(Value::Bool(a.ends_with(&*b)))
        }
        (Function::Size, Value::Text(text), None) => Some(Value::Int(text.chars().count() as i64)),
        (Function::Size, Value::List(all), None) => Some(Value::Int(all.len() as i64)),
        (Function::Size, Value::Map(members), None) => Some(Value::Int(members.len() as i64)),
        (Function::Text, value, None) => match value {
            Value::Null | Value::List(_) | Value::Map(_) => None,
            value => Some(Value::Text(value.print())),
        },
        (Function::Int, value, None) => match value {
            Value::Text(text) => text.parse().ok().map(Value::Int),
            // As in CEL: towards zero, and nothing that does not fit.
            Value::Double(value) if value.abs() < 9.2e18 => Some(Value::Int(value as i64)),
            value => i64::try_from(value.whole()?).ok().map(Value::Int),
        },
        (Function::Uint, value, None) => match value {
            Value::Text(text) => text.parse().ok().map(Value::Uint),
            Value::Double(value) if (0.0..1.8e19).contains(&value) => {
                Some(Value::Uint(value as u64))
            }
            value => u64::try_from(value.whole()?).ok().map(Value::Uint),
        },
        (Function::Double, value, None) => match value {
            Value::Text(text) => text.parse().ok().map(Value::Double),
            value => value.number().map(Value::Double),
        },
        (Function::Bool, Value::Text(text), None) => text.parse().ok().map(Value::Bool),
        (Function::Bool, Value::Bool(value), None) => Some(Value::Bool(value)),
        (Function::Duration, Value::Text(text), None) => duration(&text).map(Value::Duration),
        (Function::Duration, Value::Duration(value), None) => Some(Value::Duration(value)),
        _ => None,
    }
}

/// `1h30m`, `1.5s`, `500ms`.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        let unit = &rest[end..];
        let (length, seconds) = match unit {
            unit if unit.starts_with("ms") => (2, 1e-3),
            unit if unit.starts_with("us") => (2, 1e-6),
            unit if unit.starts_with("ns") => (2, 1e-9),
            unit if unit.starts_with('h') => (1, 3600.0),
            unit if unit.starts_with('m') => (1, 60.0),
            unit if unit.starts_with('s') => (1, 1.0),
            _ => return None,
        };
        total += number * seconds;
        rest = &unit[length..];
    }
    Duration::try_from_secs_f64(total).ok().filter(|_| !text.is_empty())
}
