//! The contract of access records and metrics, and their formatters. In: plain facts about one connection
//! or request, samples. Out: log lines in Envoy's format language and JSON; Istio's metrics, bounded in
//! number, in Prometheus' formats. Pure: no clock, files or sockets.

// The sample record names this crate as others do.
#[cfg(test)]
extern crate self as lateen_telemetry;

pub mod attributes;
pub mod cel;
pub mod entry;
pub mod exposition;
pub mod format;
pub mod histogram;
pub mod labels;
pub mod parts;
pub mod peer;
pub mod plugin;
pub mod record;
pub mod registry;
#[cfg(test)]
mod sample;
pub mod standard;
pub mod timestamp;

pub use format::{Format, FormatError};
pub use record::{AccessRecord, Flag};
