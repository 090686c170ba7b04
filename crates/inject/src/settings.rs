//! What injection depends on. In: the injector's values (key `values` of the ConfigMap
//! `istio-sidecar-injector`), MeshConfig and the revision. Out: [`Settings`] and issues; what is not
//! given has Istio's default, except for resources, which are Lateen's.

mod defaults;
mod istio;
mod read;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lateen_api::issue::Issue;
use lateen_api::istio::mesh::{MeshConfig, parse_mesh_config};
use lateen_api::yaml;
use serde_json::Value;

use crate::proxy_configs::ProxyConfigs;
use crate::selector::Selector;

pub use istio::{is_istio_hub, is_istio_image};
pub use read::{injector_config, mesh_config};

/// The pod's namespace in a DNS search domain.
pub const NAMESPACE: &str = "{namespace}";

/// `global.proxy.autoInject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    Enabled,
    Disabled,
}

/// What `sidecarInjectorWebhook.objectSelector` of older files means for the webhooks' selectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectSelector {
    /// `enabled: true, autoInject: true`, and where the field is missing: every pod of a namespace but
    /// those that decline; a pod may ask where its namespace says nothing.
    UnlessDeclined,
    /// `enabled: true, autoInject: false`: only pods that ask.
    WhenAsked,
    /// `enabled: false`: only namespaces are selected; the webhook itself reads the pod's wish.
    Ignored,
}

/// The one image of everything, and how it is pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    pub hub: String,
    pub tag: String,
    /// A name under the hub, or a whole reference if it has a slash.
    pub name: String,
    /// Empty for Kubernetes' default.
    pub pull_policy: String,
    pub pull_secrets: Vec<String>,
}

/// The proxy's and the agent's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logging {
    pub proxy: String,
    pub component: String,
    pub agent: String,
    pub json: bool,
}

/// What is captured, as the annotations `traffic.sidecar.istio.io/*` write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traffic {
    pub include_ip_ranges: String,
    pub exclude_ip_ranges: String,
    pub include_inbound_ports: String,
    pub exclude_inbound_ports: String,
    pub include_outbound_ports: String,
    pub exclude_outbound_ports: String,
}

/// The readiness probe of the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readiness {
    pub initial_delay: u32,
    pub period: u32,
    pub failures: u32,
}

/// The startup probe of the proxy, once a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Startup {
    pub failures: u32,
}

/// A custom injection template.
#[derive(Debug, Clone, PartialEq)]
pub enum Template {
    /// A plain pod, merged strategically.
    Overlay(Value),
    /// Pods that name it are refused; the text says why.
    Refused(String),
}

/// What of the injector's values, MeshConfig and the revision matters.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Empty for the default revision.
    pub revision: String,
    /// The tags that point to this revision.
    pub tags: Vec<String>,
    pub istio_namespace: String,
    /// MeshConfig's `discoverySelectors`: without any, or with a wrong one among them, none.
    pub discovery: Vec<Selector>,
    /// MeshConfig's `rootNamespace`; empty for the control plane's.
    pub root_namespace: String,
    pub policy: Policy,
    pub never: Vec<Selector>,
    pub always: Vec<Selector>,
    pub namespaces_by_default: bool,
    /// The namespace label `istio-injection`, unless `injectLabel` names another.
    pub inject_label: String,
    pub object_selector: ObjectSelector,
    /// Whether the cluster's nodes run init containers with `restartPolicy: Always`.
    pub native_sidecar: bool,
    /// Whether an agent on each node lays the interception rules.
    pub node_agent: bool,
    pub rewrite_probes: bool,
    pub merge_metrics: bool,
    /// Whether an application waits for its proxy where the ProxyConfig does not say.
    pub hold_application: bool,
    pub image: Image,
    /// `resources` of the proxy.
    pub resources: Value,
    /// `resources` of the interception step.
    pub init_resources: Value,
    /// The image of `istio-init`, where it is another one, such as the one with the iptables programs.
    pub init_image: Option<String>,
    pub privileged: bool,
    /// `seccompProfile` of a sidecar's containers.
    pub seccomp: Option<Value>,
    /// `securityContext` of a gateway's pod, under the pod's own.
    pub gateway_security: Option<Value>,
    /// What the resolver of a pod with a sidecar appends to names, after the pod's own;
    /// [`NAMESPACE`] stands for the pod's namespace.
    pub dns_searches: Vec<String>,
    /// `lifecycle` of the proxy in place of Lateen's own.
    pub lifecycle: Option<Value>,
    pub logging: Logging,
    pub traffic: Traffic,
    pub readiness: Readiness,
    pub startup: Option<Startup>,
    pub status_port: u16,
    pub cluster_id: String,
    /// Empty for none.
    pub network: String,
    /// Empty for the trust domain.
    pub mesh_id: String,
    pub trust_domain: String,
    pub cluster_domain: String,
    /// Empty for the control plane's own Service.
    pub ca_address: String,
    pub token_audience: String,
    /// MeshConfig's `defaultConfig` as JSON.
    pub proxy_config: Value,
    /// The objects that change it for a namespace or a pod.
    pub proxy_configs: Arc<ProxyConfigs>,
    pub outbound_port: u16,
    pub inbound_port: u16,
    pub templates: BTreeMap<String, Template>,
    pub default_templates: Vec<String>,
    /// One name for several templates.
    pub aliases: BTreeMap<String, Vec<String>>,
    pub injected_annotations: BTreeMap<String, String>,
}

