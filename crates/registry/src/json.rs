//! JSON texts edited in place. In: a text and a path into it. Out: the text with one value more, less or
//! different; every byte that has nothing to do with it stays.

mod scan;

use std::ops::Range;

use serde_json::Value;

use crate::Error;
use scan::{Kind, Node, scan};

/// What a text without a value to learn from is indented by.
const INDENT: &str = "  ";

/// The value of `text`; an empty text is an empty object, as it is for those who read these files.
pub fn parse(text: &str) -> Result<Value, Error> {
    Error::refuse_mark(text)?;
    if text.trim().is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    let value: Value =
        serde_json::from_str(text).map_err(|error| Error::Json(error.to_string()))?;
    match value.is_object() {
        true => Ok(value),
        false => Err(Error::Type { key: "the file".to_owned(), wanted: "a JSON object" }),
    }
}

/// Sets the value at `path`, making the objects that lead to it.
pub fn set(text: &str, path: &[&str], value: &Value) -> Result<String, Error> {
    let root = root(text, path)?;
    let text = if text.trim().is_empty() { "{}\n" } else { text };
    let style = Style::of(text, &root);
    let mut node = &root;
    for (depth, key) in path.iter().enumerate() {
        let Kind::Object(members) = &node.kind else {
            return Err(not_an_object(&path[..depth]));
        };
        match members.iter().find(|member| member.key == *key) {
            Some(member) => node = &member.value,
            None => {
                let value = nested(&path[depth + 1..], value);
                let key = Value::from(*key);
                let colon = if style.compact { ":" } else { ": " };
                let item = format!("{key}{colon}{}", style.render(&value, depth + 1));
                return Ok(insert(text, node, &item, depth, &style));
            }
        }
    }
    Ok(splice(text, node.span.clone(), &style.render(value, path.len())))
}

/// Removes the value at `path`, if there is one.
pub fn unset(text: &str, path: &[&str]) -> Result<String, Error> {
    let root = root(text, path)?;
    let mut node = &root;
    for (depth, key) in path.iter().enumerate() {
        let Kind::Object(members) = &node.kind else { return Ok(text.to_owned()) };
        let Some(at) = members.iter().position(|member| member.key == *key) else {
            return Ok(text.to_owned());
        };
        if depth + 1 == path.len() {
            let spans: Vec<_> = members.iter().map(|member| member.span.clone()).collect();
            return Ok(cut(text, node, &spans, at));
        }
        node = &members[at].value;
    }
    Ok(text.to_owned())
}

/// Adds a text to the array at the top-level `key`, unless it has it.
pub fn push(text: &str, key: &str, item: &str) -> Result<String, Error> {
    let list = listed(text, key)?;
    let root = root(text, &[key])?;
    if list.iter().any(|listed| listed == item) {
        return Ok(text.to_owned());
    }
    match member(&root, key).filter(|node| matches!(node.kind, Kind::Array(_))) {
        Some(array) => {
            let style = Style::of(text, &root);
            Ok(insert(text, array, &Value::from(item).to_string(), 1, &style))
        }
        None => set(text, &[key], &Value::from(vec![item])),
    }
}

/// Removes a text from the array at the top-level `key`.
pub fn pull(text: &str, key: &str, item: &str) -> Result<String, Error> {
    let list = listed(text, key)?;
    let root = root(text, &[key])?;
    let Some(at) = list.iter().position(|listed| listed == item) else {
        return Ok(text.to_owned());
    };
    let array = member(&root, key).expect("invariant: a list with an item is in the text");
    let Kind::Array(items) = &array.kind else { return Ok(text.to_owned()) };
    let spans: Vec<_> = items.iter().map(|item| item.span.clone()).collect();
    pull(&cut(text, array, &spans, at), key, item)
}

/// Adds a value behind those of the array at the top-level `key`, laid out as they are.
pub fn append(text: &str, key: &str, value: &Value) -> Result<String, Error> {
    let root = root(text, &[key])?;
    let wrong = || Error::wrong(key, "a list");
    let array = member(&root, key).filter(|node| matches!(node.kind, Kind::Array(_)));
    let array = array.ok_or_else(wrong)?;
    let style = Style::of(text, &root);
    let spread = array.items().iter().any(|item| text[item.clone()].contains('\n'));
    let item = if spread { style.render(value, 2) } else { value.to_string() };
    Ok(insert(text, array, &item, 1, &style))
}

/// Removes from the array at the top-level `key` whatever `unwanted` says of.
pub fn drop_from(
    text: &str,
    key: &str,
    unwanted: impl Fn(&Value) -> bool + Copy,
) -> Result<String, Error> {
    let value = parse(text)?;
    let root = root(text, &[key])?;
    let found = value[key].as_array().and_then(|items| items.iter().position(unwanted));
    let Some(at) = found else { return Ok(text.to_owned()) };
    let array = member(&root, key).expect("invariant: a list with an item is in the text");
    drop_from(&cut(text, array, &array.items(), at), key, unwanted)
}

