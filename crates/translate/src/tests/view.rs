//! Resources in short: one line per listener, chain, cluster and endpoint. In: packed messages. Out:
//! text for golden files.

use envoy_types::pb::envoy::config::accesslog::v3::{
    AccessLog, access_log, access_log_filter, extension_filter,
};
use envoy_types::pb::envoy::config::cluster::v3::{Cluster, cluster};
use envoy_types::pb::envoy::config::core::v3::{
    Address, CidrRange, Metadata, address, data_source, grpc_service, socket_address,
    substitution_format_string,
};
use envoy_types::pb::envoy::config::endpoint::v3::{ClusterLoadAssignment, lb_endpoint};
use envoy_types::pb::envoy::config::listener::v3::{
    FilterChain, Listener, ListenerFilter, filter, listener_filter,
};
use envoy_types::pb::envoy::extensions::access_loggers::file::v3::{
    FileAccessLog, file_access_log,
};
use envoy_types::pb::envoy::extensions::access_loggers::filters::cel::v3::ExpressionFilter;
use envoy_types::pb::envoy::extensions::access_loggers::grpc::v3::{
    CommonGrpcAccessLogConfig, HttpGrpcAccessLogConfig, TcpGrpcAccessLogConfig,
};
use envoy_types::pb::envoy::extensions::access_loggers::open_telemetry::v3::OpenTelemetryAccessLogConfig;
use envoy_types::pb::envoy::extensions::filters::listener::original_src::v3::OriginalSrc;
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::{TcpProxy, tcp_proxy};
use envoy_types::pb::google::protobuf::{Value, value};
use lateen_api::xds::{NameTable, ResourceType};
use prost::{Message, Name};

use crate::Named;

pub fn show(kind: ResourceType, resources: &[Named]) -> String {
    resources.iter().map(|named| one(kind, named)).collect()
}

fn one(kind: ResourceType, named: &Named) -> String {
    let bytes = named.body.value.as_slice();
    let body = match kind {
        ResourceType::Listener => listener(&Listener::decode(bytes).unwrap()),
        ResourceType::Cluster => cluster_line(&Cluster::decode(bytes).unwrap()),
        ResourceType::Endpoint => assignment(&ClusterLoadAssignment::decode(bytes).unwrap()),
        _ => {
            let table = NameTable::decode(bytes).unwrap().table;
            let mut lines: Vec<String> = table
                .iter()
                .map(|(host, info)| format!("  {host} {} {:?}\n", info.registry, info.ips))
                .collect();
            lines.sort();
            format!("\n{}", lines.concat())
        }
    };
    let origins: Vec<String> = named.origins.iter().map(ToString::to_string).collect();
    let origins = origins.join(", ");
    format!("{} {:?} from [{origins}]{body}", kind.short_name(), named.name)
}

fn has_ipv4_too(address: Option<&Address>) -> bool {
    let address = address.and_then(|address| address.address.as_ref());
    matches!(address, Some(address::Address::SocketAddress(socket)) if socket.ipv4_compat)
}

fn listener(item: &Listener) -> String {
    let filters: Vec<String> = item.listener_filters.iter().map(filter_name).collect();
    let bound = item.bind_to_port.as_ref().is_none_or(|flag| flag.value);
    let mut out = format!("\n  on {} bound={bound}", socket(item.address.as_ref()));
    if has_ipv4_too(item.address.as_ref()) {
        out.push_str(" and IPv4");
    }
    if item.use_original_dst.is_some() {
        out.push_str(" use_original_dst");
    }
    if item.transparent.as_ref().is_some_and(|flag| flag.value) {
        out.push_str(" transparent");
    }
    out.push_str(&format!(" filters={filters:?}{}\n", metadata(item.metadata.as_ref())));
    for chain in &item.filter_chains {
        out.push_str(&chain_line(chain));
    }
    out
}

fn filter_name(item: &ListenerFilter) -> String {
    match &item.config_type {
        Some(listener_filter::ConfigType::TypedConfig(any))
            if any.type_url == OriginalSrc::type_url() =>
        {
            let mark = OriginalSrc::decode(any.value.as_slice()).unwrap().mark;
            format!("{} mark={mark}", item.name)
        }
        _ => item.name.clone(),
    }
}

