//! What reaches into Envoy: EnvoyFilters, ProxyConfigs, WasmPlugins and TrafficExtensions.
//!
//! In: a spec. Out: findings in the report.

use serde_json::json;

use super::shared::{check_selected, check_targets};
use super::{Report, re2};
use crate::istio::extensions::{TrafficExtensionSpec, WasmPluginSpec};
use crate::istio::mesh::{Fault, unusable_proxy_config};
use crate::istio::networking::{
    ApplyTo, EnvoyConfigObjectPatch, EnvoyFilterSpec, PatchOperation, ProxyConfigSpec,
};

pub(super) fn check_filter(report: &mut Report, spec: &EnvoyFilterSpec) {
    if spec.config_patches.is_empty() {
        report.warning("spec.configPatches", "without a patch the filter does nothing, add one");
    }
    if let Some(selector) = &spec.workload_selector {
        check_selected(report, "spec.workloadSelector.labels", &selector.labels);
    }
    for (index, patch) in spec.config_patches.iter().enumerate() {
        check_patch(report, &format!("spec.configPatches[{index}]"), patch);
    }
}

fn check_patch(report: &mut Report, path: &str, patch: &EnvoyConfigObjectPatch) {
    if patch.apply_to.unwrap_or_default() == ApplyTo::Invalid {
        report.error(format!("{path}.applyTo"), "it is missing, for example HTTP_FILTER");
    }
    if let Some(proxy) = patch.r#match.as_ref().and_then(|matching| matching.proxy.as_ref()) {
        let result = re2::expression(&proxy.proxy_version);
        report.expect(format!("{path}.match.proxy.proxyVersion"), result);
    }
    let Some(change) = &patch.patch else {
        report.error(format!("{path}.patch"), "it is missing, add operation and value");
        return;
    };
    match change.operation.unwrap_or_default() {
        PatchOperation::Invalid => {
            report.error(format!("{path}.patch.operation"), "it is missing, for example MERGE");
        }
        PatchOperation::Remove if change.value.is_some() => {
            report.warning(format!("{path}.patch.value"), "REMOVE takes no value, remove it");
        }
        PatchOperation::Remove => {}
        _ if change.value.is_none() => {
            report.error(format!("{path}.patch.value"), "there is nothing to apply, add a value");
        }
        _ => {}
    }
}

pub(super) fn check_proxy_config(report: &mut Report, spec: &ProxyConfigSpec) {
    let mut config = json!({ "proxyMetadata": spec.environment_variables });
    if let Some(threads) = spec.concurrency {
        config["concurrency"] = json!(threads);
    }
    for Fault { path, message } in unusable_proxy_config(&config) {
        let path = path.replacen("proxyMetadata", "environmentVariables", 1);
        report.error(format!("spec.{path}"), message);
    }
    if spec.selector.as_ref().is_some_and(|selector| selector.match_labels.is_empty()) {
        report.warning("spec.selector", "it selects nothing, leave it out for the whole namespace");
    }
    if spec.image.is_some() {
        report.warning("spec.image", "it has no effect, there is one image without variants");
    }
}

pub(super) fn check_wasm_plugin(report: &mut Report, spec: &WasmPluginSpec) {
    check_targets(report, spec.selector.as_ref(), spec.target_ref.as_ref(), &spec.target_refs);
    if spec.url.is_empty() {
        report.error("spec.url", "it is missing, write where the module is");
    }
    if let Some((scheme, _)) = spec.url.split_once("://")
        && !["file", "http", "https", "oci"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
    {
        report.error("spec.url", "write a URL of file, http, https or oci");
    }
    let digest = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    if !spec.sha256.is_empty() && (spec.sha256.len() != 64 || !spec.sha256.chars().all(digest)) {
        report.error("spec.sha256", "it is not a SHA-256 sum, write 64 lower-case hex digits");
    }
}

pub(super) fn check_traffic_extension(report: &mut Report, spec: &TrafficExtensionSpec) {
    if spec.wasm.is_none() && spec.lua.is_none() {
        report.error("spec", "it extends nothing, set wasm or lua");
    }
}
