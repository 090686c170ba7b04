//! Envoy messages -> bytes, the same bytes for the same message.
//!
//! Equal resources must be equal bytes, or an unchanged mesh would be pushed again. Protobuf maps are
//! hash maps in the generated types, so the few messages with maps of several keys (metadata, JSON log
//! formats, name tables) are encoded here through ordered twins and appended to the rest of their
//! owner, which protobuf's encoding allows in any order of fields.

use std::collections::BTreeMap;
use std::time::Duration;

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::core::v3::{
    Address, Metadata, SocketAddress, TypedExtensionConfig, address, socket_address,
};
use envoy_types::pb::envoy::config::listener::v3::{FilterChain, Listener};
use envoy_types::pb::google::protobuf::{
    Any, BoolValue, Duration as PbDuration, Struct, UInt32Value, Value, value,
};
use lateen_api::xds::NameInfo;
use prost::{Message, Name};
use serde_json::{Map, Value as Json};

#[derive(Clone, PartialEq, Message)]
struct OrderedStruct {
    #[prost(btree_map = "string, message", tag = "1")]
    fields: BTreeMap<String, OrderedValue>,
}

#[derive(Clone, PartialEq, Message)]
struct OrderedValue {
    #[prost(oneof = "OrderedKind", tags = "2, 3, 4, 5, 6")]
    kind: Option<OrderedKind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum OrderedKind {
    #[prost(double, tag = "2")]
    Number(f64),
    #[prost(string, tag = "3")]
    Text(String),
    #[prost(bool, tag = "4")]
    Bool(bool),
    #[prost(message, tag = "5")]
    Struct(OrderedStruct),
    #[prost(message, tag = "6")]
    List(OrderedList),
}

#[derive(Clone, PartialEq, Message)]
struct OrderedList {
    #[prost(message, repeated, tag = "1")]
    values: Vec<OrderedValue>,
}

#[derive(Clone, PartialEq, Message)]
struct OrderedMetadata {
    #[prost(btree_map = "string, message", tag = "1")]
    filter_metadata: BTreeMap<String, OrderedStruct>,
}

/// The fields of a Listener that hold maps.
#[derive(Clone, PartialEq, Message)]
struct ListenerTail {
    #[prost(bytes = "vec", repeated, tag = "3")]
    filter_chains: Vec<Vec<u8>>,
    #[prost(message, optional, tag = "6")]
    metadata: Option<OrderedMetadata>,
}

#[derive(Clone, PartialEq, Message)]
struct ChainTail {
    #[prost(message, optional, tag = "5")]
    metadata: Option<OrderedMetadata>,
}

#[derive(Clone, PartialEq, Message)]
struct ClusterTail {
    #[prost(message, optional, tag = "25")]
    metadata: Option<OrderedMetadata>,
}

#[derive(Clone, PartialEq, Message)]
struct JsonLogTail {
    #[prost(message, optional, tag = "5")]
    log_format: Option<JsonFormat>,
}

/// `SubstitutionFormatString`.
#[derive(Clone, PartialEq, Message)]
struct JsonFormat {
    #[prost(message, optional, tag = "2")]
    json_format: Option<OrderedStruct>,
    #[prost(bool, tag = "3")]
    omit_empty_values: bool,
    #[prost(message, repeated, tag = "6")]
    formatters: Vec<TypedExtensionConfig>,
}

#[derive(Clone, PartialEq, Message)]
struct OrderedTable {
    #[prost(btree_map = "string, message", tag = "1")]
    table: BTreeMap<String, NameInfo>,
}

/// Packs a message without maps of several keys.
pub fn any<M: Message + Name>(message: &M) -> Any {
    Any { type_url: M::type_url(), value: message.encode_to_vec() }
}

/// Packs a message of a type that is not Envoy's.
pub fn any_of<M: Message>(kind: lateen_api::xds::ResourceType, message: &M) -> Any {
    Any { type_url: kind.type_url().to_owned(), value: message.encode_to_vec() }
}

/// Packs a listener.
pub fn listener(mut message: Listener) -> Any {
    let chains = std::mem::take(&mut message.filter_chains);
    let tail = ListenerTail {
        filter_chains: chains.into_iter().map(chain).collect(),
        metadata: message.metadata.take().map(ordered),
    };
    let mut value = message.encode_to_vec();
    value.extend(tail.encode_to_vec());
    Any { type_url: Listener::type_url(), value }
}

fn chain(mut message: FilterChain) -> Vec<u8> {
    let tail = ChainTail { metadata: message.metadata.take().map(ordered) };
    let mut value = message.encode_to_vec();
    value.extend(tail.encode_to_vec());
    value
}

/// Packs a cluster.
pub fn cluster(mut message: Cluster) -> Any {
    let tail = ClusterTail { metadata: message.metadata.take().map(ordered) };
    let mut value = message.encode_to_vec();
    value.extend(tail.encode_to_vec());
    Any { type_url: Cluster::type_url(), value }
}

/// The bytes of `FileAccessLog.log_format` with a JSON format.
pub fn json_log_format(
    members: &Map<String, Json>,
    omit_empty_values: bool,
    formatters: Vec<TypedExtensionConfig>,
) -> Vec<u8> {
    let json_format = Some(of_json(members));
    let format = JsonFormat { json_format, omit_empty_values, formatters };
    JsonLogTail { log_format: Some(format) }.encode_to_vec()
}

fn of_json(members: &Map<String, Json>) -> OrderedStruct {
    let fields = members.iter();
    OrderedStruct { fields: fields.map(|(key, item)| (key.clone(), of_json_value(item))).collect() }
}

fn of_json_value(value: &Json) -> OrderedValue {
    let kind = match value {
        Json::Null => None,
        Json::Bool(flag) => Some(OrderedKind::Bool(*flag)),
        Json::Number(number) => number.as_f64().map(OrderedKind::Number),
        Json::String(text) => Some(OrderedKind::Text(text.clone())),
        Json::Object(members) => Some(OrderedKind::Struct(of_json(members))),
        Json::Array(all) => {
            let values = all.iter().map(of_json_value).collect();
            Some(OrderedKind::List(OrderedList { values }))
        }
    };
    OrderedValue { kind }
}

/// Packs Istio's name table.
pub fn name_table(table: BTreeMap<String, NameInfo>) -> Any {
    any_of(lateen_api::xds::ResourceType::NameTable, &OrderedTable { table })
}

fn ordered(metadata: Metadata) -> OrderedMetadata {
    let fields = metadata.filter_metadata.into_iter();
    OrderedMetadata { filter_metadata: fields.map(|(key, value)| (key, in_order(value))).collect() }
}

fn in_order(message: Struct) -> OrderedStruct {
    let fields = message.fields.into_iter();
    OrderedStruct { fields: fields.map(|(key, item)| (key, in_order_value(item))).collect() }
}

fn in_order_value(message: Value) -> OrderedValue {
    let kind = message.kind.and_then(|kind| match kind {
        value::Kind::NullValue(_) => None,
        value::Kind::NumberValue(number) => Some(OrderedKind::Number(number)),
        value::Kind::StringValue(text) => Some(OrderedKind::Text(text)),
        value::Kind::BoolValue(flag) => Some(OrderedKind::Bool(flag)),
        value::Kind::StructValue(inner) => Some(OrderedKind::Struct(in_order(inner))),
        value::Kind::ListValue(list) => {
            let values = list.values.into_iter().map(in_order_value).collect();
            Some(OrderedKind::List(OrderedList { values }))
        }
    });
    OrderedValue { kind }
}

/// A string value.
pub fn text(value: &str) -> Value {
    Value { kind: Some(value::Kind::StringValue(value.to_owned())) }
}

/// A wrapped number.
pub fn uint(value: u32) -> UInt32Value {
    UInt32Value { value }
}

/// A wrapped flag.
pub fn flag(value: bool) -> BoolValue {
    BoolValue { value }
}

/// A duration; what is too long for protobuf is cut.
pub fn duration(value: Duration) -> PbDuration {
    let nanos = i32::try_from(value.subsec_nanos()).expect("nanoseconds of a second fit in i32");
    PbDuration { seconds: i64::try_from(value.as_secs()).unwrap_or(i64::MAX), nanos }
}

/// A TCP socket address.
pub fn socket(address: &str, port: u16) -> SocketAddress {
    SocketAddress {
        address: address.to_owned(),
        port_specifier: Some(socket_address::PortSpecifier::PortValue(u32::from(port))),
        ..Default::default()
    }
}

/// Every address of the machine; IPv6 takes IPv4 too.
pub fn any_address(ipv6: bool, port: u16) -> Address {
    let socket = match ipv6 {
        true => SocketAddress { ipv4_compat: true, ..socket("::", port) },
        false => socket("0.0.0.0", port),
    };
    Address { address: Some(address::Address::SocketAddress(socket)) }
}

/// The same as an address.
pub fn address(host: &str, port: u16) -> Address {
    Address { address: Some(address::Address::SocketAddress(socket(host, port))) }
}
