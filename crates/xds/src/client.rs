//! The delta ADS client: a state machine without I/O ([`delta`]) and its gRPC glue ([`link`]).
//! In: subscriptions and an address. Out: resources, and which names do not exist.

pub mod backoff;
pub mod delta;
pub mod link;

pub use delta::{DeltaClient, ProtocolError, Update};
pub use link::{AdsAddress, Event, connect};
