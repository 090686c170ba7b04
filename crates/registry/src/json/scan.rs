//! Where the values of a JSON text are. In: a text that is valid JSON. Out: its values with their places.

use std::ops::Range;

/// A value and its place in the text.
#[derive(Debug)]
pub struct Node {
    pub span: Range<usize>,
    pub kind: Kind,
}

#[derive(Debug)]
pub enum Kind {
    Object(Vec<Member>),
    Array(Vec<Node>),
    Plain,
}

/// A key and its value; the place is that of both.
#[derive(Debug)]
pub struct Member {
    pub key: String,
    pub span: Range<usize>,
    pub value: Node,
}

impl Node {
    /// The places of a container's items.
    pub fn items(&self) -> Vec<Range<usize>> {
        match &self.kind {
            Kind::Object(members) => members.iter().map(|member| member.span.clone()).collect(),
            Kind::Array(items) => items.iter().map(|item| item.span.clone()).collect(),
            Kind::Plain => Vec::new(),
        }
    }
}

/// `text` must be valid JSON: what is not is refused before, by a parser that can say why.
pub fn scan(text: &str) -> Node {
    Scanner { text, at: 0 }.value()
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl Scanner<'_> {
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    fn value(&mut self) -> Node {
        let first = self.peek();
        let start = self.at;
        let kind = match first {
            Some(b'{') => Kind::Object(self.items(Scanner::member)),
            Some(b'[') => Kind::Array(self.items(Scanner::value)),
            Some(b'"') => {
                self.string();
                Kind::Plain
            }
            _ => {
                let rest = &self.text.as_bytes()[start..];
                let ends =
                    |byte: &u8| matches!(byte, b',' | b']' | b'}') || byte.is_ascii_whitespace();
                self.at += rest.iter().position(ends).unwrap_or(rest.len());
                Kind::Plain
            }
        };
        Node { span: start..self.at, kind }
    }

    /// The items up to the bracket that ends them.
    fn items<T>(&mut self, mut item: impl FnMut(&mut Self) -> T) -> Vec<T> {
        self.at += 1;
        let mut found = Vec::new();
        loop {
            match self.peek() {
                None => return found,
                Some(b'}' | b']') => {
                    self.at += 1;
                    return found;
                }
                Some(b',') => self.at += 1,
                Some(_) => found.push(item(self)),
            }
        }
    }

    fn member(&mut self) -> Member {
        let start = self.at;
        self.string();
        // Keys may be written with escapes.
        let key = serde_json::from_str(&self.text[start..self.at]).unwrap_or_default();
        self.peek();
        self.at += 1;
        let value = self.value();
        Member { key, span: start..self.at, value }
    }

    /// Goes behind the string that starts here.
    fn string(&mut self) {
        let bytes = self.text.as_bytes();
        self.at += 1;
        while let Some(&byte) = bytes.get(self.at) {
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == b'"' {
                return;
            }
        }
    }
}
