//! The group `extensions.istio.io`.

mod traffic_extension;
mod wasm_plugin;

pub use traffic_extension::{
    ExecutionPhase, LuaConfig, TrafficExtensionSpec, TrafficSelector, WasmConfig,
};
pub use wasm_plugin::{
    EnvValueSource, EnvVar, FailStrategy, PluginPhase, PluginType, PullPolicy, VmConfig,
    WasmPluginSpec, WasmTrafficSelector,
};
