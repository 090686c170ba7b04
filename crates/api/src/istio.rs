//! Serde types of every field of Istio's kinds.
//!
//! They follow protobuf's JSON rules as Istio's own clients do: a field that is absent, null or empty
//! is the same; a wrapper or a member of a oneof is an `Option`; enums are their upper-case names.
//! Scalars and enums are `Option`s too, so that `weight: 0` survives a round trip. What a oneof is
//! stands in the schema (`x-lateen-one-of`), where `schema::conform` checks it.

pub mod common;
pub mod extensions;
pub mod mesh;
pub mod networking;
pub mod security;
pub mod telemetry;
