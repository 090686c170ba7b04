//! WorkloadGroup: a template of WorkloadEntries.

use std::collections::BTreeMap;

use crate::istio::networking::WorkloadEntrySpec;
use crate::proto::messages;

messages! {
    /// What the entries of a group have in common.
    pub struct WorkloadGroupSpec {
        pub metadata: Option<WorkloadGroupMeta>,
        pub template: Option<WorkloadEntrySpec>,
        pub probe: Option<ReadinessProbe>,
    }

    /// Labels and annotations of the entries.
    pub struct WorkloadGroupMeta {
        pub labels: BTreeMap<String, String>,
        pub annotations: BTreeMap<String, String>,
    }

    /// How it is found out whether a workload is ready; counts and seconds, as in a pod.
    #[schemars(extend("x-lateen-one-of" = [["httpGet", "tcpSocket", "exec", "grpc"]]))]
    pub struct ReadinessProbe {
        pub initial_delay_seconds: Option<i32>,
        pub timeout_seconds: Option<i32>,
        pub period_seconds: Option<i32>,
        pub success_threshold: Option<i32>,
        pub failure_threshold: Option<i32>,
        pub http_get: Option<HttpHealthCheckConfig>,
        pub tcp_socket: Option<TcpHealthCheckConfig>,
        pub exec: Option<ExecHealthCheckConfig>,
        pub grpc: Option<GrpcHealthCheckConfig>,
    }

    /// A probe by an HTTP request.
    pub struct HttpHealthCheckConfig {
        pub path: String,
        pub port: Option<u32>,
        pub host: String,
        pub scheme: String,
        pub http_headers: Vec<HttpHeader>,
    }

    /// A probe by gRPC's health service.
    pub struct GrpcHealthCheckConfig {
        pub port: Option<u32>,
        pub service: String,
    }

    /// A header of a request.
    pub struct HttpHeader {
        pub name: String,
        pub value: String,
    }

    /// A probe by a connection.
    pub struct TcpHealthCheckConfig {
        pub host: String,
        pub port: Option<u32>,
    }

    /// A probe by a command.
    pub struct ExecHealthCheckConfig {
        pub command: Vec<String>,
    }
}
