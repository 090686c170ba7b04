//! RequestAuthentication: which JSON Web Tokens are believed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::Duration;
use crate::istio::common::{PolicyTargetReference, WorkloadSelector};
use crate::proto::messages;

messages! {
    /// Which workloads it is for, and whose tokens they believe.
    pub struct RequestAuthenticationSpec {
        pub selector: Option<WorkloadSelector>,
        pub target_ref: Option<PolicyTargetReference>,
        pub target_refs: Vec<PolicyTargetReference>,
        pub jwt_rules: Vec<JwtRule>,
    }

    /// One issuer of tokens.
    pub struct JwtRule {
        pub issuer: String,
        pub audiences: Vec<String>,
        pub jwks_uri: String,
        pub jwks: String,
        pub from_headers: Vec<JwtHeader>,
        pub from_params: Vec<String>,
        pub output_payload_to_header: String,
        pub from_cookies: Vec<String>,
        pub forward_original_token: Option<bool>,
        pub output_claim_to_headers: Vec<ClaimToHeader>,
        pub timeout: Option<Duration>,
        pub space_delimited_claims: Vec<String>,
        pub presence: Option<JwtPresence>,
    }

    /// A header that carries a token.
    pub struct JwtHeader {
        pub name: String,
        pub prefix: String,
    }

    /// A claim that is copied into a header.
    pub struct ClaimToHeader {
        pub header: String,
        pub claim: String,
    }
}

/// Whether a request has to carry the token of a rule.
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
pub enum JwtPresence {
    #[default]
    Optional,
    Required,
}
