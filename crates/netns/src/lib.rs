//! Interception rules (nftables) and the network namespaces of local workloads.
//!
//! In: plain descriptions (which ports to capture, which bridge, which home directory). Out: kernel
//! state that exists only as long as its owner does, and the sockets made inside a namespace.
//! Everything here blocks for milliseconds at most and needs no async runtime of the caller.

pub mod address;
pub mod find;
pub mod host;
pub mod iptables;
pub mod nft;
pub mod ns;
pub mod pod;
pub mod preflight;
pub mod remains;
pub mod rules;
pub mod validate;

mod links;
#[cfg(test)]
mod scratch;
