//! What is known of one connection when it ends. In: facts from the data path. Out: a plain struct
//! that formatters read, and its JSON view.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::timestamp;

/// Envoy's response flags, as far as a TCP connection can have them
/// (Envoy's access log page, `%RESPONSE_FLAGS%`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flag {
    NoHealthyUpstream,
    UpstreamConnectionFailure,
    UpstreamOverflow,
    UpstreamRetryLimitExceeded,
    NoRouteFound,
    NoClusterFound,
    UpstreamTermination,
    DownstreamTermination,
    StreamIdleTimeout,
    DurationTimeout,
}

impl Flag {
    /// Its number in Envoy's attribute `response.flags`.
    pub fn bit(self) -> u64 {
        match self {
            Self::NoHealthyUpstream => 0x2,
            Self::UpstreamConnectionFailure => 0x20,
            Self::UpstreamTermination => 0x40,
            Self::UpstreamOverflow => 0x80,
            Self::NoRouteFound => 0x100,
            Self::DownstreamTermination => 0x4000,
            Self::UpstreamRetryLimitExceeded => 0x8000,
            Self::StreamIdleTimeout => 0x1_0000,
            Self::DurationTimeout => 0x40_0000,
            Self::NoClusterFound => 0x100_0000,
        }
    }

    /// Its name in full (`%RESPONSE_FLAGS_LONG%`).
    pub fn name(self) -> &'static str {
        match self {
            Self::NoHealthyUpstream => "NoHealthyUpstream",
            Self::UpstreamConnectionFailure => "UpstreamConnectionFailure",
            Self::UpstreamOverflow => "UpstreamOverflow",
            Self::UpstreamRetryLimitExceeded => "UpstreamRetryLimitExceeded",
            Self::NoRouteFound => "NoRouteFound",
            Self::NoClusterFound => "NoClusterFound",
            Self::UpstreamTermination => "UpstreamConnectionTermination",
            Self::DownstreamTermination => "DownstreamConnectionTermination",
            Self::StreamIdleTimeout => "StreamIdleTimeout",
            Self::DurationTimeout => "DurationTimeout",
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoHealthyUpstream => "UH",
            Self::UpstreamConnectionFailure => "UF",
            Self::UpstreamOverflow => "UO",
            Self::UpstreamRetryLimitExceeded => "URX",
            Self::NoRouteFound => "NR",
            Self::NoClusterFound => "NC",
            Self::UpstreamTermination => "UC",
            Self::DownstreamTermination => "DC",
            Self::StreamIdleTimeout => "SI",
            Self::DurationTimeout => "DT",
        }
    }
}

/// One finished connection. Bytes are counted as Envoy counts them: received from and sent to the
/// downstream peer. The three metadata fields are the `filter_metadata.istio` objects, as JSON text,
/// of the filter chain (else its listener), the cluster and the endpoint.
#[derive(Clone, Debug)]
pub struct AccessRecord {
    pub start: SystemTime,
    pub duration: Duration,
    pub listener: Arc<str>,
    pub filter_chain: Arc<str>,
    pub origin: Option<Arc<str>>,
    pub cluster: Option<Arc<str>>,
    pub cluster_origin: Option<Arc<str>>,
    pub workload: Option<Arc<str>>,
    pub downstream_remote: SocketAddr,
    pub downstream_local: SocketAddr,
    pub original_destination: Option<SocketAddr>,
    pub upstream_remote: Option<SocketAddr>,
    pub upstream_local: Option<SocketAddr>,
    /// What the client's TLS asked for, where that was looked at.
    pub server_name: Option<Arc<str>>,
    pub bytes_received: u64,
    pub bytes_sent: u64,
    pub attempts: u32,
    pub flags: &'static [Flag],
    /// Why the connection ended, for people: `closed by both sides`, `connection refused`, …
    pub close_reason: Arc<str>,
    /// The upstream's transport error, if there was one.
    pub upstream_failure: Option<Arc<str>>,
}

impl AccessRecord {
    /// `UF,URX`; `-` when nothing went wrong.
    pub fn flags_text(&self) -> String {
        if self.flags.is_empty() {
            return "-".into();
        }
        self.flags.iter().map(|flag| flag.as_str()).collect::<Vec<_>>().join(",")
    }

    /// The same by their full names.
    pub fn flags_long(&self) -> String {
        if self.flags.is_empty() {
            return "-".into();
        }
        self.flags.iter().map(|flag| flag.name()).collect::<Vec<_>>().join(",")
    }

    /// The record as the admin server's `/records` shows it; durations in milliseconds.
    pub fn to_json(&self) -> Value {
        let mut start = String::new();
        timestamp::write(&mut start, self.start);
        let address = |address: Option<SocketAddr>| address.map(|address| address.to_string());
        json!({
            "start": start,
            "duration_ms": self.duration.as_secs_f64() * 1000.0,
            "listener": &*self.listener,
            "filter_chain": &*self.filter_chain,
            "origin": embedded(self.origin.as_deref()),
            "cluster": self.cluster.as_deref(),
            "cluster_origin": embedded(self.cluster_origin.as_deref()),
            "workload": embedded(self.workload.as_deref()),
            "downstream_remote": self.downstream_remote.to_string(),
            "downstream_local": self.downstream_local.to_string(),
            "original_destination": address(self.original_destination),
            "upstream_remote": address(self.upstream_remote),
            "upstream_local": address(self.upstream_local),
            "server_name": self.server_name.as_deref(),
            "bytes_received": self.bytes_received,
            "bytes_sent": self.bytes_sent,
            "attempts": self.attempts,
            "flags": self.flags.iter().map(|flag| flag.as_str()).collect::<Vec<_>>(),
            "close_reason": &*self.close_reason,
            "upstream_failure": self.upstream_failure.as_deref(),
        })
    }
}

/// JSON text as a value; text that is no JSON stays a string.
fn embedded(text: Option<&str>) -> Value {
    text.map_or(Value::Null, |text| {
        serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.into()))
    })
}
