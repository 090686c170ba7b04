//! What operators of the format language write of a record. In: an operator, a record. Out: text, or a JSON value of
//! the operator's type.

use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

use serde_json::Value;

use crate::cel::{self, Expression};
use crate::labels::cut;
use crate::record::{AccessRecord, Flag};
use crate::timestamp;

/// Longer values are cut, so that a line is one that people and collectors can take.
pub const LONGEST: usize = 4096;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operator {
    /// In a format of strftime(3), else RFC 3339.
    Time(Moment, Option<String>),
    Duration(Unit),
    BytesReceived,
    BytesSent,
    Flags,
    FlagsLong,
    CodeDetails,
    UpstreamFailure,
    /// The endpoint that was chosen.
    UpstreamRemote(Show),
    /// The same once there was a connection to it.
    Connected(Show),
    UpstreamLocal(Show),
    /// All endpoints that were dialled.
    Tried(Show),
    UpstreamCluster,
    /// Of `filter_metadata`, below `istio`: the way to a member, empty for all of it.
    Metadata(Owner, Vec<String>),
    LogType,
    UpstreamAttempts,
    DownstreamLocal(Show),
    DownstreamRemote(Show),
    Listener,
    FilterChain,
    ServerName,
    ConnectionId,
    UpstreamConnectionId,
    /// The ids of connections that were made to endpoints.
    UpstreamConnectionIds,
    /// A number of the connection (1) or of its line (2) that no other one has.
    Unique(u8),
    /// How long it took to reach the upstream, or to give it up.
    UpstreamReady,
    DetectedClose(Side),
    LocalClose(Side),
    Hostname,
    Environment(String),
    Expression(Box<Expression>, Typed),
    /// The first of them that has a value.
    First(Vec<(Operator, Option<usize>)>),
    /// A number of requests, which a connection has none of.
    Zero,
    /// A text that is empty.
    Empty,
    /// The same if there was a connection to an upstream.
    EmptyOnceConnected,
    /// Has no value on a TCP connection.
    Absent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    Start,
    Emit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

/// What of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    All,
    Ip,
    Port,
    /// Its network, of so many bits.
    Network(u8),
}

/// Whose metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    Endpoint,
    Cluster,
    FilterChain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Downstream,
    Upstream,
}

/// Whether JSON has a value of its type, or its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typed {
    Yes,
    No,
}

impl Operator {
    /// Its value of a record as JSON has it.
    pub fn value(&self, record: &AccessRecord) -> Value {
        match self {
            Self::Metadata(owner, path) => metadata(record, *owner, path).unwrap_or_default(),
            Self::Expression(expression, Typed::Yes) => {
                expression.value(record).map(typed).unwrap_or_default()
            }
            Self::First(all) => all
                .iter()
                .map(|(operator, longest)| shortened(operator.value(record), *longest))
                .find(|value| !value.is_null())
                .unwrap_or_default(),
            _ => {
                let mut text = String::new();
                match self.write(record, &mut text) {
                    false => Value::Null,
                    true if self.is_number() => {
                        text.parse::<u64>().map_or(Value::Null, Value::from)
                    }
                    true => Value::String(text),
                }
            }
        }
    }

    fn is_number(&self) -> bool {
        match self {
            Self::UpstreamRemote(show)
            | Self::Connected(show)
            | Self::UpstreamLocal(show)
            | Self::DownstreamLocal(show)
            | Self::DownstreamRemote(show) => *show == Show::Port,
            Self::Duration(_)
            | Self::BytesReceived
            | Self::BytesSent
            | Self::UpstreamAttempts
            | Self::ConnectionId
            | Self::UpstreamConnectionId
            | Self::UpstreamReady
            | Self::Zero => true,
            _ => false,
        }
    }

