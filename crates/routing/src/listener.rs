//! Listeners. In: Envoy's `Listener`. Out: a [`CompiledListener`] or a [`Reject`]. What a listener
//! asks for and is not supported is refused with its field, never left out in silence.

#![expect(deprecated, reason = "Envoy still takes these fields and Istio sends some")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::{TrafficDirection, TransportSocket};
use envoy_types::pb::envoy::config::listener::v3 as listener;
use envoy_types::pb::envoy::extensions::filters::listener::http_inspector::v3::HttpInspector;
use envoy_types::pb::envoy::extensions::filters::listener::original_dst::v3::OriginalDst;
use envoy_types::pb::envoy::extensions::filters::listener::original_src::v3::OriginalSrc;
use envoy_types::pb::envoy::extensions::filters::listener::tls_inspector::v3::TlsInspector;
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3 as tcp_proxy;
use envoy_types::pb::google::protobuf::{Any, BoolValue};

use lateen_telemetry::labels::Reporter;
use lateen_telemetry::plugin::PluginConfig;

use crate::access_log::{self, AccessLog, Output};
use crate::chain::{Connection, Match, select};
use crate::convert;
use crate::reject::{Refusal, Reject, refuse};
use crate::stats::Stats;
use crate::tcp_proxy::TcpProxy;

/// Envoy's default (`Listener.listener_filters_timeout`).
const INSPECTION_TIMEOUT: Duration = Duration::from_secs(15);

/// Filters that only watch; without them traffic flows the same.
const OBSERVERS: [&str; 2] = ["istio.stats", "istio.metadata_exchange"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompiledListener {
    pub name: Arc<str>,
    pub address: SocketAddr,
    /// False: it has no socket and takes connections that another listener hands over.
    pub bind_to_port: bool,
    /// Hand connections to the listener of their original destination.
    pub use_original_dst: bool,
    /// Ask the kernel for the original destination.
    pub reads_original_dst: bool,
    /// Its socket takes connections to addresses that are not this machine's, as interception brings them.
    pub transparent: bool,
    /// On an IPv6 address it takes IPv4 too.
    pub ipv4_too: bool,
    /// Connect with the client's own address; `None` connects as the cluster says.
    pub original_src: Option<OriginalSource>,
    /// How the first bytes are looked at before a chain is chosen; `None` if no chain depends on
    /// them, so that a client that waits for the server's greeting gets it at once.
    pub inspection: Option<Inspection>,
    /// Envoy's number of its direction.
    pub direction: i32,
    pub chains: Vec<Arc<FilterChain>>,
    pub default_chain: Option<Arc<FilterChain>>,
    pub access_log: Vec<AccessLog>,
    pub backlog: Option<u32>,
    /// Parts that change no traffic and are not acted on, for the log.
    pub notes: Vec<String>,
    pub origin: Option<Arc<str>>,
}

/// How connections with a client's address are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OriginalSource {
    /// `SO_MARK`, so that the answers to the address of somebody else come back.
    pub mark: Option<u32>,
}

/// How long the first bytes are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// `None`: for ever.
    pub timeout: Option<Duration>,
    /// After the timeout the connection is taken as plain bytes; else it is closed.
    pub continues: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterChain {
    pub name: Arc<str>,
    rule: Match,
    pub terminal: Terminal,
    /// How its connections are counted in Istio's metrics, if they are.
    pub stats: Option<Stats>,
    /// `filter_metadata.istio` of the chain, else of its listener.
    pub origin: Option<Arc<str>>,
    /// Why the chain leads nowhere, as the control plane says it in `filter_metadata.istio.reason`.
    pub reason: Option<Arc<str>>,
}

/// What is done with a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Terminal {
    TcpProxy(TcpProxy),
    /// A chain without filters closes the connection.
    Close,
}

impl FilterChain {
    /// What the chain is chosen by.
    pub fn rule(&self) -> &Match {
        &self.rule
    }
}

impl CompiledListener {
    /// The chain for a connection; `None` closes it.
    pub fn chain(&self, connection: &Connection) -> Option<&Arc<FilterChain>> {
        if let ([only], true) = (self.chains.as_slice(), self.sole_chain_takes_all()) {
            return Some(only);
        }
        let chosen = select(self.chains.iter().map(|chain| &chain.rule), connection);
        chosen.map(|index| &self.chains[index]).or(self.default_chain.as_ref())
    }

