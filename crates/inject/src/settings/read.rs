//! Reads settings. In: values as Helm and IstioOperator files have them, MeshConfig. Out: settings;
//! a value of a wrong type is an error with its path and leaves the default, one without a meaning
//! here is a warning.

use std::collections::BTreeMap;

use lateen_api::issue::{Code, Issue, ObjectRef};
use lateen_api::istio::mesh::MeshConfig;
use serde_json::{Value, json};

use super::{ObjectSelector, Policy, Settings, Startup, Template};
use crate::annotation::syntax;
use crate::selector::Selector;
use crate::{NO_EFFECT, TEMPLATE};

/// Istio's own proxy images, in whose place Lateen's is used.
pub const ISTIO_IMAGES: &[&str] = &["proxyv2", "proxyv2-default", "proxy_init", "proxy"];

/// Values that other tracers and Istio's agent need, and what is in their place.
const WITHOUT_EFFECT: &[(&str, &str)] = &[
    ("global.mountMtlsCerts", "certificates come from the control plane, not from Secrets"),
    ("global.podDNSSearchNamespaces", "name the services of other clusters in full"),
    (
        "global.proxy.enableCoreDump",
        "the proxy writes no core files: run it under your own debugger",
    ),
    ("global.sts.servicePort", "there is no security token service in the agent"),
];

/// Fields of the ConfigMap's key `config`, and where the values have them.
const OF_CONFIG: [(&str, &str); 7] = [
    ("policy", "global.proxy.autoInject"),
    ("alwaysInjectSelector", "sidecarInjectorWebhook.alwaysInjectSelector"),
    ("neverInjectSelector", "sidecarInjectorWebhook.neverInjectSelector"),
    ("injectedAnnotations", "sidecarInjectorWebhook.injectedAnnotations"),
    ("defaultTemplates", "sidecarInjectorWebhook.defaultTemplates"),
    ("templates", "sidecarInjectorWebhook.templates"),
    ("aliases", "sidecarInjectorWebhook.aliases"),
];

struct Reader<'a> {
    values: &'a Value,
    issues: Vec<Issue>,
}

fn object() -> ObjectRef {
    ObjectRef::new("", "ConfigMap", "istio-system", "istio-sidecar-injector")
}

/// A key's text is no YAML at all.
pub fn not_yaml(key: &str, error: &str) -> Issue {
    let message = format!("not YAML, {error}");
    Issue::error(object(), key, Code::SCHEMA_VALIDATION_ERROR, message)
}

/// The values with what the ConfigMap's key `config` says of the same.
pub fn overlay(mut values: Value, config: &Value) -> Value {
    for (field, path) in OF_CONFIG {
        let Some(value) = config.get(field).filter(|value| !value.is_null()) else { continue };
        if values.is_null() {
            values = json!({});
        }
        let mut at = &mut values;
        for part in path.split('.') {
            if !at.is_object() {
                break;
            }
            at = &mut at[part];
            if at.is_null() {
                *at = json!({});
            }
        }
        *at = value.clone();
    }
    values
}

pub fn settings(values: &Value, mesh: &MeshConfig, revision: &str) -> (Settings, Vec<Issue>) {
    let mut reader = Reader { values, issues: Vec::new() };
    let mut settings = Settings { revision: revision.to_owned(), ..Settings::default() };
    if !values.is_object() && !values.is_null() {
        reader.error("", "the values are not a map");
    }
    reader.webhook(&mut settings);
    reader.image(&mut settings);
    reader.proxy(&mut settings);
    reader.traffic(&mut settings);
    reader.probes(&mut settings);
    reader.identity(&mut settings);
    reader.templates(&mut settings);
    reader.without_effect();
    from_mesh(mesh, &mut settings, &mut reader);
    (settings, reader.issues)
}

/// MeshConfig counts where the values say nothing of the same matter.
fn from_mesh(mesh: &MeshConfig, settings: &mut Settings, reader: &mut Reader) {
    if !mesh.trust_domain.is_empty() {
        settings.trust_domain.clone_from(&mesh.trust_domain);
    }
    settings.merge_metrics = mesh.enable_prometheus_merge.unwrap_or(true);
    let port = |value: Option<i32>| value.and_then(|port| u16::try_from(port).ok());
    settings.outbound_port = port(mesh.proxy_listen_port).unwrap_or(settings.outbound_port);
    settings.inbound_port = port(mesh.proxy_inbound_listen_port).unwrap_or(settings.inbound_port);
    let Some(config) = &mesh.default_config else { return };
    settings.status_port = port(config.status_port).unwrap_or(settings.status_port);
    match serde_json::to_value(config) {
        Ok(config) => settings.proxy_config = config,
        Err(error) => reader.error("meshConfig.defaultConfig", error.to_string()),
    }
}

