//! One of Istio's analysis messages, as a status carries it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::proto::messages;

messages! {
    /// A finding of Istio's analysis.
    pub struct AnalysisMessage {
        pub r#type: Option<AnalysisMessageType>,
        pub level: Option<AnalysisLevel>,
        pub documentation_url: String,
    }

    /// Which finding it is.
    pub struct AnalysisMessageType {
        pub name: String,
        pub code: String,
    }
}

/// How bad a finding is.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AnalysisLevel {
    #[default]
    Unknown,
    Error,
    Warning,
    Info,
}