    /// Whose view its connections are of, as its chains say that are counted in Istio's metrics.
    pub fn reporter(&self) -> Option<Reporter> {
        let mut counted = self.chains.iter().chain(&self.default_chain);
        counted.find_map(|chain| chain.stats.as_ref()).map(|stats| stats.reporter)
    }

    /// Every cluster that the listener names.
    pub fn clusters(&self) -> impl Iterator<Item = &Arc<str>> {
        self.chains.iter().chain(&self.default_chain).flat_map(|chain| {
            match &chain.terminal {
                Terminal::TcpProxy(proxy) => Some(proxy.clusters()),
                Terminal::Close => None,
            }
            .into_iter()
            .flatten()
        })
    }

    /// The clusters that access logs are sent to.
    pub fn collectors(&self) -> impl Iterator<Item = &Arc<str>> {
        let chains = self.chains.iter().chain(&self.default_chain);
        let logs = chains.flat_map(|chain| match &chain.terminal {
            Terminal::TcpProxy(proxy) => proxy.access_log.as_slice(),
            Terminal::Close => &[],
        });
        logs.chain(&self.access_log).filter_map(|log| match &log.output {
            Output::Entry(collector) => Some(&collector.cluster),
            Output::Line(..) => None,
        })
    }

    fn sole_chain_takes_all(&self) -> bool {
        self.chains.len() == 1 && self.chains[0].rule.accepts_anything()
    }
}

pub fn compile_listener(source: &listener::Listener) -> Result<CompiledListener, Reject> {
    compile(source).map_err(|refused| refused.of(&source.name))
}

fn compile(source: &listener::Listener) -> Result<CompiledListener, Refusal> {
    check_supported(source)?;
    let whole = Whole {
        origin: convert::origin(source.metadata.as_ref()),
        inbound: source.traffic_direction() == TrafficDirection::Inbound,
    };
    let mut notes = Vec::new();
    let filters = listener_filters(&source.listener_filters)?;
    let mut chains = Vec::with_capacity(source.filter_chains.len());
    for (index, chain) in source.filter_chains.iter().enumerate() {
        let within = format!("filter_chains[{index}]");
        let chain = compile_chain(chain, &whole, &mut notes).map_err(|r| r.within(&within))?;
        if filters.inspects_http && chain.rule.needs_protocols() {
            let problem = "matching by the HTTP version of plain bytes is not supported yet";
            let remedy = "match by port and address, or leave the HTTP inspector out";
            return Err(refuse(format!("{within}.filter_chain_match"), problem, remedy));
        }
        if chains.iter().any(|other: &Arc<FilterChain>| other.rule == chain.rule) {
            let problem = "another filter chain has the same match";
            return Err(refuse(within, problem, "make the matches differ"));
        }
        chains.push(Arc::new(chain));
    }
    let default_chain = source.default_filter_chain.as_ref().map(|chain| {
        compile_chain(chain, &whole, &mut notes)
            .map(Arc::new)
            .map_err(|refused| refused.within("default_filter_chain"))
    });
    let default_chain = default_chain.transpose()?;
    let access_log = access_log::compile(&source.access_log)?;
    if chains.is_empty() && default_chain.is_none() {
        return Err(refuse("filter_chains", "there are none", "add a filter chain"));
    }
    let use_original_dst = enabled(&source.use_original_dst);
    Ok(CompiledListener {
        name: source.name.as_str().into(),
        address: convert::ip_address(source.address.as_ref())?,
        bind_to_port: bind_to_port(source),
        use_original_dst,
        reads_original_dst: use_original_dst || filters.original_dst,
        transparent: enabled(&source.transparent),
        ipv4_too: convert::has_ipv4_too(source.address.as_ref()),
        original_src: filters.original_src,
        inspection: inspection(source, &filters, &chains),
        direction: source.traffic_direction,
        chains,
        default_chain,
        access_log,
        backlog: source.tcp_backlog_size.as_ref().map(|size| size.value),
        notes,
        origin: whole.origin,
    })
}

fn inspection(
    source: &listener::Listener,
    filters: &ListenerFilters,
    chains: &[Arc<FilterChain>],
) -> Option<Inspection> {
    let needed = filters.inspects_tls && chains.iter().any(|chain| chain.rule.needs_inspection());
    let timeout = source.listener_filters_timeout.as_ref().map(convert::duration);
    needed.then(|| Inspection {
        timeout: Some(timeout.unwrap_or(INSPECTION_TIMEOUT)).filter(|timeout| !timeout.is_zero()),
        continues: source.continue_on_listener_filters_timeout,
    })
}