fn chain_line(item: &FilterChain) -> String {
    let mut out = format!("  chain {:?}", item.name);
    if let Some(m) = &item.filter_chain_match {
        if let Some(port) = &m.destination_port {
            out.push_str(&format!(" port={}", port.value));
        }
        for (word, list) in [("to", &m.prefix_ranges), ("source", &m.source_prefix_ranges)] {
            if !list.is_empty() {
                out.push_str(&format!(" {word}={:?}", list.iter().map(cidr).collect::<Vec<_>>()));
            }
        }
        if !m.server_names.is_empty() {
            out.push_str(&format!(" sni={:?}", m.server_names));
        }
    }
    let mut logs = String::new();
    for filter in &item.filters {
        let Some(filter::ConfigType::TypedConfig(any)) = &filter.config_type else { continue };
        let proxy = TcpProxy::decode(any.value.as_slice()).unwrap();
        let target = match proxy.cluster_specifier.unwrap() {
            tcp_proxy::ClusterSpecifier::Cluster(name) => name,
            tcp_proxy::ClusterSpecifier::WeightedClusters(all) => {
                let all = all.clusters.iter().map(|c| format!("{}={}", c.name, c.weight));
                all.collect::<Vec<_>>().join(" + ")
            }
        };
        out.push_str(&format!(
            " -> {target} stat={} logs={}",
            proxy.stat_prefix,
            proxy.access_log.len()
        ));
        logs = proxy.access_log.iter().filter_map(log_line).collect();
    }
    out + &metadata(item.metadata.as_ref()) + "\n" + &logs
}

/// A log that is not just Istio's default line.
#[expect(deprecated, reason = "the field that Istio sends")]
fn log_line(item: &AccessLog) -> Option<String> {
    let Some(access_log::ConfigType::TypedConfig(any)) = &item.config_type else { return None };
    let bytes = any.value.as_slice();
    let text = match item.name.rsplit('.').next().unwrap() {
        "file" => {
            let file = FileAccessLog::decode(bytes).unwrap();
            let shown = shown(file.access_log_format.as_ref());
            let default =
                ["[%START_TIME%] \"%REQ(:METHOD)%", "json=[\"authority\", \"bytes_received\""];
            if item.filter.is_none() && default.iter().any(|start| shown.starts_with(start)) {
                return None;
            }
            format!("{} {shown}", file.path)
        }
        "tcp_grpc" => common(TcpGrpcAccessLogConfig::decode(bytes).unwrap().common_config.as_ref()),
        "http_grpc" => {
            common(HttpGrpcAccessLogConfig::decode(bytes).unwrap().common_config.as_ref())
        }
        _ => {
            let otel = OpenTelemetryAccessLogConfig::decode(bytes).unwrap();
            let labels = otel.attributes.unwrap_or_default().values;
            let labels: Vec<_> = labels.iter().map(|label| label.key.as_str()).collect();
            format!("{} labels={labels:?}", common(otel.common_config.as_ref()))
        }
    };
    let filter = item.filter.as_ref().map_or(String::new(), |filter| {
        let Some(access_log_filter::FilterSpecifier::ExtensionFilter(extension)) =
            &filter.filter_specifier
        else {
            return String::new();
        };
        let Some(extension_filter::ConfigType::TypedConfig(any)) = &extension.config_type else {
            return String::new();
        };
        let filter = ExpressionFilter::decode(any.value.as_slice()).unwrap();
        format!(" if {}", filter.expression)
    });
    Some(format!("    log {} {}{filter}\n", item.name, text.trim_end()))
}

fn shown(format: Option<&file_access_log::AccessLogFormat>) -> String {
    let Some(file_access_log::AccessLogFormat::LogFormat(format)) = format else {
        return String::new();
    };
    let omits = if format.omit_empty_values { " omit_empty" } else { "" };
    let text = match &format.format {
        Some(substitution_format_string::Format::TextFormatSource(source)) => {
            match &source.specifier {
                Some(data_source::Specifier::InlineString(text)) => text.trim_end().to_owned(),
                _ => String::new(),
            }
        }
        Some(substitution_format_string::Format::JsonFormat(members)) => {
            let mut keys: Vec<_> = members.fields.keys().map(String::as_str).collect();
            keys.sort_unstable();
            format!("json={keys:?}")
        }
        _ => String::new(),
    };
    format!("{text}{omits} formatters={}", format.formatters.len())
}

