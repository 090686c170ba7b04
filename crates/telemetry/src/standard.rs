//! Istio's standard metrics, one table. Source: Istio's "Standard Metrics" page and the metrics of its
//! Telemetry API.

use crate::exposition::Kind;

/// Lateen's own gauge: connections that are open, of all labels that have any. It begins a stream of reports.
pub const OPEN: &str = "lateen_tcp_connections_open";
/// Lateen's own gauge: the seconds that the first report of a stream is over.
pub const COVERED: &str = "lateen_report_seconds";
/// Lateen's own gauge: the seconds that a later report is over, if that is not about a step of the graph's.
pub const LASTED: &str = "lateen_report_lasted_seconds";
/// Lateen's own gauge: the seconds from when its proxy began to count until a report was made.
pub const MADE: &str = "lateen_report_made_seconds";
/// Lateen's own gauge: the reports that its proxy has made before this one, with one for what it gave up.
pub const NUMBER: &str = "lateen_report_number";
/// Lateen's own gauge of a report before which nobody was told anything.
pub const FIRST: &str = "lateen_report_first";
/// Lateen's own gauge of a message that is not the last one of its report.
pub const MORE: &str = "lateen_report_more";

/// One of Istio's metrics of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    Requests,
    RequestDuration,
    RequestSize,
    ResponseSize,
    GrpcRequestMessages,
    GrpcResponseMessages,
    TcpSent,
    TcpReceived,
    TcpOpened,
    TcpClosed,
}

/// What the table says of one.
#[derive(Clone, Copy, Debug)]
pub struct About {
    pub metric: Metric,
    /// Its name for Prometheus.
    pub name: &'static str,
    /// Its name in the Telemetry API.
    pub in_api: &'static str,
    pub kind: Kind,
    pub help: &'static str,
}

impl About {
    /// Its name without Istio's prefix, as Istio's stats filter knows it.
    pub fn short(&self) -> &'static str {
        self.name.trim_start_matches("istio_")
    }
}

impl Metric {
    pub const ALL: [About; 10] = [
        about(Self::Requests, "istio_requests_total", "REQUEST_COUNT", Kind::Counter, "Requests"),
        about(
            Self::RequestDuration,
            "istio_request_duration_milliseconds",
            "REQUEST_DURATION",
            Kind::Histogram,
            "Duration of requests",
        ),
        about(
            Self::RequestSize,
            "istio_request_bytes",
            "REQUEST_SIZE",
            Kind::Histogram,
            "Bytes of request bodies",
        ),
        about(
            Self::ResponseSize,
            "istio_response_bytes",
            "RESPONSE_SIZE",
            Kind::Histogram,
            "Bytes of response bodies",
        ),
        about(
            Self::GrpcRequestMessages,
            "istio_request_messages_total",
            "GRPC_REQUEST_MESSAGES",
            Kind::Counter,
            "gRPC messages from clients",
        ),
        about(
            Self::GrpcResponseMessages,
            "istio_response_messages_total",
            "GRPC_RESPONSE_MESSAGES",
            Kind::Counter,
            "gRPC messages to clients",
        ),
        about(
            Self::TcpSent,
            "istio_tcp_sent_bytes_total",
            "TCP_SENT_BYTES",
            Kind::Counter,
            "Bytes sent as response over TCP connections",
        ),
        about(
            Self::TcpReceived,
            "istio_tcp_received_bytes_total",
            "TCP_RECEIVED_BYTES",
            Kind::Counter,
            "Bytes received as request over TCP connections",
        ),
        about(
            Self::TcpOpened,
            "istio_tcp_connections_opened_total",
            "TCP_OPENED_CONNECTIONS",
            Kind::Counter,
            "TCP connections opened",
        ),
        about(
            Self::TcpClosed,
            "istio_tcp_connections_closed_total",
            "TCP_CLOSED_CONNECTIONS",
            Kind::Counter,
            "TCP connections closed",
        ),
    ];

    pub fn about(self) -> &'static About {
        &Self::ALL[self as usize]
    }

    /// Whether connections are measured by it, and not requests.
    pub fn is_tcp(self) -> bool {
        matches!(self, Self::TcpSent | Self::TcpReceived | Self::TcpOpened | Self::TcpClosed)
    }
}

const fn about(
    metric: Metric,
    name: &'static str,
    in_api: &'static str,
    kind: Kind,
    help: &'static str,
) -> About {
    About { metric, name, in_api, kind, help }
}

#[cfg(test)]
mod tests {
    use super::Metric;

    #[test]
    fn a_metric_is_found_at_its_place_in_the_table() {
        for about in &Metric::ALL {
            assert_eq!(about.metric.about().name, about.name);
            assert_eq!(about.metric.is_tcp(), about.name.starts_with("istio_tcp_"));
        }
    }
}
