//! The annotations by which a pod changes its injection. In: the pod. Out: issues (an error means that
//! the pod is refused, as Istio refuses it), and the values by name. One table says for each annotation
//! how its value is checked, or why it has no effect with Lateen.

pub mod config;
mod nearest;
pub mod syntax;

use lateen_api::issue::{Issue, ObjectRef};
use lateen_api::istio::mesh::parse_proxy_config;
use lateen_api::words::{self, Check};
use serde_json::{Map, Value};

use crate::{INVALID_ANNOTATION, NO_EFFECT, UNKNOWN_ANNOTATION};

pub const STATUS: &str = "sidecar.istio.io/status";
pub const OVERRIDES: &str = "proxy.istio.io/overrides";
pub const PROXY_CONFIG: &str = "proxy.istio.io/config";
pub const TEMPLATES: &str = "inject.istio.io/templates";
pub const REWRITE_PROBES: &str = "sidecar.istio.io/rewriteAppHTTPProbers";
pub const MERGE_METRICS: &str = "prometheus.istio.io/merge-metrics";
pub const SCRAPE_TARGETS: &str = "prometheus.istio.io/scrape-targets";
pub const STATUS_PORT: &str = "status.sidecar.istio.io/port";
pub const NATIVE: &str = "sidecar.istio.io/nativeSidecar";
pub const BEFORE_PROXY: &str = "sidecar.istio.io/init-containers-before-proxy";
pub const MODE: &str = "sidecar.istio.io/interceptionMode";
pub const PROXY_IMAGE: &str = "sidecar.istio.io/proxyImage";
pub const DISCOVERY_ADDRESS: &str = "sidecar.istio.io/discoveryAddress";
pub const CPU: &str = "sidecar.istio.io/proxyCPU";
pub const CPU_LIMIT: &str = "sidecar.istio.io/proxyCPULimit";
pub const MEMORY: &str = "sidecar.istio.io/proxyMemory";
pub const MEMORY_LIMIT: &str = "sidecar.istio.io/proxyMemoryLimit";
pub const LOG_LEVEL: &str = "sidecar.istio.io/logLevel";
pub const COMPONENT_LOG_LEVEL: &str = "sidecar.istio.io/componentLogLevel";
pub const AGENT_LOG_LEVEL: &str = "sidecar.istio.io/agentLogLevel";
pub const USER_VOLUME: &str = "sidecar.istio.io/userVolume";
pub const USER_VOLUME_MOUNT: &str = "sidecar.istio.io/userVolumeMount";
pub const INITIAL_DELAY: &str = "readiness.status.sidecar.istio.io/initialDelaySeconds";
pub const PERIOD: &str = "readiness.status.sidecar.istio.io/periodSeconds";
pub const FAILURES: &str = "readiness.status.sidecar.istio.io/failureThreshold";
pub const INCLUDE_IP_RANGES: &str = "traffic.sidecar.istio.io/includeOutboundIPRanges";
pub const EXCLUDE_IP_RANGES: &str = "traffic.sidecar.istio.io/excludeOutboundIPRanges";
pub const INCLUDE_INBOUND_PORTS: &str = "traffic.sidecar.istio.io/includeInboundPorts";
pub const EXCLUDE_INBOUND_PORTS: &str = "traffic.sidecar.istio.io/excludeInboundPorts";
pub const INCLUDE_OUTBOUND_PORTS: &str = "traffic.sidecar.istio.io/includeOutboundPorts";
pub const EXCLUDE_OUTBOUND_PORTS: &str = "traffic.sidecar.istio.io/excludeOutboundPorts";
pub const EXCLUDE_INTERFACES: &str = "traffic.sidecar.istio.io/excludeInterfaces";
pub const KUBEVIRT_INTERFACES: &str = "traffic.sidecar.istio.io/kubevirtInterfaces";
pub const REROUTE_INTERFACES: &str = "istio.io/reroute-virtual-interfaces";

