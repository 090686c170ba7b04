//! What reaches into Envoy: EnvoyFilters, ProxyConfigs, WasmPlugins and TrafficExtensions.
//!
//! In: a spec. Out: findings in the report.

use serde_json::{Value, json};

use super::shared::{check_selected, check_targets};
use super::{Report, names, re2};
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
    check_match(report, path, patch);
    let Some(change) = &patch.patch else {
        report.error(format!("{path}.patch"), "it is missing, add operation and value");
        return;
    };
    if let Some(value) = &change.value {
        check_types(report, &format!("{path}.patch.value"), value);
    }
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

/// Whether it is looked for where the patch applies.
fn check_match(report: &mut Report, path: &str, patch: &EnvoyConfigObjectPatch) {
    let (Some(matching), Some(apply_to)) = (&patch.r#match, patch.apply_to) else { return };
    let own = match apply_to {
        ApplyTo::Listener | ApplyTo::FilterChain | ApplyTo::NetworkFilter | ApplyTo::HttpFilter => {
            "listener"
        }
        ApplyTo::RouteConfiguration | ApplyTo::VirtualHost | ApplyTo::HttpRoute => {
            "routeConfiguration"
        }
        ApplyTo::Cluster => "cluster",
        _ => return,
    };
    for (name, set) in [
        ("listener", matching.listener.is_some()),
        ("routeConfiguration", matching.route_configuration.is_some()),
        ("cluster", matching.cluster.is_some()),
    ] {
        if set && name != own {
            let message = format!("applyTo is part of a {own}, match that");
            return report.error(format!("{path}.match.{name}"), message);
        }
    }
    let chain = matching.listener.as_ref().and_then(|listener| listener.filter_chain.as_ref());
    let Some(filter) = chain.and_then(|chain| chain.filter.as_ref()) else { return };
    let path = format!("{path}.match.listener.filterChain.filter");
    if filter.name.is_empty() {
        report.error(format!("{path}.name"), "it is missing, write the filter's name");
    }
    let Some(inner) = &filter.sub_filter else { return };
    if apply_to != ApplyTo::HttpFilter {
        report.error(format!("{path}.subFilter"), "it is for applyTo HTTP_FILTER, remove it");
    }
    if inner.name.is_empty() {
        report.error(format!("{path}.subFilter.name"), "it is missing, write the filter's name");
    }
    let managers =
        ["", "envoy.filters.network.http_connection_manager", "envoy.http_connection_manager"];
    if !managers.contains(&filter.name.as_str()) {
        let message = format!("only {} has a subFilter, write that", managers[1]);
        report.error(format!("{path}.name"), message);
    }
}

/// Whether every typed_config says its type.
fn check_types(report: &mut Report, path: &str, value: &Value) {
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                check_types(report, &format!("{path}[{index}]"), item);
            }
        }
        Value::Object(fields) => {
            let is = |kind: &str| fields.get("@type").is_some_and(|of| of == kind);
            // What lies in these has no form of Envoy's.
            if is("type.googleapis.com/udpa.type.v1.TypedStruct")
                || is("type.googleapis.com/xds.type.v3.TypedStruct")
            {
                return;
            }
            for (name, inner) in fields {
                let path = format!("{path}.{name}");
                let untyped = inner
                    .as_object()
                    .is_some_and(|any| !any.is_empty() && !any.contains_key("@type"));
                if untyped && matches!(name.as_str(), "typed_config" | "typedConfig") {
                    let message =
                        "it has no type, write type.googleapis.com/ and Envoy's name of it";
                    report.error(format!("{path}.@type"), message);
                }
                check_types(report, &path, inner);
            }
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
    let url = spec.url.as_str();
    let scheme = names::url_scheme(url).or_else(|| names::url_scheme(&format!("http://{url}")));
    let known = ["", "file", "http", "https", "oci"];
    let is_known = |scheme: &str| url.contains("://") || known.contains(&scheme);
    if !scheme.as_deref().is_some_and(is_known) {
        report.error("spec.url", "it is no URL, write one such as oci://REGISTRY/IMAGE:TAG");
    }
}

pub(super) fn check_traffic_extension(report: &mut Report, spec: &TrafficExtensionSpec) {
    if spec.wasm.is_none() && spec.lua.is_none() {
        report.error("spec", "it extends nothing, set wasm or lua");
    }
}
