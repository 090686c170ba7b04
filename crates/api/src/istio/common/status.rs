//! The status that Istio's kinds carry.

use crate::istio::common::AnalysisMessage;
use crate::proto::messages;

messages! {
    /// What was found out about an object.
    pub struct IstioStatus {
        pub conditions: Vec<IstioCondition>,
        pub validation_messages: Vec<AnalysisMessage>,
        pub observed_generation: Option<i64>,
    }

    /// One aspect of a status.
    pub struct IstioCondition {
        pub r#type: String,
        pub status: String,
        pub last_probe_time: Option<String>,
        pub last_transition_time: Option<String>,
        pub reason: String,
        pub message: String,
        pub observed_generation: Option<i64>,
    }
}
