//! What every long-running part of Lateen needs: supervised tasks, readiness, logging, descriptors,
//! processes told apart, pages over HTTP, and an admin server on a Unix socket. Nothing here knows what a mesh is.

pub mod admin;
pub mod crowd;
pub mod descriptors;
pub mod http;
pub mod log;
pub mod memory;
pub mod pages;
pub mod printable;
pub mod process;
pub mod readiness;
pub mod rotated;
pub mod signal;
pub mod socket;
pub mod tasks;
pub mod tls;