    /// Writes its value; false if it has none.
    pub fn write(&self, record: &AccessRecord, out: &mut String) -> bool {
        match self {
            Self::Time(moment, pattern) => time(record, *moment, pattern.as_deref(), out),
            Self::Duration(unit) => number(out, Some(unit.of(record.duration))),
            Self::BytesReceived => number(out, Some(record.bytes_received)),
            Self::BytesSent => number(out, Some(record.bytes_sent)),
            Self::Flags => text(out, Some(&record.flags_text())),
            Self::FlagsLong => text(out, Some(&record.flags_long())),
            Self::UpstreamAttempts => number(out, Some(u64::from(record.attempts))),
            Self::ConnectionId => number(out, Some(record.id)),
            Self::UpstreamConnectionId => number(out, Some(record.upstream_id.unwrap_or(0))),
            Self::UpstreamConnectionIds => number(out, record.upstream_id),
            Self::UpstreamReady => {
                number(out, record.ready.map(|ready| Unit::Milliseconds.of(ready)))
            }
            Self::Zero => number(out, Some(0)),
            Self::Empty => true,
            Self::EmptyOnceConnected => record.upstream_local.is_some(),
            Self::Absent => false,
            Self::UpstreamRemote(_)
            | Self::Connected(_)
            | Self::UpstreamLocal(_)
            | Self::DownstreamLocal(_)
            | Self::DownstreamRemote(_)
            | Self::Tried(_) => self.write_address(record, out),
            Self::Metadata(..) | Self::Expression(_, Typed::Yes) | Self::First(_) => {
                json_text(&self.value(record), out)
            }
            Self::Expression(expression, Typed::No) => {
                let value = expression.value(record).map(|value| value.print());
                value.inspect(|value| printable(out, &cut(value, LONGEST))).is_some()
            }
            _ => self.write_text(record, out),
        }
    }

    fn write_address(&self, record: &AccessRecord, out: &mut String) -> bool {
        match self {
            Self::UpstreamRemote(show) => address(out, record.upstream_remote, *show),
            Self::Connected(show) => {
                let connected = record.upstream_remote.filter(|_| record.upstream_local.is_some());
                address(out, connected, *show)
            }
            Self::UpstreamLocal(show) => address(out, record.upstream_local, *show),
            Self::DownstreamLocal(show) => address(out, Some(record.downstream_local), *show),
            Self::DownstreamRemote(show) => address(out, Some(record.downstream_remote), *show),
            Self::Tried(show) => {
                for tried in &record.tried {
                    address(out, Some(*tried), *show);
                    out.push(',');
                }
                address(out, record.upstream_remote, *show)
            }
            _ => false,
        }
    }

    fn write_text(&self, record: &AccessRecord, out: &mut String) -> bool {
        let untaken = record.flags.contains(&Flag::NoRouteFound);
        match self {
            Self::UpstreamFailure => {
                let reason = record.transport_failure();
                text(out, reason.map(|reason| reason.replace(' ', "_")).as_deref())
            }
            Self::CodeDetails => text(out, untaken.then_some("filter_chain_not_found")),
            Self::UpstreamCluster => text(out, record.cluster.as_deref()),
            // Only what listeners log themselves is of no filter's.
            Self::LogType => text(out, Some(if untaken { "NotSet" } else { "TcpConnectionEnd" })),
            Self::Listener => text(out, Some(&record.listener)),
            Self::FilterChain => text(out, Some(&record.filter_chain)),
            Self::ServerName => text(out, record.server_name.as_deref()),
            Self::Unique(what) => text(out, Some(&unique(record, *what))),
            Self::DetectedClose(side) => text(out, detected_close(record, *side)),
            Self::LocalClose(side) => text(out, local_close(record, *side)),
            Self::Hostname => text(out, Some(&record.proxy.hostname)),
            Self::Environment(name) => {
                // A dash is its value if there is no such variable.
                text(out, Some(record.proxy.environment.get(name).map_or("-", String::as_str)))
            }
            _ => false,
        }
    }
}

impl Unit {
    fn of(self, duration: std::time::Duration) -> u64 {
        let count = match self {
            Self::Milliseconds => duration.as_millis(),
            Self::Microseconds => duration.as_micros(),
            Self::Nanoseconds => duration.as_nanos(),
        };
        u64::try_from(count).unwrap_or(u64::MAX)
    }
}

/// JSON as text: what is a text already has no quotes.
fn json_text(value: &Value, out: &mut String) -> bool {
    match value {
        Value::Null => false,
        Value::String(value) => text(out, Some(value)),
        other => text(out, Some(&other.to_string())),
    }
}

/// A text of so many letters at most; what is no text has no length.
pub fn shortened(value: Value, longest: Option<usize>) -> Value {
    match (value, longest) {
        (Value::String(text), Some(longest)) => Value::String(text.chars().take(longest).collect()),
        (value, _) => value,
    }
}

fn typed(value: cel::Value) -> Value {
    match value {
        cel::Value::Null => Value::Null,
        cel::Value::Bool(value) => Value::from(value),
        cel::Value::Int(value) => Value::from(value),
        cel::Value::Uint(value) => Value::from(value),
        cel::Value::Double(value) => Value::from(value),
        cel::Value::Map(members) => {
            let members =
                members.iter().map(|(name, value)| (name.to_string(), typed(value.clone())));
            Value::Object(members.collect())
        }
        cel::Value::List(items) => items.iter().cloned().map(typed).collect(),
        cel::Value::Text(_) | cel::Value::Duration(_) => {
            Value::from(cut(&value.print(), LONGEST).to_string())
        }
    }
}

