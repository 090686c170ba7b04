//! Telemetry objects and the mesh's providers, compiled, and what of them is for one workload.

mod index;
mod logs;
mod metrics;
#[cfg(test)]
mod tests;
mod traces;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::meta::Meta;
use crate::service::Labels;

pub use index::{GATEWAY_NAME, TelemetryIndex};
pub use logs::{Log, logs};
pub use metrics::{Change, Counted, metrics};
pub use traces::{Traced, traces};

/// A Telemetry object. What it says wrongly is left out.
#[derive(Debug, Clone, PartialEq)]
pub struct Telemetry {
    pub meta: Arc<Meta>,
    pub scope: Scope,
    pub metrics: Vec<Metrics>,
    pub logging: Vec<Logging>,
    pub tracing: Vec<Tracing>,
}

/// Whom it is for, in its namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Everybody; in the root namespace the whole mesh.
    All,
    Labels(Labels),
    /// Gateways of the Gateway API.
    Gateways(Vec<Target>),
}

/// An object that is named by another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub name: String,
    /// The field that names it.
    pub path: String,
}

/// One side of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    Client,
    Server,
}

/// Which sides something is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sides {
    pub client: bool,
    pub server: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Metrics {
    pub providers: Vec<String>,
    pub overrides: Vec<Override>,
    pub interval: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    pub of: Which,
    pub sides: Sides,
    pub disabled: Option<bool>,
    pub tags: BTreeMap<String, Tag>,
}

/// Which metrics; one by its name for Prometheus, without `istio_`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// `ALL_METRICS`, as it was written.
    All,
    /// The same, because nothing was written. Istio does not take it for all when it disables.
    Unsaid,
    One(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tag {
    Remove,
    /// A CEL expression.
    Set(String),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Logging {
    pub sides: Sides,
    pub providers: Vec<String>,
    pub disabled: bool,
    /// A CEL expression.
    pub filter: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Tracing {
    pub sides: Sides,
    pub providers: Vec<String>,
    pub sampling: Option<f64>,
    pub disabled: Option<bool>,
    pub tags: BTreeMap<String, TagSource>,
    pub request_id: Option<bool>,
}

/// Where a span's tag has its value from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagSource {
    Literal(String),
    /// A variable and what stands for it if it is not set.
    Environment(String, String),
    /// A header of the request and what stands for it if it is not there.
    Header(String, String),
    /// An access log format.
    Format(String),
}

/// An extension provider.
#[derive(Debug, Clone, PartialEq)]
pub struct Provider {
    pub name: String,
    /// Its place in MeshConfig; none of a built-in one.
    pub place: Option<usize>,
    pub kind: ProviderKind,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ProviderKind {
    Prometheus,
    File(FileLog),
    Als(Als),
    Otel(OtelLog),
    /// A back end of traces, by its field in MeshConfig.
    Tracer(&'static str, Option<Backend>),
    /// Anything else, by its field.
    Other(&'static str),
}

/// Where a back end is: `[NAMESPACE/]HOST`, and its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    pub service: String,
    pub port: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub struct FileLog {
    pub path: String,
    pub format: LogFormat,
    pub omit_empty: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub enum LogFormat {
    /// MeshConfig's `accessLogFormat` and `accessLogEncoding`.
    OfMesh,
    /// Istio's default text.
    Default,
    Text(String),
    /// Members of a JSON object; with none, Istio's default ones.
    Json(Value),
}

/// Envoy's access log service.
#[derive(Debug, Clone, PartialEq)]
pub struct Als {
    pub backend: Backend,
    pub log_name: String,
    pub filter_state: Vec<String>,
    /// The entries are those of HTTP, with these headers besides: of requests, responses, and trailers.
    pub http: Option<[Vec<String>; 3]>,
}

/// Logs of OpenTelemetry.
#[derive(Debug, Clone, PartialEq)]
pub struct OtelLog {
    pub backend: Backend,
    pub log_name: String,
    /// The body; Istio's default text if it is empty.
    pub text: String,
    /// Attributes with formats, in order.
    pub labels: BTreeMap<String, String>,
}

impl Sides {
    pub const BOTH: Self = Self { client: true, server: true };

    pub fn has(self, side: Side) -> bool {
        match side {
            Side::Client => self.client,
            Side::Server => self.server,
        }
    }
}

impl Provider {
    /// The field of its kind in MeshConfig.
    pub fn field(&self) -> &'static str {
        match &self.kind {
            ProviderKind::Prometheus => "prometheus",
            ProviderKind::File(_) => "envoyFileAccessLog",
            ProviderKind::Als(als) if als.http.is_some() => "envoyHttpAls",
            ProviderKind::Als(_) => "envoyTcpAls",
            ProviderKind::Otel(_) => "envoyOtelAls",
            ProviderKind::Tracer(field, _) | ProviderKind::Other(field) => field,
        }
    }

    /// Where it sends to, if that is a service of the mesh.
    pub fn backend(&self) -> Option<&Backend> {
        match &self.kind {
            ProviderKind::Als(als) => Some(&als.backend),
            ProviderKind::Otel(otel) => Some(&otel.backend),
            ProviderKind::Tracer(_, backend) => backend.as_ref(),
            ProviderKind::Prometheus | ProviderKind::File(_) | ProviderKind::Other(_) => None,
        }
    }

    /// Whether access logs can go to it.
    pub fn takes_logs(&self) -> bool {
        matches!(self.kind, ProviderKind::File(_) | ProviderKind::Als(_) | ProviderKind::Otel(_))
    }

    /// Whether spans can go to it.
    pub fn takes_traces(&self) -> bool {
        matches!(self.kind, ProviderKind::Tracer(..))
    }

    /// Whether metrics can go to it.
    pub fn takes_metrics(&self) -> bool {
        self.kind == ProviderKind::Prometheus
    }

    /// The providers that are there without being written, as in Istio.
    pub fn built_in() -> [Self; 3] {
        let of = |name: &str, kind| Self { name: name.to_owned(), place: None, kind };
        let file = FileLog {
            path: "/dev/stdout".to_owned(),
            format: LogFormat::OfMesh,
            omit_empty: false,
        };
        [
            of("prometheus", ProviderKind::Prometheus),
            of("stackdriver", ProviderKind::Other("stackdriver")),
            of("envoy", ProviderKind::File(file)),
        ]
    }
}
