//! The certificate authority and the rustls configurations made from it.
//!
//! In: a directory or PEM texts with a CA's key and certificate, host names. Out: a [`Ca`] (on one machine)
//! or an [`Authority`] (on a cluster) that signs server certificates, and rustls server and client
//! configurations. Private keys in files are of mode 0600.

mod authority;
mod ca;
mod file;
mod pinned;
mod tls;
mod unverified;

pub use authority::{Authority, AuthorityPem};
pub use ca::{Ca, Issued};
pub use file::{
    private_dir, random_token, read_or_create_secret, read_or_create_token, write_private,
};
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
    /// A certificate and a key that do not make an authority.
    #[error("this is no certificate authority: {0}")]
    Authority(String),
    /// A PEM bundle of certificates holds none, or garbage.
    #[error("the bundle of CA certificates is not usable PEM: {0}")]
    Bundle(String),
}
