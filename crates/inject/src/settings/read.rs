//! Reads settings. In: values as Helm and IstioOperator files have them, MeshConfig. Out: settings;
//! a value of a wrong type is an error with its path and leaves the default, one without a meaning
//! here is a warning.

mod access;

use std::cell::RefCell;
use std::collections::BTreeSet;

use lateen_api::issue::{Code, Issue, ObjectRef};
use lateen_api::istio::mesh::MeshConfig;
use lateen_api::{words, yaml};
use serde_json::{Value, json};

use super::istio::is_istio_image;
use super::{NAMESPACE, ObjectSelector, Policy, Settings, Startup, Template};
use crate::annotation::config::without_effect;
use crate::selector::Selector;
use crate::{NO_EFFECT, TEMPLATE, pod};

/// Values that other tracers and Istio's agent need, and what is in their place.
const WITHOUT_EFFECT: &[(&str, &str)] = &[
    ("global.mountMtlsCerts", "certificates come from the control plane, not from Secrets"),
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
    /// The paths that were asked for.
    paths: RefCell<BTreeSet<String>>,
}

/// The object that holds the injector's values.
pub fn injector_config() -> ObjectRef {
    ObjectRef::new("", "ConfigMap", "istio-system", "istio-sidecar-injector")
}

/// The object that holds MeshConfig.
pub fn mesh_config() -> ObjectRef {
    ObjectRef::new("", "ConfigMap", "istio-system", "istio")
}

/// A key's text is no YAML at all.
pub fn not_yaml(key: &str, error: &str) -> Issue {
    let message = format!("it is not YAML, {error}");
    Issue::error(injector_config(), key, Code::SCHEMA_VALIDATION_ERROR, message)
}

/// A key's text is YAML and no map.
pub fn no_map(key: &str) -> Issue {
    Issue::error(injector_config(), key, Code::SCHEMA_VALIDATION_ERROR, "is not a map")
}

/// The values with what the ConfigMap's key `config` says of the same.
pub fn overlay(mut values: Value, config: &Value) -> Value {
    for (field, path) in OF_CONFIG {
        let Some(value) = config.get(field).filter(|value| !value.is_null()) else { continue };
        let (parents, last) = path.rsplit_once('.').expect("each path in OF_CONFIG has a dot");
        let at = parents.split('.').fold(&mut values, |at, part| pod::object_at(at, part));
        at[last] = value.clone();
    }
    values
}

pub fn settings(values: &Value, mesh: &MeshConfig, revision: &str) -> (Settings, Vec<Issue>) {
    let (settings, reader) = read(values, mesh, revision);
    (settings, reader.issues)
}

/// The values' paths that are read.
pub fn paths() -> BTreeSet<String> {
    read(&Value::Null, &MeshConfig::default(), "").1.paths.into_inner()
}

fn read<'a>(values: &'a Value, mesh: &MeshConfig, revision: &str) -> (Settings, Reader<'a>) {
    let mut reader = Reader { values, issues: Vec::new(), paths: RefCell::default() };
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
    reader.gateways(&mut settings);
    reader.dns(&mut settings);
    reader.templates(&mut settings);
    reader.without_effect();
    from_mesh(mesh, &mut settings, &mut reader);
    (settings, reader)
}

/// MeshConfig counts where the values say nothing of the same matter.
fn from_mesh(mesh: &MeshConfig, settings: &mut Settings, reader: &mut Reader) {
    if !mesh.trust_domain.is_empty() {
        settings.trust_domain.clone_from(&mesh.trust_domain);
    }
    settings.root_namespace.clone_from(&mesh.root_namespace);
    let selectors = mesh.discovery_selectors.iter().map(Selector::of);
    settings.discovery = selectors.collect::<Option<_>>().unwrap_or_default();
    settings.merge_metrics = mesh.enable_prometheus_merge.unwrap_or(true);
    let status = mesh.default_config.as_ref().and_then(|config| config.status_port);
    let ports = [
        (mesh.proxy_listen_port, &mut settings.outbound_port),
        (mesh.proxy_inbound_listen_port, &mut settings.inbound_port),
        (status, &mut settings.status_port),
    ];
    // One that is none is told where MeshConfig is read.
    for (port, slot) in ports {
        if let Some(port) = port.and_then(|port| u16::try_from(port).ok()) {
            *slot = port;
        }
    }
    let Some(config) = &mesh.default_config else { return };
    match serde_json::to_value(config) {
        Ok(config) => {
            let used = mesh.enable_envoy_access_log_service == Some(true);
            let used = used.then_some("envoyAccessLogService");
            reader.issues.extend(fields_without_effect(&config, used));
            settings.proxy_config = config;
        }
        Err(error) => reader.error("meshConfig.defaultConfig", error.to_string()),
    }
}

