//! The init container of interception. In: the pod's context. Out: `istio-init`, which lays the rules, or
//! `istio-validation`, which checks those of the node agent; the arguments are those of istio-iptables.

use serde_json::{Value, json};

use crate::annotation::{self as names, Annotations};
use crate::inject::Context;
use crate::settings::Settings;
use crate::{INIT_CONTAINER, VALIDATION_CONTAINER, pod, proxy};

/// Ports of the proxy that are never captured: metrics and health.
const OWN_PORTS: &str = "15090,15021";
const PROXY_USER: &str = "1337";
/// What makes a check of an interception.
pub const VALIDATION: [&str; 2] = ["--run-validation", "--skip-rule-apply"];

/// The name of the init container; `None` where nothing is intercepted.
pub fn name(context: &Context) -> Option<&'static str> {
    let name = if context.settings.node_agent { VALIDATION_CONTAINER } else { INIT_CONTAINER };
    (context.mode != "NONE").then_some(name)
}

/// `None` where nothing is intercepted.
pub fn container(context: &Context) -> Option<Value> {
    let name = name(context)?;
    let settings = context.settings;
    let own = settings.init_image.as_ref().filter(|_| !settings.node_agent);
    let mut container = json!({"name": name, "image": own.unwrap_or(&context.image)});
    if !settings.image.pull_policy.is_empty() {
        container["imagePullPolicy"] = json!(settings.image.pull_policy);
    }
    container["args"] = json!(arguments(context));
    let variables = proxy::metadata_variables(context);
    if !variables.is_empty() {
        container["env"] = Value::Array(variables);
    }
    container["resources"] = settings.init_resources.clone();
    container["securityContext"] = security_context(context);
    Some(container)
}

fn arguments(context: &Context) -> Vec<String> {
    let Context { settings, annotations, mode, status_port, .. } = context;
    let asked = Asked { settings, annotations, mode, status_port: *status_port };
    let mut arguments = vec!["interception".to_owned()];
    arguments.extend(flags(&asked));
    arguments.push(proxy::agent_log_argument(context));
    if settings.logging.json {
        arguments.push("--log_as_json".to_owned());
    }
    if settings.node_agent {
        arguments.extend(VALIDATION.map(str::to_owned));
    }
    arguments
}

/// What the rules of a pod follow from.
pub struct Asked<'a> {
    pub settings: &'a Settings,
    pub annotations: &'a Annotations<'a>,
    pub mode: &'a str,
    /// 0 for none.
    pub status_port: u16,
}

/// The flags of istio-iptables that say the rules.
pub fn flags(asked: &Asked) -> Vec<String> {
    let Asked { settings, annotations, mode, .. } = asked;
    let traffic = &settings.traffic;
    let mut flags = Vec::new();
    let mut add = |flag: &str, value: &str| flags.extend([flag.to_owned(), value.to_owned()]);
    add("-p", &settings.outbound_port.to_string());
    add("-z", &settings.inbound_port.to_string());
    add("-u", PROXY_USER);
    add("-m", mode);
    add("-i", annotations.or(names::INCLUDE_IP_RANGES, &traffic.include_ip_ranges));
    add("-x", annotations.or(names::EXCLUDE_IP_RANGES, &traffic.exclude_ip_ranges));
    add("-b", annotations.or(names::INCLUDE_INBOUND_PORTS, &traffic.include_inbound_ports));
    let excluded = excluded_inbound(asked);
    let separator = if excluded.is_empty() { "" } else { "," };
    add("-d", &format!("{OWN_PORTS}{separator}{excluded}"));
    let optional = [
        ("-q", names::INCLUDE_OUTBOUND_PORTS, &*traffic.include_outbound_ports),
        ("-o", names::EXCLUDE_OUTBOUND_PORTS, &*traffic.exclude_outbound_ports),
        ("-k", interfaces(annotations), ""),
        ("-c", names::EXCLUDE_INTERFACES, ""),
    ];
    for (flag, name, setting) in optional {
        let value = annotations.or(name, setting);
        if !value.is_empty() {
            add(flag, value);
        }
    }
    flags
}