fn bind_to_port(source: &listener::Listener) -> bool {
    let older = source.deprecated_v1.as_ref().and_then(|v1| v1.bind_to_port.as_ref());
    source.bind_to_port.as_ref().or(older).is_none_or(|value| value.value)
}

fn enabled(value: &Option<BoolValue>) -> bool {
    value.as_ref().is_some_and(|value| value.value)
}

fn check_supported(source: &listener::Listener) -> Result<(), Refusal> {
    let set = [
        ("name", source.name.is_empty(), "give the listener a name"),
        ("additional_addresses", !source.additional_addresses.is_empty(), "use two listeners"),
        ("fcds_config", source.fcds_config.is_some(), "put the chains into the listener"),
        ("filter_chain_matcher", source.filter_chain_matcher.is_some(), "use filter_chain_match"),
        ("freebind", enabled(&source.freebind), "leave it out"),
        ("socket_options", !source.socket_options.is_empty(), "leave them out"),
        ("udp_listener_config", source.udp_listener_config.is_some(), "use TCP"),
        ("api_listener", source.api_listener.is_some(), "use a socket address"),
        ("enable_mptcp", source.enable_mptcp, "leave it out"),
        ("listener_specifier", source.listener_specifier.is_some(), "use a socket address"),
        ("tcp_keepalive", source.tcp_keepalive.is_some(), "leave it out"),
    ];
    match set.into_iter().find(|(_, present, _)| *present) {
        Some((field, _, remedy)) => Err(refuse(field, "not supported", remedy)),
        None => Ok(()),
    }
}

#[derive(Default)]
struct ListenerFilters {
    original_dst: bool,
    original_src: Option<OriginalSource>,
    inspects_tls: bool,
    inspects_http: bool,
}

fn listener_filters(filters: &[listener::ListenerFilter]) -> Result<ListenerFilters, Refusal> {
    let mut found = ListenerFilters::default();
    for (index, filter) in filters.iter().enumerate() {
        let any = match &filter.config_type {
            Some(listener::listener_filter::ConfigType::TypedConfig(any)) => Some(any),
            _ => None,
        };
        match (any, filter.name.as_str()) {
            (Some(any), _) if convert::is::<OriginalDst>(any) => found.original_dst = true,
            (Some(any), _) if convert::is::<OriginalSrc>(any) => {
                let within =
                    |refused: Refusal| refused.within(&format!("listener_filters[{index}]"));
                found.original_src = Some(original_source(any).map_err(within)?);
            }
            (Some(any), _) if convert::is::<TlsInspector>(any) => found.inspects_tls = true,
            (Some(any), _) if convert::is::<HttpInspector>(any) => found.inspects_http = true,
            (None, "envoy.filters.listener.original_dst") => found.original_dst = true,
            (_, name) => {
                let problem = format!("listener filter {name} is not supported");
                let field = format!("listener_filters[{index}]");
                return Err(refuse(field, problem, "leave it out"));
            }
        }
    }
    Ok(found)
}

fn original_source(any: &Any) -> Result<OriginalSource, Refusal> {
    let filter: OriginalSrc = convert::unpack(any)?;
    if filter.bind_port {
        return Err(refuse("bind_port", "not supported", "leave it out"));
    }
    Ok(OriginalSource { mark: Some(filter.mark).filter(|mark| *mark != 0) })
}

/// What a chain has of its listener.
struct Whole {
    origin: Option<Arc<str>>,
    inbound: bool,
}

fn compile_chain(
    source: &listener::FilterChain,
    whole: &Whole,
    notes: &mut Vec<String>,
) -> Result<FilterChain, Refusal> {
    if source.use_proxy_proto.as_ref().is_some_and(|value| value.value) {
        return Err(refuse("use_proxy_proto", "not supported", "leave it out"));
    }
    plain_transport(source.transport_socket.as_ref())?;
    let rule = match &source.filter_chain_match {
        None => Match::default(),
        Some(rule) => Match::compile(rule).map_err(|r| r.within("filter_chain_match"))?,
    };
    let mut stats = None;
    Ok(FilterChain {
        name: source.name.as_str().into(),
        rule,
        terminal: terminal(&source.filters, whole, &mut stats, notes)?,
        stats,
        origin: convert::origin(source.metadata.as_ref()).or_else(|| whole.origin.clone()),
        reason: convert::reason(source.metadata.as_ref()),
    })
}

