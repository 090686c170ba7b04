//! Why a text is refused.

use thiserror::Error;

/// A text that is not edited, and what to check in it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Error {
    #[error("not valid JSON: {0}")]
    Json(String),
    #[error("not valid TOML: {0}")]
    Toml(String),
    #[error("{key} is not {wanted}: correct it first")]
    Type { key: String, wanted: &'static str },
    #[error("{0:?} is not a registry's host: write HOST or HOST:PORT, without a scheme and a path")]
    Host(String),
    #[error(
        "{0:?} are no credentials: write USER:PASSWORD, or a Docker config.json that names the host"
    )]
    Credentials(&'static str),
}
