//! The API over real TLS connections: objects, watches, restarts, webhooks, limits.

mod crash;
mod harness;
mod limits;
mod objects;
mod watches;
mod webhooks;
