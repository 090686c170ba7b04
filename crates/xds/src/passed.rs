//! What replicas of a control plane tell each other of the proxies that are connected to them: one protobuf message,
//! over a gRPC method of its own. What comes in by that method is nowhere passed on again.

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::data::accesslog::v3::TcpAccessLogEntry;
use envoy_types::pb::io::prometheus::client::MetricFamily;
use prost::Message;
use prost::bytes::Bytes;

/// The gRPC service, its only method, and the header by which a replica says its name.
pub(crate) const SERVICE: &str = "lateen.replicas.v1.Replicas";
pub(crate) const PATH: &str = "/lateen.replicas.v1.Replicas/Pass";
pub(crate) const NAME: &str = "lateen-replica";

/// News of a proxy.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Passed {
    /// Tells apart what is open at the sender; 0 for what belongs to nothing that is open.
    #[prost(uint64, tag = "1")]
    pub stream: u64,
    /// What an older replica does not know is none.
    #[prost(oneof = "News", tags = "2, 3, 4, 5, 6, 7")]
    pub news: Option<News>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum News {
    /// A proxy is connected: its node, as far as others need it.
    #[prost(message, boxed, tag = "2")]
    Session(Box<Node>),
    /// A stream of metrics is open, on which these connections began and have not ended.
    #[prost(message, tag = "3")]
    Reports(Standing),
    /// What has come on a stream of metrics.
    #[prost(message, tag = "4")]
    Metrics(Families),
    /// Connections that have ended.
    #[prost(message, tag = "5")]
    Connections(Entries),
    /// What was open is not any more.
    #[prost(message, tag = "6")]
    Over(()),
    /// The proxy of a session refuses a resource, or does not any more.
    #[prost(message, tag = "7")]
    Refusal(Refused),
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Refused {
    /// The resource: the URL of its type, and its name.
    #[prost(string, tag = "1")]
    pub kind: String,
    #[prost(string, tag = "2")]
    pub resource: String,
    /// What the proxy says, while it refuses it.
    #[prost(string, optional, tag = "3")]
    pub message: Option<String>,
    /// The objects that the resource comes from.
    #[prost(message, repeated, tag = "4")]
    pub origins: Vec<Origin>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Origin {
    #[prost(string, tag = "1")]
    pub group: String,
    #[prost(string, tag = "2")]
    pub kind: String,
    #[prost(string, tag = "3")]
    pub namespace: String,
    #[prost(string, tag = "4")]
    pub name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Families {
    #[prost(message, repeated, tag = "1")]
    pub all: Vec<MetricFamily>,
}

/// What is open where a proxy's reports begin.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Standing {
    #[prost(message, repeated, tag = "1")]
    pub all: Vec<MetricFamily>,
    /// The proxy's node id.
    #[prost(string, tag = "2")]
    pub proxy: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Entries {
    /// The node id of the proxy that tells of them.
    #[prost(string, tag = "1")]
    pub proxy: String,
    #[prost(message, repeated, tag = "2")]
    pub all: Vec<TcpAccessLogEntry>,
}

/// A message as it is sent.
pub fn encoded(passed: &Passed) -> Bytes {
    passed.encode_to_vec().into()
}
