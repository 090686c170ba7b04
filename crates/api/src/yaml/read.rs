//! YAML as kubectl, the API server and Istio read it, which is as version 1.1 has it: `0400` is 256 and `y` is true.
//! In: text. Out: values. The parser reads 1.2; so what the two take for different things is first written in the
//! text as what both take for the same, with each line where it was.

use std::borrow::Cow;
use std::ops::Range;

use granit_parser::{ScalarStyle, Scanner, StrInput, Token, TokenType};
use serde_json::Value;
use serde_saphyr::Options;

use super::is_date;
use super::scalar::Scalar;
use crate::plain;

/// The value of a text with one document.
///
/// # Errors
/// Why it is none, in plain words.
pub fn one(text: &str) -> Result<Value, String> {
    serde_saphyr::from_str(&settled(text)).map_err(|error| plain::yaml(&error))
}

/// The value of each document of a text.
///
/// # Errors
/// Why they are none, in plain words.
pub fn all(text: &str) -> Result<Vec<Value>, String> {
    all_with(text, Options::default())
}

/// The same with what the parser is to allow.
///
/// # Errors
/// Why they are none, in plain words.
pub fn all_with(text: &str, options: Options) -> Result<Vec<Value>, String> {
    serde_saphyr::from_multiple_with_options(&settled(text), options)
        .map_err(|error| plain::yaml(&error))
}

/// The text with every scalar that the parser would take for something else written as what it is. What cannot be
/// scanned stays as it is: the parser says why.
fn settled(text: &str) -> Cow<'_, str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut scanner = Scanner::new(StrInput::new(text));
    let mut settling = Settling { text, written: String::new(), done: 0, tag: None, is_key: false };
    for token in &mut scanner {
        if settling.token(token).is_none() {
            return Cow::Borrowed(text);
        }
    }
    match scanner.get_error() {
        None if settling.done > 0 => {
            settling.written.push_str(&text[settling.done..]);
            Cow::Owned(settling.written)
        }
        _ => Cow::Borrowed(text),
    }
}

struct Settling<'a> {
    text: &'a str,
    written: String,
    /// How much of the text is written.
    done: usize,
    /// Of the next scalar: where the tag stands, and which it is.
    tag: Option<(Range<usize>, Tag)>,
    is_key: bool,
}

/// What a tag makes of a scalar.
#[derive(Clone, Copy, PartialEq)]
enum Tag {
    Text,
    Int,
    Float,
    Bool,
    Date,
    /// What the parser reads as it must.
    Known,
}

impl Tag {
    fn of(handle: &str, suffix: &str) -> Self {
        let verbatim = if handle.is_empty() { "tag:yaml.org,2002:" } else { "" };
        match suffix.strip_prefix(verbatim) {
            Some(name) if matches!(handle, "" | "!!") => match name {
                "int" => Tag::Int,
                "float" => Tag::Float,
                "bool" => Tag::Bool,
                "timestamp" => Tag::Date,
                "null" | "binary" | "merge" | "map" | "seq" => Tag::Known,
                _ => Tag::Text,
            },
            _ => Tag::Text,
        }
    }
}

impl Settling<'_> {
    /// Nothing for what is not to be settled.
    fn token(&mut self, Token(span, token): Token<'_>) -> Option<()> {
        let is_key = token == TokenType::Key;
        match token {
            TokenType::TagDirective(..) => return None,
            TokenType::Tag(handle, suffix) => {
                self.tag = Some((span.byte_range()?, Tag::of(&handle, &suffix)));
                return Some(());
            }
            TokenType::Anchor(_) | TokenType::Comment(_) => return Some(()),
            TokenType::Scalar(style, value) => self.scalar(span.byte_range()?, style, &value),
            TokenType::Value
            | TokenType::Key
            | TokenType::BlockEnd
            | TokenType::FlowEntry
            | TokenType::FlowMappingEnd
            | TokenType::FlowSequenceEnd
            | TokenType::DocumentStart
            | TokenType::DocumentEnd
            | TokenType::StreamEnd => {
                // A text of no letters.
                if let Some((place, Tag::Text)) = self.tag.take() {
                    self.replace(place, "\"\"");
                }
            }
            _ => {}
        }
        self.tag = None;
        self.is_key = is_key;
        Some(())
    }

    fn scalar(&mut self, place: Range<usize>, style: ScalarStyle, value: &str) {
        let tag = self.tag.take();
        let kind = tag.as_ref().map(|(_, tag)| *tag);
        let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
        let source = self.text[place.clone()].trim_end();
        let place = place.start..place.start + source.len();
        let new = match kind {
            None if style != ScalarStyle::Plain || source != value => return,
            Some(Tag::Text) if is_block => source.to_owned(),
            _ if is_block => return,
            _ => match self.meant(kind, value) {
                Some(new) => new,
                None => return,
            },
        };
        if let Some((place, _)) = tag {
            self.replace(place, "");
        }
        if new != source {
            self.replace(place, &new);
        }
    }

    /// What to write for a scalar; nothing to leave it, with its tag.
    fn meant(&self, tag: Option<Tag>, value: &str) -> Option<String> {
        let quoted = |text: &str| Some(Value::from(text).to_string());
        let scalar = match tag {
            Some(Tag::Text) => Scalar::Text,
            Some(Tag::Date) if is_date(value) => Scalar::Text,
            _ => Scalar::plain(value),
        };
        let fits = match tag {
            None => !matches!(scalar, Scalar::Null),
            Some(Tag::Text | Tag::Date) => scalar == Scalar::Text,
            Some(Tag::Int) => matches!(scalar, Scalar::Int(_)),
            Some(Tag::Float) => matches!(scalar, Scalar::Int(_) | Scalar::Float(_)),
            Some(Tag::Bool) => matches!(scalar, Scalar::Bool(_)),
            Some(Tag::Known) => false,
        };
        if !fits {
            return None;
        }
        match (scalar.json(), scalar.key()) {
            (Some(_), Some(key)) if self.is_key => {
                if key == value {
                    Some(key)
                } else {
                    quoted(&key)
                }
            }
            (Some(json), _) => Some(json),
            (None, _) if tag.is_some() || is_misread(value) => quoted(value),
            (None, _) => None,
        }
    }

    /// Writes the text up to a place, and something new there, with as many lines and, if it is short, columns.
    fn replace(&mut self, place: Range<usize>, new: &str) {
        let old = &self.text[place.clone()];
        self.written.push_str(&self.text[self.done..place.start]);
        self.written.push_str(new);
        let lines = old.matches('\n').count().saturating_sub(new.matches('\n').count());
        self.written.extend(std::iter::repeat_n('\n', lines));
        if lines == 0 {
            let short = old.chars().count().saturating_sub(new.chars().count());
            self.written.extend(std::iter::repeat_n(' ', short));
        }
        self.done = place.end;
    }
}

/// Whether the parser may take a text in no quotes for something else.
fn is_misread(text: &str) -> bool {
    let words = ["true", "false", "null", "yes", "no", "on", "off"];
    words.iter().any(|word| text.eq_ignore_ascii_case(word))
        || text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first))
}

#[cfg(test)]
mod tests;
