//! What Prometheus scrapes of the control plane, with Istio's names where Istio has such a metric. In: what the
//! parts have counted. Out: a page in the format that its reader wants.

mod histogram;
mod mesh;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use lateen_api::issue::Severity;
use lateen_api::kinds::{self, KINDS, Source, by_kind};
use lateen_runtime::admin::Page;
use lateen_runtime::pages::{Pages, at_once, only};
use lateen_runtime::process::{self, Usage};
use lateen_telemetry::exposition::{Format, Kind};

use crate::cluster::webhook;
use crate::debug::{Counts, Proxies};
use crate::events::{self, Events, Happened, TRIGGERS};
use crate::findings::Findings;
use crate::published::Published;
use crate::pushes::{Pushes, Stage, Times};
use crate::replicas;
use mesh::Figures;
use text::{Labels, Text, label};

pub use histogram::Histogram;

/// Types that Istio counts refusals of under names of their own.
const REFUSED: [(&str, &str); 4] = [
    ("CDS", "pilot_xds_cds_reject"),
    ("EDS", "pilot_xds_eds_reject"),
    ("LDS", "pilot_xds_lds_reject"),
    ("RDS", "pilot_xds_rds_reject"),
];
/// Istio's names for what contradicts, and the codes of the issues that say so.
const CONFLICTS: [(&str, &str, &str); 3] = [
    ("pilot_vservice_dup_domain", "Findings that VirtualServices share a host", "IST0109"),
    ("pilot_duplicate_envoy_clusters", "Findings that ServiceEntries share a host", "LTN0002"),
    (
        "pilot_conflict_outbound_listener_tcp_over_current_tcp",
        "Findings that ServiceEntries share an address and port but not the protocol",
        "IST0177",
    ),
];

/// Where the numbers are.
#[derive(Clone)]
pub struct Sources {
    pub version: &'static str,
    pub started: Instant,
    pub published: Arc<Published>,
    pub findings: Arc<Findings>,
    pub proxies: Arc<Proxies>,
    pub pushes: Arc<Pushes>,
    pub events: Arc<Events>,
}

