//! What somebody is about to do to an object in the API, for whoever says beforehand what would come of it.

use serde_json::Value;

/// A write that has not happened yet.
#[derive(Clone, Debug, PartialEq)]
pub enum Intent {
    /// The object as it would be stored.
    Store(Value),
    /// The object that would go.
    Remove(Value),
}
