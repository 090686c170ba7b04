//! DestinationRules: the host, its subsets, and traffic policies.
//!
//! In: a spec. Out: findings in the report.

use std::collections::HashSet;

use super::{Report, names};
use crate::duration::Duration;
use crate::istio::networking::{
    ClientTlsMode, ClientTlsSettings, ConnectionPoolSettings, DestinationRuleSpec,
    LoadBalancerSettings, OutlierDetection, SimpleLb, TrafficPolicy,
};

pub(super) fn check(report: &mut Report, spec: &DestinationRuleSpec) {
    report.expect("spec.host", names::wildcard_host(&spec.host));
    if let Some(policy) = &spec.traffic_policy {
        check_policy(report, "spec.trafficPolicy", policy);
    }
    let mut seen = HashSet::new();
    for (index, subset) in spec.subsets.iter().enumerate() {
        let path = format!("spec.subsets[{index}]");
        if subset.name.is_empty() {
            report.error(format!("{path}.name"), "the subset has no name, give it one");
        } else if !seen.insert(subset.name.as_str()) {
            let message = format!("the subset {:?} is defined twice", subset.name);
            report.error(format!("{path}.name"), message);
        }
        if let Some(policy) = &subset.traffic_policy {
            check_policy(report, &format!("{path}.trafficPolicy"), policy);
        }
    }
    for (index, target) in spec.export_to.iter().enumerate() {
        report.expect(format!("spec.exportTo[{index}]"), names::visibility(target));
    }
}

fn check_policy(report: &mut Report, path: &str, policy: &TrafficPolicy) {
    if *policy == TrafficPolicy::default() {
        report.error(path, "the policy says nothing, set a field or remove it");
    }
    check_parts(
        report,
        path,
        policy.load_balancer.as_ref(),
        policy.connection_pool.as_ref(),
        policy.outlier_detection.as_ref(),
        policy.tls.as_ref(),
    );
    for (index, level) in policy.port_level_settings.iter().enumerate() {
        let at = format!("{path}.portLevelSettings[{index}]");
        let number = level.port.as_ref().and_then(|port| port.number).unwrap_or_default();
        report.expect(format!("{at}.port.number"), names::port(number));
        check_parts(
            report,
            &at,
            level.load_balancer.as_ref(),
            level.connection_pool.as_ref(),
            level.outlier_detection.as_ref(),
            level.tls.as_ref(),
        );
    }
}

fn check_parts(
    report: &mut Report,
    path: &str,
    load_balancer: Option<&LoadBalancerSettings>,
    pool: Option<&ConnectionPoolSettings>,
    outliers: Option<&OutlierDetection>,
    tls: Option<&ClientTlsSettings>,
) {
    if load_balancer.and_then(|lb| lb.simple) == Some(SimpleLb::LeastConn) {
        let message = "LEAST_CONN is deprecated, write LEAST_REQUEST";
        report.deprecated(format!("{path}.loadBalancer.simple"), message);
    }
    if let Some(pool) = pool {
        check_pool(report, &format!("{path}.connectionPool"), pool);
    }
    if let Some(outliers) = outliers {
        check_outliers(report, &format!("{path}.outlierDetection"), outliers);
    }
    if let Some(tls) = tls {
        check_client_tls(report, &format!("{path}.tls"), tls);
    }
}

fn check_pool(report: &mut Report, path: &str, pool: &ConnectionPoolSettings) {
    if pool.tcp.is_none() && pool.http.is_none() {
        report.error(path, "the pool says nothing, set tcp or http");
    }
    if let Some(tcp) = &pool.tcp {
        not_negative(report, &format!("{path}.tcp.maxConnections"), tcp.max_connections);
        lasting(report, &format!("{path}.tcp.connectTimeout"), tcp.connect_timeout.as_ref());
    }
    if let Some(http) = &pool.http {
        for (name, value) in [
            ("http1MaxPendingRequests", http.http1_max_pending_requests),
            ("http2MaxRequests", http.http2_max_requests),
            ("maxRequestsPerConnection", http.max_requests_per_connection),
            ("maxRetries", http.max_retries),
            ("maxConcurrentStreams", http.max_concurrent_streams),
        ] {
            not_negative(report, &format!("{path}.http.{name}"), value);
        }
    }
}

fn check_outliers(report: &mut Report, path: &str, outliers: &OutlierDetection) {
    if outliers.consecutive_errors.is_some() {
        let message = "it is deprecated and has no effect, use consecutive5xxErrors";
        report.deprecated(format!("{path}.consecutiveErrors"), message);
    }
    lasting(report, &format!("{path}.interval"), outliers.interval.as_ref());
    lasting(report, &format!("{path}.baseEjectionTime"), outliers.base_ejection_time.as_ref());
    for (name, percent) in [
        ("maxEjectionPercent", outliers.max_ejection_percent),
        ("minHealthPercent", outliers.min_health_percent),
    ] {
        if !(0..=100).contains(&percent.unwrap_or_default()) {
            report.error(format!("{path}.{name}"), "it is a percentage, use 0 to 100");
        }
    }
}

fn check_client_tls(report: &mut Report, path: &str, tls: &ClientTlsSettings) {
    let by_secret = !tls.credential_name.is_empty();
    let by_files = !tls.client_certificate.is_empty() && !tls.private_key.is_empty();
    match tls.mode.unwrap_or_default() {
        ClientTlsMode::Mutual if !by_secret && !by_files => {
            let message = "MUTUAL needs a certificate, set credentialName or clientCertificate and privateKey";
            report.error(path, message);
        }
        ClientTlsMode::IstioMutual if by_secret || by_files => {
            report.error(path, "ISTIO_MUTUAL uses the mesh's certificates, remove your own");
        }
        ClientTlsMode::Disable
        | ClientTlsMode::Simple
        | ClientTlsMode::Mutual
        | ClientTlsMode::IstioMutual => {}
    }
}

fn not_negative(report: &mut Report, path: &str, value: Option<i32>) {
    if value.is_some_and(|value| value < 0) {
        report.error(path, "it is negative, use 0 or more");
    }
}

/// Envoy counts in milliseconds; less than one would be none.
fn lasting(report: &mut Report, path: &str, duration: Option<&Duration>) {
    if duration.is_some_and(|duration| duration.as_nanos() < 1_000_000) {
        report.error(path, "it is too short, use at least 1ms");
    }
}