/// What is known at one moment.
#[derive(Debug, Default)]
struct Facts {
    version: &'static str,
    uptime_seconds: f64,
    proxies: usize,
    /// Proxies that refuse what they were sent last, by the type's short name.
    refusing: BTreeMap<&'static str, usize>,
    mesh: Figures,
    counts: Counts,
    times: Times,
    events: events::Counts,
    /// Findings by code and severity.
    issues: BTreeMap<(&'static str, Severity), usize>,
    usage: Usage,
}

/// What only a control plane on a cluster has.
#[derive(Debug, Default)]
pub struct OnCluster {
    /// Seconds since 1970, and from now.
    pub root_ends: u64,
    pub root_lasts: f64,
    pub leads_mesh: bool,
    pub leads_revision: bool,
    pub replicas: replicas::Counts,
    pub webhooks: Option<webhook::Counts>,
}

/// A page of metrics at each of these paths, for whoever takes what is said.
pub fn pages<const N: usize>(
    paths: [&'static str; N],
    page: impl Fn(&str) -> Page + Send + Sync + 'static,
) -> Arc<dyn Pages> {
    at_once(move |ask| {
        paths.contains(&ask.path.as_str()).then(|| match ask.is_reading() {
            true => page(&ask.accept),
            false => only("GET"),
        })
    })
}

impl Sources {
    /// The page of this moment, for whoever takes what `accept` says.
    pub fn page(&self, cluster: Option<&OnCluster>, accept: &str) -> Page {
        let format = Format::negotiate(Some(accept));
        let body = page(&self.facts(), cluster, format);
        Page { status: 200, content_type: format.content_type(), body }
    }

    fn facts(&self) -> Facts {
        let proxies = self.proxies.list();
        let mut refusing = BTreeMap::new();
        for proxy in &proxies {
            for (kind, _) in proxy.types.iter().filter(|(_, view)| view.state == "REJECTED") {
                *refusing.entry(*kind).or_default() += 1;
            }
        }
        Facts {
            version: self.version,
            uptime_seconds: self.started.elapsed().as_secs_f64(),
            // One may have more than one stream.
            proxies: proxies.iter().map(|proxy| &*proxy.id).collect::<BTreeSet<&str>>().len(),
            refusing,
            mesh: Figures::of(&self.published.snapshot()),
            counts: self.proxies.counts(),
            times: self.pushes.times(),
            events: self.events.counts(),
            issues: self.findings.tally(),
            usage: process::usage(),
        }
    }
}

fn page(facts: &Facts, cluster: Option<&OnCluster>, format: Format) -> Vec<u8> {
    let mut text = Text::new(format);
    about(&mut text, facts);
    mesh_page(&mut text, facts);
    pushed(&mut text, facts);
    watched(&mut text, &facts.events);
    if let Some(cluster) = cluster {
        on_cluster(&mut text, cluster);
    }
    used(&mut text, &facts.usage);
    text.finish()
}

fn about(text: &mut Text, facts: &Facts) {
    let version = facts.version;
    let build = [label("component", "pilot"), label("tag", version)].concat();
    let own = label("version", version);
    text.one("istio_build", Kind::Gauge, "Which version this is", &build, 1.0);
    text.one("pilot_info", Kind::Gauge, "Which version this is", &own, 1.0);
    text.gauge("istiod_uptime_seconds", "Time since the start", facts.uptime_seconds);
    let connected = "Proxies that are connected over xDS";
    text.one("pilot_xds", Kind::Gauge, connected, &own, facts.proxies as f64);
    let local = label("cluster_type", "local");
    text.one("istiod_managed_clusters", Kind::Gauge, "Clusters that are watched", &local, 1.0);
}

fn mesh_page(text: &mut Text, facts: &Facts) {
    let mesh = &facts.mesh;
    for (name, help, count) in [
        ("pilot_services", "Services in the mesh", mesh.services),
        ("pilot_virt_services", "VirtualServices in the mesh", mesh.virtual_services),
        ("pilot_eds_no_instances", "Clusters without endpoints", mesh.without_endpoints),
        (
            "pilot_dns_cluster_without_endpoints",
            "Clusters of names that proxies resolve, without any",
            mesh.names_without_endpoints,
        ),
        ("pilot_endpoint_not_ready", "Endpoints that are not ready", mesh.not_ready),
    ] {
        text.gauge(name, help, count as f64);
    }
    let snapshot = "Version of the mesh's configuration that is served";
    text.gauge("lateen_snapshot_version", snapshot, mesh.snapshot as f64);
    for (name, help, code) in CONFLICTS {
        let all = facts.issues.iter().filter(|((have, _), _)| *have == code);
        text.gauge(name, help, all.map(|(_, count)| *count).sum::<usize>() as f64);
    }
    text.head("lateen_issues", Kind::Gauge, "Findings about objects, by code and severity");
    // Zero of what there is none of, so that the first one is a rise.
    for severity in [Severity::Info, Severity::Warning, Severity::Error] {
        if !facts.issues.keys().any(|(_, have)| *have == severity) {
            let severity = severity.to_string().to_lowercase();
            text.line("lateen_issues", &label("severity", &severity), 0.0);
        }
    }
    for ((code, severity), count) in &facts.issues {
        let severity = severity.to_string().to_lowercase();
        let labels = [label("code", code), label("severity", &severity)].concat();
        text.line("lateen_issues", &labels, *count as f64);
    }
}

fn pushed(text: &mut Text, facts: &Facts) {
    let (counts, times) = (&facts.counts, &facts.times);
    let by_type = |all: &BTreeMap<&'static str, u64>| {
        let rows = all.iter().map(|(kind, count)| (label("type", &kind.to_lowercase()), *count));
        rows.collect::<Vec<_>>().into_iter()
    };
    // Zero for a type of which nothing was sent or refused yet, so that the first one is a rise.
    let none = REFUSED.iter().map(|(kind, _)| *kind).chain(counts.pushes.keys().copied());
    let none: BTreeMap<_, _> = none.map(|kind| (kind, 0)).collect();
    for (name, help, those) in [
        ("pilot_xds_pushes", "Responses sent over xDS, by type", &counts.pushes),
        ("pilot_total_xds_rejects", "Responses that proxies refused, by type", &counts.rejects),
    ] {
        let mut all = none.clone();
        all.extend(those);
        text.counters(name, help, by_type(&all));
    }
    let size = "Bytes of the responses sent over xDS, by type";
    let sizes = or_none(&counts.sizes, Histogram::of_bytes());
    let sizes = sizes.iter().map(|(kind, sizes)| (label("type", &kind.to_lowercase()), sizes));
    text.histograms("pilot_xds_config_size_bytes", size, sizes);
    for (kind, name) in REFUSED {
        let now = facts.refusing.get(kind).copied().unwrap_or_default();
        text.gauge(name, "Proxies that refuse what they were sent last of this type", now as f64);
    }
    let foreign = "Telemetry of a proxy that names another namespace as its own";
    text.counter("lateen_telemetry_refused_total", foreign, counts.foreign);
    let overweight = "Messages of telemetry that would take too much memory";
    text.counter("lateen_telemetry_overweight_total", overweight, counts.overweight);
    let mut single = |name: &str, help: &str, times: &Histogram| {
        text.histograms(name, help, std::iter::once((Labels::new(), times)));
    };
    let converged = "Seconds from a change to its acceptance by a proxy";
    single("pilot_proxy_convergence_time", converged, &counts.convergence);
    for (name, help, stage) in [
        ("pilot_debounce_time", "Seconds that events were gathered for", Stage::Debounce),
        ("pilot_pushcontext_init_seconds", "Seconds to make a snapshot", Stage::Snapshot),
        ("pilot_proxy_queue_time", "Seconds from a snapshot to a proxy's turn", Stage::Queue),
        ("pilot_xds_send_time", "Seconds from a response to its sending", Stage::Send),
    ] {
        single(name, help, times.of(stage));
    }
    let translated = or_none(&times.by_type, Histogram::default());
    let translated =
        translated.iter().map(|(kind, times)| (label("type", &kind.to_lowercase()), times));
    let help = "Seconds to make the resources of one type for one proxy";
    text.histograms("pilot_xds_push_time", help, translated);
    let stages = Stage::ALL.iter().map(|stage| (label("stage", stage.name()), times.of(*stage)));
    let help = "Seconds that pushes are spent on, by stage";
    text.histograms("lateen_push_stage_seconds", help, stages);
}

/// The histograms by type, with one of nothing for each of the main types that has none.
fn or_none(
    all: &BTreeMap<&'static str, Histogram>,
    none: Histogram,
) -> BTreeMap<&'static str, Histogram> {
    let mut whole: BTreeMap<_, _> = REFUSED.map(|(kind, _)| (kind, none.clone())).into();
    whole.extend(all.iter().map(|(kind, own)| (*kind, own.clone())));
    whole
}

