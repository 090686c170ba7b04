//! The API over real TLS connections: objects, rights, watches, restarts, webhooks, limits.

#![expect(clippy::unwrap_used, reason = "clippy takes only functions marked as tests for tests")]

mod containers;
mod crash;
mod harness;
mod limits;
mod objects;
mod rights;
mod warnings;
mod watches;
mod webhooks;
