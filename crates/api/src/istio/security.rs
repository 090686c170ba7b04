//! The group `security.istio.io`.

mod authorization_policy;
mod peer_authentication;
mod request_authentication;

pub use authorization_policy::{
    AuthorizationAction, AuthorizationPolicySpec, AuthorizationProvider, Condition, Operation,
    Rule, RuleFrom, RuleTo, Source,
};
pub use peer_authentication::{MutualTls, MutualTlsMode, PeerAuthenticationSpec};
pub use request_authentication::{
    ClaimToHeader, JwtHeader, JwtPresence, JwtRule, RequestAuthenticationSpec,
};
