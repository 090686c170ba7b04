//! Lines for people. A reader that went away (`lateen up | head`) must not end a mesh, so a line that
//! cannot be written is lost.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::Write;

/// A line on standard output.
pub fn say(line: impl Display) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// A whole text on standard output.
pub fn text(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// A line on standard error, of a file or a setting.
pub fn told(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A line on standard error, from `lateen` itself.
pub fn note(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "lateen: {line}");
}

/// An error and its causes; what an error says of its own cause is not said again.
pub fn causes(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.ends_with(&cause) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause);
    }
    text
}

/// Others' words without what a terminal would obey: control characters are written as escapes.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character.is_control() {
            true => shown.extend(character.escape_default()),
            false => shown.push(character),
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::{causes, printable};

    #[test]
    fn a_cause_is_said_once() {
        let cause = anyhow::anyhow!("no such file");
        let error = cause.context("cannot read a: no such file").context("nothing was done");
        assert_eq!(causes(&error), "nothing was done: cannot read a: no such file");
    }

    #[test]
    fn control_characters_are_shown_and_all_else_stays() {
        assert_eq!(printable("a\u{1b}[2Jb\r\u{9b}\u{7f}"), "a\\u{1b}[2Jb\\r\\u{9b}\\u{7f}");
        assert_eq!(printable("Grüße, \"b\""), "Grüße, \"b\"");
    }
}
