//! What is known of one connection when it ends. In: facts from the data path. Out: a plain struct
//! that formatters read, and its JSON view.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::peer::Peer;
use crate::{cel, timestamp};

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
    UpstreamReset,
    DownstreamTermination,
    StreamIdleTimeout,
    DurationTimeout,
}

impl Flag {
    /// Whether Envoy has it of connections too; the others are of its requests alone, and of connections the control plane
    /// is told them.
    pub fn is_of_connections(self) -> bool {
        !matches!(self, Self::DownstreamTermination | Self::StreamIdleTimeout)
    }

    /// Its number in Envoy's attribute `response.flags`.
    pub fn bit(self) -> u64 {
        match self {
            Self::NoHealthyUpstream => 0x2,
            Self::UpstreamConnectionFailure => 0x20,
            Self::UpstreamReset => 0x10,
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
            Self::UpstreamReset => "UpstreamRemoteReset",
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
            Self::UpstreamReset => "UR",
            Self::DownstreamTermination => "DC",
            Self::StreamIdleTimeout => "SI",
            Self::DurationTimeout => "DT",
        }
    }
}

/// What is the same for all connections of a proxy.
#[derive(Debug, Default)]
pub struct ProxyFacts {
    pub hostname: String,
    /// The process' variables.
    pub environment: BTreeMap<String, String>,
    /// A random number, from which ids are made.
    pub seed: u64,
    /// The node that expressions may ask about.
    pub node: cel::Value,
}

/// How a reason begins that is no error of the operating system: the proxy waited long enough.
pub const NO_ANSWER: &str = "no connection within";

/// One finished connection. Bytes are counted as Envoy counts them: received from and sent to the
/// downstream peer. The three metadata fields are the `filter_metadata.istio` objects, as JSON text,
/// of the filter chain (else its listener), the cluster and the endpoint.
#[derive(Clone, Debug)]
pub struct AccessRecord {
    /// Of all connections that the proxy had, to either side, it alone has this number.
    pub id: u64,
    /// The number of the connection to the upstream.
    pub upstream_id: Option<u64>,
    pub proxy: Arc<ProxyFacts>,
    pub start: SystemTime,
    pub duration: Duration,
    pub listener: Arc<str>,
    /// Envoy's number of the listener's direction: 1 for inbound, 2 for outbound, 0 for neither.
    pub direction: i32,
    pub filter_chain: Arc<str>,
    pub origin: Option<Arc<str>>,
    pub cluster: Option<Arc<str>>,
    pub cluster_origin: Option<Arc<str>>,
    pub workload: Option<Arc<str>>,
    /// Who has the address of the far end, if that was looked up and known.
    pub far: Option<Arc<Peer>>,
    pub downstream_remote: SocketAddr,
    pub downstream_local: SocketAddr,
    pub original_destination: Option<SocketAddr>,
    pub upstream_remote: Option<SocketAddr>,
    pub upstream_local: Option<SocketAddr>,
    /// Endpoints that were dialled in vain before that one, as many as are kept.
    pub tried: Vec<SocketAddr>,
    /// How long it took to connect to the upstream, or to give that up.
    pub ready: Option<Duration>,
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
    /// The flags that Envoy has of connections.
    pub fn envoys_flags(&self) -> impl Iterator<Item = Flag> {
        self.flags.iter().copied().filter(|flag| flag.is_of_connections())
    }

    /// `UF,URX`; `-` when nothing went wrong that Envoy has a flag for.
    pub fn flags_text(&self) -> String {
        joined(self.envoys_flags().map(Flag::as_str))
    }

    /// The same by their full names.
    pub fn flags_long(&self) -> String {
        joined(self.envoys_flags().map(Flag::name))
    }

    /// The upstream's error in Envoy's words, which has none of what it has waited for in vain.
    pub fn transport_failure(&self) -> Option<String> {
        let reason = self.upstream_failure.as_deref().filter(|why| !why.starts_with(NO_ANSWER))?;
        let words = reason.split(" (os error").next().unwrap_or(reason);
        let (first, rest) = words.split_at(words.chars().next()?.len_utf8());
        Some(format!("delayed connect error: {}{rest}", first.to_uppercase()))
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

fn joined(flags: impl Iterator<Item = &'static str>) -> String {
    let all = flags.collect::<Vec<_>>().join(",");
    if all.is_empty() { "-".into() } else { all }
}

/// JSON text as a value; text that is no JSON stays a string.
fn embedded(text: Option<&str>) -> Value {
    text.map_or(Value::Null, |text| {
        serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.into()))
    })
}
