//! An expression's text -> its tokens.

use super::CelError;
use super::value::Value;

#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    Name(String),
    Literal(Value),
    Sign(&'static str),
}

/// Longer signs before those that they begin with.
const SIGNS: [&str; 25] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "+", "-", "*", "/", "%", "(", ")", "[", "]",
    "{", "}", ".", ",", "?", ":", ";",
];

/// Splits an expression.
pub fn tokens(text: &str) -> Result<Vec<Token>, CelError> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        if let Some(comment) = rest.strip_prefix("//") {
            rest = comment.find('\n').map_or("", |end| &comment[end..]);
            continue;
        }
        let Some(first) = rest.chars().next() else { return Ok(tokens) };
        let (token, length) = match first {
            'r' | 'R' if rest[1..].starts_with(['"', '\'']) => {
                let (value, length) = quoted(&rest[1..], true)?;
                (Token::Literal(value), length + 1)
            }
            'b' | 'B' if rest[1..].starts_with(['"', '\'']) => {
                return Err(CelError::Lacking("a literal of bytes".to_owned()));
            }
            '"' | '\'' => {
                let (value, length) = quoted(rest, false)?;
                (Token::Literal(value), length)
            }
            '0'..='9' => number(rest)?,
            'a'..='z' | 'A'..='Z' | '_' => name(rest),
            _ => sign(rest).ok_or_else(|| CelError::Unexpected(first.to_string()))?,
        };
        tokens.push(token);
        rest = &rest[length..];
    }
}

fn sign(text: &str) -> Option<(Token, usize)> {
    let found = SIGNS.into_iter().find(|sign| text.starts_with(sign))?;
    Some((Token::Sign(found), found.len()))
}

fn name(text: &str) -> (Token, usize) {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    let token = match &text[..end] {
        "true" => Token::Literal(Value::Bool(true)),
        "false" => Token::Literal(Value::Bool(false)),
        "null" => Token::Literal(Value::Null),
        name => Token::Name(name.to_owned()),
    };
    (token, end)
}

fn number(text: &str) -> Result<(Token, usize), CelError> {
    let word = |end: usize| CelError::Unexpected(text[..end].to_owned());
    if let Some(digits) = text.strip_prefix("0x") {
        let end = digits.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(digits.len());
        let value = i64::from_str_radix(&digits[..end], 16).map_err(|_| word(end + 2))?;
        return Ok((Token::Literal(Value::Int(value)), end + 2));
    }
    let digits = |from: usize| {
        let more = &text[from..];
        from + more.find(|c: char| !c.is_ascii_digit()).unwrap_or(more.len())
    };
    let mut end = digits(0);
    let mut whole = true;
    if text[end..].starts_with('.') && text[end + 1..].starts_with(|c: char| c.is_ascii_digit()) {
        (end, whole) = (digits(end + 1), false);
    }
    if text[end..].starts_with(['e', 'E']) {
        let signed = usize::from(text[end + 1..].starts_with(['+', '-']));
        (end, whole) = (digits(end + 1 + signed), false);
    }
    if !whole {
        let value = text[..end].parse().map_err(|_| word(end))?;
        return Ok((Token::Literal(Value::Double(value)), end));
    }
    if text[end..].starts_with(['u', 'U']) {
        let value = text[..end].parse().map_err(|_| word(end))?;
        return Ok((Token::Literal(Value::Uint(value)), end + 1));
    }
    let value = text[..end].parse().map_err(|_| word(end))?;
    Ok((Token::Literal(Value::Int(value)), end))
}

/// A string in single, double or triple quotes; its length includes them.
fn quoted(text: &str, raw: bool) -> Result<(Value, usize), CelError> {
    let quote = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| text.starts_with(quote));
    let quote = quote.ok_or(CelError::End)?;
    let mut out = String::new();
    let mut at = quote.len();
    loop {
        let rest = &text[at..];
        if rest.starts_with(quote) {
            return Ok((Value::text(out), at + quote.len()));
        }
        let letter = rest.chars().next().ok_or(CelError::End)?;
        if letter != '\\' || raw {
            out.push(letter);
            at += letter.len_utf8();
            continue;
        }
        let (letter, length) = escaped(&rest[1..])?;
        out.push(letter);
        at += 1 + length;
    }
}

/// What follows a backslash, and its length.
fn escaped(text: &str) -> Result<(char, usize), CelError> {
    let first = text.chars().next().ok_or(CelError::End)?;
    let plain = |letter| Ok((letter, 1));
    match first {
        'n' => plain('\n'),
        't' => plain('\t'),
        'r' => plain('\r'),
        'a' => plain('\u{7}'),
        'b' => plain('\u{8}'),
        'f' => plain('\u{c}'),
        'v' => plain('\u{b}'),
        '\\' | '"' | '\'' | '`' | '?' => plain(first),
        'x' | 'X' => coded(text, 2),
        'u' => coded(text, 4),
        'U' => coded(text, 8),
        _ => Err(CelError::Unexpected(format!("\\{first}"))),
    }
}

fn coded(text: &str, digits: usize) -> Result<(char, usize), CelError> {
    let code = text.get(1..=digits).ok_or(CelError::End)?;
    let letter = u32::from_str_radix(code, 16).ok().and_then(char::from_u32);
    let letter = letter.ok_or_else(|| CelError::Unexpected(format!("\\{code}")))?;
    Ok((letter, digits + 1))
}
