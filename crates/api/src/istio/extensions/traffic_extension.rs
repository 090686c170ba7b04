//! TrafficExtension: a WebAssembly module or Lua code in the proxies' filter chains.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::istio::common::{PolicyTargetReference, PortSelector, WorkloadMode, WorkloadSelector};
use crate::istio::extensions::{FailStrategy, PluginType, PullPolicy, VmConfig};
use crate::proto::messages;

messages! {
    /// Which workloads it is for, the code, and where it runs.
    #[schemars(extend("x-lateen-one-of" = [["wasm", "lua"]]))]
    pub struct TrafficExtensionSpec {
        pub selector: Option<WorkloadSelector>,
        pub target_refs: Vec<PolicyTargetReference>,
        pub phase: Option<ExecutionPhase>,
        pub priority: Option<i32>,
        pub r#match: Vec<TrafficSelector>,
        pub wasm: Option<WasmConfig>,
        pub lua: Option<LuaConfig>,
    }

    /// A WebAssembly module.
    pub struct WasmConfig {
        pub url: String,
        pub sha256: String,
        pub image_pull_policy: Option<PullPolicy>,
        pub image_pull_secret: String,
        pub verification_key: String,
        pub plugin_config: Option<Value>,
        pub plugin_name: String,
        pub fail_strategy: Option<FailStrategy>,
        pub vm_config: Option<VmConfig>,
        pub r#type: Option<PluginType>,
    }

    /// Lua code.
    pub struct LuaConfig {
        pub inline_code: String,
    }

    /// Which traffic an extension sees.
    pub struct TrafficSelector {
        pub mode: Option<WorkloadMode>,
        pub ports: Vec<PortSelector>,
    }
}

/// Where among the filters an extension runs.
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
pub enum ExecutionPhase {
    #[default]
    Unspecified,
    Authn,
    Authz,
    Stats,
}
