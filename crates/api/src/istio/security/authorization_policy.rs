//! AuthorizationPolicy: who may do what to a workload.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::istio::common::{PolicyTargetReference, WorkloadSelector};
use crate::proto::messages;

messages! {
    /// Which workloads it is for, what it does, and to which requests.
    pub struct AuthorizationPolicySpec {
        pub selector: Option<WorkloadSelector>,
        pub target_ref: Option<PolicyTargetReference>,
        pub target_refs: Vec<PolicyTargetReference>,
        pub rules: Vec<Rule>,
        pub action: Option<AuthorizationAction>,
        pub provider: Option<AuthorizationProvider>,
    }

    /// The extension provider that decides.
    pub struct AuthorizationProvider {
        pub name: String,
    }

    /// A match of who, what and when; all that are given must hold.
    pub struct Rule {
        pub from: Vec<RuleFrom>,
        pub to: Vec<RuleTo>,
        pub when: Vec<Condition>,
    }

    /// Who.
    pub struct RuleFrom {
        pub source: Option<Source>,
    }

    /// What.
    pub struct RuleTo {
        pub operation: Option<Operation>,
    }

    /// Conditions on where a request comes from, that all must hold.
    pub struct Source {
        pub principals: Vec<String>,
        pub not_principals: Vec<String>,
        pub request_principals: Vec<String>,
        pub not_request_principals: Vec<String>,
        pub namespaces: Vec<String>,
        pub not_namespaces: Vec<String>,
        pub service_accounts: Vec<String>,
        pub not_service_accounts: Vec<String>,
        pub ip_blocks: Vec<String>,
        pub not_ip_blocks: Vec<String>,
        pub remote_ip_blocks: Vec<String>,
        pub not_remote_ip_blocks: Vec<String>,
        pub trust_domains: Vec<String>,
        pub not_trust_domains: Vec<String>,
    }

    /// Conditions on a request, that all must hold.
    pub struct Operation {
        pub hosts: Vec<String>,
        pub not_hosts: Vec<String>,
        pub ports: Vec<String>,
        pub not_ports: Vec<String>,
        pub methods: Vec<String>,
        pub not_methods: Vec<String>,
        pub paths: Vec<String>,
        pub not_paths: Vec<String>,
    }

    /// A further condition, on a named attribute.
    pub struct Condition {
        pub key: String,
        pub values: Vec<String>,
        pub not_values: Vec<String>,
    }
}

/// What a match leads to.
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
pub enum AuthorizationAction {
    #[default]
    Allow,
    Deny,
    Audit,
    Custom,
}