fn watched(text: &mut Text, counts: &events::Counts) {
    // Zero of what did not happen yet.
    let mut events: BTreeMap<_, u64> = BTreeMap::new();
    for kind in
        KINDS.iter().filter(|kind| kind.source == Source::Istio).chain(by_kind("", "Service"))
    {
        events.extend(Happened::ALL.map(|happened| ((kind, happened), 0)));
    }
    events.extend(counts.events.iter().map(|(what, count)| (*what, *count)));
    let of = |istio: bool| {
        let all = events.iter();
        let own = all.filter(move |((kind, _), _)| (kind.source != Source::Kubernetes) == istio);
        own.map(|((kind, happened), count)| {
            let labels = [label("type", istios_name(kind)), label("event", happened.name())];
            (labels.concat(), *count)
        })
    };
    text.counters("pilot_k8s_cfg_events", "Events of Istio's and Gateway API's objects", of(true));
    text.counters("pilot_k8s_reg_events", "Events of Kubernetes' objects", of(false));
    let mut updates: BTreeMap<&str, u64> = [("config", 0), ("eds", 0), ("svc", 0)].into();
    for ((kind, _), count) in &counts.events {
        let of = match kind.kind {
            "EndpointSlice" | "Pod" | "WorkloadEntry" => "eds",
            "Service" => "svc",
            _ => "config",
        };
        *updates.entry(of).or_default() += count;
    }
    let updates = updates.into_iter().map(|(of, count)| (label("type", of), count));
    text.counters("pilot_inbound_updates", "Events of the watches, by what they change", updates);
    let mut triggers: BTreeMap<_, _> = TRIGGERS.map(|why| (why, 0)).into();
    triggers.extend(&counts.triggers);
    let triggers = triggers.into_iter().map(|(why, count)| (label("type", why), count));
    text.counters("pilot_push_triggers", "Snapshots that were pushed, by reason", triggers);
}

