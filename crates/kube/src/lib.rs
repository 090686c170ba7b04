//! The Kubernetes API as the rest of Lateen sees it. In: a kubeconfig and the table of kinds. Out:
//! watches as a stream of events, single objects as JSON, statuses and events written with care, leases, and
//! whose a token is.
//!
//! **Invariant:** nothing else in the workspace uses kube-rs' client.

pub mod client;
pub mod events;
pub mod lease;
pub mod status;
pub mod tokens;
pub mod watch;

pub use client::{Client, DryRun, Error, Source};