enum Treatment {
    /// Any text is good.
    Any,
    /// A wrong value refuses the pod.
    Must(Check),
    /// A wrong value is passed over for the setting, as in Istio.
    Should(Check),
    /// The value is a ProxyConfig.
    ProxyConfig,
    /// Nothing is done; the text says why, or what to use.
    None(&'static str),
}

const STATISTICS: &str =
    "the proxy has no Envoy statistics to choose from: its metrics are Istio's";

const TABLE: &[(&str, Treatment)] = &[
    ("sidecar.istio.io/inject", Treatment::Any),
    (STATUS, Treatment::Any),
    (OVERRIDES, Treatment::Must(syntax::overrides)),
    (TEMPLATES, Treatment::Any),
    (PROXY_CONFIG, Treatment::ProxyConfig),
    (MERGE_METRICS, Treatment::Must(words::flag)),
    // Read where metrics are merged, which knows the agent's port.
    (SCRAPE_TARGETS, Treatment::Any),
    (STATUS_PORT, Treatment::Must(words::status_port)),
    (REWRITE_PROBES, Treatment::Should(words::flag)),
    (NATIVE, Treatment::Should(native)),
    (BEFORE_PROXY, Treatment::Any),
    (MODE, Treatment::Must(words::interception_mode)),
    (PROXY_IMAGE, Treatment::Must(words::image)),
    (
        "sidecar.istio.io/proxyImageType",
        Treatment::None("there is one image, without a shell and without variants"),
    ),
    (DISCOVERY_ADDRESS, Treatment::Must(words::address)),
    (CPU, Treatment::Must(syntax::quantity)),
    (CPU_LIMIT, Treatment::Must(syntax::quantity)),
    (MEMORY, Treatment::Must(syntax::quantity)),
    (MEMORY_LIMIT, Treatment::Must(syntax::quantity)),
    (LOG_LEVEL, Treatment::Should(log_level)),
    (COMPONENT_LOG_LEVEL, Treatment::Should(component_levels)),
    (AGENT_LOG_LEVEL, Treatment::Should(agent_levels)),
    (USER_VOLUME, Treatment::Must(syntax::named_objects)),
    (USER_VOLUME_MOUNT, Treatment::Must(syntax::mounts)),
    (INITIAL_DELAY, Treatment::Must(syntax::number)),
    (PERIOD, Treatment::Must(syntax::count)),
    (FAILURES, Treatment::Must(syntax::count)),
    (
        "readiness.status.sidecar.istio.io/applicationPorts",
        Treatment::None("the proxy is ready when it has its configuration, whatever the ports are"),
    ),
    (INCLUDE_IP_RANGES, Treatment::Must(words::ranges_or_all)),
    (EXCLUDE_IP_RANGES, Treatment::Must(words::ranges)),
    (INCLUDE_INBOUND_PORTS, Treatment::Must(words::ports_or_all)),
    (EXCLUDE_INBOUND_PORTS, Treatment::Must(words::ports)),
    (INCLUDE_OUTBOUND_PORTS, Treatment::Must(words::ports_or_all)),
    (EXCLUDE_OUTBOUND_PORTS, Treatment::Must(words::ports)),
    (EXCLUDE_INTERFACES, Treatment::Must(words::interfaces)),
    (KUBEVIRT_INTERFACES, Treatment::Must(words::interfaces)),
    (REROUTE_INTERFACES, Treatment::Must(words::interfaces)),
    (
        "sidecar.istio.io/bootstrapOverride",
        Treatment::None(
            "the proxy has no Envoy bootstrap: what it can be told is in proxy.istio.io/config",
        ),
    ),
    (
        "sidecar.istio.io/enableCoreDump",
        Treatment::None("the proxy writes no core files: run it under your own debugger"),
    ),
    ("sidecar.istio.io/statsInclusionPrefixes", Treatment::None(STATISTICS)),
    ("sidecar.istio.io/statsInclusionSuffixes", Treatment::None(STATISTICS)),
    ("sidecar.istio.io/statsInclusionRegexps", Treatment::None(STATISTICS)),
    ("sidecar.istio.io/statsHistogramBuckets", Treatment::None(STATISTICS)),
    ("sidecar.istio.io/statsHistogramBins", Treatment::None(STATISTICS)),
    ("sidecar.istio.io/statsFlushInterval", Treatment::None(STATISTICS)),
    ("sidecar.istio.io/statsEvictionInterval", Treatment::None(STATISTICS)),
    (
        "sidecar.istio.io/statsCompression",
        Treatment::None("metrics are compressed when the scraper asks for it"),
    ),
    (
        "sidecar.istio.io/extraStatTags",
        Treatment::None("the metrics have the labels that Istio's have, and no others"),
    ),
];

/// Annotations of these families that are not in the table do not exist.
const FAMILIES: &[&str] = &[
    "sidecar.istio.io/",
    "status.sidecar.istio.io/",
    "readiness.status.sidecar.istio.io/",
    "traffic.sidecar.istio.io/",
    "proxy.istio.io/",
    "inject.istio.io/",
    "prometheus.istio.io/",
];

fn native(text: &str) -> Result<(), String> {
    match text {
        "true" | "false" => Ok(()),
        other => Err(format!("{other:?} is neither \"true\" nor \"false\"")),
    }
}

fn log_level(text: &str) -> Result<(), String> {
    let levels = ["trace", "debug", "info", "warning", "warn", "error", "critical", "off"];
    if levels.contains(&text) {
        return Ok(());
    }
    Err(format!("{text:?} is not a level: write one of {}", levels.join(", ")))
}

/// `COMPONENT:LEVEL`, several with commas.
fn component_levels(text: &str) -> Result<(), String> {
    text.split(',').try_for_each(|part| match part.trim().split_once(':') {
        Some((_, level)) => log_level(level),
        None => Err(format!("{part:?} is no level of a component: write it as in misc:error")),
    })
}

/// `SCOPE:LEVEL`, or a level for all, several with commas.
fn agent_levels(text: &str) -> Result<(), String> {
    let levels = ["none", "fatal", "error", "warn", "info", "debug"];
    text.split(',').map(str::trim).try_for_each(|part| {
        let level = part.split_once(':').map_or(part, |(_, level)| level);
        if levels.contains(&level) {
            return Ok(());
        }
        Err(format!("{level:?} is not a level: write one of {}", levels.join(", ")))
    })
}

/// Whether this is an annotation of pods that injection reads or speaks of.
pub fn is_known(name: &str) -> bool {
    TABLE.iter().any(|(known, _)| *known == name)
}

fn unknown(name: &str, place: &Place) -> Option<Issue> {
    let meant = name.contains("istio").then(|| {
        let known = TABLE.iter().map(|(known, _)| *known);
        nearest::nearest(name, known)
    });
    let message = match meant.flatten() {
        Some(meant) => format!("there is no such annotation, did you mean {meant}?"),
        None if FAMILIES.iter().any(|family| name.starts_with(family)) => {
            "there is no such annotation: check its spelling".to_owned()
        }
        None => return None,
    };
    Some(place.warning(UNKNOWN_ANNOTATION, message))
}

/// The checked annotations of one pod.
#[derive(Debug, Clone, Default)]
pub struct Annotations<'a> {
    map: Option<&'a Map<String, Value>>,
    passed_over: Vec<&'static str>,
    /// ProxyConfig of the annotation as JSON; an empty object without one.
    pub proxy_config: Value,
}

