//! Logging as text or JSON to standard error, and to a file beside it. In: the value of `LATEEN_LOG` (a tracing
//! filter such as `info,lateen_proxy=debug`).

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::rotated::Rotated;

/// A file that takes the log too, by a filter of its own.
pub struct Copy {
    pub file: Rotated,
    pub filter: &'static str,
}

/// What standard error gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Text,
    /// One object per line.
    Json,
}

/// Sets up logging for the whole process; call it once. A filter that does not parse is reported and
/// `info` is used instead.
pub fn init(wanted: &str, form: Form, copy: Option<Copy>) {
    let parsed = EnvFilter::try_new(wanted);
    let error = parsed.as_ref().err().map(ToString::to_string);
    let filter = parsed.unwrap_or_else(|_| EnvFilter::new("info"));
    let stderr = fmt::layer().with_writer(io::stderr).with_target(false);
    let stderr = stderr.with_ansi(false).log_internal_errors(false);
    let stderr = match form {
        Form::Text => stderr.boxed(),
        Form::Json => stderr.json().flatten_event(true).boxed(),
    };
    let copy = copy.map(|copy| {
        let layer = fmt::layer().with_writer(Shared(Mutex::new(copy.file)));
        let layer = layer.with_target(false).with_ansi(false).log_internal_errors(false);
        layer.with_filter(EnvFilter::new(copy.filter))
    });
    // A second call (in tests) keeps the first subscriber.
    let _ = tracing_subscriber::registry().with(stderr.with_filter(filter)).with(copy).try_init();
    if let Some(error) = error {
        tracing::warn!(filter = wanted, %error, "LATEEN_LOG is not a valid filter, using info");
    }
}

/// Gives each event the file for itself.
struct Shared(Mutex<Rotated>);

struct Line<'a>(MutexGuard<'a, Rotated>);

impl<'a> MakeWriter<'a> for Shared {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        // A file is no worse for a panic between two lines.
        Line(self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl io::Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.append(line).map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use tracing_subscriber::fmt::MakeWriter;

    use super::{Rotated, Shared};

    #[test]
    fn a_line_reaches_the_file() {
        let path = std::env::temp_dir().join(format!("lateen-log-{}", std::process::id()));
        let shared = Shared(Rotated::new(path.clone(), 100).into());
        shared.make_writer().write_all(b"said\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"said\n");
        std::fs::remove_file(path).unwrap();
    }
}
