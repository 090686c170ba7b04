//! The Container Network Interface (<https://www.cni.dev/docs/spec/>) as values.
//!
//! In: a runtime's call as variables and a JSON text, the texts of a node's network configurations. Out: the
//! call or the error as the runtime reads it, the texts with the plugin added or removed, what the plugin and
//! the node's agent say to each other, and whether a node has an agent. Nothing is read or written here.

pub mod conflist;
pub mod exchange;
pub mod placement;
pub mod protocol;

/// The plugin's name: its type in a network configuration, and the file that a runtime starts.
pub const PLUGIN: &str = "istio-cni";

/// The versions of the specification whose calls are understood. Older ones have no chains.
pub const VERSIONS: [&str; 4] = ["0.3.1", "0.4.0", "1.0.0", "1.1.0"];
