//! VirtualService: where the traffic of a host goes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::Duration;
use crate::proto::messages;

messages! {
    /// The hosts, where the rules apply, and the routes per protocol.
    pub struct VirtualServiceSpec {
        pub hosts: Vec<String>,
        pub gateways: Vec<String>,
        pub http: Vec<HttpRoute>,
        pub tls: Vec<TlsRoute>,
        pub tcp: Vec<TcpRoute>,
        pub export_to: Vec<String>,
    }

    /// A service, a subset of it, and its port.
    pub struct Destination {
        pub host: String,
        pub subset: String,
        pub port: Option<PortSelector>,
    }

    /// Conditions on a request and what is done with it; the first route that matches is taken.
    pub struct HttpRoute {
        pub name: String,
        pub r#match: Vec<HttpMatchRequest>,
        pub route: Vec<HttpRouteDestination>,
        pub redirect: Option<HttpRedirect>,
        pub direct_response: Option<HttpDirectResponse>,
        pub delegate: Option<Delegate>,
        pub rewrite: Option<HttpRewrite>,
        pub timeout: Option<Duration>,
        pub retries: Option<HttpRetry>,
        pub fault: Option<HttpFaultInjection>,
        pub mirror: Option<Destination>,
        pub mirrors: Vec<HttpMirrorPolicy>,
        /// Deprecated in Istio's API; still accepted.
        pub mirror_percent: Option<u32>,
        pub mirror_percentage: Option<Percent>,
        pub cors_policy: Option<CorsPolicy>,
        pub headers: Option<Headers>,
    }

    /// The VirtualService that has the rest of the routes.
    pub struct Delegate {
        pub name: String,
        pub namespace: String,
    }

    /// What is done to the headers of requests and responses.
    pub struct Headers {
        pub request: Option<HeaderOperations>,
        pub response: Option<HeaderOperations>,
    }

    /// Headers to set, to add and to remove.
    pub struct HeaderOperations {
        pub set: BTreeMap<String, String>,
        pub add: BTreeMap<String, String>,
        pub remove: Vec<String>,
    }

    /// Conditions on a TLS connection's SNI and where it goes.
    pub struct TlsRoute {
        pub r#match: Vec<TlsMatchAttributes>,
        pub route: Vec<RouteDestination>,
    }

    /// Conditions on a connection and where it goes.
    pub struct TcpRoute {
        pub r#match: Vec<L4MatchAttributes>,
        pub route: Vec<RouteDestination>,
    }

    /// Conditions on a request that all must hold.
    pub struct HttpMatchRequest {
        pub name: String,
        pub uri: Option<StringMatch>,
        pub scheme: Option<StringMatch>,
        pub method: Option<StringMatch>,
        pub authority: Option<StringMatch>,
        pub headers: BTreeMap<String, StringMatch>,
        pub port: Option<u32>,
        pub source_labels: BTreeMap<String, String>,
        pub gateways: Vec<String>,
        pub query_params: BTreeMap<String, StringMatch>,
        pub ignore_uri_case: Option<bool>,
        pub without_headers: BTreeMap<String, StringMatch>,
        pub source_namespace: String,
        pub stat_prefix: String,
    }

    /// A destination with its share of the traffic.
    pub struct HttpRouteDestination {
        pub destination: Option<Destination>,
        pub weight: Option<i32>,
        pub headers: Option<Headers>,
    }

    /// A destination with its share of the connections.
    pub struct RouteDestination {
        pub destination: Option<Destination>,
        pub weight: Option<i32>,
    }

    /// Conditions on a connection that all must hold.
    pub struct L4MatchAttributes {
        pub destination_subnets: Vec<String>,
        pub port: Option<u32>,
        pub source_subnet: String,
        pub source_labels: BTreeMap<String, String>,
        pub gateways: Vec<String>,
        pub source_namespace: String,
    }

    /// Conditions on a TLS connection that all must hold.
    pub struct TlsMatchAttributes {
        pub sni_hosts: Vec<String>,
        pub destination_subnets: Vec<String>,
        pub port: Option<u32>,
        pub source_labels: BTreeMap<String, String>,
        pub gateways: Vec<String>,
        pub source_namespace: String,
    }

    /// An answer that sends the client elsewhere.
    #[schemars(extend("x-lateen-one-of" = [["port", "derivePort"]]))]
    pub struct HttpRedirect {
        pub uri: String,
        pub authority: String,
        pub port: Option<u32>,
        pub derive_port: Option<RedirectPortSelection>,
        pub scheme: String,
        pub redirect_code: Option<u32>,
        pub prefix_rewrite: String,
    }

    /// An answer without a destination.
    pub struct HttpDirectResponse {
        pub status: Option<u32>,
        pub body: Option<HttpBody>,
    }

    /// The body of a direct response.
    #[schemars(extend("x-lateen-one-of" = [["string", "bytes"]]))]
    pub struct HttpBody {
        pub string: Option<String>,
        pub bytes: Option<String>,
    }

    /// What replaces parts of a request before it is sent on.
    pub struct HttpRewrite {
        pub uri: String,
        pub authority: String,
        pub uri_regex_rewrite: Option<RegexRewrite>,
    }

    /// A regular expression and what replaces its match.
    pub struct RegexRewrite {
        pub r#match: String,
        pub rewrite: String,
    }

    /// How a text is compared.
    #[schemars(extend("x-lateen-one-of" = [["exact", "prefix", "regex"]]))]
    pub struct StringMatch {
        pub exact: Option<String>,
        pub prefix: Option<String>,
        pub regex: Option<String>,
    }

    /// When and how often a request is tried again.
    pub struct HttpRetry {
        pub attempts: Option<i32>,
        pub per_try_timeout: Option<Duration>,
        pub retry_on: String,
        pub retry_remote_localities: Option<bool>,
        pub retry_ignore_previous_hosts: Option<bool>,
        pub backoff: Option<Duration>,
    }

    /// What is answered to cross-origin requests.
    pub struct CorsPolicy {
        /// Deprecated in Istio's API; still accepted.
        pub allow_origin: Vec<String>,
        pub allow_origins: Vec<StringMatch>,
        pub allow_methods: Vec<String>,
        pub allow_headers: Vec<String>,
        pub expose_headers: Vec<String>,
        pub max_age: Option<Duration>,
        pub allow_credentials: Option<bool>,
        pub unmatched_preflights: Option<UnmatchedPreflights>,
    }

    /// Faults that are made on purpose.
    pub struct HttpFaultInjection {
        pub delay: Option<FaultDelay>,
        pub abort: Option<FaultAbort>,
    }

    /// A delay that is made on purpose.
    #[schemars(extend("x-lateen-one-of" = [["fixedDelay", "exponentialDelay"]]))]
    pub struct FaultDelay {
        /// Deprecated in Istio's API; still accepted.
        pub percent: Option<i32>,
        pub fixed_delay: Option<Duration>,
        pub exponential_delay: Option<Duration>,
        pub percentage: Option<Percent>,
    }

    /// A failure that is made on purpose.
    #[schemars(extend("x-lateen-one-of" = [["httpStatus", "grpcStatus", "http2Error"]]))]
    pub struct FaultAbort {
        pub http_status: Option<i32>,
        pub grpc_status: Option<String>,
        pub http2_error: Option<String>,
        pub percentage: Option<Percent>,
    }

    /// Where copies of requests go.
    pub struct HttpMirrorPolicy {
        pub destination: Option<Destination>,
        pub percentage: Option<Percent>,
    }

    /// A port by its number.
    pub struct PortSelector {
        pub number: Option<u32>,
    }

    /// A percentage, 0 to 100.
    pub struct Percent {
        pub value: Option<f64>,
    }
}

/// Where a redirect takes its port from.
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
pub enum RedirectPortSelection {
    #[default]
    FromProtocolDefault,
    FromRequestPort,
}

/// What is done with preflight requests that no policy matches.
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
pub enum UnmatchedPreflights {
    #[default]
    Unspecified,
    Forward,
    Ignore,
}
