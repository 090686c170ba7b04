//! The shapes of the graph API, version 1: what `ui/src/api/types.ts` reads. In: values. Out: JSON. Rates are per
//! second over the duration, times milliseconds since 1970, latencies milliseconds. What was not observed is
//! left out.

use std::collections::BTreeMap;

use lateen_control::findings::Count;
use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum GraphType {
    Workload,
    App,
    VersionedApp,
    Service,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Graph {
    pub api_version: &'static str,
    pub r#type: GraphType,
    pub at: u64,
    pub duration: u64,
    pub nodes: Vec<Node>,
    pub edges: Vec<Edge>,
    pub notices: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum NodeKind {
    Workload,
    App,
    Service,
    /// A host outside the mesh that a ServiceEntry names.
    ServiceEntry,
    /// Outside the mesh, and named by nobody.
    Outside,
    /// A client outside the mesh.
    Client,
    /// Where connections end that nothing leads on.
    BlackHole,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    pub id: String,
    pub kind: NodeKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<&'static str>,
    /// Without a proxy, as far as is known.
    #[serde(skip_serializing_if = "is_false")]
    pub out_of_mesh: bool,
    /// The app that it is boxed with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#box: Option<String>,
    pub health: Health,
    pub r#in: Traffic,
    pub out: Traffic,
    /// How much is wrong with the configuration that acts on it, where any could.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issues: Option<Count>,
    pub badges: Vec<&'static str>,
    /// What configuration says of its traffic.
    #[serde(skip)]
    pub configured: lateen_control::acts::Traffic,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Edge {
    pub id: String,
    pub source: String,
    pub target: String,
    pub protocol: &'static str,
    /// What was asked for, if it was one service alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// `full`, `partial` or `none`.
    pub mtls: &'static str,
    pub traffic: Traffic,
    /// Of all that went to this one service, or to none, the part that went here, and of what it is a part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_of: Option<ShareOf>,
    pub health: Health,
}

/// What a share is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ShareOf {
    Requests,
    /// The connections that were opened in this time.
    Opened,
    /// Where none was: those that are open.
    Open,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Traffic {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<Tcp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<Http>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc: Option<Http>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Tcp {
    /// Bytes from the client to the server, and back.
    pub sent: f64,
    pub received: f64,
    pub opened: f64,
    pub closed: f64,
    pub failed: f64,
    /// Connections that are open now, as far as their beginnings are remembered.
    pub active: u64,
    pub flags: BTreeMap<String, f64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Http {
    pub requests: f64,
    pub error_share: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    pub request_bytes: f64,
    pub response_bytes: f64,
    pub codes: BTreeMap<String, f64>,
    pub flags: BTreeMap<String, f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_messages: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_messages: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Latency {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    #[default]
    Idle,
    Healthy,
    Degraded,
    Failing,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Health {
    pub state: State,
    /// Most telling first.
    pub reasons: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Series {
    pub id: String,
    pub start: u64,
    pub step: u64,
    pub inbound: Lines,
    pub outbound: Lines,
}

/// Samples by name, such as `tcp.sent`; each has as many as there are steps.
pub type Lines = BTreeMap<String, Vec<Option<f64>>>;

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    pub version: &'static str,
    pub cluster: String,
    pub source: &'static str,
    pub now: u64,
    pub oldest: u64,
    pub step: u64,
    /// Who is asking, as Kubernetes knows them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    pub proxies: usize,
    pub store: StoreStatus,
    pub notices: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreStatus {
    pub bytes: usize,
    pub limit: usize,
    pub edges: usize,
    pub edges_dropped: u64,
}
