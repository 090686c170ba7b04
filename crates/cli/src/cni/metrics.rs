//! The agent's counts under Istio's names. In: what happened. Out: a page in Prometheus' text format.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use lateen_runtime::admin::Page;

/// Families with their help; their labels have few values.
const FAMILIES: [(&str, &str); 3] = [
    (
        INSTALLS,
        "Times that the plugin was put on the node or back into its chain, by what came of it",
    ),
    (REPAIRED, "Pods without rules, by what was done with them"),
    (PODS, "Pods whose network was set up, by what was done for them"),
];
const INSTALLS: &str = "istio_cni_installs_total";
const REPAIRED: &str = "istio_cni_repair_pods_repaired_total";
const PODS: &str = "lateen_cni_pods_total";
const READY: &str = "istio_cni_install_ready";

#[derive(Default)]
pub struct Metrics {
    counts: Mutex<BTreeMap<(&'static str, String), u64>>,
}

impl Metrics {
    /// `result` is one of Istio's words.
    pub fn install(&self, result: &str) {
        self.count(INSTALLS, format!("result=\"{result}\""));
    }

    /// `how` is what the repair does, one of a few words.
    pub fn repaired(&self, how: &str, is_done: bool) {
        let result = if is_done { "success" } else { "fail" };
        self.count(REPAIRED, format!("type=\"{how}\",result=\"{result}\""));
    }

    /// `result` is one of a few words.
    pub fn pod(&self, result: &str) {
        self.count(PODS, format!("result=\"{result}\""));
    }

    pub fn page(&self, is_chained: bool) -> Page {
        let mut text = String::new();
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        for (family, help) in FAMILIES {
            let _ = writeln!(text, "# HELP {family} {help}\n# TYPE {family} counter");
            for ((_, labels), count) in counts.iter().filter(|((of, _), _)| *of == family) {
                let _ = writeln!(text, "{family}{{{labels}}} {count}");
            }
        }
        let (help, ready) = ("Whether the plugin is in the chain", u8::from(is_chained));
        let _ = writeln!(text, "# HELP {READY} {help}\n# TYPE {READY} gauge\n{READY} {ready}");
        Page { content_type: "text/plain; version=0.0.4; charset=utf-8", ..Page::text(text) }
    }

    fn count(&self, family: &'static str, labels: String) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((family, labels)).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::Metrics;

    #[test]
    fn the_page_has_istios_names() {
        let metrics = Metrics::default();
        metrics.install("SUCCESS");
        metrics.repaired("repair", true);
        metrics.pod("laid");
        metrics.pod("laid");
        let text = String::from_utf8(metrics.page(true).body).unwrap();
        for line in [
            "istio_cni_installs_total{result=\"SUCCESS\"} 1",
            "istio_cni_install_ready 1",
            "istio_cni_repair_pods_repaired_total{type=\"repair\",result=\"success\"} 1",
            "lateen_cni_pods_total{result=\"laid\"} 2",
        ] {
            assert!(text.lines().any(|one| one == line), "{line}: {text}");
        }
    }
}