/// The texts of the array at the top-level `key`, of a text that has it once.
pub fn listed(text: &str, key: &str) -> Result<Vec<String>, Error> {
    root(text, &[key])?;
    strings(&parse(text)?, key)
}

/// The texts of the array at `key`.
fn strings(object: &Value, key: &str) -> Result<Vec<String>, Error> {
    let wrong = || Error::Type { key: key.to_owned(), wanted: "a list of texts" };
    match &object[key] {
        Value::Null => Ok(Vec::new()),
        Value::Array(items) => {
            items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
        }
        _ => Err(wrong()),
    }
}

/// The whole text, in which no key of `path` may be there twice: readers do not agree on which one counts.
fn root(text: &str, path: &[&str]) -> Result<Node, Error> {
    parse(text)?;
    let root = match text.trim().is_empty() {
        true => scan("{}\n"),
        false => scan(text),
    };
    let mut node = Some(&root);
    for (depth, key) in path.iter().enumerate() {
        let Some(Node { kind: Kind::Object(members), .. }) = node else { break };
        let mut same = members.iter().filter(|member| member.key == *key);
        node = same.next().map(|member| &member.value);
        if same.next().is_some() {
            return Err(Error::Twice(path[..=depth].join(".")));
        }
    }
    Ok(root)
}

fn not_an_object(path: &[&str]) -> Error {
    Error::Type { key: path.join("."), wanted: "an object" }
}

fn member<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    let Kind::Object(members) = &node.kind else { return None };
    members.iter().find(|member| member.key == key).map(|member| &member.value)
}

fn nested(path: &[&str], value: &Value) -> Value {
    let wrap = |inner: Value, key: &&str| {
        Value::Object([((*key).to_owned(), inner)].into_iter().collect())
    };
    path.iter().rev().fold(value.clone(), wrap)
}

fn splice(text: &str, at: Range<usize>, new: &str) -> String {
    format!("{}{new}{}", &text[..at.start], &text[at.end..])
}

/// `text` with `item` as the last one of a container at `depth`.
fn insert(text: &str, container: &Node, item: &str, depth: usize, style: &Style) -> String {
    let spans = container.items();
    let Some(last) = spans.last() else {
        let inside = match (&container.kind, style.compact) {
            (Kind::Object(_), false) => {
                let (line, unit) = (style.line, &style.indent);
                format!("{{{line}{}{item}{line}{}}}", unit.repeat(depth + 1), unit.repeat(depth))
            }
            (Kind::Object(_), true) => format!("{{{item}}}"),
            _ => format!("[{item}]"),
        };
        return splice(text, container.span.clone(), &inside);
    };
    let before = match spans.len() {
        1 => container.span.start + 1,
        count => spans[count - 2].end,
    };
    // The white space in front of the last item is the container's way of separating items.
    let lead = &text[before..last.start];
    let space = &lead[lead.rfind(',').map_or(0, |comma| comma + 1)..];
    let space = match (spans.len(), space.contains('\n'), style.compact) {
        (1, false, false) => " ",
        (1, false, true) => "",
        _ => space,
    };
    splice(text, last.end..last.end, &format!(",{space}{item}"))
}

/// `text` without the item at `at` of a container whose items are at `spans`.
fn cut(text: &str, container: &Node, spans: &[Range<usize>], at: usize) -> String {
    let range = match (spans.get(at + 1), at) {
        (Some(next), _) => spans[at].start..next.start,
        (None, 0) => container.span.start + 1..container.span.end - 1,
        (None, _) => spans[at - 1].end..spans[at].end,
    };
    splice(text, range, "")
}

/// How a text is laid out.
struct Style<'a> {
    /// No white space at all.
    compact: bool,
    indent: String,
    line: &'a str,
}

impl Style<'_> {
    fn of(text: &str, root: &Node) -> Style<'static> {
        let spans = root.items();
        let line = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let first = spans.first().map(|first| &text[root.span.start + 1..first.start]);
        let indent =
            first.and_then(|lead| lead.rsplit_once('\n')).map(|(_, indent)| indent.to_owned());
        let compact = !spans.is_empty() && !text.trim().contains([' ', '\n', '\t']);
        Style { compact, indent: indent.unwrap_or_else(|| INDENT.to_owned()), line }
    }

    /// `value` as it is written `depth` objects deep.
    fn render(&self, value: &Value, depth: usize) -> String {
        match value {
            Value::Object(map) if !map.is_empty() && !self.compact => {
                let inner = |(key, value): (&String, &Value)| {
                    let indent = self.indent.repeat(depth + 1);
                    format!(
                        "{indent}{}: {}",
                        Value::from(key.as_str()),
                        self.render(value, depth + 1)
                    )
                };
                let members: Vec<String> = map.iter().map(inner).collect();
                let (line, end) = (self.line, self.indent.repeat(depth));
                format!("{{{line}{}{line}{end}}}", members.join(&format!(",{line}")))
            }
            _ => value.to_string(),
        }
    }
}

#[cfg(test)]
mod tests;
