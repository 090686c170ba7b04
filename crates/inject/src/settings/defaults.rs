//! What holds where nothing is said. Out: Istio's defaults, but for resources, which are those that the
//! installer's profiles give, and for applications, which wait for their proxies.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::{Image, Logging, ObjectSelector, Policy, Readiness, Settings, Startup, Traffic};

/// The port of readiness, probes and merged metrics.
const STATUS_PORT: u16 = 15020;

impl Default for Settings {
    fn default() -> Self {
        Settings {
            revision: String::new(),
            tags: Vec::new(),
            istio_namespace: "istio-system".to_owned(),
            discovery: Vec::new(),
            root_namespace: String::new(),
            policy: Policy::Enabled,
            never: Vec::new(),
            always: Vec::new(),
            namespaces_by_default: false,
            inject_label: "istio-injection".to_owned(),
            object_selector: ObjectSelector::UnlessDeclined,
            native_sidecar: false,
            node_agent: false,
            rewrite_probes: true,
            merge_metrics: true,
            hold_application: true,
            image: Image::default(),
            resources: json!({"requests": {"cpu": "20m", "memory": "32Mi"}}),
            init_resources: json!({"requests": {"cpu": "10m", "memory": "10Mi"}}),
            init_image: None,
            privileged: false,
            seccomp: None,
            gateway_security: None,
            dns_searches: Vec::new(),
            lifecycle: None,
            logging: Logging::default(),
            traffic: Traffic::default(),
            readiness: Readiness { initial_delay: 0, period: 15, failures: 4 },
            startup: Some(Startup { failures: 600 }),
            status_port: STATUS_PORT,
            cluster_id: "Kubernetes".to_owned(),
            network: String::new(),
            mesh_id: String::new(),
            trust_domain: "cluster.local".to_owned(),
            cluster_domain: "cluster.local".to_owned(),
            ca_address: String::new(),
            token_audience: "istio-ca".to_owned(),
            proxy_config: json!({}),
            proxy_configs: Arc::default(),
            outbound_port: 15001,
            inbound_port: 15006,
            templates: BTreeMap::new(),
            default_templates: vec!["sidecar".to_owned()],
            aliases: BTreeMap::new(),
            injected_annotations: BTreeMap::new(),
        }
    }
}

impl Default for Image {
    fn default() -> Self {
        Image {
            hub: "lateen-mesh".to_owned(),
            tag: env!("CARGO_PKG_VERSION").to_owned(),
            name: "lateen".to_owned(),
            pull_policy: String::new(),
            pull_secrets: Vec::new(),
        }
    }
}

impl Default for Logging {
    fn default() -> Self {
        Logging {
            proxy: "warning".to_owned(),
            component: "misc:error".to_owned(),
            agent: "default:info".to_owned(),
            json: false,
        }
    }
}

impl Default for Traffic {
    fn default() -> Self {
        Traffic {
            include_ip_ranges: "*".to_owned(),
            exclude_ip_ranges: String::new(),
            include_inbound_ports: "*".to_owned(),
            exclude_inbound_ports: String::new(),
            include_outbound_ports: String::new(),
            exclude_outbound_ports: String::new(),
        }
    }
}