impl Reader<'_> {
    fn webhook(&mut self, settings: &mut Settings) {
        let at = |field: &str| format!("sidecarInjectorWebhook.{field}");
        self.flag(&at("enableNamespacesByDefault"), &mut settings.namespaces_by_default);
        self.flag(&at("rewriteAppHTTPProbe"), &mut settings.rewrite_probes);
        self.text(&at("injectLabel"), &mut settings.inject_label);
        settings.never = self.selectors(&at("neverInjectSelector"));
        settings.always = self.selectors(&at("alwaysInjectSelector"));
        settings.injected_annotations = self.map(&at("injectedAnnotations"));
        let (mut enabled, mut auto) = (true, true);
        self.flag(&at("objectSelector.enabled"), &mut enabled);
        self.flag(&at("objectSelector.autoInject"), &mut auto);
        settings.object_selector = match (enabled, auto) {
            (true, true) => ObjectSelector::UnlessDeclined,
            (true, false) => ObjectSelector::WhenAsked,
            (false, _) => ObjectSelector::Ignored,
        };
        self.text("global.istioNamespace", &mut settings.istio_namespace);
        settings.tags = self.texts("revisionTags");
        for field in ["istio_cni.enabled", "pilot.cni.enabled", "cni.enabled"] {
            self.flag(field, &mut settings.node_agent);
        }
        self.flag("pilot.env.ENABLE_NATIVE_SIDECARS", &mut settings.native_sidecar);
        let mut policy = String::from("enabled");
        self.text("global.proxy.autoInject", &mut policy);
        settings.policy = match policy.as_str() {
            "enabled" => Policy::Enabled,
            "disabled" => Policy::Disabled,
            other => {
                let message =
                    format!("{other:?} is neither enabled nor disabled: nothing is injected");
                self.error("global.proxy.autoInject", message);
                Policy::Disabled
            }
        };
    }

    fn image(&mut self, settings: &mut Settings) {
        let image = &mut settings.image;
        self.text("global.hub", &mut image.hub);
        self.text("global.tag", &mut image.tag);
        self.text("global.imagePullPolicy", &mut image.pull_policy);
        image.pull_secrets = self.texts("global.imagePullSecrets");
        let mut name = image.name.clone();
        self.text("global.proxy.image", &mut name);
        if is_istio_image(&name) {
            let message = format!("{name:?} is Istio's image: {} is used", image.reference());
            self.info("global.proxy.image", message);
        } else {
            image.name = name;
        }
    }

    fn proxy(&mut self, settings: &mut Settings) {
        let logging = &mut settings.logging;
        self.text("global.proxy.logLevel", &mut logging.proxy);
        self.text("global.proxy.componentLogLevel", &mut logging.component);
        self.text("global.logging.level", &mut logging.agent);
        self.flag("global.logAsJson", &mut logging.json);
        self.flag("global.proxy.privileged", &mut settings.privileged);
        self.flag("global.proxy.holdApplicationUntilProxyStarts", &mut settings.hold_application);
        if let Some(resources) = self.object("global.proxy.resources") {
            settings.resources = resources;
        }
        settings.init_resources = self.object("global.proxy_init.resources");
        settings.lifecycle = self.object("global.proxy.lifecycle").filter(|one| *one != json!({}));
    }

    fn traffic(&mut self, settings: &mut Settings) {
        let traffic = &mut settings.traffic;
        let fields: [(&str, &mut String, syntax::Check); 6] = [
            ("includeIPRanges", &mut traffic.include_ip_ranges, syntax::ranges_or_all),
            ("excludeIPRanges", &mut traffic.exclude_ip_ranges, syntax::ranges),
            ("includeInboundPorts", &mut traffic.include_inbound_ports, syntax::ports_or_all),
            ("excludeInboundPorts", &mut traffic.exclude_inbound_ports, syntax::ports),
            ("includeOutboundPorts", &mut traffic.include_outbound_ports, syntax::ports_or_all),
            ("excludeOutboundPorts", &mut traffic.exclude_outbound_ports, syntax::ports),
        ];
        for (field, slot, check) in fields {
            let path = format!("global.proxy.{field}");
            let mut value = slot.clone();
            self.any_text(&path, &mut value);
            match check(&value) {
                Ok(()) => *slot = value,
                Err(message) => self.error(&path, message),
            }
        }
    }

    fn probes(&mut self, settings: &mut Settings) {
        let readiness = &mut settings.readiness;
        self.number("global.proxy.readinessInitialDelaySeconds", &mut readiness.initial_delay);
        self.number("global.proxy.readinessPeriodSeconds", &mut readiness.period);
        self.number("global.proxy.readinessFailureThreshold", &mut readiness.failures);
        let (mut enabled, mut failures) = (true, 600);
        self.flag("global.proxy.startupProbe.enabled", &mut enabled);
        self.number("global.proxy.startupProbe.failureThreshold", &mut failures);
        settings.startup = enabled.then_some(Startup { failures });
        let mut port = u32::from(settings.status_port);
        self.number("global.proxy.statusPort", &mut port);
        match u16::try_from(port) {
            Ok(port) => settings.status_port = port,
            Err(_) => self.error("global.proxy.statusPort", "is not a port: at most 65535"),
        }
    }

    fn identity(&mut self, settings: &mut Settings) {
        self.text("global.multiCluster.clusterName", &mut settings.cluster_id);
        self.text("global.network", &mut settings.network);
        self.text("global.meshID", &mut settings.mesh_id);
        self.text("global.trustDomain", &mut settings.trust_domain);
        self.text("global.proxy.clusterDomain", &mut settings.cluster_domain);
        self.text("global.caAddress", &mut settings.ca_address);
        self.text("global.pilotCertProvider", &mut settings.cert_provider);
        self.text("global.sds.token.aud", &mut settings.token_audience);
        let mut policy = String::from("third-party-jwt");
        self.text("global.jwtPolicy", &mut policy);
        if policy != "third-party-jwt" {
            let message =
                format!("{policy:?} is not supported: third-party-jwt is used, a projected token");
            self.warning("global.jwtPolicy", message);
        }
    }

    fn templates(&mut self, settings: &mut Settings) {
        let at = "sidecarInjectorWebhook.templates";
        for (name, text) in self.map(at) {
            if matches!(name.as_str(), "sidecar" | "gateway") {
                let message = "is built in and cannot be replaced: give the overlay another name and \
                               add that to sidecarInjectorWebhook.defaultTemplates";
                self.warning_of(TEMPLATE, &format!("{at}.{name}"), message);
                continue;
            }
            let template = template(&text).unwrap_or_else(|message| {
                self.warning_of(TEMPLATE, &format!("{at}.{name}"), message);
                Template::Program
            });
            settings.templates.insert(name, template);
        }
        let defaults = self.texts("sidecarInjectorWebhook.defaultTemplates");
        if !defaults.is_empty() {
            settings.default_templates = defaults;
        }
        let aliases = self.find("sidecarInjectorWebhook.aliases").cloned();
        for name in aliases.iter().filter_map(Value::as_object).flat_map(|map| map.keys()) {
            let of = self.texts(&format!("sidecarInjectorWebhook.aliases.{name}"));
            settings.aliases.insert(name.clone(), of);
        }
    }

    fn without_effect(&mut self) {
        for (path, instead) in WITHOUT_EFFECT {
            let set = self.find(path).is_some_and(|value| {
                !matches!(value, Value::Bool(false)) && *value != json!([]) && *value != json!(0)
            });
            if set {
                self.warning_of(NO_EFFECT, path, format!("has no effect: {instead}"));
            }
        }
    }
}

