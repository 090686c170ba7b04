//! Lines for people. A reader that went away (`lateen up | head`) must not end a mesh, so a line that
//! cannot be written is lost.

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
