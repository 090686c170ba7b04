//! Label and field selectors. In: the query string's text, or a `LabelSelector` object. Out: a
//! predicate over objects, or the message with which Kubernetes refuses the text.

use lateen_api::labels::is_subdomain;
use serde_json::{Map, Value};

/// A conjunction of label requirements; the empty one matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
}

/// A conjunction of field requirements; the empty one matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSelector {
    requirements: Vec<FieldRequirement>,
}

/// Why a selector is refused; the text is a client's answer (HTTP 400).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    #[error("unable to parse requirement: {0}")]
    Requirement(String),
    #[error("{0}")]
    Syntax(String),
    #[error("invalid selector: '{0}'; can't understand '{1}'")]
    Field(String, String),
    #[error("field label not supported: {0}")]
    FieldNotSupported(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Operator {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    DoesNotExist,
    GreaterThan(i64),
    LessThan(i64),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct FieldRequirement {
    path: String,
    equals: bool,
    value: String,
}

impl LabelSelector {
    /// Parses a `labelSelector` query value such as `app=a,tier in (x,y),!canary`.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut parser = Parser { rest: text };
        let mut requirements = Vec::new();
        parser.skip_space();
        while !parser.rest.is_empty() {
            requirements.push(parser.requirement()?);
            parser.skip_space();
            if parser.eat(",") {
                parser.skip_space();
                if parser.rest.is_empty() || parser.rest.starts_with(',') {
                    return Err(parser.found("identifier after ','"));
                }
            } else if !parser.rest.is_empty() {
                return Err(parser.found("',' or 'end of string'"));
            }
        }
        Ok(LabelSelector { requirements })
    }

    /// Reads a `metav1.LabelSelector` object (`matchLabels`, `matchExpressions`).
    pub fn from_object(selector: &Value) -> Result<Self, SelectorError> {
        let mut requirements = Vec::new();
        for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
            check_key(key)?;
            let value = value.as_str().unwrap_or_default().to_owned();
            check_value(key, &value)?;
            requirements
                .push(Requirement { key: key.clone(), operator: Operator::In(vec![value]) });
        }
        for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
            requirements.push(expression_requirement(expression)?);
        }
        Ok(LabelSelector { requirements })
    }

    /// Whether nothing is required.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether the object's `metadata.labels` satisfy every requirement.
    pub fn matches(&self, object: &Value) -> bool {
        let labels = object.get("metadata").and_then(|metadata| metadata.get("labels"));
        self.matches_labels(labels.and_then(Value::as_object))
    }

    /// Whether a label map satisfies every requirement; `None` is the empty map.
    pub fn matches_labels(&self, labels: Option<&Map<String, Value>>) -> bool {
        self.requirements.iter().all(|requirement| {
            let value = labels.and_then(|l| l.get(&requirement.key)).and_then(Value::as_str);
            requirement.operator.accepts(value)
        })
    }
}

impl Operator {
    fn accepts(&self, value: Option<&str>) -> bool {
        let number = || value.and_then(|v| v.parse::<i64>().ok());
        match self {
            Operator::In(values) => value.is_some_and(|v| values.iter().any(|w| w == v)),
            Operator::NotIn(values) => !value.is_some_and(|v| values.iter().any(|w| w == v)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan(bound) => number().is_some_and(|v| v > *bound),
            Operator::LessThan(bound) => number().is_some_and(|v| v < *bound),
        }
    }
}

impl FieldSelector {
    /// Parses a `fieldSelector` query value such as `metadata.name=a,status.phase!=Running`.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut requirements = Vec::new();
        for term in split_terms(text).iter().filter(|term| !term.is_empty()) {
            let understood = [("!=", false), ("==", true), ("=", true)]
                .into_iter()
                .filter_map(|(operator, equals)| {
                    term.find(operator).map(|at| (at, operator, equals))
                })
                .min_by_key(|(at, operator, _)| (*at, usize::MAX - operator.len()));
            let Some((at, operator, equals)) = understood else {
                return Err(SelectorError::Field(text.to_owned(), term.clone()));
            };
            let value = unescape(&term[at + operator.len()..])
                .ok_or_else(|| SelectorError::Field(text.to_owned(), term.clone()))?;
            requirements.push(FieldRequirement { path: term[..at].to_owned(), equals, value });
        }
        Ok(FieldSelector { requirements })
    }

