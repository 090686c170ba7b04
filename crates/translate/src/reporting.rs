//! What the connections of a proxy's listeners are logged and counted by. In: the Telemetry objects that are
//! for the proxy, and MeshConfig. Out: Envoy's access loggers and the configuration of Istio's stats filter.

use std::sync::Arc;

use envoy_types::pb::envoy::config::accesslog::v3::AccessLog;
use envoy_types::pb::envoy::config::listener::v3::{Filter, filter};
use envoy_types::pb::google::protobuf::Any;
use lateen_api::issue::{Code, Issue};
use lateen_model::Snapshot;
use lateen_model::index::services::ServiceId;
use lateen_model::mesh::Mesh;
use lateen_model::telemetry::{
    Backend, Change, Counted, Log, Provider, Side, Tag, Telemetry, logs, metrics,
};
use lateen_telemetry::plugin::{MetricConfig, PluginConfig};
use lateen_telemetry::standard::Metric;
use prost::{Message, Name};

use crate::access_log;
use crate::context::Context;
use crate::proxy::STATS_FILTER;
use crate::tcp::outbound_name;
use crate::wire::duration;

/// How an object is before another that is for the same.
pub const FIRST: &str = "comes first (by creation, then by name)";

/// What is reported, by side.
#[derive(Debug, Default)]
pub struct Reporting {
    client: Reported,
    server: Reported,
}

#[derive(Debug, Default)]
struct Reported {
    logs: Vec<AccessLog>,
    stats: Option<Filter>,
}

impl Reporting {
    /// For the proxy of a translation.
    pub fn of(context: &mut Context<'_>) -> Self {
        let applied = applied(context);
        if let Some(winner) = applied.last() {
            let (namespace, labels) = (&context.proxy.namespace, &context.proxy.labels);
            let selecting = context.snapshot.telemetry().selecting(namespace, labels);
            for loser in selecting.skip(1).cloned().collect::<Vec<_>>() {
                let message = format!(
                    "{} {FIRST} and selects workload {} too: only that one has an effect on it; \
                     merge the two",
                    winner.meta.object, context.proxy.name
                );
                let code = Code::CONFLICTING_TELEMETRY_WORKLOAD_SELECTORS;
                context.issue(&loser.meta, "spec.selector", code, message);
            }
        }
        Self {
            client: Reported::of(context, &applied, Side::Client),
            server: Reported::of(context, &applied, Side::Server),
        }
    }

    /// The loggers of one side.
    pub fn logs(&self, side: Side) -> Vec<AccessLog> {
        self.side(side).logs.clone()
    }

    /// The filter that counts connections, for proxies that have it.
    pub fn stats(&self, side: Side) -> impl Iterator<Item = Filter> + use<> {
        self.side(side).stats.clone().into_iter()
    }

    fn side(&self, side: Side) -> &Reported {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }
}

impl Reported {
    fn of(context: &mut Context<'_>, applied: &[&Arc<Telemetry>], side: Side) -> Self {
        let mesh = context.snapshot.mesh();
        let logs = match logs(applied, mesh, side) {
            None => {
                let service = by_default(mesh);
                // Where it cannot be reached is told once, of the mesh.
                let service = service.map(|log| access_log::of_provider(context, &log));
                let service = service.and_then(Result::ok).flatten();
                access_log::of_mesh(&mesh.access_log).into_iter().chain(service).collect()
            }
            Some(logs) => {
                let mut all = Vec::new();
                for log in logs {
                    match access_log::of_provider(context, &log) {
                        Ok(logger) => all.extend(logger),
                        Err(reason) => {
                            let provider = &log.provider;
                            let told = unreachable(context.snapshot, provider, &reason);
                            context.issues.extend(told);
                            let users =
                                applied.iter().flat_map(|object| lost(object, provider, &reason));
                            context.issues.extend(users);
                        }
                    }
                }
                all
            }
        };
        let stats = context.proxy.counts_traffic.then(|| stats(metrics(applied, mesh, side)));
        Self { logs, stats }
    }
}

/// The log service that MeshConfig switches on where nothing else is said.
fn by_default(mesh: &Mesh) -> Option<Log> {
    let provider = mesh.access_log_service.as_ref()?.as_ref().ok()?;
    Some(Log { provider: provider.clone(), filter: None })
}

fn applied<'a>(context: &Context<'a>) -> Vec<&'a Arc<Telemetry>> {
    let (snapshot, proxy) = (context.snapshot, context.proxy);
    let root = snapshot.root_namespace();
    snapshot.telemetry().applied(&proxy.namespace, root, &proxy.labels)
}

/// The services that a proxy's logs go to.
pub fn collectors(context: &Context<'_>) -> Vec<ServiceId> {
    let (applied, mesh) = (applied(context), context.snapshot.mesh());
    let sides = [Side::Client, Side::Server];
    let all = sides.into_iter().flat_map(|side| {
        logs(&applied, mesh, side).unwrap_or_else(|| by_default(mesh).into_iter().collect())
    });
    let found = all.filter_map(|log| find(context.snapshot, log.provider.backend()?).ok());
    found.filter(|id| context.exported(context.service(*id))).collect()
}

