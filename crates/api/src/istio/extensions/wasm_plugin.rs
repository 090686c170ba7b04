//! WasmPlugin: a WebAssembly module in the proxies' filter chains.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::istio::common::{PolicyTargetReference, PortSelector, WorkloadMode, WorkloadSelector};
use crate::proto::messages;

messages! {
    /// Which workloads it is for, the module, and where it runs.
    pub struct WasmPluginSpec {
        pub selector: Option<WorkloadSelector>,
        pub target_ref: Option<PolicyTargetReference>,
        pub target_refs: Vec<PolicyTargetReference>,
        pub url: String,
        pub sha256: String,
        pub image_pull_policy: Option<PullPolicy>,
        pub image_pull_secret: String,
        pub verification_key: String,
        pub plugin_config: Option<Value>,
        pub plugin_name: String,
        pub phase: Option<PluginPhase>,
        pub priority: Option<i32>,
        pub fail_strategy: Option<FailStrategy>,
        pub vm_config: Option<VmConfig>,
        pub r#match: Vec<WasmTrafficSelector>,
        pub r#type: Option<PluginType>,
    }

    /// Which traffic a module sees.
    pub struct WasmTrafficSelector {
        pub mode: Option<WorkloadMode>,
        pub ports: Vec<PortSelector>,
    }

    /// The virtual machine of a module.
    pub struct VmConfig {
        pub env: Vec<EnvVar>,
    }

    /// An environment variable of a module.
    pub struct EnvVar {
        pub name: String,
        pub value_from: Option<EnvValueSource>,
        pub value: String,
    }
}

/// The kind of filter that a module is.
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
pub enum PluginType {
    #[default]
    UnspecifiedPluginType,
    Http,
    Network,
}

/// Where among the filters a module runs.
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
pub enum PluginPhase {
    #[default]
    UnspecifiedPhase,
    Authn,
    Authz,
    Stats,
}

/// When a module is fetched again.
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
pub enum PullPolicy {
    #[default]
    UnspecifiedPolicy,
    #[serde(rename = "IfNotPresent")]
    IfNotPresent,
    #[serde(rename = "Always")]
    Always,
}

/// Where a variable's value comes from.
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
pub enum EnvValueSource {
    #[default]
    Inline,
    Host,
}

/// What happens to traffic when a module fails.
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
pub enum FailStrategy {
    #[default]
    FailClose,
    FailOpen,
    FailReload,
}
