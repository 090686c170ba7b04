//! What a policy selects: workloads by label, or objects by reference.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::proto::messages;

messages! {
    /// Workloads by their labels.
    pub struct WorkloadSelector {
        pub match_labels: BTreeMap<String, String>,
    }

    /// A port by its number.
    pub struct PortSelector {
        pub number: Option<u32>,
    }

    /// An object that a policy is attached to.
    pub struct PolicyTargetReference {
        pub group: String,
        pub kind: String,
        pub name: String,
        pub namespace: String,
    }
}

/// Which side of the traffic.
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
pub enum WorkloadMode {
    #[default]
    Undefined,
    Client,
    Server,
    ClientAndServer,
}
