//! DestinationRules: the host, its subsets, and traffic policies.
//!
//! In: a spec. Out: findings in the report.

use std::collections::HashSet;

use super::shared::{check_export_to, check_labels, check_selected};
use super::{Report, host_or_address, names};
use crate::duration::Duration;
use crate::istio::networking::{
    ClientTlsMode, ClientTlsSettings, ConnectionPoolSettings, DestinationRuleSpec, H2UpgradePolicy,
    LoadBalancerSettings, LocalityLoadBalancerSetting, OutlierDetection, SimpleLb, TrafficPolicy,
    TunnelSettings,
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
        } else {
            // Istio takes capital letters, too.
            report.expect(format!("{path}.name"), names::label(&subset.name.to_lowercase()));
        }
        check_labels(report, &format!("{path}.labels"), &subset.labels);
        if let Some(policy) = &subset.traffic_policy {
            check_policy(report, &format!("{path}.trafficPolicy"), policy);
        }
    }
    check_export_to(report, &spec.export_to, false);
    let Some(selector) = &spec.workload_selector else { return };
    check_selected(report, "spec.workloadSelector.matchLabels", &selector.match_labels);
    let own = report.object.namespace.clone();
    if spec.export_to.iter().any(|target| *target != own && target != ".") {
        let message = "with a workloadSelector the rule is for its own namespace, write .";
        report.error("spec.exportTo", message);
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
    if let Some(tunnel) = &policy.tunnel {
        check_tunnel(report, &format!("{path}.tunnel"), tunnel);
        if policy.proxy_protocol.is_some() {
            report.error(path, "tunnel and proxyProtocol exclude each other, keep one of them");
        }
    }
    for (index, level) in policy.port_level_settings.iter().enumerate() {
        let at = format!("{path}.portLevelSettings[{index}]");
        let number = level.port.as_ref().and_then(|port| port.number).unwrap_or_default();
        report.expect(format!("{at}.port.number"), names::port(number));
        let says = level.load_balancer.is_some()
            || level.connection_pool.is_some()
            || level.outlier_detection.is_some()
            || level.tls.is_some();
        if !says {
            report.error(&at, "the policy says nothing, set a field or remove it");
        }
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
    if let Some(settings) = load_balancer {
        check_balancer(report, &format!("{path}.loadBalancer"), settings);
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

fn check_tunnel(report: &mut Report, path: &str, tunnel: &TunnelSettings) {
    if !matches!(tunnel.protocol.as_str(), "" | "CONNECT" | "POST") {
        report.error(format!("{path}.protocol"), "write CONNECT or POST");
    }
    report.expect(format!("{path}.targetHost"), host_or_address(&tunnel.target_host));
    let port = tunnel.target_port.unwrap_or_default();
    report.expect(format!("{path}.targetPort"), names::port(port));
}

fn check_balancer(report: &mut Report, path: &str, settings: &LoadBalancerSettings) {
    let warmup = settings.warmup.as_ref().and_then(|warmup| warmup.duration.as_ref());
    lasting(report, &format!("{path}.warmup.duration"), warmup);
    let older = settings.warmup_duration_secs.as_ref();
    lasting(report, &format!("{path}.warmupDurationSecs"), older);
    if let Some(locality) = &settings.locality_lb_setting {
        check_locality(report, &format!("{path}.localityLbSetting"), locality);
    }
    let Some(hash) = &settings.consistent_hash else { return };
    let path = format!("{path}.consistentHash");
    if hash.http_cookie.as_ref().is_some_and(|cookie| cookie.name.is_empty()) {
        report.error(format!("{path}.httpCookie.name"), "the cookie has no name, write it");
    }
    let older = hash.minimum_ring_size.is_some_and(|size| size != 0);
    if older && (hash.ring_hash.is_some() || hash.maglev.is_some()) {
        let message = "it is deprecated and excludes ringHash and maglev, remove it";
        report.error(format!("{path}.minimumRingSize"), message);
    }
    if let Some(maglev) = &hash.maglev {
        let size = maglev.table_size.unwrap_or_default();
        let is_prime = || size > 1 && (2..).take_while(|d| d * d <= size).all(|d| size % d != 0);
        if size >= 5_000_011 || !is_prime() {
            report.error(format!("{path}.maglev.tableSize"), "use a prime below 5000011");
        }
    }
}

fn check_locality(report: &mut Report, path: &str, setting: &LocalityLoadBalancerSetting) {
    if !setting.distribute.is_empty() && !setting.failover.is_empty() {
        report.error(path, "distribute and failover exclude each other, keep one of them");
    }
    const TOPOLOGY: [&str; 3] = [
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
        "topology.istio.io/subzone",
    ];
    for (index, label) in setting.failover_priority.iter().enumerate() {
        if !setting.failover.is_empty() && TOPOLOGY.contains(&label.as_str()) {
            let message = format!("failover excludes {label}, keep one of them");
            report.error(format!("{path}.failoverPriority[{index}]"), message);
        }
    }
    let mut sources = Localities::default();
    for (index, entry) in setting.distribute.iter().enumerate() {
        let at = format!("{path}.distribute[{index}]");
        report.expect(format!("{at}.from"), sources.add(&entry.from));
        let mut targets = Localities::default();
        for locality in entry.to.keys() {
            report.expect(format!("{at}.to.{locality}"), targets.add(locality));
        }
        let total: u64 = entry.to.values().map(|share| u64::from(*share)).sum();
        if total != 100 || entry.to.values().any(|share| *share == 0) {
            let message = format!("the shares are more than 0 and sum up to 100, not {total}");
            report.error(format!("{at}.to"), message);
        }
    }
    for (index, entry) in setting.failover.iter().enumerate() {
        let path = format!("{path}.failover[{index}]");
        if entry.from == entry.to {
            report.error(&path, "from and to are the same region, write another one");
        }
        if [&entry.from, &entry.to].iter().any(|region| region.contains(['/', '*'])) {
            report.error(path, "it is between regions, write no zone and no *");
        }
    }
}

/// Localities that do not overlap, `region/zone/subzone` or less of it, with a `*` at the end at most.
#[derive(Default)]
struct Localities<'a> {
    /// All of them, and what they lie in.
    seen: HashSet<&'a str>,
    /// In these is no place for another one.
    whole: HashSet<&'a str>,
}

impl<'a> Localities<'a> {
    fn add(&mut self, text: &'a str) -> Result<(), String> {
        let is_odd = text.find('*').is_some_and(|at| at + 1 < text.len());
        if is_odd || text.splitn(3, '/').any(str::is_empty) {
            return Err(format!(
                "{text:?} is no locality, write region/zone/subzone, with a * at the end at most"
            ));
        }
        let around = || text.match_indices('/').take(2).map(|(at, _)| &text[..at]);
        let is_taken = |outer: &str| self.whole.contains(outer);
        if self.seen.contains(text) || is_taken("*") || around().any(is_taken) {
            return Err(format!("{text:?} overlaps with one before it, keep one of them"));
        }
        self.seen.extend(around().chain([text]));
        self.whole.insert(text.strip_suffix("/*").unwrap_or(text));
        Ok(())
    }
}

pub(super) fn check_pool(report: &mut Report, path: &str, pool: &ConnectionPoolSettings) {
    if pool.tcp.is_none() && pool.http.is_none() {
        report.error(path, "the pool says nothing, set tcp or http");
    }
    if let Some(tcp) = &pool.tcp {
        not_negative(report, &format!("{path}.tcp.maxConnections"), tcp.max_connections);
        let keepalive = tcp.tcp_keepalive.as_ref();
        for (name, duration) in [
            ("connectTimeout", tcp.connect_timeout.as_ref()),
            ("maxConnectionDuration", tcp.max_connection_duration.as_ref()),
            ("idleTimeout", tcp.idle_timeout.as_ref().filter(|idle| idle.as_nanos() >= 1_000_000)),
            ("tcpKeepalive.time", keepalive.and_then(|k| k.time.as_ref())),
            ("tcpKeepalive.interval", keepalive.and_then(|k| k.interval.as_ref())),
        ] {
            lasting(report, &format!("{path}.tcp.{name}"), duration);
        }
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
        lasting(report, &format!("{path}.http.idleTimeout"), http.idle_timeout.as_ref());
        if let Some(pings) = &http.http2_keep_alive {
            let path = format!("{path}.http.http2KeepAlive");
            if pings.interval.is_none() {
                let message = "it is missing, write for example 10s";
                report.error(format!("{path}.interval"), message);
            }
            lasting(report, &format!("{path}.interval"), pings.interval.as_ref());
            lasting(report, &format!("{path}.timeout"), pings.timeout.as_ref());
        }
        let upgrades = http.h2_upgrade_policy == Some(H2UpgradePolicy::Upgrade);
        if upgrades && http.use_client_protocol == Some(true) {
            let message = "it excludes h2UpgradePolicy UPGRADE, keep one of them";
            report.error(format!("{path}.http.useClientProtocol"), message);
        }
    }
}

fn check_outliers(report: &mut Report, path: &str, outliers: &OutlierDetection) {
    if outliers.consecutive_errors.is_some() {
        let message = "it is deprecated and has no effect, use consecutive5xxErrors";
        report.deprecated(format!("{path}.consecutiveErrors"), message);
    }
    let splits = outliers.split_external_local_origin_errors == Some(true);
    if outliers.consecutive_local_origin_failures.unwrap_or_default() > 0 && !splits {
        let message = "it counts only with splitExternalLocalOriginErrors: true, add that";
        report.error(format!("{path}.consecutiveLocalOriginFailures"), message);
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
    let mode = tls.mode.unwrap_or_default();
    let own = matches!(mode, ClientTlsMode::Simple | ClientTlsMode::Mutual);
    let files = [&tls.client_certificate, &tls.private_key, &tls.ca_certificates, &tls.ca_crl];
    if own && by_secret && files.iter().any(|file| !file.is_empty()) {
        let message = "it has certificates, key, CA and CRL in its Secret, remove the files";
        report.error(format!("{path}.credentialName"), message);
    } else if own && tls.insecure_skip_verify == Some(true) {
        let simple = mode == ClientTlsMode::Simple;
        if !tls.ca_certificates.is_empty() || (simple && !tls.subject_alt_names.is_empty()) {
            let message = "it checks nothing: remove it, or caCertificates and subjectAltNames";
            report.error(format!("{path}.insecureSkipVerify"), message);
        }
    }
    match mode {
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

fn lasting(report: &mut Report, path: &str, duration: Option<&Duration>) {
    report.expect(path, duration.map_or(Ok(()), names::lasting));
}