fn time(record: &AccessRecord, moment: Moment, pattern: Option<&str>, out: &mut String) -> bool {
    let at = match moment {
        Moment::Start => record.start,
        // A clock may be as wrong as can be.
        Moment::Emit => record.start.checked_add(record.duration).unwrap_or(record.start),
    };
    match pattern {
        Some(pattern) => timestamp::write_as(out, at, pattern),
        None => timestamp::write(out, at),
    }
    true
}

fn metadata(record: &AccessRecord, owner: Owner, path: &[String]) -> Option<Value> {
    let all = match owner {
        Owner::Endpoint => &record.workload,
        Owner::Cluster => &record.cluster_origin,
        Owner::FilterChain => &record.origin,
    };
    let mut found: Value = serde_json::from_str(all.as_deref()?).ok()?;
    for part in path {
        found = found.get_mut(part)?.take();
    }
    Some(match found {
        Value::String(text) => Value::String(cut(&text, LONGEST).to_string()),
        other => other,
    })
}

fn detected_close(record: &AccessRecord, side: Side) -> Option<&'static str> {
    let has = |flag| record.flags.contains(&flag);
    Some(match side {
        Side::Downstream if has(Flag::DownstreamTermination) => "RemoteReset",
        Side::Downstream if has(Flag::UpstreamReset) => "LocalReset",
        Side::Upstream if has(Flag::NoRouteFound) => return None,
        Side::Upstream if has(Flag::UpstreamReset) => "RemoteReset",
        Side::Downstream | Side::Upstream => "Normal",
    })
}

/// Envoy's own words for why it ended a connection; the numbers are those of its pools' failures.
fn local_close(record: &AccessRecord, side: Side) -> Option<&'static str> {
    let reason = |flag: &Flag| {
        Some(match flag {
            Flag::StreamIdleTimeout => "tcp_session_idle_timeout",
            Flag::DurationTimeout => "max_connection_duration_reached",
            _ if side == Side::Upstream => return None,
            Flag::UpstreamConnectionFailure => "tcp_initializion_failure:0",
            Flag::NoHealthyUpstream => "tcp_initializion_failure:1",
            Flag::UpstreamOverflow => "tcp_initializion_failure:2",
            Flag::NoClusterFound => "tcp_initializion_failure:3",
            _ => return None,
        })
    };
    record.flags.iter().find_map(reason)
}

/// In the form of a random UUID.
fn unique(record: &AccessRecord, what: u8) -> String {
    let half = |number: u8| {
        let mut hasher = DefaultHasher::new();
        (record.proxy.seed, record.id, record.start, what, number).hash(&mut hasher);
        hasher.finish()
    };
    let (high, low) = (half(0), half(1));
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        0x8000 | (low >> 48) & 0x3fff,
        low & 0xffff_ffff_ffff
    )
}

fn number(out: &mut String, value: Option<u64>) -> bool {
    value
        .inspect(|value| write!(out, "{value}").expect("writing to a string cannot fail"))
        .is_some()
}

fn text(out: &mut String, value: Option<&str>) -> bool {
    match value.filter(|value| !value.is_empty()) {
        None => false,
        Some(value) => {
            printable(out, &cut(value, LONGEST));
            true
        }
    }
}

/// Some of it is a peer's own words: they must not end a line or steer a terminal.
fn printable(out: &mut String, value: &str) {
    if !value.contains(char::is_control) {
        return out.push_str(value);
    }
    for letter in value.chars() {
        match letter.is_control() {
            true => out.extend(letter.escape_default()),
            false => out.push(letter),
        }
    }
}

fn address(out: &mut String, value: Option<SocketAddr>, show: Show) -> bool {
    let Some(value) = value else { return false };
    let written = match show {
        Show::All => write!(out, "{value}"),
        Show::Ip => write!(out, "{}", value.ip()),
        Show::Port => write!(out, "{}", value.port()),
        Show::Network(bits) => network(out, value.ip(), bits),
    };
    written.expect("writing to a string cannot fail");
    true
}

fn network(out: &mut String, address: IpAddr, bits: u8) -> std::fmt::Result {
    match address {
        IpAddr::V4(address) => {
            let bits = bits.min(32);
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            write!(out, "{}/{bits}", std::net::Ipv4Addr::from(u32::from(address) & mask))
        }
        IpAddr::V6(address) => {
            let bits = bits.min(128);
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            write!(out, "{}/{bits}", std::net::Ipv6Addr::from(u128::from(address) & mask))
        }
    }
}
