//! CEL, as far as Envoy's attributes need it: access log filters and the values of metrics' labels. In: an
//! expression, and attributes. Out: a compiled [`Expression`], and its value; none where it fails, because an
//! attribute is absent or of another type. Source: the CEL specification and Envoy's page on attributes.
//!
//! There are no comprehensions (`exists`, `map`, …): nothing that a connection has is a list. Expressions are
//! bounded in length and depth, and evaluation takes no more steps than the expression has parts.

mod evaluate;
mod lex;
mod parse;
#[cfg(test)]
mod tests;
mod value;

use std::fmt;

pub use value::Value;

/// Bytes of an expression.
const LONGEST: usize = 4096;
/// Its words and signs: as many parts as that are no danger to a stack, in whatever way they are nested.
const MOST: usize = 512;

/// What expressions are about: attributes in groups, such as `connection.mtls`.
pub trait Attributes {
    /// The value of `GROUP.NAME`, if there is one.
    fn attribute(&self, group: &str, name: &str) -> Option<Value>;
}

/// Groups of attributes that an expression may name, with those that connections may have here. What Envoy has of
/// requests, of TLS and of filters alone is none of them.
const GROUPS: [(&str, &[&str]); 13] = [
    ("connection", &["id", "mtls", "requested_server_name"]),
    ("destination", &["address", "port"]),
    ("downstream_peer", &PEER),
    ("filter_state", &["downstream_peer", "upstream_peer"]),
    ("metadata", &[]),
    ("node", &["cluster", "id", "metadata"]),
    ("request", &["duration", "size", "total_size"]),
    ("response", &["flags", "size", "total_size"]),
    ("source", &["address", "port"]),
    (
        "upstream",
        &[
            "address",
            "cx_pool_ready_duration",
            "local_address",
            "port",
            "request_attempt_count",
            "transport_failure_reason",
        ],
    ),
    ("upstream_filter_state", &[]),
    ("upstream_peer", &PEER),
    ("xds", &["cluster_name", "filter_chain_name", "listener_direction", "node"]),
];
/// Those of [`GROUPS`] that are known of one connection when it has ended: what is counted has none of them.
const LOGGED: [(&str, &[&str]); 5] = [
    ("connection", &["id"]),
    ("request", &["duration", "size", "total_size"]),
    ("response", &["size", "total_size"]),
    (
        "upstream",
        &[
            "cx_pool_ready_duration",
            "local_address",
            "request_attempt_count",
            "transport_failure_reason",
        ],
    ),
    ("xds", &["filter_chain_name"]),
];
/// What Envoy has of requests and of TLS, so that an expression that asks whether it is there means what it says.
const ENVOYS: [(&str, &[&str]); 5] = [
    (
        "connection",
        &[
            "dns_san_local_certificate",
            "dns_san_peer_certificate",
            "peer_certificate",
            "sha256_peer_certificate_digest",
            "subject_local_certificate",
            "subject_peer_certificate",
            "termination_details",
            "tls_version",
            "transport_failure_reason",
            "uri_san_local_certificate",
            "uri_san_peer_certificate",
        ],
    ),
    (
        "request",
        &[
            "headers",
            "headers_bytes",
            "host",
            "id",
            "method",
            "path",
            "protocol",
            "query",
            "referer",
            "scheme",
            "time",
            "url_path",
            "useragent",
        ],
    ),
    (
        "response",
        &[
            "backend_latency",
            "code",
            "code_details",
            "grpc_status",
            "headers",
            "headers_bytes",
            "trailers",
        ],
    ),
    (
        "upstream",
        &[
            "dns_san_local_certificate",
            "dns_san_peer_certificate",
            "locality",
            "num_endpoints",
            "peer_certificate",
            "sha256_peer_certificate_digest",
            "subject_local_certificate",
            "subject_peer_certificate",
            "tls_version",
            "uri_san_local_certificate",
            "uri_san_peer_certificate",
        ],
    ),
    ("xds", &["route_metadata", "route_name", "virtual_host_metadata", "virtual_host_name"]),
];
const PEER: [&str; 7] =
    ["app", "cluster", "namespace", "revision", "service", "version", "workload"];

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CelError {
    #[error("it is empty: write a CEL expression such as connection.mtls")]
    Empty,
    #[error("it has more than {LONGEST} bytes or {MOST} words and signs: write a shorter one")]
    TooLong,
    #[error("it is nested too deeply: write a simpler one")]
    TooDeep,
    #[error("{0:?} is not understood there: check the spelling and the quotes")]
    Unexpected(String),
    #[error("it ends too early: a value or a closing bracket is missing")]
    End,
    #[error(
        "there is no function {0}: use size, has, string, int, double, duration, contains, startsWith, endsWith or matches"
    )]
    Function(String),
    #[error("{0} takes another number of arguments: check them")]
    Arguments(&'static str),
    #[error(
        "{0:?} is no regular expression that can be used: write one in RE2's syntax, as a literal"
    )]
    Pattern(String),
    #[error("{0} is not supported here: use operators and functions of strings")]
    Lacking(String),
}

/// A compiled expression. Two of the same text are equal.
#[derive(Clone)]
pub struct Expression {
    text: String,
    root: parse::Node,
    strange: Vec<String>,
    logged: Vec<String>,
}

impl Expression {
    /// Compiles an expression.
    ///
    /// # Errors
    /// With what is wrong, as the end of a sentence about the expression.
    pub fn parse(text: &str) -> Result<Self, CelError> {
        if text.len() > LONGEST {
            return Err(CelError::TooLong);
        }
        let tokens = lex::tokens(text)?;
        if tokens.len() > MOST {
            return Err(CelError::TooLong);
        }
        let parse::Parsed { root, strange, logged } = parse::parse(tokens)?;
        Ok(Self { text: text.to_owned(), root, strange, logged })
    }

    /// The expression as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Names in it that are no attributes of connections; what they say is absent. One of Envoy's is none of them if
    /// the expression asks whether it is there.
    pub fn strange(&self) -> &[String] {
        &self.strange
    }

    /// Names in it of attributes that access logs alone have, unless it asks whether they are there.
    pub fn logged(&self) -> &[String] {
        &self.logged
    }

    /// Its value; none if it fails.
    pub fn value(&self, about: &dyn Attributes) -> Option<Value> {
        evaluate::value(&self.root, about)
    }

    /// Whether it is true. One that fails is not, as in Envoy's access log filter.
    pub fn is_true(&self, about: &dyn Attributes) -> bool {
        matches!(self.value(about), Some(Value::Bool(true)))
    }

    /// Whether its value cannot be true, whatever the attributes are.
    pub fn is_never_true(&self) -> bool {
        !self.root.may_be_true()
    }

    /// Whether it names an attribute: `GROUP.NAME`.
    pub fn names(&self, group: &str, name: &str) -> bool {
        self.root.names(group, name)
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Expression {}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({:?})", self.text)
    }
}
