//! ProxyConfig's tracing settings.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::istio::networking::ClientTlsSettings;
use crate::proto::messages;

messages! {
    /// How requests are traced.
    #[schemars(extend("x-lateen-one-of" = [["zipkin", "lightstep", "datadog", "stackdriver", "openCensusAgent"]]))]
    pub struct Tracing {
        pub zipkin: Option<Zipkin>,
        pub lightstep: Option<Lightstep>,
        pub datadog: Option<Datadog>,
        pub stackdriver: Option<Stackdriver>,
        pub open_census_agent: Option<OpenCensusAgent>,
        pub custom_tags: BTreeMap<String, CustomTag>,
        pub max_path_tag_length: Option<u32>,
        pub sampling: Option<f64>,
        pub tls_settings: Option<ClientTlsSettings>,
        pub enable_istio_tags: Option<bool>,
    }

    /// The settings `zipkin` of tracing.
    pub struct Zipkin {
        pub address: String,
    }

    /// The settings `lightstep` of tracing.
    pub struct Lightstep {
        pub address: String,
        pub access_token: String,
    }

    /// The settings `datadog` of tracing.
    pub struct Datadog {
        pub address: String,
    }

    /// The settings `stackdriver` of tracing.
    pub struct Stackdriver {
        pub debug: Option<bool>,
        pub max_number_of_attributes: Option<i64>,
        pub max_number_of_annotations: Option<i64>,
        pub max_number_of_message_events: Option<i64>,
    }

    /// The settings `open census agent` of tracing.
    pub struct OpenCensusAgent {
        pub address: String,
        pub context: Vec<OpenCensusTraceContext>,
    }

    /// Where the value of a span's tag comes from.
    #[schemars(extend("x-lateen-one-of" = [["literal", "environment", "header"]]))]
    pub struct CustomTag {
        pub literal: Option<Literal>,
        pub environment: Option<Environment>,
        pub header: Option<RequestHeader>,
    }

    /// A fixed text.
    pub struct Literal {
        pub value: String,
    }

    /// A variable of the proxy's environment.
    pub struct Environment {
        pub name: String,
        pub default_value: String,
    }

    /// A header of the request.
    pub struct RequestHeader {
        pub name: String,
        pub default_value: String,
    }
}

/// The choices of `open census trace context` of open census agent.
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
pub enum OpenCensusTraceContext {
    #[default]
    Unspecified,
    W3cTraceContext,
    GrpcBin,
    CloudTraceContext,
    B3,
}