/// The service and port that a provider's back end is.
///
/// # Errors
/// What to write instead.
pub fn find(snapshot: &Snapshot, backend: &Backend) -> Result<ServiceId, String> {
    let (namespace, host) = match backend.service.split_once('/') {
        Some((namespace, host)) => (Some(namespace), host),
        None => (None, backend.service.as_str()),
    };
    let services = snapshot.services();
    let mut ids =
        services.by_host(host).iter().copied().filter(|id| {
            namespace.is_none_or(|namespace| services.get(*id).namespace() == namespace)
        });
    let Some(id) = ids.next() else {
        let form =
            "write the whole host name of one, such as collector.observability.svc.cluster.local";
        return Err(format!("no service is called {:?}: {form}", backend.service));
    };
    if namespace.is_none() && ids.next().is_some() {
        return Err(format!("{host} is in several namespaces: write NAMESPACE/{host}"));
    }
    let service = services.get(id);
    let port = u16::try_from(backend.port).ok().and_then(|port| service.port(port));
    match port.filter(|port| port.is_tcp()) {
        Some(_) => Ok(id),
        None => {
            let ports: Vec<String> =
                service.ports.iter().map(|port| port.number.to_string()).collect();
            let port = backend.port;
            Err(format!(
                "{host} has no TCP port {port}: use one of its ports ({})",
                ports.join(", ")
            ))
        }
    }
}

/// The authority and the cluster of a back end, if the proxy may reach it.
///
/// # Errors
/// What is in the way.
pub fn cluster(context: &Context<'_>, backend: &Backend) -> Result<(String, String), String> {
    let service = context.service(find(context.snapshot, backend)?);
    let host = &service.hostname;
    if !context.exported(service) {
        let namespace = &context.proxy.namespace;
        return Err(format!(
            "{host} is not exported to namespace {namespace}: change its exportTo"
        ));
    }
    let port = u16::try_from(backend.port).map_err(|_| "its port is none".to_owned())?;
    Ok((host.to_string(), outbound_name(port, "", host)))
}

/// That a provider cannot be used.
pub fn unreachable(snapshot: &Snapshot, provider: &Provider, reason: &str) -> Option<Issue> {
    let object = snapshot.mesh().object.clone()?;
    let (place, field) = (provider.place?, provider.field());
    let path = format!("data.mesh.extensionProviders[{place}].{field}.service");
    let message = nothing_sent(provider, reason);
    Some(Issue::error(object, path, Code::REFERENCED_RESOURCE_NOT_FOUND, message))
}

/// The message about a provider that cannot be used; the same in MeshConfig and wherever it is named.
pub fn nothing_sent(provider: &Provider, reason: &str) -> String {
    format!("nothing is sent to provider {:?}: {reason}", provider.name)
}

/// That a provider to which an object logs cannot be used.
fn lost(object: &Telemetry, provider: &Provider, reason: &str) -> Vec<Issue> {
    let mut found = Vec::new();
    for (at, item) in object.logging.iter().enumerate() {
        for (i, name) in item.providers.iter().enumerate() {
            if name.eq_ignore_ascii_case(&provider.name) {
                let path = format!("spec.accessLogging[{at}].providers[{i}].name");
                let (code, message) =
                    (Code::REFERENCED_RESOURCE_NOT_FOUND, nothing_sent(provider, reason));
                found.push(Issue::error(object.meta.object.clone(), path, code, message));
            }
        }
    }
    found
}

fn stats(counted: Option<Counted>) -> Filter {
    let config = match counted {
        Some(counted) => plugin(counted),
        // Nothing is shown, and the mesh's own graph still sees it.
        None => PluginConfig { metrics: all_dropped(), ..Default::default() },
    };
    let value = config.encode_to_vec();
    let body = Any { type_url: PluginConfig::type_url(), value };
    Filter {
        name: STATS_FILTER.to_owned(),
        config_type: Some(filter::ConfigType::TypedConfig(body)),
    }
}

fn all_dropped() -> Vec<MetricConfig> {
    let drop =
        |name: &str| MetricConfig { name: name.to_owned(), drop: true, ..Default::default() };
    Metric::ALL.iter().map(|about| drop(about.short())).collect()
}

fn plugin(counted: Counted) -> PluginConfig {
    PluginConfig {
        tcp_reporting_duration: counted.interval.map(duration),
        metrics: counted.changes.into_iter().map(|(name, change)| metric(name, change)).collect(),
        ..Default::default()
    }
}

fn metric(name: String, change: Change) -> MetricConfig {
    let mut config = MetricConfig { name, drop: change.disabled, ..Default::default() };
    for (name, tag) in change.tags {
        match tag {
            Tag::Remove => config.tags_to_remove.push(name),
            Tag::Set(value) => drop(config.dimensions.insert(name, value)),
        }
    }
    config
}