    /// Whether nothing is required.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Refuses fields other than an object's name and namespace and those in `supported`, as
    /// Kubernetes does per kind.
    pub fn restrict(&self, supported: &[&str]) -> Result<(), SelectorError> {
        let known = |path: &str| {
            matches!(path, "metadata.name" | "metadata.namespace") || supported.contains(&path)
        };
        match self.requirements.iter().find(|requirement| !known(&requirement.path)) {
            Some(bad) => Err(SelectorError::FieldNotSupported(bad.path.clone())),
            None => Ok(()),
        }
    }

    /// The value that `path` must have, when the selector pins it: a list by name is a lookup.
    pub fn pinned(&self, path: &str) -> Option<&str> {
        let pin = |r: &&FieldRequirement| r.equals && r.path == path;
        self.requirements.iter().find(pin).map(|requirement| requirement.value.as_str())
    }

    /// Whether the object satisfies every requirement; an absent field is the empty string.
    pub fn matches(&self, object: &Value) -> bool {
        self.requirements.iter().all(|requirement| {
            let found = field_text(object, &requirement.path);
            (found == requirement.value) == requirement.equals
        })
    }
}

fn field_text(object: &Value, path: &str) -> String {
    let mut at = object;
    for step in path.split('.') {
        match at.get(step) {
            Some(next) => at = next,
            None => return String::new(),
        }
    }
    match at {
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => at.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => String::new(),
    }
}

/// Splits at commas that no backslash escapes.
fn split_terms(text: &str) -> Vec<String> {
    let mut terms = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        if c == ',' && !escaped {
            terms.push(String::new());
            continue;
        }
        escaped = c == '\\' && !escaped;
        terms.last_mut().expect("invariant: starts with one term").push(c);
    }
    terms
}

/// Undoes `\\`, `\,` and `\=`; anything else after a backslash, or a bare `=`, is refused.
fn unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next()? {
                next @ ('\\' | ',' | '=') => out.push(next),
                _ => return None,
            },
            '=' => return None,
            other => out.push(other),
        }
    }
    Some(out)
}

fn expression_requirement(expression: &Value) -> Result<Requirement, SelectorError> {
    let key = expression["key"].as_str().unwrap_or_default().to_owned();
    check_key(&key)?;
    let values: Vec<String> = expression["values"]
        .as_array()
        .map(|values| values.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        .unwrap_or_default();
    let operator = match expression["operator"].as_str().unwrap_or_default() {
        "In" => Operator::In(values.clone()),
        "NotIn" => Operator::NotIn(values.clone()),
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        other => {
            return Err(SelectorError::Syntax(format!(
                "{other:?} is not a valid label selector operator"
            )));
        }
    };
    match operator {
        Operator::In(_) | Operator::NotIn(_) if values.is_empty() => Err(SelectorError::Syntax(
            "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty"
                .to_owned(),
        )),
        Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
            Err(SelectorError::Syntax(format!(
                "values: Invalid value: {}: values set must be empty for exists and does not exist",
                quoted_list(&values)
            )))
        }
        operator => {
            for value in &values {
                check_value(&key, value)?;
            }
            Ok(Requirement { key, operator })
        }
    }
}

