//! Lines for people. A reader that went away (`lateen up | head`) must not end a mesh, so a line that
//! cannot be written is lost; for any other reason the command fails at its end. Many a line has others' words in it,
//! which no terminal is to obey.

use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;
use std::sync::OnceLock;

pub use lateen_runtime::printable::printable;

use lateen_runtime::printable::is_obeyed;
use serde_json::Value;

/// Why a text was lost first.
static LOST: OnceLock<std::io::Error> = OnceLock::new();

/// A line on standard output.
pub fn say(line: impl Display) {
    text(&format!("{}\n", lines(line)));
}

/// A value on standard output, as JSON of one line.
pub fn say_json(value: &Value) {
    text(&format!("{}\n", json_text(&value.to_string())));
}

/// The same over several lines.
pub fn say_json_lines(value: &Value) {
    text(&format!("{}\n", json_text(&format!("{value:#}"))));
}

/// JSON without what a terminal obeys: outside texts JSON has no such characters but the ends of lines.
fn json_text(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for character in json.chars() {
        match character != '\n' && is_obeyed(character) {
            true => shown.push_str(&format!("\\u{:04x}", u32::from(character))),
            false => shown.push(character),
        }
    }
    shown
}

/// A whole text on standard output.
pub fn text(text: &str) {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => drop(LOST.set(error)),
        _ => {}
    }
}

/// The exit code of a command that has said all: one that seems to have gone well has not if a text was lost.
pub fn ended(code: ExitCode) -> ExitCode {
    let Some(error) = LOST.get() else { return code };
    note(format_args!("cannot write to standard output: {error}"));
    if code == ExitCode::SUCCESS { ExitCode::FAILURE } else { code }
}

/// A line on standard error, of a file or a setting.
pub fn told(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{}", lines(line));
}

/// A line on standard error, from `lateen` itself.
pub fn note(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "lateen: {}", lines(line));
}

/// Without control characters but for the ends of lines.
fn lines(text: impl Display) -> String {
    let text = text.to_string();
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{causes, json_text, lines};

    #[test]
    fn a_line_has_nothing_that_a_terminal_obeys() {
        assert_eq!(lines("{\n  \"a\": 1\n}"), "{\n  \"a\": 1\n}");
        assert_eq!(lines("waiting: \u{1b}[2J\rno"), "waiting: \\u{1b}[2J\\rno");
    }

    #[test]
    fn json_stays_json_and_has_nothing_that_a_terminal_obeys() {
        let value = json!({ "a\u{200d}": ["\u{1b}[2J", "\u{9b}\u{7f}\u{202e}", "Grüße\n"] });
        for text in [value.to_string(), format!("{value:#}")] {
            let shown = json_text(&text);
            assert!(shown.is_ascii() || !shown.contains(['\u{200d}', '\u{202e}']), "{shown}");
            assert!(shown.contains("\\u200d") && shown.contains("\\u009b\\u007f"), "{shown}");
            assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), value);
        }
    }

    #[test]
    fn a_cause_is_said_once() {
        let cause = anyhow::anyhow!("no such file");
        let error = cause.context("cannot read a: no such file").context("nothing was done");
        assert_eq!(causes(&error), "nothing was done: cannot read a: no such file");
    }
}
