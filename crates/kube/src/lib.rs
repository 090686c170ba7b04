//! The Kubernetes API as the rest of Lateen sees it. In: a kubeconfig and the table of kinds. Out:
//! watches as a stream of events, single objects as JSON, statuses and events written with care, leases, whose
//! a token is and what they may do, and ways to pods.
//!
//! **Invariant:** nothing else in the workspace uses kube-rs' client.

pub mod access;
pub mod client;
pub mod credentials;
pub mod events;
pub mod forward;
pub mod lease;
pub mod status;
pub mod tokens;
pub mod watch;

pub use client::{Client, DryRun, Error, Source};