fn quoted_list(values: &[String]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    format!("[{}]", quoted.join(","))
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
    }

    fn eat(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn word(&mut self) -> &'a str {
        let end = self
            .rest
            .find(|c: char| c.is_whitespace() || "=!(),<>".contains(c))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn found(&self, expected: &str) -> SelectorError {
        let token = self.next_token();
        SelectorError::Requirement(format!("found '{token}', expected: {expected}"))
    }

    fn next_token(&self) -> String {
        let mut probe = Parser { rest: self.rest };
        let word = probe.word();
        if !word.is_empty() {
            return word.to_owned();
        }
        ["==", "!="]
            .iter()
            .find(|operator| self.rest.starts_with(**operator))
            .map(|operator| (*operator).to_owned())
            .unwrap_or_else(|| self.rest.chars().take(1).collect())
    }

    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        let negated = self.eat("!");
        self.skip_space();
        let key = self.word().to_owned();
        if key.is_empty() {
            return Err(self.found("identifier"));
        }
        check_key(&key)?;
        self.skip_space();
        let operator = match negated {
            true => Operator::DoesNotExist,
            false => self.operator(&key)?,
        };
        Ok(Requirement { key, operator })
    }

    fn operator(&mut self, key: &str) -> Result<Operator, SelectorError> {
        if self.rest.is_empty() || self.rest.starts_with(',') {
            return Ok(Operator::Exists);
        }
        if self.eat("!=") {
            return Ok(Operator::NotIn(vec![self.exact_value(key)?]));
        }
        if self.eat("==") || self.eat("=") {
            return Ok(Operator::In(vec![self.exact_value(key)?]));
        }
        if self.eat(">") {
            return Ok(Operator::GreaterThan(self.integer()?));
        }
        if self.eat("<") {
            return Ok(Operator::LessThan(self.integer()?));
        }
        let before = self.rest;
        match self.word() {
            "in" => Ok(Operator::In(self.values(key)?)),
            "notin" => Ok(Operator::NotIn(self.values(key)?)),
            _ => {
                self.rest = before;
                Err(self.found("in, notin, =, ==, !=, gt, lt"))
            }
        }
    }

    fn exact_value(&mut self, key: &str) -> Result<String, SelectorError> {
        self.skip_space();
        let value = self.word().to_owned();
        if value.is_empty() && !self.rest.is_empty() && !self.rest.starts_with(',') {
            return Err(self.found("identifier"));
        }
        check_value(key, &value)?;
        Ok(value)
    }

    fn integer(&mut self) -> Result<i64, SelectorError> {
        self.skip_space();
        let word = self.word();
        word.parse().map_err(|_| {
            SelectorError::Syntax(format!(
                "values[0]: Invalid value: {word:?}: for 'Gt', 'Lt' operators, the value must be an integer"
            ))
        })
    }

    fn values(&mut self, key: &str) -> Result<Vec<String>, SelectorError> {
        self.skip_space();
        if !self.eat("(") {
            return Err(self.found("'('"));
        }
        let mut values = Vec::new();
        loop {
            self.skip_space();
            let value = self.word().to_owned();
            check_value(key, &value)?;
            values.push(value);
            self.skip_space();
            if self.eat(")") {
                return Ok(values);
            }
            if !self.eat(",") {
                return Err(self.found("',' or ')'"));
            }
        }
    }
}

const NAME_RULE: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and \
must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', \
regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE_RULE: &str = "a valid label must be an empty string or consist of alphanumeric \
characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. \
'MyValue',  or 'my_value',  or '12345', regex used for validation is \
'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const PREFIX_RULE: &str = "prefix part a lowercase RFC 1123 subdomain must consist of lower case \
alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. \
'example.com', regex used for validation is \
'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

fn check_key(key: &str) -> Result<(), SelectorError> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let problem = if prefix.is_some_and(|prefix| !is_subdomain(prefix)) {
        Some(PREFIX_RULE.to_owned())
    } else if name.is_empty() {
        Some(format!("name part must be non-empty; {NAME_RULE}"))
    } else if name.len() > 63 {
        Some("name part must be no more than 63 bytes".to_owned())
    } else if !is_label_text(name) {
        Some(NAME_RULE.to_owned())
    } else {
        None
    };
    match problem {
        Some(rule) => {
            Err(SelectorError::Requirement(format!("key: Invalid value: {key:?}: {rule}")))
        }
        None => Ok(()),
    }
}

fn check_value(key: &str, value: &str) -> Result<(), SelectorError> {
    let rule = if value.len() > 63 {
        "must be no more than 63 bytes"
    } else if !value.is_empty() && !is_label_text(value) {
        VALUE_RULE
    } else {
        return Ok(());
    };
    Err(SelectorError::Requirement(format!("values[0][{key}]: Invalid value: {value:?}: {rule}")))
}

fn is_label_text(text: &str) -> bool {
    let bytes = text.as_bytes();
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

#[cfg(test)]
mod tests;
