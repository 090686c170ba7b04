//! The data path: listeners, original destination, TCP proxying, mesh DNS. In: [`Options`], and
//! Envoy resources over delta ADS (or a fixed set of them). Out: traffic, access records, counters
//! and an admin server; and in a pod what surrounds a proxy there ([`agent`]).
//!
//! One engine task follows the control plane, compiles what it sends and publishes it with one
//! atomic pointer; worker threads, one per core, do nothing but traffic.

mod accept;
mod admin;
pub mod agent;
mod bind;
mod collect;
#[cfg(test)]
#[path = "../tests/common/mod.rs"]
mod common;
mod config;
mod connect;
mod connection;
mod decide;
pub mod dns;
mod engine;
mod error;
mod inspect;
mod log;
mod metrics;
mod options;
mod records;
mod relay;
mod resolve;
#[cfg(test)]
#[path = "../../telemetry/src/sample.rs"]
mod sample;
mod socket;
mod start;
mod stats;
mod traffic;
mod view;
mod worker;

pub use error::{DataError, Kind, Side};
pub use options::{KnownAs, Options, Role, Source, StaticResources};
pub use start::{Handle, Proxy, StartError};
pub use view::View;