/// Whether a name or a reference is one of Istio's proxy images.
pub fn is_istio_image(reference: &str) -> bool {
    let last = reference.rsplit('/').next().unwrap_or(reference);
    let name = last.split([':', '@']).next().unwrap_or(last);
    ISTIO_IMAGES.contains(&name)
}

fn template(text: &str) -> Result<Template, String> {
    if text.contains("{{") {
        return Err("is a Go template, which is not supported: write it as a plain pod, which is \
                    merged into the injected one; pods that name it are refused until then"
            .to_owned());
    }
    match serde_saphyr::from_str::<Value>(text) {
        Ok(overlay) if overlay.is_object() => Ok(Template::Overlay(overlay)),
        Ok(_) => Err("is not a pod: write metadata and spec".to_owned()),
        Err(error) => Err(format!("is not YAML, {error}")),
    }
}

impl Reader<'_> {
    fn find(&self, path: &str) -> Option<&Value> {
        let mut at = self.values;
        for part in path.split('.') {
            at = at.get(part)?;
        }
        (!at.is_null()).then_some(at)
    }

    /// A text; an empty one leaves what is there.
    fn text(&mut self, path: &str, slot: &mut String) {
        let mut value = slot.clone();
        self.any_text(path, &mut value);
        if !value.is_empty() {
            *slot = value;
        }
    }

    /// A text that may be empty. YAML makes numbers of tags and ports.
    fn any_text(&mut self, path: &str, slot: &mut String) {
        match self.find(path) {
            None => {}
            Some(Value::String(text)) => *slot = text.clone(),
            Some(Value::Number(number)) => *slot = number.to_string(),
            Some(_) => self.error(path, "is not a string"),
        }
    }

    fn flag(&mut self, path: &str, slot: &mut bool) {
        let value = match self.find(path) {
            None => return,
            Some(Value::Bool(flag)) => Some(*flag),
            Some(Value::String(text)) => syntax::boolean(text),
            Some(_) => None,
        };
        match value {
            Some(flag) => *slot = flag,
            None => self.error(path, "is neither true nor false"),
        }
    }

    fn number(&mut self, path: &str, slot: &mut u32) {
        let value = match self.find(path) {
            None => return,
            Some(Value::String(text)) => text.parse().ok(),
            Some(value) => value.as_u64().and_then(|number| u32::try_from(number).ok()),
        };
        match value {
            Some(number) => *slot = number,
            None => self.error(path, "is not a number from 0 to 4294967295"),
        }
    }

    fn object(&mut self, path: &str) -> Option<Value> {
        let value = self.find(path)?.clone();
        if !value.is_object() {
            self.error(path, "is not a map");
            return None;
        }
        Some(value)
    }

    /// A map of strings; values that YAML made numbers or flags of are taken as written.
    fn map(&mut self, path: &str) -> BTreeMap<String, String> {
        let entries = self.object(path).unwrap_or_default();
        let mut map = BTreeMap::new();
        for (key, value) in entries.as_object().into_iter().flatten() {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            map.insert(key.clone(), text);
        }
        map
    }

    /// A list of strings, or of objects with a name, as image pull secrets have it.
    fn texts(&mut self, path: &str) -> Vec<String> {
        let Some(value) = self.find(path) else { return Vec::new() };
        let items = value.as_array().map_or(&[][..], Vec::as_slice);
        let texts: Vec<String> = items
            .iter()
            .filter_map(|item| item.as_str().or_else(|| item["name"].as_str()))
            .map(str::to_owned)
            .collect();
        if !value.is_array() || texts.len() != items.len() {
            self.error(path, "is not a list of names");
        }
        texts
    }

    fn selectors(&mut self, path: &str) -> Vec<Selector> {
        let Some(value) = self.find(path).cloned() else { return Vec::new() };
        let Some(items) = value.as_array() else {
            self.error(path, "is not a list of label selectors");
            return Vec::new();
        };
        let mut selectors = Vec::new();
        for (index, item) in items.iter().enumerate() {
            match Selector::parse(item) {
                // As in Istio, an empty selector here selects nothing.
                Ok(selector) if selector == Selector::default() => {}
                Ok(selector) => selectors.push(selector),
                Err(message) => self.error(&format!("{path}[{index}]"), message),
            }
        }
        selectors
    }

    fn error(&mut self, path: &str, message: impl Into<String>) {
        let code = Code::SCHEMA_VALIDATION_ERROR;
        self.issues.push(Issue::error(object(), path, code, message));
    }

    fn warning(&mut self, path: &str, message: impl Into<String>) {
        self.warning_of(NO_EFFECT, path, message);
    }

    fn warning_of(&mut self, code: Code, path: &str, message: impl Into<String>) {
        self.issues.push(Issue::warning(object(), path, code, message));
    }

    fn info(&mut self, path: &str, message: impl Into<String>) {
        let issue = Issue::warning(object(), path, NO_EFFECT, message);
        self.issues.push(Issue { severity: lateen_api::issue::Severity::Info, ..issue });
    }
}
