//! Logging to standard error: text for people, JSON where asked. In: the value of `LATEEN_LOG` (a
//! tracing filter such as `info,lateen_proxy=debug`) and a format.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
}

/// Sets up logging for the whole process; call it once. A filter that does not parse is reported and
/// `info` is used instead.
pub fn init(wanted: &str, format: Format) {
    let parsed = EnvFilter::try_new(wanted);
    let error = parsed.as_ref().err().map(ToString::to_string);
    let filter = parsed.unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // A second call (in tests) keeps the first subscriber.
    let _ = match format {
        Format::Text => builder.with_ansi(false).try_init(),
        Format::Json => builder.json().try_init(),
    };
    if let Some(error) = error {
        tracing::warn!(filter = wanted, %error, "LATEEN_LOG is not a valid filter, using info");
    }
}
