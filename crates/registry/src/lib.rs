//! The files by which a node's container runtimes know private registries, edited as texts.
//!
//! In: the text of a file, or none, and a registry's host with what is wanted of it. Out: the new text, in
//! which every other setting and all formatting is what it was, or the reason why the text is refused.
//! Nothing is read or written here.
//!
//! **Invariant:** what is there already is not written again: the text that comes out of a second edit is
//! the text that went in.

pub mod auth;
pub mod containerd;
pub mod crio;
mod diff;
pub mod docker;
mod error;
mod host;
pub mod hosts;
pub mod json;
mod toml;

pub use diff::diff;
pub use error::Error;
pub use host::Host;

/// How a runtime knows that it talks to the right registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// By the authorities that every program of the node trusts: nothing is set for it.
    System,
    /// By an authority in a file of its own.
    Authority,
    /// Not at all: TLS with any certificate, and without TLS where there is none.
    Insecure,
}

/// The name of the authority's file in each runtime's folder of the host.
pub const AUTHORITY_FILE: &str = "lateen-ca.crt";
