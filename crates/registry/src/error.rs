//! Why a text is refused.

use thiserror::Error;

/// A text that is not edited, and what to check in it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Error {
    #[error("not valid JSON: {0}: correct it first")]
    Json(String),
    #[error("not valid TOML: {0}: correct it first")]
    Toml(String),
    #[error("begins with a byte order mark: save it as UTF-8 without one")]
    Mark,
    #[error("{key} is not {wanted}: correct it first")]
    Type { key: String, wanted: &'static str },
    #[error("{0} is there twice: keep one of them first")]
    Twice(String),
    #[error(
        "version = {0}: containerd's configurations are known here up to version 4: use a newer lateen, or set the registry by hand"
    )]
    Version(i64),
    #[error(
        "{0:?} is not a registry's host: write HOST or HOST:PORT, of letters, digits, - and ., without a scheme and a path"
    )]
    Host(String),
    #[error("a registry's host of {bytes} bytes: it can have {most}")]
    LongHost { bytes: usize, most: usize },
    #[error("docker takes {0} only with a port: write {0}:443")]
    BareIpv6(String),
    #[error(
        "{0} are no credentials: write USER:PASSWORD, or a Docker config.json that names the host"
    )]
    Credentials(&'static str),
}

impl Error {
    /// Editors of other systems begin files so; most readers of these files do not know it.
    pub(crate) fn refuse_mark(text: &str) -> Result<(), Error> {
        if text.starts_with('\u{feff}') { Err(Error::Mark) } else { Ok(()) }
    }

    pub(crate) fn wrong(key: impl Into<String>, wanted: &'static str) -> Error {
        Error::Type { key: key.into(), wanted }
    }
}
