//! Small conversions from protobuf. In: addresses, durations, structs. Out: std types, or a refusal.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::google::protobuf;
use ipnet::IpNet;
use prost::{Message, Name};
use serde_json::{Map, Value};

use crate::reject::{Refusal, refuse};

/// Key of the metadata that names the objects a resource comes from.
const ORIGIN: &str = "istio";

/// A socket address with a host that may be a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    Address(SocketAddr),
    /// Host and port for DNS.
    Name(Arc<str>, u16),
}

pub(crate) fn target(address: Option<&core::Address>) -> Result<Target, Refusal> {
    use core::address::Address;
    let socket = match address.and_then(|address| address.address.as_ref()) {
        Some(Address::SocketAddress(socket)) => socket,
        Some(Address::Pipe(_)) => {
            return Err(refuse("address.pipe", "not supported", "use an IP address and a port"));
        }
        Some(Address::EnvoyInternalAddress(_)) => {
            let field = "address.envoy_internal_address";
            return Err(refuse(field, "not supported", "use an IP address and a port"));
        }
        None => return Err(refuse("address", "missing", "set a socket_address")),
    };
    socket_target(socket)
}

pub(crate) fn socket_target(socket: &core::SocketAddress) -> Result<Target, Refusal> {
    use core::socket_address::{PortSpecifier, Protocol};
    if socket.protocol == Protocol::Udp as i32 {
        return Err(refuse("address.protocol", "UDP is not supported", "use TCP"));
    }
    let port = match &socket.port_specifier {
        Some(PortSpecifier::PortValue(port)) => u16::try_from(*port).map_err(|_| {
            refuse("address.port_value", format!("{port} is no port"), "use 0 to 65535")
        })?,
        Some(PortSpecifier::NamedPort(_)) => {
            return Err(refuse("address.named_port", "not supported", "use port_value"));
        }
        None => 0,
    };
    Ok(match socket.address.parse::<IpAddr>() {
        Ok(ip) => Target::Address(SocketAddr::new(ip, port)),
        Err(_) if socket.address.is_empty() => {
            return Err(refuse("address.address", "empty", "set an IP address or a host name"));
        }
        Err(_) => Target::Name(socket.address.as_str().into(), port),
    })
}

/// An address that must be an IP address already.
pub(crate) fn ip_address(address: Option<&core::Address>) -> Result<SocketAddr, Refusal> {
    match target(address)? {
        Target::Address(address) => Ok(address),
        Target::Name(name, _) => {
            Err(refuse("address.address", format!("{name} is no IP address"), "use an IP address"))
        }
    }
}

/// Whether a socket of an IPv6 address is to take IPv4 as well.
pub(crate) fn has_ipv4_too(address: Option<&core::Address>) -> bool {
    use core::address::Address;
    let address = address.and_then(|address| address.address.as_ref());
    matches!(address, Some(Address::SocketAddress(socket)) if socket.ipv4_compat)
}

pub(crate) fn duration(value: &protobuf::Duration) -> Duration {
    let seconds = u64::try_from(value.seconds).unwrap_or(0);
    Duration::new(seconds, u32::try_from(value.nanos).unwrap_or(0).min(999_999_999))
}

pub(crate) fn prefix(range: &core::CidrRange) -> Result<IpNet, Refusal> {
    let problem = || format!("{} is no IP address", range.address_prefix);
    let ip: IpAddr = range
        .address_prefix
        .parse()
        .map_err(|_| refuse("address_prefix", problem(), "use an IP address"))?;
    let bits = range.prefix_len.as_ref().map_or(0, |length| length.value);
    let net = u8::try_from(bits).ok().and_then(|bits| IpNet::new(ip, bits).ok());
    let net = net.ok_or_else(|| {
        refuse("prefix_len", format!("{bits} is too long"), "use at most 32 (IPv4) or 128 (IPv6)")
    })?;
    Ok(net.trunc())
}

/// Unpacks a typed configuration, which must be of type `T`.
pub(crate) fn unpack<T: Message + Name + Default>(any: &protobuf::Any) -> Result<T, Refusal> {
    T::decode(any.value.as_slice()).map_err(|error| {
        refuse(
            "typed_config",
            format!("is no {}: {error}", T::NAME),
            "check the control plane's version",
        )
    })
}

/// True for the type named `T`.
pub(crate) fn is<T: Name>(any: &protobuf::Any) -> bool {
    any.type_url.rsplit('/').next() == Some(T::full_name().as_str())
}

/// `filter_metadata.istio` as JSON text with sorted members.
pub(crate) fn origin(metadata: Option<&core::Metadata>) -> Option<Arc<str>> {
    let object = metadata?.filter_metadata.get(ORIGIN)?;
    Some(struct_json(object).to_string().into())
}

/// `filter_metadata.istio.reason`: why a connection that nothing serves is closed.
pub(crate) fn reason(metadata: Option<&core::Metadata>) -> Option<Arc<str>> {
    let fields = &metadata?.filter_metadata.get(ORIGIN)?.fields;
    match fields.get("reason")?.kind.as_ref()? {
        protobuf::value::Kind::StringValue(text) => Some(text.as_str().into()),
        _ => None,
    }
}

pub(crate) fn struct_json(object: &protobuf::Struct) -> Value {
    let mut names: Vec<_> = object.fields.iter().collect();
    names.sort_by_key(|(name, _)| *name);
    Value::Object(
        names
            .into_iter()
            .map(|(name, value)| (name.clone(), value_json(value)))
            .collect::<Map<_, _>>(),
    )
}

fn value_json(value: &protobuf::Value) -> Value {
    use protobuf::value::Kind;
    match &value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        // Protobuf has doubles only; a whole number is shown as one.
        Some(Kind::NumberValue(number)) if number.fract() == 0.0 && number.abs() < 9e15 => {
            Value::from(*number as i64)
        }
        Some(Kind::NumberValue(number)) => Value::from(*number),
        Some(Kind::StringValue(text)) => Value::from(text.as_str()),
        Some(Kind::BoolValue(value)) => Value::from(*value),
        Some(Kind::StructValue(object)) => struct_json(object),
        Some(Kind::ListValue(list)) => Value::Array(list.values.iter().map(value_json).collect()),
    }
}
