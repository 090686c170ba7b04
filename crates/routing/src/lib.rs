//! Envoy resources compiled for matching. In: `Listener`, `Cluster` and `ClusterLoadAssignment`
//! messages. Out: [`CompiledListener`], [`CompiledCluster`] and [`Endpoints`], which answer "which
//! filter chain", "which cluster" and "which endpoint", or a [`Reject`] that names the field.
//! Pure: random numbers and connection counts are arguments.

pub mod access_log;
pub mod chain;
pub mod cluster;
pub mod convert;
pub mod endpoints;
pub mod hello;
pub mod listener;
pub mod reject;
#[cfg(test)]
#[path = "../../telemetry/src/sample.rs"]
mod sample;
pub mod stats;
pub mod tcp_proxy;

pub use access_log::{AccessLog, Collector, Output, Protocol, Sink};
pub use chain::{Connection, Transport};
pub use cluster::{CompiledCluster, Discovery, Keepalive, Policy, compile_cluster};
pub use endpoints::{Endpoints, Host, Target, compile_endpoints};
pub use hello::FirstBytes;
pub use listener::{
    CompiledListener, FilterChain, Inspection, OriginalSource, Terminal, compile_listener,
};
pub use reject::Reject;
pub use stats::{Changes, Needs, Stats};
pub use tcp_proxy::TcpProxy;

#[cfg(test)]
mod translated;
