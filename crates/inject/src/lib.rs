//! Injection as a function of values: which pods, by which webhook, and the pod that comes of it.
//!
//! In: a pod or workload as JSON, its namespace's labels, and [`Settings`] (what of the injector's
//! values and MeshConfig matters). Out: a decision with its reason, the injected pod with issues, an
//! RFC 6902 patch, and the MutatingWebhookConfiguration. Nothing here reads a clock, the environment,
//! a file or a socket. The rules are Istio's: istio.io's pages on sidecar injection, resource
//! annotations and resource labels.

mod annotation;
mod decide;
mod discovery;
mod inject;
mod interception;
mod merge;
mod misplaced;
pub mod node_agent;
mod owner;
mod patch;
mod pod;
mod probes;
mod prometheus;
mod proxy;
mod proxy_configs;
pub mod quantity;
mod selector;
mod settings;
mod strip;
mod template;
mod webhook;
mod workload;

use std::collections::BTreeMap;

use lateen_api::issue::{Code, Issue};
use serde_json::Value;

pub use decide::{Decision, Reason, Wish, decide};
pub use discovery::left_out;
pub use inject::inject;
pub use misplaced::misplaced;
pub use patch::patch;
pub use pod::set_proxy_variables;
pub use prometheus::merge as merge_metrics;
pub use proxy_configs::{ProxyConfigs, kind as proxy_config_kind};
pub use selector::{Operator, Requirement, Selector};
pub use settings::{
    Image, Logging, ObjectSelector, Policy, Readiness, Settings, Startup, Template, Traffic,
    injector_config, is_istio_hub, is_istio_image, mesh_config,
};
pub use webhook::{Call, Endpoint, Rule, Webhook, is_called, selected, tag_webhooks, webhooks};
pub use workload::{Manual, Outcome, is_foreign_workload, take_items, workload};

/// The proxy's container, in `containers` or, as a native sidecar, in `initContainers`.
pub const PROXY_CONTAINER: &str = "istio-proxy";
/// The init container that lays the interception rules.
pub const INIT_CONTAINER: &str = "istio-init";
/// The init container that checks the rules which the node agent laid.
pub const VALIDATION_CONTAINER: &str = "istio-validation";

/// Tells the agent in a plain sidecar of a Job when to end, by one of the two values below.
pub const END_WITH: &str = "LATEEN_END_WITH";
/// When the pod, whose containers share a process namespace then, has no process left that is neither the
/// agent's own nor the pod's first.
pub const WITH_PROCESSES: &str = "processes";
/// When it has had none for longer than the kubelet takes to start a container again that failed.
pub const WITH_SUCCESS: &str = "success";

/// A pod that is about to be created.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub namespace: &'a str,
    pub namespace_labels: &'a BTreeMap<String, String>,
    /// `v1` Pod; its name may be missing, as in a template.
    pub pod: &'a Value,
}

/// A pod with its sidecar or gateway.
#[derive(Debug, Clone, PartialEq)]
pub struct Injected {
    pub pod: Value,
    /// Warnings and hints; an error is the `Err` of [`inject`].
    pub issues: Vec<Issue>,
}

/// Istio's code for an annotation that does not exist.
const UNKNOWN_ANNOTATION: Code = Code("IST0108");
/// Istio's code for a value that an annotation does not take.
const INVALID_ANNOTATION: Code = Code("IST0125");
/// Istio's code for an annotation or a label in a place where nobody reads it.
const MISPLACED: Code = Code("IST0107");
/// Istio's code for `image: auto` where nothing fills it in.
const IMAGE_AUTO: Code = Code("IST0147");
/// A setting or an annotation that has no effect with Lateen.
const NO_EFFECT: Code = Code("LTN0201");
/// An injection template that cannot be used.
const TEMPLATE: Code = Code("LTN0202");
/// A pod with which the sidecar cannot do what it does elsewhere.
const LIMITED: Code = Code("LTN0203");
