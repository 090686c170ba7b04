//! Kubernetes, Gateway API and Istio resource types: kinds, parsing, schema, validation, xDS names.
//!
//! In: JSON values as an API server stores them. Out: typed resources and issues that name the object
//! and the field. Nothing here reads a clock, the environment, a file or a socket.

pub mod duration;
pub mod intent;
pub mod issue;
pub mod istio;
pub mod kinds;
pub mod labels;
pub mod owner;
pub mod plain;
mod proto;
pub mod resource;
pub mod schema;
mod typed;
pub mod validate;
pub mod words;
pub mod xds;
pub mod yaml;
