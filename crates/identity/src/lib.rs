//! The certificate authority and the rustls configurations made from it.
//!
//! In: a directory for the CA's key and certificate, host names. Out: a [`Ca`] that signs server
//! certificates, and rustls server and client configurations. Private keys are files of mode 0600.

mod ca;
mod file;
mod pinned;
mod tls;
mod unverified;

pub use ca::{Ca, Issued};
pub use file::{private_dir, read_or_create_secret, write_private};
pub use tls::{client_config, server_config};
pub use unverified::unverified_client_config;

/// What can go wrong with keys and certificates.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A key or certificate file cannot be read or written.
    #[error("{path}: {source}; check the owner and mode of the data directory")]
    File {
        /// The file or directory.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A certificate cannot be made, or a stored key cannot be understood.
    #[error("certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// rustls refuses the key or certificate.
    #[error("tls: {0}")]
    Tls(#[from] rustls::Error),
    /// A PEM bundle of certificates holds none, or garbage.
    #[error("the bundle of CA certificates is not usable PEM: {0}")]
    Bundle(String),
}