impl<'a> Annotations<'a> {
    /// Checks all; `path` leads to the map.
    pub fn read(pod: &'a Value, object: &ObjectRef, path: &str, issues: &mut Vec<Issue>) -> Self {
        let map = pod["metadata"]["annotations"].as_object();
        let proxy_config = Value::Object(Map::new());
        let mut annotations = Annotations { map, passed_over: Vec::new(), proxy_config };
        for (name, value) in map.into_iter().flatten() {
            let Some(value) = value.as_str() else { continue };
            let place = Place { object, path: format!("{path}[{name:?}]") };
            match TABLE.iter().find(|(known, _)| known == name) {
                Some((known, treatment)) => {
                    annotations.treat(known, treatment, value, &place, issues);
                }
                None => issues.extend(unknown(name, &place)),
            }
        }
        annotations
    }

    fn treat(
        &mut self,
        name: &'static str,
        treatment: &Treatment,
        value: &str,
        place: &Place,
        issues: &mut Vec<Issue>,
    ) {
        match treatment {
            Treatment::Any => {}
            Treatment::Must(check) => {
                if let Err(message) = check(value) {
                    issues.push(place.error(message));
                }
            }
            Treatment::Should(check) => {
                if let Err(message) = check(value) {
                    let message = format!("{message}; the mesh's setting is used");
                    issues.push(place.warning(INVALID_ANNOTATION, message));
                    self.passed_over.push(name);
                }
            }
            Treatment::ProxyConfig => self.read_proxy_config(value, place, issues),
            Treatment::None(why) => {
                issues.push(place.warning(NO_EFFECT, format!("has no effect: {why}")));
            }
        }
    }

    fn read_proxy_config(&mut self, yaml: &str, place: &Place, issues: &mut Vec<Issue>) {
        let (config, found) = parse_proxy_config(yaml, place.object);
        issues.extend(found.into_iter().map(|issue| {
            let inner = issue.path.clone();
            let path = place.path.clone();
            let message = match inner.as_str() {
                "" => issue.message.clone(),
                inner => format!("{inner}: {}", issue.message),
            };
            Issue { path, message, code: INVALID_ANNOTATION, ..issue }
        }));
        let Some(config) = config else { return };
        if let Ok(config) = serde_json::to_value(config) {
            issues.extend(config::without_effect(&config).map(|(field, why)| {
                place.warning(NO_EFFECT, format!("{field} has no effect: {why}"))
            }));
            self.proxy_config = config;
        }
    }

    /// The value, unless it is one to pass over.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        if self.passed_over.contains(&name) {
            return None;
        }
        self.map?.get(name)?.as_str()
    }

    /// The value, or the setting.
    pub fn or<'b>(&self, name: &str, setting: &'b str) -> &'b str
    where
        'a: 'b,
    {
        self.get(name).unwrap_or(setting)
    }

    pub fn flag(&self, name: &str) -> Option<bool> {
        self.get(name).and_then(words::boolean)
    }

    pub fn number(&self, name: &str) -> Option<u32> {
        self.get(name).and_then(|text| text.trim().parse().ok())
    }

    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}

/// Where an issue about one annotation points.
struct Place<'a> {
    object: &'a ObjectRef,
    path: String,
}

impl Place<'_> {
    fn error(&self, message: String) -> Issue {
        Issue::error(self.object.clone(), self.path.clone(), INVALID_ANNOTATION, message)
    }

    fn warning(&self, code: lateen_api::issue::Code, message: String) -> Issue {
        Issue::warning(self.object.clone(), self.path.clone(), code, message)
    }
}

#[cfg(test)]
mod tests;
