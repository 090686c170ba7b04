//! Evaluates the rules of Istio's CustomResourceDefinitions: as much of CEL as they are written in. In: a rule and
//! the value at its place. Out: whether it holds. It evaluates while it reads, without a tree: rules are short,
//! and the bounds of the schema are checked before them. Source: the CEL specification, and Kubernetes' page on
//! validation rules for the functions of URLs.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use lateen_api::duration::Duration;
use lateen_api::validate::url_scheme;
use regex::Regex;
use serde_json::{Value, json};

/// A value, or none if it cannot be computed, which only `&&`, `||` and `?:` can make good.
type Found<'v> = Option<Cow<'v, Value>>;

/// Regular expressions of the schema, compiled once.
static PATTERNS: LazyLock<Mutex<BTreeMap<String, Option<Regex>>>> = LazyLock::new(Mutex::default);

/// Whether a rule holds for `this`; one that cannot be evaluated does not.
pub fn holds(rule: &str, this: &Value) -> bool {
    let mut reader = Reader { rest: rule, names: vec![("self", Cow::Borrowed(this))] };
    let found = reader.choice();
    reader.rest.trim_start().is_empty() && truth(&found) == Some(true)
}

/// Whether a text matches a pattern of the schema.
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut patterns = PATTERNS.lock().unwrap_or_else(PoisonError::into_inner);
    if !patterns.contains_key(pattern) {
        patterns.insert(pattern.to_owned(), Regex::new(pattern).ok());
    }
    matches!(patterns.get(pattern), Some(Some(regex)) if regex.is_match(text))
}

/// What is not read yet, and the names that stand for values.
struct Reader<'r, 'v> {
    rest: &'r str,
    names: Vec<(&'r str, Cow<'v, Value>)>,
}

fn truth(found: &Found<'_>) -> Option<bool> {
    found.as_ref()?.as_bool()
}

fn owned<'v>(value: impl Into<Value>) -> Found<'v> {
    Some(Cow::Owned(value.into()))
}

/// One side that decides is enough, whatever the other is.
fn join<'v>(left: &Found<'v>, right: &Found<'v>, deciding: bool) -> Found<'v> {
    match (truth(left), truth(right)) {
        (Some(a), _) if a == deciding => owned(deciding),
        (_, Some(b)) if b == deciding => owned(deciding),
        (Some(_), Some(_)) => owned(!deciding),
        _ => None,
    }
}

impl<'r, 'v> Reader<'r, 'v> {
    fn take(&mut self, sign: &str) -> bool {
        let rest = self.rest.trim_start();
        rest.strip_prefix(sign).map(|after| self.rest = after).is_some()
    }

    /// What is read without its sign leaves something unread, and so does not hold.
    fn expect(&mut self, sign: &str) -> Option<()> {
        self.take(sign).then_some(())
    }

