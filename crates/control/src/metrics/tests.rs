//! What the control plane counts, as it is scraped.

use std::collections::BTreeSet;
use std::path::Path;

use lateen_api::issue::Severity;
use lateen_telemetry::exposition::{Format, protobuf_families};

use super::text::Text;
use super::{Facts, Figures, Histogram, OnCluster, page, pushed};
use crate::cluster::webhook::Counts as Webhooks;
use crate::debug::Counts;

fn text(facts: &Facts, cluster: Option<&OnCluster>) -> String {
    String::from_utf8(page(facts, cluster, Format::Text)).unwrap()
}

#[test]
fn native_histograms_come_as_protobuf() {
    let mut facts = Facts::default();
    facts.counts.convergence.observe(0.25);
    facts.counts.convergence.observe(0.25);
    let families = protobuf_families(|out| {
        let mut text = Text::new(Format::Protobuf);
        pushed(&mut text, &facts);
        *out = text.into_exposition();
    });
    let name = "pilot_proxy_convergence_time";
    let family = families.iter().find(|family| family.name() == name).unwrap();
    let histogram = family.metric[0].histogram.as_ref().unwrap();
    assert_eq!((histogram.sample_count, &*histogram.positive_delta), (Some(2), &[2][..]));
    let native = histogram.schema;
    assert_eq!(native, Some(3));
}

#[test]
fn the_page_has_istios_names_and_cumulative_buckets() {
    let buckets = [0, 0, 0, 0, 3, 2, 0, 0, 0, 0, 0, 0];
    let convergence = Histogram { buckets, count: 6, sum: 41.5, ..Histogram::default() };
    let mut sizes = Histogram::of_bytes();
    sizes.observe(20_000.0);
    let counts = Counts {
        pushes: [("CDS", 7)].into(),
        rejects: [("LDS", 1)].into(),
        sizes: [("CDS", sizes)].into(),
        convergence,
        foreign: 3,
        overweight: 2,
    };
    let facts = Facts {
        version: "0.1.0",
        proxies: 4,
        refusing: [("LDS", 2)].into(),
        mesh: Figures {
            services: 5,
            without_endpoints: 3,
            names_without_endpoints: 4,
            ..Figures::default()
        },
        issues: [(("IST0109", Severity::Error), 2)].into(),
        counts,
        ..Facts::default()
    };
    let page = text(&facts, Some(&OnCluster { root_ends: 9, ..OnCluster::default() }));
    for line in [
        "pilot_xds{version=\"0.1.0\"} 4",
        "pilot_xds_pushes{type=\"cds\"} 7",
        "pilot_total_xds_rejects{type=\"lds\"} 1",
        "pilot_xds_pushes{type=\"rds\"} 0",
        "pilot_total_xds_rejects{type=\"eds\"} 0",
        "pilot_xds_config_size_bytes_bucket{type=\"cds\",le=\"10000\"} 0",
        "pilot_xds_config_size_bytes_bucket{type=\"cds\",le=\"50000\"} 1",
        "pilot_xds_config_size_bytes_sum{type=\"cds\"} 20000",
        "pilot_xds_push_time_count{type=\"rds\"} 0",
        "pilot_k8s_cfg_events{type=\"VirtualService\",event=\"delete\"} 0",
        "pilot_k8s_reg_events{type=\"Services\",event=\"update\"} 0",
        "pilot_push_triggers{type=\"config\"} 0",
        "pilot_xds_lds_reject 2",
        "lateen_telemetry_refused_total 3",
        "lateen_telemetry_overweight_total 2",
        "pilot_xds_cds_reject 0",
        "pilot_services 5",
        "pilot_eds_no_instances 3",
        "pilot_dns_cluster_without_endpoints 4",
        "pilot_vservice_dup_domain 2",
        "pilot_duplicate_envoy_clusters 0",
        "lateen_issues{code=\"IST0109\",severity=\"error\"} 2",
        "lateen_issues{severity=\"warning\"} 0",
        "lateen_issues{severity=\"info\"} 0",
        "pilot_proxy_convergence_time_bucket{le=\"0.1\"} 3",
        "pilot_proxy_convergence_time_bucket{le=\"0.5\"} 5",
        "pilot_proxy_convergence_time_bucket{le=\"30\"} 5",
        "pilot_proxy_convergence_time_bucket{le=\"+Inf\"} 6",
        "pilot_proxy_convergence_time_sum 41.5",
        "lateen_push_stage_seconds_bucket{stage=\"send\",le=\"0.001\"} 0",
        "istio_build{component=\"pilot\",tag=\"0.1.0\"} 1",
        "citadel_server_root_cert_expiry_timestamp 9",
    ] {
        assert!(page.lines().any(|have| have == line), "no {line} in {page}");
    }
}

/// Names of the control plane's metrics in a text; `…` ends a family of them.
fn named(text: &str) -> BTreeSet<&str> {
    const OF: [&str; 5] = ["pilot_", "galley_", "citadel_", "istiod_", "sidecar_injection_"];
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '…');
    words.filter(|word| OF.iter().any(|of| word.starts_with(of))).collect()
}

#[test]
fn what_readme_and_the_dashboards_name_is_there_from_the_start() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let webhooks = Some(Webhooks::default());
    let cluster = OnCluster { webhooks, ..OnCluster::default() };
    let [alone, whole] = [None, Some(&cluster)].map(|of| text(&Facts::default(), of));
    let has = |page: &str, name: &str| {
        let name = name.trim_end_matches('…');
        page.lines().any(|line| line.starts_with(name))
    };
    let readme = read(&root.join("README.md"));
    let (_, not_there) = readme.split_once("from 0 on. Not there are\n").unwrap();
    let (not_there, _) = not_there.split_once("\n- ").unwrap();
    let (nowhere, not_alone) = not_there.split_once("with `lateen up`").unwrap();
    for name in named(nowhere) {
        assert!(!has(&whole, name), "{name} is there");
    }
    for name in named(not_alone) {
        assert!(has(&whole, name) && !has(&alone, name), "{name}");
    }
    let mut texts = vec![readme.replace(not_there, "")];
    for entry in root.join("dashboards").read_dir().unwrap() {
        texts.push(read(&entry.unwrap().path()));
    }
    let all: BTreeSet<&str> = texts.iter().flat_map(|text| named(text)).collect();
    assert!(all.len() > 30, "{all:?}");
    let excused = named(not_alone);
    for name in all {
        assert!(has(&whole, name), "{name} is not there");
        let is_excused = excused.iter().any(|of| name.starts_with(of.trim_end_matches('…')));
        assert!(is_excused || has(&alone, name), "{name} is not there with lateen up");
    }
}

#[test]
fn every_family_has_one_head() {
    let webhooks = Some(Webhooks::default());
    let cluster = OnCluster { webhooks, ..OnCluster::default() };
    let page = text(&Facts::default(), Some(&cluster));
    let heads: Vec<&str> = page.lines().filter(|line| line.starts_with("# TYPE")).collect();
    let distinct: BTreeSet<&&str> = heads.iter().collect();
    assert_eq!(heads.len(), distinct.len());
}