/// Refuses everything but plain text.
pub(crate) fn plain_transport(socket: Option<&TransportSocket>) -> Result<(), Refusal> {
    match socket {
        Some(socket) if socket.name != "envoy.transport_sockets.raw_buffer" => {
            let problem = format!("{} is not supported yet", socket.name);
            Err(refuse("transport_socket", problem, "use plain text"))
        }
        _ => Ok(()),
    }
}

fn terminal(
    filters: &[listener::Filter],
    whole: &Whole,
    stats: &mut Option<Stats>,
    notes: &mut Vec<String>,
) -> Result<Terminal, Refusal> {
    for (index, filter) in filters.iter().enumerate() {
        let within = format!("filters[{index}]");
        let Some(listener::filter::ConfigType::TypedConfig(any)) = &filter.config_type else {
            return Err(refuse(within, "has no typed_config", "configure the filter in place"));
        };
        if convert::is::<tcp_proxy::TcpProxy>(any) {
            if index + 1 != filters.len() {
                return Err(refuse(within, "a TCP proxy must come last", "reorder the filters"));
            }
            let config: tcp_proxy::TcpProxy =
                convert::unpack(any).map_err(|r| r.within(&within))?;
            let compiled = TcpProxy::compile(&config).map_err(|refused| refused.within(&within))?;
            return Ok(Terminal::TcpProxy(compiled));
        }
        if convert::is::<PluginConfig>(any) {
            let config = convert::unpack(any).map_err(|r| r.within(&within))?;
            *stats = Some(Stats::compile(&config, whole.inbound, notes));
            continue;
        }
        if !OBSERVERS.contains(&filter.name.as_str()) {
            let problem = format!("network filter {} is not supported", filter.name);
            return Err(refuse(within, problem, "use a TCP proxy"));
        }
        notes.push(format!("filter {} is not acted on", filter.name));
    }
    match filters {
        [] => Ok(Terminal::Close),
        _ => Err(refuse("filters", "the last one passes nothing on", "end with a TCP proxy")),
    }
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::config::core::v3::Address;
    use envoy_types::pb::envoy::config::core::v3::address::Address::SocketAddress;
    use envoy_types::pb::envoy::config::listener::v3::listener_filter::ConfigType;
    use envoy_types::pb::envoy::config::listener::v3::{FilterChain, Listener, ListenerFilter};
    use envoy_types::pb::envoy::extensions::filters::listener::original_src::v3::OriginalSrc;
    use envoy_types::pb::google::protobuf::{Any, BoolValue};
    use prost::{Message, Name};

    use super::{CompiledListener, OriginalSource, Reject, compile_listener};

    fn compiled(transparent: bool, filter: &OriginalSrc) -> Result<CompiledListener, Reject> {
        let any = Any { type_url: OriginalSrc::type_url(), value: filter.encode_to_vec() };
        let filter = ListenerFilter {
            name: "source".into(),
            config_type: Some(ConfigType::TypedConfig(any)),
            ..Default::default()
        };
        let socket = envoy_types::pb::envoy::config::core::v3::SocketAddress {
            address: "0.0.0.0".into(),
            ..Default::default()
        };
        compile_listener(&Listener {
            name: "front".into(),
            address: Some(Address { address: Some(SocketAddress(socket)) }),
            filter_chains: vec![FilterChain::default()],
            listener_filters: vec![filter],
            transparent: Some(BoolValue { value: transparent }),
            ..Default::default()
        })
    }

    #[test]
    fn a_clients_address_is_kept_with_the_mark_that_the_filter_names() {
        let made = compiled(true, &OriginalSrc { mark: 7, ..Default::default() }).unwrap();
        assert!(made.transparent && !made.reads_original_dst);
        assert_eq!(made.original_src, Some(OriginalSource { mark: Some(7) }));
        let made = compiled(false, &OriginalSrc::default()).unwrap();
        assert!(!made.transparent);
        assert_eq!(made.original_src, Some(OriginalSource { mark: None }));
        let reject = compiled(true, &OriginalSrc { bind_port: true, mark: 7 }).unwrap_err();
        assert_eq!(reject.field, "listener_filters[0].bind_port");
    }
}
