//! The contract of access records and their formatters. In: plain facts about one connection.
//! Out: log lines in Envoy's format language and JSON. Pure: no clock, files or sockets.

pub mod format;
pub mod record;
pub mod timestamp;

pub use format::{Format, FormatError};
pub use record::{AccessRecord, Flag};
