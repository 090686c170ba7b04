//! One connection that has ended, as its proxy tells it. In: an entry of Envoy's access log service. Out: facts
//! in words of bounded length, and the line that Istio's proxies would write of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::address::Address as Inner;
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::core::v3::{Address, Metadata};
use envoy_types::pb::envoy::data::accesslog::v3::{AccessLogCommon, TcpAccessLogEntry};
use envoy_types::pb::google::protobuf::{Struct, value};
use lateen_api::issue::ObjectRef;
use lateen_telemetry::entry::{self, flags_of};
use lateen_telemetry::{Flag, timestamp};
use serde::Serialize;

/// Longer texts are cut: a peer may send any.
const LONGEST: usize = 256;
/// A clock that is further off is wrong.
const SKEW: u64 = 60_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Milliseconds since 1970 at its end.
    pub time: u64,
    pub duration: Duration,
    /// The proxy that tells it, and whether it is a gateway, whose clients are others than itself.
    pub proxy: Arc<str>,
    pub at_gateway: bool,
    pub listener: String,
    pub client: String,
    /// Where the client wanted to go.
    pub destination: String,
    pub server_name: String,
    pub cluster: String,
    /// The endpoint that was chosen, and from where it was dialled.
    pub endpoint: String,
    pub local: String,
    /// Bytes from the client, and to it.
    pub received: u64,
    pub sent: u64,
    pub attempts: u32,
    pub flags: Vec<Flag>,
    /// Why it ended.
    pub reason: String,
    /// Why the endpoint could not be reached.
    pub unreachable: String,
    /// The object that the listener or its filter chain comes from, and the one of the cluster.
    pub route: Option<Object>,
    pub policy: Option<Object>,
    /// Hosts that the route names and that do not exist.
    pub unresolved: String,
}

/// An object of the API, as the graph API names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Object {
    pub kind: String,
    pub group: String,
    pub namespace: String,
    pub name: String,
}

impl From<&ObjectRef> for Object {
    fn from(object: &ObjectRef) -> Self {
        let ObjectRef { group, kind, namespace, name } = object.clone();
        Self { kind, group, namespace, name }
    }
}

impl From<&Object> for ObjectRef {
    fn from(object: &Object) -> Self {
        let Object { kind, group, namespace, name } = object.clone();
        Self { group, kind, namespace, name }
    }
}

impl Connection {
    /// Of the proxy with this node id. `now` is the receiver's time in milliseconds: it counts where the proxy's clock
    /// is far off.
    pub fn read(entry: TcpAccessLogEntry, node: &str, now: u64) -> Self {
        let common = entry.common_properties.unwrap_or_default();
        let bytes = entry.connection_properties.unwrap_or_default();
        let duration = common.duration.as_ref().map_or(Duration::ZERO, |time| {
            Duration::new(time.seconds.try_into().unwrap_or(0), time.nanos.try_into().unwrap_or(0))
        });
        let tags = &common.custom_tags;
        let origins = common.metadata.as_ref();
        Self {
            time: time(end(&common, duration), now),
            duration,
            proxy: cut(node.split('~').nth(2).unwrap_or(node)).into(),
            at_gateway: node.starts_with("router~"),
            listener: cut(tags.get(entry::LISTENER).map_or("", String::as_str)),
            client: address(common.downstream_remote_address.as_ref()),
            destination: address(common.downstream_local_address.as_ref()),
            server_name: common
                .tls_properties
                .as_ref()
                .map(|tls| cut(&tls.tls_sni_hostname))
                .unwrap_or_default(),
            endpoint: address(common.upstream_remote_address.as_ref()),
            local: address(common.upstream_local_address.as_ref()),
            received: bytes.received_bytes,
            sent: bytes.sent_bytes,
            attempts: common.upstream_request_attempt_count,
            flags: common.response_flags.as_ref().map(flags_of).unwrap_or_default(),
            route: object(origins, entry::ORIGIN),
            policy: object(origins, entry::CLUSTER_ORIGIN),
            unresolved: cut(origin(origins, entry::ORIGIN, "unresolved").unwrap_or_default()),
            cluster: cut(&common.upstream_cluster),
            reason: cut(&common.connection_termination_details),
            unreachable: cut(&common.upstream_transport_failure_reason),
        }
    }

    /// `UF,URX`; `-` for none.
    pub fn flags(&self) -> String {
        match &*self.flags {
            [] => "-".to_owned(),
            flags => flags.iter().map(|flag| flag.as_str()).collect::<Vec<_>>().join(","),
        }
    }

    /// In Istio's default format of access logs.
    pub fn line(&self) -> String {
        let start = self.time.saturating_sub(self.duration.as_millis() as u64);
        let start = std::time::UNIX_EPOCH + Duration::from_millis(start);
        let mut line = String::from("[");
        timestamp::write(&mut line, start);
        let dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        line.push_str(&format!(
            "] \"- - -\" 0 {} - {} \"{}\" {} {} {} - \"-\" \"-\" \"-\" \"-\" \"{}\" {} {} {} {} {} -",
            self.flags(),
            dash(&self.reason.replace(' ', "_")),
            dash(&self.unreachable),
            self.received,
            self.sent,
            self.duration.as_millis(),
            dash(&self.endpoint),
            dash(&self.cluster),
            dash(&self.local),
            dash(&self.destination),
            dash(&self.client),
            dash(&self.server_name),
        ));
        line
    }
}