    fn word(&mut self) -> &'r str {
        let rest = self.rest.trim_start();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
        self.rest = after;
        word
    }

    fn choice(&mut self) -> Found<'v> {
        let condition = self.either();
        if !self.take("?") {
            return condition;
        }
        let yes = self.choice();
        self.expect(":")?;
        let no = self.choice();
        if truth(&condition)? { yes } else { no }
    }

    fn either(&mut self) -> Found<'v> {
        let mut left = self.both();
        while self.take("||") {
            left = join(&left, &self.both(), true);
        }
        left
    }

    fn both(&mut self) -> Found<'v> {
        let mut left = self.relation();
        while self.take("&&") {
            left = join(&left, &self.relation(), false);
        }
        left
    }

    fn relation(&mut self) -> Found<'v> {
        let left = self.sum();
        let signs = ["==", "!=", "<=", ">=", "<", ">", "in "];
        let Some(sign) = signs.into_iter().find(|sign| self.take(sign)) else { return left };
        let (left, right) = (left, self.sum());
        owned(compare(sign, &*left?, &*right?)?)
    }

    fn sum(&mut self) -> Found<'v> {
        let mut left = self.unary();
        while self.take("+") {
            let right = self.unary();
            left = left.zip(right).and_then(|(left, right)| add(&left, &right));
        }
        left
    }

    fn unary(&mut self) -> Found<'v> {
        if !self.take("!") {
            return self.postfix();
        }
        let inner = self.unary();
        owned(!truth(&inner)?)
    }

    fn postfix(&mut self) -> Found<'v> {
        let mut value = self.primary();
        while self.take(".") {
            let name = self.word();
            value = match (self.take("("), name) {
                (true, "all" | "exists" | "exists_one") => self.every(name, value),
                (true, _) => self.call(name, vec![value]),
                (false, _) => match value {
                    Some(Cow::Borrowed(value)) => value.get(name).map(Cow::Borrowed),
                    Some(Cow::Owned(value)) => value.get(name).cloned().map(Cow::Owned),
                    None => None,
                },
            };
        }
        value
    }

    fn primary(&mut self) -> Found<'v> {
        if self.take("(") {
            let inner = self.choice();
            self.expect(")")?;
            return inner;
        }
        if self.take("[") {
            let items = self.list("]");
            let items: Option<Vec<Value>> =
                items.into_iter().map(|item| item.map(Cow::into_owned)).collect();
            return owned(items?);
        }
        if self.take("{") {
            self.expect("}")?;
            return owned(json!({}));
        }
        for quote in ["\"", "'"] {
            if self.take(quote) {
                let (text, after) = self.rest.split_once(quote)?;
                self.rest = after;
                return owned(text);
            }
        }
        let word = self.word();
        match word {
            "true" | "false" => owned(word == "true"),
            "has" => {
                self.expect("(")?;
                let there = self.list(")").iter().all(Option::is_some);
                owned(there)
            }
            _ if self.take("(") => self.call(word, Vec::new()),
            _ if word.starts_with(|c: char| c.is_ascii_digit()) => owned(word.parse::<i64>().ok()?),
            _ => self.names.iter().rev().find(|(name, _)| *name == word).map(|(_, v)| v.clone()),
        }
    }

    fn list(&mut self, end: &str) -> Vec<Found<'v>> {
        let mut all = Vec::new();
        while !self.take(end) && !self.rest.is_empty() {
            all.push(self.choice());
            self.take(",");
        }
        all
    }

    /// `name(a, b)` and `a.name(b)`, which are the same.
    fn call(&mut self, name: &str, mut given: Vec<Found<'v>>) -> Found<'v> {
        given.extend(self.list(")"));
        let given: Option<Vec<_>> = given.into_iter().collect();
        call(name, &given?).map(Cow::Owned)
    }

    /// `list.all(item, condition)` and its like; of a map it is about the keys.
    fn every(&mut self, name: &str, of: Found<'v>) -> Found<'v> {
        let items: Option<Vec<Cow<'v, Value>>> = of.as_ref().and_then(|of| match of {
            Cow::Borrowed(Value::Array(items)) => Some(items.iter().map(Cow::Borrowed).collect()),
            Cow::Owned(Value::Array(items)) => {
                Some(items.iter().cloned().map(Cow::Owned).collect())
            }
            of => Some(of.as_object()?.keys().map(|key| Cow::Owned(json!(key))).collect()),
        });
        let variable = self.word();
        self.expect(",")?;
        let condition = self.rest;
        // Without an item it is read all the same, to find its end.
        let none = items.as_ref().is_none_or(Vec::is_empty);
        let spare = none.then(|| Cow::Owned(Value::Null));
        let mut said = Vec::new();
        for item in items.iter().flatten().cloned().chain(spare) {
            self.rest = condition;
            self.names.push((variable, item));
            let found = self.choice();
            said.push(truth(&found));
            self.names.pop();
        }
        self.expect(")")?;
        if none {
            said.clear();
        }
        items?;
        let (yes, no) = (Some(true), Some(false));
        match name {
            "all" if said.contains(&no) => owned(false),
            "exists" if said.contains(&yes) => owned(true),
            _ if said.contains(&None) => None,
            "exists_one" => owned(said.iter().filter(|one| **one == yes).count() == 1),
            _ => owned(name == "all"),
        }
    }
}

fn compare(sign: &str, left: &Value, right: &Value) -> Option<bool> {
    match sign {
        "==" => return Some(left == right),
        "!=" => return Some(left != right),
        "in " => return Some(right.as_array()?.contains(left)),
        _ => {}
    }
    let (left, right) = (left.as_i64()?, right.as_i64()?);
    Some(match sign {
        "<" => left < right,
        "<=" => left <= right,
        ">" => left > right,
        _ => left >= right,
    })
}

fn add<'v>(left: &Value, right: &Value) -> Found<'v> {
    match (left, right) {
        (Value::String(left), Value::String(right)) => owned(format!("{left}{right}")),
        _ => owned(left.as_i64()?.checked_add(right.as_i64()?)?),
    }
}

fn call(name: &str, given: &[Cow<'_, Value>]) -> Option<Value> {
    let text = |index: usize| given.get(index)?.as_str();
    let index = |at: usize| usize::try_from(given.get(at)?.as_u64()?).ok();
    Some(match name {
        "size" => match &**given.first()? {
            Value::String(text) => json!(text.chars().count()),
            Value::Array(items) => json!(items.len()),
            Value::Object(map) => json!(map.len()),
            Value::Null | Value::Bool(_) | Value::Number(_) => return None,
        },
        "contains" => json!(text(0)?.contains(text(1)?)),
        "startsWith" => json!(text(0)?.starts_with(text(1)?)),
        "endsWith" => json!(text(0)?.ends_with(text(1)?)),
        "matches" => json!(matches(text(1)?, text(0)?)),
        "substring" => {
            let all: Vec<char> = text(0)?.chars().collect();
            json!(all.get(index(1)?..index(2)?)?.iter().collect::<String>())
        }
        "int" => json!(text(0)?.parse::<i64>().ok()?),
        "duration" => json!(text(0)?.parse::<Duration>().ok()?.as_nanos()),
        "isURL" => json!(url_scheme(text(0)?).is_some()),
        "url" => url_scheme(text(0)?).and(Some(json!(text(0)?)))?,
        "getScheme" => json!(url_scheme(text(0)?)?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