impl Image {
    /// The reference of the image.
    pub fn reference(&self) -> String {
        if self.name.contains('/') {
            return self.name.clone();
        }
        format!("{}/{}:{}", self.hub, self.name, self.tag)
    }
}

impl Settings {
    /// Reads the injector's values and MeshConfig.
    pub fn from_config(values: &Value, mesh: &MeshConfig, revision: &str) -> (Self, Vec<Issue>) {
        read::settings(values, mesh, revision)
    }

    /// The paths of the values that matter here, as in `global.proxy.image`; a map counts with all that is in it.
    pub fn paths_of_values() -> BTreeSet<String> {
        read::paths()
    }

    /// Reads them as the ConfigMaps `istio-sidecar-injector` and `istio` hold them: YAML texts.
    pub fn from_texts(values: &str, mesh: &str, revision: &str) -> (Self, Vec<Issue>) {
        Settings::from_config_map("", values, mesh, revision)
    }

    /// The same with the injector's key `config`, which counts over `values`: it is what Istio's webhook
    /// reads of the matters that are in both.
    pub fn from_config_map(
        config: &str,
        values: &str,
        mesh: &str,
        revision: &str,
    ) -> (Self, Vec<Issue>) {
        let (mesh, mut issues) = parse_mesh_config(mesh, &mesh_config());
        let mut parsed = |key: &str, text: &str| match yaml::one(text) {
            Ok(value) => value,
            Err(_) if text.trim().is_empty() => Value::Null,
            Err(reason) => {
                issues.push(read::not_yaml(key, &reason));
                Value::Null
            }
        };
        let (values, config) = (parsed("values", values), parsed("config", config));
        if !config.is_object() && !config.is_null() {
            issues.push(read::no_map("config"));
        }
        let values = read::overlay(values, &config);
        let (settings, more) = Settings::from_config(&values, &mesh.unwrap_or_default(), revision);
        issues.extend(more);
        (settings, issues)
    }

    /// Whether this revision owns the label `istio-injection`.
    pub fn is_default(&self) -> bool {
        matches!(self.revision.as_str(), "" | "default")
    }

    /// The value of `istio.io/rev` that means this revision.
    pub fn revision_label(&self) -> &str {
        if self.revision.is_empty() { "default" } else { &self.revision }
    }

    /// The namespace whose objects are for the whole mesh.
    pub fn root_namespace(&self) -> &str {
        match self.root_namespace.as_str() {
            "" => &self.istio_namespace,
            root => root,
        }
    }

    /// The name of the control plane's Service.
    pub fn service(&self) -> String {
        if self.is_default() {
            return "istiod".to_owned();
        }
        format!("istiod-{}", self.revision)
    }

    /// Where the control plane serves xDS and signs certificates.
    pub fn control_plane(&self) -> String {
        format!("{}.{}.svc:15012", self.service(), self.istio_namespace)
    }
}

#[cfg(test)]
mod tests;