/// What has ended is not to come, by a clock that is a little ahead either.
fn time(end: Option<u64>, now: u64) -> u64 {
    end.filter(|end| end.abs_diff(now) <= SKEW).map_or(now, |end| end.min(now))
}

fn end(common: &AccessLogCommon, duration: Duration) -> Option<u64> {
    let start = common.start_time.as_ref()?;
    let seconds = u64::try_from(start.seconds).ok()?;
    let milliseconds = u64::try_from(start.nanos).ok()? / 1_000_000;
    let start = seconds.checked_mul(1000)?.checked_add(milliseconds)?;
    start.checked_add(u64::try_from(duration.as_millis()).ok()?)
}

fn address(address: Option<&Address>) -> String {
    let Some(Inner::SocketAddress(address)) = address.and_then(|one| one.address.as_ref()) else {
        return String::new();
    };
    let port = match address.port_specifier {
        Some(PortSpecifier::PortValue(port)) => port,
        _ => 0,
    };
    match address.address.contains(':') {
        true => cut(&format!("[{}]:{port}", address.address)),
        false => cut(&format!("{}:{port}", address.address)),
    }
}

fn structure<'m>(metadata: Option<&'m Metadata>, name: &str) -> Option<&'m Struct> {
    let all: &HashMap<String, Struct> = &metadata?.filter_metadata;
    all.get(name)
}

/// A text that the control plane has said of a resource.
fn origin<'m>(metadata: Option<&'m Metadata>, name: &str, field: &str) -> Option<&'m str> {
    match structure(metadata, name)?.fields.get(field)?.kind.as_ref()? {
        value::Kind::StringValue(text) => Some(text),
        _ => None,
    }
}

/// From `/apis/GROUP/VERSION/namespaces/NAMESPACE/KIND/NAME`, as Istio writes it.
fn object(metadata: Option<&Metadata>, name: &str) -> Option<Object> {
    let path = cut(origin(metadata, name, "config")?);
    let parts: Vec<&str> = path.split('/').collect();
    let ["", "apis", group, _, "namespaces", namespace, kind, name] = parts[..] else {
        return None;
    };
    let group = if group == "core" { "" } else { group };
    let kind = kind.split('-').map(capital).collect();
    Some(Object { kind, group: group.into(), namespace: namespace.into(), name: name.into() })
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

fn cut(text: &str) -> String {
    lateen_telemetry::labels::cut(text, LONGEST).into_owned()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use lateen_telemetry::AccessRecord;
    use lateen_telemetry::entry::full_entry;

    use super::{Connection, LONGEST, Object};
    use crate::sample;

    fn record() -> AccessRecord {
        let path = "/apis/networking.istio.io/v1alpha3/namespaces/shop/virtual-service/echo";
        AccessRecord {
            start: SystemTime::UNIX_EPOCH + Duration::from_secs(1000),
            origin: Some(format!(r#"{{"config":"{path}","unresolved":"gone.shop"}}"#).into()),
            downstream_local: "[fd00::1]:80".parse().unwrap(),
            ..sample::record()
        }
    }

    #[test]
    fn what_a_proxy_tells_arrives() {
        let read = Connection::read(
            full_entry(&record()),
            "sidecar~10.0.0.1~client.shop~shop.svc.cluster.local",
            1_000_500,
        );
        assert_eq!((read.time, read.flags().as_str()), (1_000_012, "UF,URX"));
        assert_eq!((&*read.proxy, read.at_gateway), ("client.shop", false));
        assert_eq!((&*read.client, &*read.destination), ("10.0.0.7:41000", "[fd00::1]:80"));
        assert_eq!(read.unresolved, "gone.shop");
        let route = Object {
            kind: "VirtualService".into(),
            group: "networking.istio.io".into(),
            namespace: "shop".into(),
            name: "echo".into(),
        };
        assert_eq!(read.route, Some(route));
        assert_eq!(
            read.line(),
            "[1970-01-01T00:16:40.000Z] \"- - -\" 0 UF,URX - connection_refused \"connection refused\" 5 7 12 - \
             \"-\" \"-\" \"-\" \"-\" \"10.0.0.2:8020\" outbound|8020||echo.default.svc.cluster.local - [fd00::1]:80 \
             10.0.0.7:41000 - -"
        );
    }

    #[test]
    fn a_wrong_clock_and_an_endless_text_do_no_harm() {
        let mut record = record();
        record.close_reason = "ü".repeat(100_000).into();
        record.start = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40);
        let read = Connection::read(full_entry(&record), "p", 5_000);
        assert!(read.time == 5_000 && read.reason.len() <= LONGEST, "{read:?}");
        assert!(read.reason.ends_with("ü…"), "it says that it was cut");
        let year = Duration::from_secs(365 * 24 * 3600);
        let now = SystemTime::UNIX_EPOCH + 2 * year;
        let milliseconds = 2 * year.as_millis() as u64;
        for (start, duration, seen) in [
            (now + year, Duration::ZERO, milliseconds),
            (now - year, Duration::ZERO, milliseconds),
            (now + Duration::from_secs(30), Duration::ZERO, milliseconds),
            // Its clock went back while the connection lasted.
            (now, 3 * year, milliseconds),
            (now - year, year - Duration::from_secs(2), milliseconds - 2000),
        ] {
            let record = AccessRecord { start, duration, ..record.clone() };
            assert_eq!(Connection::read(full_entry(&record), "p", milliseconds).time, seen);
        }
        let empty = Connection::read(Default::default(), "p", 5_000);
        assert_eq!((empty.time, empty.flags().as_str()), (5_000, "-"));
    }
}
