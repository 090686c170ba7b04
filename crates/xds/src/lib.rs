//! xDS: the ADS server and client state machines and their gRPC glue.
//!
//! In: for the server, views of one proxy's resources; for the client, a node and subscriptions. Out:
//! Envoy's AggregatedDiscoveryService, delta and state-of-the-world.

pub mod client;
pub mod passed;
pub mod server;