/// As Istio calls a kind in its metrics.
fn istios_name(kind: &kinds::Kind) -> &'static str {
    match kind.kind {
        "Service" => "Services",
        "Pod" => "Pods",
        "Namespace" => "Namespaces",
        other => other,
    }
}

fn on_cluster(text: &mut Text, cluster: &OnCluster) {
    let ends = "When the certificate authority ends, in seconds since 1970";
    text.gauge("citadel_server_root_cert_expiry_timestamp", ends, cluster.root_ends as f64);
    let lasts = "Seconds until the certificate authority ends";
    text.gauge("citadel_server_root_cert_expiry_seconds", lasts, cluster.root_lasts);
    text.head(
        "lateen_leader",
        Kind::Gauge,
        "Whether this replica writes for the mesh, and its revision",
    );
    for (of, leads) in [("mesh", cluster.leads_mesh), ("revision", cluster.leads_revision)] {
        text.line("lateen_leader", &label("of", of), f64::from(u8::from(leads)));
    }
    let replicas = &cluster.replicas;
    let others = "Other replicas of this control plane, and those that are told of its proxies";
    text.head("lateen_replicas", Kind::Gauge, others);
    for (state, count) in [("ready", replicas.others), ("linked", replicas.links)] {
        text.line("lateen_replicas", &label("state", state), count as f64);
    }
    for (name, help, count) in [
        ("lateen_replica_messages_total", "Messages passed on to replicas", replicas.passed),
        ("lateen_replica_messages_dropped_total", "Messages that were not", replicas.dropped),
    ] {
        text.counter(name, help, count);
    }
    let Some(counts) = &cluster.webhooks else { return };
    for (name, help, count) in [
        ("sidecar_injection_requests_total", "Pods asked about", counts.injection_requests),
        ("sidecar_injection_success_total", "Pods injected into", counts.injection_successes),
        ("sidecar_injection_failure_total", "Pods refused", counts.injection_failures),
        ("sidecar_injection_skip_total", "Pods left alone", counts.injection_skips),
        ("galley_validation_passed", "Objects found right", counts.validations_passed),
        ("galley_validation_failed", "Objects refused", counts.validations_failed),
        ("galley_validation_http_error", "Questions that could not be read", counts.unreadable),
    ] {
        text.counter(name, help, count);
    }
    let times = std::iter::once((Labels::new(), &counts.injection_time));
    text.histograms("sidecar_injection_time_seconds", "Seconds to answer about a pod", times);
}

fn used(text: &mut Text, usage: &Usage) {
    let cpu = "User and system time used, in seconds";
    text.one("process_cpu_seconds_total", Kind::Counter, cpu, &Vec::new(), usage.cpu_seconds);
    for (name, help, value) in [
        ("process_resident_memory_bytes", "Resident memory", usage.resident_bytes as f64),
        ("process_virtual_memory_bytes", "Virtual memory", usage.virtual_bytes as f64),
        ("process_open_fds", "Open file descriptors", usage.open_descriptors as f64),
        ("process_max_fds", "File descriptors that may be open", usage.most_descriptors as f64),
        ("process_threads", "Threads", usage.threads as f64),
        ("process_start_time_seconds", "Start, in seconds since 1970", usage.started),
    ] {
        text.gauge(name, help, value);
    }
}

#[cfg(test)]
mod tests;
