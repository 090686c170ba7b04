//! PeerAuthentication: whether peers must use mutual TLS.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::istio::common::WorkloadSelector;
use crate::proto::messages;

messages! {
    /// Which workloads it is for, and whether they take plain text.
    pub struct PeerAuthenticationSpec {
        pub selector: Option<WorkloadSelector>,
        pub mtls: Option<MutualTls>,
        pub port_level_mtls: BTreeMap<u32, MutualTls>,
    }

    /// Whether mutual TLS is needed.
    pub struct MutualTls {
        pub mode: Option<MutualTlsMode>,
    }
}

/// Whether mutual TLS is needed; the default inherits.
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
pub enum MutualTlsMode {
    #[default]
    Unset,
    Disable,
    Permissive,
    Strict,
}
