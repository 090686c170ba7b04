//! The contract of access records and metrics, and their formatters. In: plain facts about one connection,
//! samples. Out: log lines in Envoy's format language and JSON; Prometheus' text. Pure: no clock, files
//! or sockets.

pub mod exposition;
pub mod format;
pub mod record;
pub mod timestamp;

pub use format::{Format, FormatError};
pub use record::{AccessRecord, Flag};