fn common(item: Option<&CommonGrpcAccessLogConfig>) -> String {
    let item = item.unwrap();
    let service = item.grpc_service.as_ref().unwrap();
    let Some(grpc_service::TargetSpecifier::EnvoyGrpc(to)) = &service.target_specifier else {
        return String::new();
    };
    let state = item.filter_state_objects_to_log.join(",");
    format!("{} to {} ({}) state={state}", item.log_name, to.cluster_name, to.authority)
}

fn cidr(range: &CidrRange) -> String {
    format!("{}/{}", range.address_prefix, range.prefix_len.as_ref().map_or(0, |l| l.value))
}

fn cluster_line(item: &Cluster) -> String {
    let Some(cluster::ClusterDiscoveryType::Type(kind)) = item.cluster_discovery_type else {
        return String::new();
    };
    let kind = cluster::DiscoveryType::try_from(kind).unwrap().as_str_name();
    let policy = cluster::LbPolicy::try_from(item.lb_policy).unwrap().as_str_name();
    let timeout = item.connect_timeout.as_ref().unwrap();
    let mut out = format!("\n  {kind} {policy} timeout={}s", timeout.seconds);
    let limits = item.circuit_breakers.as_ref().and_then(|b| b.thresholds.first());
    if let Some(max) =
        limits.and_then(|l| l.max_connections.as_ref()).filter(|m| m.value != u32::MAX)
    {
        out.push_str(&format!(" max_connections={}", max.value));
    }
    if let Some(bind) = &item.upstream_bind_config {
        let extra = bind.extra_source_addresses.iter().filter_map(|one| one.address.as_ref());
        for source in bind.source_address.iter().chain(extra) {
            out.push_str(&format!(" from={}", source.address));
        }
    }
    if !item.typed_extension_protocol_options.is_empty() {
        out.push_str(" http2");
    }
    out.push_str(&metadata(item.metadata.as_ref()));
    out.push('\n');
    item.load_assignment
        .as_ref()
        .map_or(out.clone(), |load| out + assignment(load).trim_start_matches('\n'))
}

fn assignment(item: &ClusterLoadAssignment) -> String {
    let mut out = "\n".to_owned();
    for locality in &item.endpoints {
        for endpoint in &locality.lb_endpoints {
            let Some(lb_endpoint::HostIdentifier::Endpoint(host)) = &endpoint.host_identifier
            else {
                continue;
            };
            let place = socket(host.address.as_ref());
            let weight = endpoint.load_balancing_weight.as_ref().map_or(1, |w| w.value);
            let status = endpoint.health_status().as_str_name();
            let about = metadata(endpoint.metadata.as_ref());
            out.push_str(&format!("  endpoint {place} {status} weight={weight}{about}\n"));
        }
    }
    out
}

fn socket(item: Option<&Address>) -> String {
    match item.and_then(|a| a.address.as_ref()) {
        Some(address::Address::SocketAddress(s)) => match s.port_specifier {
            Some(socket_address::PortSpecifier::PortValue(port)) => format!("{}:{port}", s.address),
            _ => s.address.clone(),
        },
        Some(address::Address::Pipe(pipe)) => pipe.path.clone(),
        _ => String::new(),
    }
}

fn metadata(item: Option<&Metadata>) -> String {
    let Some(istio) = item.and_then(|m| m.filter_metadata.get("istio")) else {
        return String::new();
    };
    let mut fields: Vec<String> =
        istio.fields.iter().map(|(key, item)| format!("{key}={}", text(item))).collect();
    fields.sort();
    format!(" {{{}}}", fields.join(" "))
}

fn text(item: &Value) -> String {
    match item.kind.as_ref().unwrap() {
        value::Kind::StringValue(text) => text.clone(),
        value::Kind::ListValue(list) => list.values.iter().map(text).collect::<Vec<_>>().join(","),
        value::Kind::StructValue(fields) => text(&fields.fields["host"]),
        other => format!("{other:?}"),
    }
}