/// What the annotation `proxy.istio.io/config` says of its fields, once for the mesh, whose own setting may use one.
fn fields_without_effect(config: &Value, used: Option<&str>) -> impl Iterator<Item = Issue> {
    let unused = without_effect(config).filter(move |(field, _)| Some(*field) != used);
    unused.map(|(field, why)| {
        let path = format!("defaultConfig.{field}");
        Issue::warning(mesh_config(), path, NO_EFFECT, format!("has no effect: {why}"))
    })
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
        self.native_sidecar(settings);
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

    /// The control plane's variable, which leaves all but two words to the nodes; none are known here.
    fn native_sidecar(&mut self, settings: &mut Settings) {
        let path = "pilot.env.ENABLE_NATIVE_SIDECARS";
        let word = match self.find(path) {
            None => return,
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        settings.native_sidecar = word == "true";
        if !matches!(word.as_str(), "true" | "false" | "auto" | "") {
            let message = format!("{word:?} is none of true, false and auto: it is taken for auto");
            self.warning(path, message);
        }
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
        let usual = image.reference();
        let mut init = String::new();
        self.text("global.proxy_init.image", &mut init);
        let is_own = init.contains('/') && !is_istio_image(&init) && init != usual;
        settings.init_image = Some(init).filter(|_| is_own);
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
        if let Some(resources) = self.object("global.proxy_init.resources") {
            settings.init_resources = resources;
        }
        settings.lifecycle = self.filled("global.proxy.lifecycle");
        settings.seccomp = self.filled("global.proxy.seccompProfile");
    }

    fn gateways(&mut self, settings: &mut Settings) {
        settings.gateway_security = self.filled("gateways.securityContext");
        if let Some(profile) = self.filled("gateways.seccompProfile") {
            let security = settings.gateway_security.get_or_insert_with(|| json!({}));
            security["seccompProfile"] = profile;
        }
    }

    fn dns(&mut self, settings: &mut Settings) {
        let path = "global.podDNSSearchNamespaces";
        for (index, text) in self.texts(path).iter().enumerate() {
            match search_domain(text) {
                Ok(domain) => settings.dns_searches.push(domain),
                Err(message) => self.error(&format!("{path}[{index}]"), message),
            }
        }
    }

    fn traffic(&mut self, settings: &mut Settings) {
        let traffic = &mut settings.traffic;
        let fields: [(&str, &mut String, words::Check); 6] = [
            ("includeIPRanges", &mut traffic.include_ip_ranges, words::ranges_or_all),
            ("excludeIPRanges", &mut traffic.exclude_ip_ranges, words::ranges),
            ("includeInboundPorts", &mut traffic.include_inbound_ports, words::ports_or_all),
            ("excludeInboundPorts", &mut traffic.exclude_inbound_ports, words::ports),
            ("includeOutboundPorts", &mut traffic.include_outbound_ports, words::ports_or_all),
            ("excludeOutboundPorts", &mut traffic.exclude_outbound_ports, words::ports),
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
                let told = format!("{message}; pods that name it are refused");
                self.warning_of(TEMPLATE, &format!("{at}.{name}"), told);
                Template::Refused(message)
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

fn template(text: &str) -> Result<Template, String> {
    if text.contains("{{") {
        return Err("is a Go template, which is not supported: write it as a plain pod, which is \
                    merged into the injected one"
            .to_owned());
    }
    match yaml::one(text) {
        Ok(overlay) if overlay.is_object() => match pod::misfits(&overlay).first() {
            None => Ok(Template::Overlay(overlay)),
            Some((path, message)) => Err(format!("is not a pod: {path} {message}")),
        },
        Ok(_) => Err("is not a pod: write metadata and spec".to_owned()),
        Err(reason) => Err(format!("is not YAML, {reason}")),
    }
}

/// A domain, with [`NAMESPACE`] for the one template that Istio's values document for it.
fn search_domain(text: &str) -> Result<String, String> {
    let wrong = || {
        format!(
            "{text:?} is not a domain: the one template in it may be {{{{ .DeploymentMeta.Namespace }}}}"
        )
    };
    let mut domain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (expression, after) = after.split_once("}}").ok_or_else(wrong)?;
        if !expression.contains(".DeploymentMeta.Namespace") {
            return Err(wrong());
        }
        domain.push_str(before);
        domain.push_str(NAMESPACE);
        rest = after;
    }
    domain.push_str(rest);
    let plain = domain.replace(NAMESPACE, "n");
    let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._".contains(c);
    if plain.is_empty() || !plain.chars().all(known) { Err(wrong()) } else { Ok(domain) }
}
