//! Variables of the proxy's containers. In: an entry of `proxyMetadata`. Out: nothing, or why the interception step
//! or the agent could not go on with it.

use crate::words::{
    Check, duration, flag_or_unset, interception_mode, interfaces, port, ports, ports_or_all,
    ranges, ranges_or_all,
};

/// What the injector tells each pod of itself: with one value for all they would all be one pod.
pub const OF_POD: [&str; 8] = [
    "POD_NAME",
    "POD_NAMESPACE",
    "INSTANCE_IP",
    "HOST_IP",
    "SERVICE_ACCOUNT",
    "PROXY_CONFIG",
    "ISTIO_KUBE_APP_PROBERS",
    "ISTIO_META_APP_CONTAINERS",
];

/// Variables that are true or false.
pub const FLAGS: [&str; 8] = [
    "DRY_RUN",
    "SKIP_RULE_APPLY",
    "RUN_VALIDATION",
    "CLEANUP_ONLY",
    "ISTIO_META_DNS_CAPTURE",
    "CAPTURE_ALL_DNS",
    "INVALID_DROP",
    "EXIT_ON_ZERO_ACTIVE_CONNECTIONS",
];

/// Other variables that have a form: istio-iptables' flags and what the agent reads.
const FORMS: [(&str, Check); 22] = [
    ("ENVOY_PORT", port),
    ("INBOUND_CAPTURE_PORT", port),
    ("INBOUND_TUNNEL_PORT", port),
    ("IPTABLES_PROBE_PORT", port),
    ("PROXY_UID", ids),
    ("PROXY_GID", ids),
    ("ISTIO_INBOUND_TPROXY_MARK", id),
    ("ISTIO_INBOUND_TPROXY_ROUTE_TABLE", id),
    ("ISTIO_INBOUND_INTERCEPTION_MODE", any_case_mode),
    ("ISTIO_META_INTERCEPTION_MODE", interception_mode),
    ("ISTIO_INBOUND_PORTS", ports_or_all),
    ("ISTIO_LOCAL_EXCLUDE_PORTS", ports),
    ("ISTIO_OUTBOUND_PORTS", ports_or_all),
    ("ISTIO_LOCAL_OUTBOUND_PORTS_EXCLUDE", ports),
    ("ISTIO_SERVICE_CIDR", ranges_or_all),
    ("ISTIO_SERVICE_EXCLUDE_CIDR", ranges),
    ("ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR", ranges),
    ("ISTIO_EXCLUDE_INTERFACES", interfaces),
    ("KUBE_VIRT_INTERFACES", interfaces),
    ("PROBE_TIMEOUT", duration),
    ("MINIMUM_DRAIN_DURATION", duration_or_unset),
    ("XDS_ROOT_CA", roots),
];

/// Whether the variable may be set to this for every pod.
pub fn check(name: &str, value: &str) -> Result<(), String> {
    if !is_name(name) {
        return Err(format!(
            "{name:?} is no variable's name: use letters, digits, '_', '-' and '.', no digit first"
        ));
    }
    if OF_POD.contains(&name) {
        return Err("the injector sets it for each pod: remove it here".to_owned());
    }
    if FLAGS.contains(&name) {
        return flag_or_unset(value);
    }
    match FORMS.iter().find(|(known, _)| *known == name) {
        Some((_, check)) => check(value),
        None => Ok(()),
    }
}

/// As every version of Kubernetes takes it.
fn is_name(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(inner)
}

fn ids(text: &str) -> Result<(), String> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).try_for_each(|item| {
        let parsed = item.parse::<u32>();
        parsed.map(|_| ()).map_err(|_| format!("{item:?} is no number: write ids as in 1337,1338"))
    })
}

fn id(text: &str) -> Result<(), String> {
    match text.trim().parse::<u32>() {
        Ok(number) if number > 0 => Ok(()),
        _ => Err(format!("{text:?} is not a whole number from 1")),
    }
}

fn any_case_mode(text: &str) -> Result<(), String> {
    interception_mode(&text.to_ascii_uppercase())
}

fn duration_or_unset(text: &str) -> Result<(), String> {
    if text.is_empty() { Ok(()) } else { duration(text) }
}

fn roots(text: &str) -> Result<(), String> {
    match text {
        "SYSTEM" => {
            Err("the image has no certificates of its own: mount a bundle and write its path"
                .to_owned())
        }
        _ => Ok(()),
    }
}
