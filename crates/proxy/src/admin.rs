//! The admin pages of a proxy. In: a path. Out: what is configured, counted and recorded.

use std::fmt::Write;
use std::sync::Arc;

use lateen_routing::Terminal;
use lateen_runtime::admin::{Handler, Page};
use lateen_telemetry::AccessRecord;
use lateen_telemetry::exposition::{Exposition, Format};
use serde_json::{Value, json};

use crate::config::{Cluster, ClusterEntry, Config, Listener};
use crate::view::View;
use crate::worker::Shared;

pub fn handler(view: View) -> Handler {
    Arc::new(move |path, _query| {
        let shared = &view.shared;
        Some(match path {
            "/ready" if view.is_ready() => Page::text("LIVE\n"),
            "/ready" => Page::text("PRE_INITIALIZING\n").with_status(503),
            "/stats" => Page::text(stats(shared)),
            "/stats/prometheus" => {
                let pieces = view.metrics(Exposition::new(Format::Text), false);
                let body = pieces.collect::<Vec<_>>().concat();
                Page { status: 200, content_type: Format::Text.content_type(), body }
            }
            "/clusters" => Page::text(clusters(&shared.config.load())),
            "/config_dump" => Page::json(&dump(&shared.config.load())),
            "/records" => {
                let records = shared.records.newest();
                Page::json(&records.iter().map(AccessRecord::to_json).collect::<Vec<_>>())
            }
            _ => return None,
        })
    })
}

fn line(out: &mut String, name: std::fmt::Arguments<'_>, value: impl std::fmt::Display) {
    writeln!(out, "{name}: {value}").expect("writing to a string cannot fail");
}

fn stats(shared: &Shared) -> String {
    let config = shared.config.load();
    let mut out = String::new();
    line(&mut out, format_args!("server.config_version"), config.version);
    line(&mut out, format_args!("access_log.dropped_lines"), shared.log.dropped());
    for listener in listeners(&config) {
        for (name, value) in listener.counters.values() {
            line(&mut out, format_args!("listener.{}.{name}", listener.compiled.name), value);
        }
    }
    for cluster in present(&config) {
        for (name, value) in cluster.live.counters.values() {
            line(&mut out, format_args!("cluster.{}.{name}", cluster.compiled.name), value);
        }
    }
    out
}

fn clusters(config: &Config) -> String {
    let mut out = String::new();
    for cluster in present(config) {
        let name = &cluster.compiled.name;
        for (index, host) in hosts(cluster) {
            let at = |what: &str| format!("{name}::{}::{what}", host.0);
            let endpoint =
                &cluster.endpoints.as_ref().expect("it has hosts").endpoints.hosts[index];
            let active = host.1.active.load(std::sync::atomic::Ordering::Relaxed);
            line(&mut out, format_args!("{}", at("cx_active")), active);
            line(&mut out, format_args!("{}", at("weight")), endpoint.weight);
            line(&mut out, format_args!("{}", at("healthy")), endpoint.healthy);
        }
    }
    out
}

fn hosts(
    cluster: &ClusterEntry,
) -> impl Iterator<Item = (usize, &(std::net::SocketAddr, Arc<crate::config::HostLive>))> {
    cluster.endpoints.iter().flat_map(|set| set.hosts.iter().enumerate())
}

fn dump(config: &Config) -> Value {
    let absent = config.clusters.iter().filter(|(_, cluster)| matches!(cluster, Cluster::Absent));
    let refused = config.clusters.iter().filter_map(|(name, cluster)| match cluster {
        Cluster::Refused(why) => Some((name.to_string(), Value::from(&**why))),
        Cluster::Present(_) | Cluster::Absent => None,
    });
    json!({
        "version": config.version,
        "refused_clusters": refused.collect::<serde_json::Map<_, _>>(),
        "on_demand": config.asks_destinations,
        "listeners": listeners(config).into_iter().map(listener).collect::<Vec<_>>(),
        "clusters": present(config).into_iter().map(cluster).collect::<Vec<_>>(),
        "absent_clusters": absent.map(|(name, _)| name.to_string()).collect::<Vec<_>>(),
        "destinations": config.answered.keys().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

pub fn listeners(config: &Config) -> Vec<&Arc<Listener>> {
    let mut all: Vec<_> = config.bound.values().chain(config.handed.values()).collect();
    all.sort_by_key(|listener| &listener.compiled.name);
    all
}

pub fn present(config: &Config) -> Vec<&Arc<ClusterEntry>> {
    let entries = config.clusters.values().filter_map(|cluster| match cluster {
        Cluster::Present(entry) => Some(entry),
        Cluster::Absent | Cluster::Refused(_) => None,
    });
    let mut all: Vec<_> = entries.collect();
    all.sort_by_key(|entry| &entry.compiled.name);
    all
}

fn listener(listener: &Arc<Listener>) -> Value {
    let compiled = &listener.compiled;
    let chains = compiled.chains.iter().chain(&compiled.default_chain).map(|chain| {
        let clusters: Vec<&str> = match &chain.terminal {
            Terminal::TcpProxy(proxy) => proxy.clusters().map(|name| &**name).collect(),
            Terminal::Close => Vec::new(),
        };
        json!({
            "name": &*chain.name,
            "match": format!("{:?}", chain.rule()),
            "clusters": clusters,
            "origin": embedded(chain.origin.as_deref()),
        })
    });
    json!({
        "name": &*compiled.name,
        "version": listener.version,
        "address": compiled.address.to_string(),
        "bind_to_port": compiled.bind_to_port,
        "use_original_dst": compiled.use_original_dst,
        "filter_chains": chains.collect::<Vec<_>>(),
        "origin": embedded(compiled.origin.as_deref()),
        "not_acted_on": compiled.notes,
    })
}

fn cluster(entry: &Arc<ClusterEntry>) -> Value {
    let endpoints = hosts(entry).map(|(index, (address, _))| {
        let host = &entry.endpoints.as_ref().expect("it has hosts").endpoints.hosts[index];
        json!({
            "address": address.to_string(),
            "weight": host.weight,
            "healthy": host.healthy,
            "priority": host.priority,
            "workload": embedded(host.workload.as_deref()),
        })
    });
    json!({
        "name": &*entry.compiled.name,
        "version": entry.version,
        "policy": format!("{:?}", entry.compiled.policy),
        "connect_timeout_ms": entry.compiled.connect_timeout.as_millis() as u64,
        "sources": entry.compiled.sources.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "max_connections": entry.compiled.max_connections,
        "endpoints_known": entry.endpoints.is_some(),
        "endpoints": endpoints.collect::<Vec<_>>(),
        "origin": embedded(entry.compiled.origin.as_deref()),
    })
}

fn embedded(text: Option<&str>) -> Value {
    text.map_or(Value::Null, |text| serde_json::from_str(text).unwrap_or(Value::Null))
}
