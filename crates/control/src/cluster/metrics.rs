//! The page that Prometheus scrapes, in its text format 0.0.4, with Istio's names. In: facts. Out: text.

use std::fmt::Write;

use lateen_runtime::process::Usage;

use crate::cluster::webhook;
use crate::debug::{CONVERGENCE, Counts};

/// The type of the page.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is known at one moment.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    pub version: &'static str,
    pub uptime_seconds: f64,
    pub proxies: usize,
    pub services: usize,
    pub virtual_services: usize,
    pub snapshot: u64,
    pub counts: Counts,
    /// Seconds since 1970.
    pub root_ends: u64,
    pub leads_mesh: bool,
    pub leads_revision: bool,
    pub webhooks: Option<webhook::Counts>,
    pub usage: Usage,
}

/// The whole page.
pub fn page(facts: &Facts) -> String {
    let mut page = Page::default();
    let version = facts.version;
    let build = format!("component=\"pilot\",tag=\"{version}\"");
    page.one("istio_build", "gauge", "Which version this is", &build, 1.0);
    page.one("pilot_info", "gauge", "Which version this is", &label("version", version), 1.0);
    page.one("istiod_uptime_seconds", "gauge", "Time since the start", "", facts.uptime_seconds);
    let connected = "Proxies that are connected over xDS";
    page.one("pilot_xds", "gauge", connected, &label("version", version), facts.proxies as f64);
    page.one("pilot_services", "gauge", "Services in the mesh", "", facts.services as f64);
    let routes = facts.virtual_services as f64;
    page.one("pilot_virt_services", "gauge", "VirtualServices in the mesh", "", routes);
    let snapshot = "Version of the mesh's configuration that is served";
    page.one("lateen_snapshot_version", "gauge", snapshot, "", facts.snapshot as f64);
    page.head("pilot_xds_pushes", "counter", "Responses sent over xDS, by type");
    for (kind, count) in &facts.counts.pushes {
        page.line("pilot_xds_pushes", &label("type", &kind.to_lowercase()), *count as f64);
    }
    page.head("pilot_total_xds_rejects", "counter", "Responses that proxies refused, by type");
    for (kind, count) in &facts.counts.rejects {
        page.line("pilot_total_xds_rejects", &label("type", &kind.to_lowercase()), *count as f64);
    }
    convergence(&mut page, &facts.counts);
    let ends = "When the certificate authority ends, in seconds since 1970";
    let name = "citadel_server_root_cert_expiry_timestamp";
    page.one(name, "gauge", ends, "", facts.root_ends as f64);
    page.head(
        "lateen_leader",
        "gauge",
        "Whether this replica writes for the mesh, and its revision",
    );
    page.line("lateen_leader", &label("of", "mesh"), f64::from(u8::from(facts.leads_mesh)));
    page.line("lateen_leader", &label("of", "revision"), f64::from(u8::from(facts.leads_revision)));
    if let Some(counts) = &facts.webhooks {
        webhooks(&mut page, counts);
    }
    process(&mut page, &facts.usage);
    page.0
}

fn convergence(page: &mut Page, counts: &Counts) {
    let name = "pilot_proxy_convergence_time";
    page.head(name, "histogram", "Seconds from a change to its acceptance by a proxy");
    let (all, mut below) = (&counts.convergence, 0);
    for (limit, count) in CONVERGENCE.iter().zip(all.buckets) {
        below += count;
        let bucket = format!("{name}_bucket");
        page.line(&bucket, &label("le", &limit.to_string()), below as f64);
    }
    page.line(&format!("{name}_bucket"), &label("le", "+Inf"), all.count as f64);
    page.line(&format!("{name}_sum"), "", all.sum);
    page.line(&format!("{name}_count"), "", all.count as f64);
}

fn webhooks(page: &mut Page, counts: &webhook::Counts) {
    for (name, help, count) in [
        ("sidecar_injection_requests_total", "Pods asked about", counts.injection_requests),
        ("sidecar_injection_success_total", "Pods injected into", counts.injection_successes),
        ("sidecar_injection_failure_total", "Pods refused", counts.injection_failures),
        ("sidecar_injection_skip_total", "Pods left alone", counts.injection_skips),
        ("galley_validation_passed", "Objects found right", counts.validations_passed),
        ("galley_validation_failed", "Objects refused", counts.validations_failed),
    ] {
        page.one(name, "counter", help, "", count as f64);
    }
}

fn process(page: &mut Page, usage: &Usage) {
    let cpu = "User and system time used, in seconds";
    page.one("process_cpu_seconds_total", "counter", cpu, "", usage.cpu_seconds);
    let memory = usage.resident_bytes as f64;
    page.one("process_resident_memory_bytes", "gauge", "Resident memory", "", memory);
    let open = usage.open_descriptors as f64;
    page.one("process_open_fds", "gauge", "Open file descriptors", "", open);
}

/// The text so far.
#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &str, value: f64) {
        let _ = match labels {
            "" => writeln!(self.0, "{name} {value}"),
            labels => writeln!(self.0, "{name}{{{labels}}} {value}"),
        };
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, labels: &str, value: f64) {
        self.head(name, kind, help);
        self.line(name, labels, value);
    }
}

fn label(name: &str, value: &str) -> String {
    format!("{name}=\"{value}\"")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Facts, page};
    use crate::debug::{Counts, Histogram};

    #[test]
    fn the_page_has_istios_names_and_cumulative_buckets() {
        let convergence = Histogram { buckets: [3, 2, 0, 0, 0, 0, 0, 0], count: 6, sum: 41.5 };
        let counts =
            Counts { pushes: [("CDS", 7)].into(), rejects: [("LDS", 1)].into(), convergence };
        let facts = Facts { version: "0.1.0", proxies: 4, counts, ..Facts::default() };
        let page = page(&facts);
        for line in [
            "pilot_xds{version=\"0.1.0\"} 4",
            "pilot_xds_pushes{type=\"cds\"} 7",
            "pilot_total_xds_rejects{type=\"lds\"} 1",
            "pilot_proxy_convergence_time_bucket{le=\"0.1\"} 3",
            "pilot_proxy_convergence_time_bucket{le=\"0.5\"} 5",
            "pilot_proxy_convergence_time_bucket{le=\"30\"} 5",
            "pilot_proxy_convergence_time_bucket{le=\"+Inf\"} 6",
            "pilot_proxy_convergence_time_sum 41.5",
            "istio_build{component=\"pilot\",tag=\"0.1.0\"} 1",
        ] {
            assert!(page.lines().any(|have| have == line), "no {line} in {page}");
        }
    }

    #[test]
    fn every_family_has_one_head() {
        let page = page(&Facts::default());
        let heads: Vec<&str> = page.lines().filter(|line| line.starts_with("# TYPE")).collect();
        let distinct: BTreeSet<&&str> = heads.iter().collect();
        assert_eq!(heads.len(), distinct.len());
    }
}