/// The newer name of the annotation counts first.
fn interfaces(annotations: &Annotations) -> &'static str {
    if annotations.has(names::REROUTE_INTERFACES) {
        names::REROUTE_INTERFACES
    } else {
        names::KUBEVIRT_INTERFACES
    }
}

/// The inbound ports to leave alone, with the agent's own.
fn excluded_inbound(asked: &Asked) -> String {
    let setting = &*asked.settings.traffic.exclude_inbound_ports;
    let excluded = asked.annotations.or(names::EXCLUDE_INBOUND_PORTS, setting);
    let mut ports: Vec<String> = excluded
        .split(',')
        .map(|port| port.trim().to_owned())
        .filter(|port| !port.is_empty())
        .collect();
    let own = asked.status_port.to_string();
    if asked.status_port != 0 && !ports.contains(&own) {
        ports.push(own);
    }
    ports.join(",")
}

/// The node agent lays rules by these annotations, so the pod carries what holds for it.
pub fn node_agent_annotations(context: &Context) -> Vec<(&'static str, String)> {
    if !context.settings.node_agent {
        return Vec::new();
    }
    let traffic = &context.settings.traffic;
    let effective = [
        (names::INCLUDE_IP_RANGES, &traffic.include_ip_ranges),
        (names::EXCLUDE_IP_RANGES, &traffic.exclude_ip_ranges),
        (names::INCLUDE_INBOUND_PORTS, &traffic.include_inbound_ports),
        (names::INCLUDE_OUTBOUND_PORTS, &traffic.include_outbound_ports),
        (names::EXCLUDE_OUTBOUND_PORTS, &traffic.exclude_outbound_ports),
    ];
    let mut annotations = vec![(names::MODE, context.mode.clone())];
    for (name, setting) in effective {
        let value = context.annotations.or(name, setting);
        if !value.is_empty() {
            annotations.push((name, value.to_owned()));
        }
    }
    let Context { settings, annotations: own, mode, status_port, .. } = context;
    let asked = Asked { settings, annotations: own, mode, status_port: *status_port };
    annotations.push((names::EXCLUDE_INBOUND_PORTS, excluded_inbound(&asked)));
    annotations
}

fn security_context(context: &Context) -> Value {
    let Settings { privileged, node_agent, seccomp, .. } = context.settings;
    let mut security = if *node_agent {
        json!({
            "allowPrivilegeEscalation": privileged,
            "privileged": privileged,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": true,
            "runAsGroup": 1337,
            "runAsNonRoot": true,
            "runAsUser": 1337,
        })
    } else {
        json!({
            "allowPrivilegeEscalation": privileged,
            "privileged": privileged,
            "capabilities": {"add": ["NET_ADMIN", "NET_RAW"], "drop": ["ALL"]},
            "readOnlyRootFilesystem": false,
            "runAsGroup": 0,
            "runAsNonRoot": false,
            "runAsUser": 0,
        })
    };
    if let Some(profile) = seccomp {
        security["seccompProfile"] = profile.clone();
    }
    security
}

/// The rules leave the proxy's own traffic alone by its user, which the pod may have changed in its own
/// `istio-proxy` container.
pub fn follow_user(init: &mut Value, user_container: &Value, tproxy: bool) {
    let own = &user_container["securityContext"];
    if init["name"] == VALIDATION_CONTAINER && !tproxy {
        for field in ["runAsUser", "runAsGroup"] {
            if own[field].is_number() {
                pod::object_at(init, "securityContext")[field] = own[field].clone();
            }
        }
    }
    let arguments = init["args"].as_array_mut().map_or(&mut [][..], Vec::as_mut_slice);
    if let Some(user) = changed_user(user_container, tproxy)
        && let Some(at) = arguments.iter().position(|one| one == "-u")
        && let Some(value) = arguments.get_mut(at + 1)
    {
        *value = json!(user.to_string());
    }
}

/// The user of the proxy where the pod says another one; with TPROXY it is told by its group.
pub fn changed_user(proxy: &Value, tproxy: bool) -> Option<i64> {
    proxy["securityContext"]["runAsUser"].as_i64().filter(|user| *user != 0 && !tproxy)
}
