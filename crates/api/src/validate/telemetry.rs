//! Telemetry.
//!
//! In: a spec. Out: findings in the report.

use super::Report;
use crate::istio::telemetry::{ProviderRef, TelemetrySpec};

pub(super) fn check(report: &mut Report, spec: &TelemetrySpec) {
    if spec.selector.is_some() && !spec.target_refs.is_empty() {
        let message = "selector and targetRefs exclude each other, keep one of them";
        report.error("spec.selector", message);
    }
    for (index, tracing) in spec.tracing.iter().enumerate() {
        let path = format!("spec.tracing[{index}]");
        check_providers(report, &path, &tracing.providers);
        if tracing.providers.len() > 1 {
            let message = "only one provider of traces is used, keep one";
            report.warning(format!("{path}.providers"), message);
        }
        if tracing.random_sampling_percentage.is_some_and(|p| !(0.0..=100.0).contains(&p)) {
            let message = "it is a percentage, use 0 to 100";
            report.error(format!("{path}.randomSamplingPercentage"), message);
        }
    }
    for (index, metrics) in spec.metrics.iter().enumerate() {
        check_providers(report, &format!("spec.metrics[{index}]"), &metrics.providers);
    }
    for (index, logging) in spec.access_logging.iter().enumerate() {
        check_providers(report, &format!("spec.accessLogging[{index}]"), &logging.providers);
    }
}

fn check_providers(report: &mut Report, path: &str, providers: &[ProviderRef]) {
    for (index, provider) in providers.iter().enumerate() {
        if provider.name.is_empty() {
            let message = "the provider has no name, write one of meshConfig.extensionProviders";
            report.error(format!("{path}.providers[{index}].name"), message);
        }
    }
}
