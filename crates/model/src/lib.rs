//! The mesh as one immutable, indexed snapshot.
//!
//! In: [`Change`]s, from one writer. Out: an [`Snapshot`] behind an `Arc`, read without locks.
//! Nothing here reads a clock, the environment, a file or a socket.

pub mod convert;
pub mod discovery;
pub mod host;
pub mod index;
pub mod mesh;
pub mod meta;
pub mod routing;
pub mod service;
mod snapshot;
mod tables;
pub mod telemetry;
pub mod visibility;
pub mod workload;
mod world;

pub use snapshot::Snapshot;
pub use world::{Change, World};
