//! The messages. In: `messages.txt`; out, what each field is, by the message's name.

use std::collections::HashMap;
use std::sync::LazyLock;

/// A message.
#[derive(Debug)]
pub struct Message {
    /// Its apiVersion and kind, with a dot between them.
    pub name: &'static str,
    /// Its fields, in the order of their JSON.
    pub fields: Vec<Field>,
}

/// A field.
#[derive(Debug)]
pub struct Field {
    /// On the wire.
    pub number: u32,
    /// In JSON; "-" if its fields stand in the outer object.
    pub name: &'static str,
    /// What JSON shows when there is nothing.
    pub shown: Shown,
    /// How many values there are.
    pub shape: Shape,
    /// What each is.
    pub of: Type,
}

/// When a field is in the JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Always.
    Always,
    /// When it is on the wire.
    Present,
    /// When it is not empty.
    Filled,
    /// Always, as null when it is not on the wire.
    Null,
}

/// How many values a field has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One.
    One,
    /// An array.
    List,
    /// An object; the keys are text.
    Map,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// UTF-8.
    Text,
    /// A number; in JSON a number as well, however large.
    Int,
    /// A truth value.
    Bool,
    /// In JSON in base64.
    Bytes,
    /// Seconds, `meta/v1.Time`.
    Time,
    /// Microseconds, `meta/v1.MicroTime`.
    MicroTime,
    /// `resource.Quantity`, text in JSON.
    Quantity,
    /// `intstr.IntOrString`, either in JSON.
    IntOrString,
    /// JSON as it is.
    Raw,
    /// A message that is nothing but a list of text.
    Items,
    /// Another message.
    Message(&'static str),
}

static MESSAGES: LazyLock<HashMap<&'static str, Message>> =
    LazyLock::new(|| parse(include_str!("messages.txt")));

/// A message by its name.
pub fn message(name: &str) -> Option<&'static Message> {
    MESSAGES.get(name)
}

/// Every message.
#[cfg(test)]
pub fn all() -> impl Iterator<Item = &'static Message> {
    MESSAGES.values()
}

fn parse(text: &'static str) -> HashMap<&'static str, Message> {
    let blocks = text.split("\n\n").filter(|block| !block.starts_with('#'));
    blocks
        .map(|block| {
            let mut lines = block.trim().lines();
            let name = lines.next().unwrap_or_default();
            (name, Message { name, fields: lines.map(field).collect() })
        })
        .collect()
}

fn field(line: &'static str) -> Field {
    let mut words = line.split(' ');
    let mut word = || words.next().expect("invariant: every field has a number, a name and a type");
    let number = word().parse().expect("invariant: a field begins with its number");
    let name = word();
    let rest = word();
    let (shown, rest) = match rest.split_at(1) {
        ("*", rest) => (Shown::Present, rest),
        ("?", rest) => (Shown::Filled, rest),
        ("~", rest) => (Shown::Null, rest),
        _ => (Shown::Always, rest),
    };
    let (shape, rest) = match rest.split_at(2.min(rest.len())) {
        ("[]", rest) => (Shape::List, rest),
        ("{}", rest) => (Shape::Map, rest),
        _ => (Shape::One, rest),
    };
    Field { number, name, shown, shape, of: type_of(rest) }
}

fn type_of(word: &'static str) -> Type {
    match word {
        "string" => Type::Text,
        "int" => Type::Int,
        "bool" => Type::Bool,
        "bytes" => Type::Bytes,
        "time" => Type::Time,
        "microtime" => Type::MicroTime,
        "quantity" => Type::Quantity,
        "intorstring" => Type::IntOrString,
        "raw" => Type::Raw,
        "items" => Type::Items,
        message => Type::Message(message),
    }
}
