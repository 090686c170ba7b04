//! The delta ADS client: a state machine without I/O ([`delta`]) and its gRPC glue ([`link`], [`dial`]).
//! In: subscriptions and an address. Out: resources, and which names do not exist.

pub mod address;
pub mod backoff;
pub mod delta;
mod dial;
pub mod link;
mod replica;
mod uplink;

pub use address::AdsAddress;
pub use delta::{DeltaClient, ProtocolError, Update};
pub use link::{Event, connect};
pub use replica::Replica;
pub use uplink::Uplink;
