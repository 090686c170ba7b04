//! What is wrong with a Service, in Kubernetes' words and order. The source of the rules is the
//! reference of the Service API and what an API server answers.

use std::collections::HashSet;
use std::net::IpAddr;

use lateen_api::labels::is_label_key;
use serde_json::{Value, json};

use super::is_external;
use crate::error::Cause;
use crate::write::names;

const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];
const AFFINITIES: [&str; 2] = ["ClientIP", "None"];
const POLICIES: [&str; 2] = ["Cluster", "Local"];
const LONGEST_AFFINITY: i64 = 86_400;
const KUBELET: i64 = 10_250;

/// All that is wrong with a Service's spec.
pub fn causes(spec: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let ports = items(&spec["ports"]);
    let headless = spec["clusterIP"] == "None";
    if ports.is_empty() && !headless && spec["type"] != "ExternalName" {
        causes.push(Cause::required("spec.ports", ""));
    }
    of_type(spec, headless, &mut causes);
    each_port(ports, &mut causes);
    selector(&spec["selector"], &mut causes);
    affinity(spec, &mut causes);
    one_of("spec.type", &spec["type"], &TYPES, &mut causes);
    for (index, address) in items(&spec["externalIPs"]).iter().enumerate() {
        external_ip(&format!("spec.externalIPs[{index}]"), address, &mut causes);
    }
    node_ports(spec, ports, &mut causes);
    repeated(ports, &mut causes);
    traffic(spec, &mut causes);
    causes
}

fn items(list: &Value) -> &[Value] {
    list.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn one_of(field: &str, value: &Value, supported: &[&str], causes: &mut Vec<Cause>) {
    match text(value) {
        "" => causes.push(Cause::required(field, "")),
        one if supported.contains(&one) => {}
        _ => causes.push(Cause::not_supported(field, value, supported)),
    }
}

fn invalid(field: &str, value: &Value, problems: Vec<&'static str>, causes: &mut Vec<Cause>) {
    causes.extend(problems.into_iter().map(|problem| Cause::invalid(field, value, problem)));
}

fn of_type(spec: &Value, headless: bool, causes: &mut Vec<Cause>) {
    let kind = text(&spec["type"]);
    if headless && is_external(&spec["type"]) {
        let problem = format!("may not be set to 'None' for {kind} services");
        causes.push(Cause::invalid("spec.clusterIPs[0]", &json!("None"), &problem));
    }
    if kind == "LoadBalancer" {
        for (index, port) in items(&spec["ports"]).iter().enumerate() {
            if port["port"] == KUBELET {
                let problem =
                    format!("may not expose port {KUBELET} externally since it is used by kubelet");
                causes.push(Cause::invalid(
                    &format!("spec.ports[{index}]"),
                    &port["port"],
                    &problem,
                ));
            }
        }
    }
    if kind != "ExternalName" {
        return;
    }
    for field in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        let set = spec.get(field).is_some_and(|value| !value.is_null() && *value != json!([]));
        let alone = field == "clusterIPs" && !text(&spec["clusterIP"]).is_empty();
        if set || alone {
            let why = "may not be set for ExternalName services";
            causes.push(Cause::forbidden(&format!("spec.{field}"), why));
        }
    }
    let name = &spec["externalName"];
    match text(name).strip_suffix('.').unwrap_or(text(name)) {
        "" => causes.push(Cause::required("spec.externalName", "")),
        host => invalid("spec.externalName", &json!(host), names::subdomain(host), causes),
    }
}

fn each_port(ports: &[Value], causes: &mut Vec<Cause>) {
    let mut seen = HashSet::new();
    for (index, port) in ports.iter().enumerate() {
        let path = |field: &str| format!("spec.ports[{index}].{field}");
        match text(&port["name"]) {
            "" if ports.len() > 1 => causes.push(Cause::required(&path("name"), "")),
            "" => {}
            name => {
                invalid(&path("name"), &port["name"], names::label(name), causes);
                if !seen.insert(name) {
                    causes.push(Cause::duplicate(&path("name"), &port["name"]));
                }
            }
        }
        let number = port["port"].as_i64().unwrap_or_default();
        invalid(&path("port"), &json!(number), Vec::from_iter(names::port_number(number)), causes);
        one_of(&path("protocol"), &port["protocol"], &PROTOCOLS, causes);
        let target = &port["targetPort"];
        let problems = match target.as_str() {
            Some(name) => names::port(name),
            None => Vec::from_iter(names::port_number(target.as_i64().unwrap_or(number))),
        };
        // A missing target is the port itself, which is refused already.
        if target != &port["port"] {
            invalid(&path("targetPort"), target, problems, causes);
        }
        let protocol = &port["appProtocol"];
        if protocol.as_str().is_some_and(|name| !is_label_key(name)) {
            let problem = "must be a qualified name, such as kubernetes.io/h2c or https";
            causes.push(Cause::invalid(&path("appProtocol"), protocol, problem));
        }
    }
}

fn selector(selector: &Value, causes: &mut Vec<Cause>) {
    for (key, value) in selector.as_object().into_iter().flatten() {
        if !is_label_key(key) {
            let problem = "name part must consist of alphanumeric characters, '-', '_' or '.', and \
                           must start and end with an alphanumeric character";
            causes.push(Cause::invalid("spec.selector", &json!(key), problem));
        }
        invalid("spec.selector", value, names::label_value(text(value)), causes);
    }
}

fn affinity(spec: &Value, causes: &mut Vec<Cause>) {
    one_of("spec.sessionAffinity", &spec["sessionAffinity"], &AFFINITIES, causes);
    let config = &spec["sessionAffinityConfig"];
    if spec["sessionAffinity"] == "None" && !config.is_null() {
        let why = "must not be set when session affinity is None";
        causes.push(Cause::forbidden("spec.sessionAffinityConfig", why));
    }
    let seconds = &config["clientIP"]["timeoutSeconds"];
    let good = |seconds: i64| (1..=LONGEST_AFFINITY).contains(&seconds);
    if spec["sessionAffinity"] == "ClientIP" && seconds.as_i64().is_some_and(|one| !good(one)) {
        let field = "spec.sessionAffinityConfig.clientIP.timeoutSeconds";
        let problem = format!("must be greater than 0 and less than {LONGEST_AFFINITY}");
        causes.push(Cause::invalid(field, seconds, &problem));
    }
}

fn external_ip(field: &str, value: &Value, causes: &mut Vec<Cause>) {
    let problem = match text(value).parse::<IpAddr>() {
        Err(_) => Some("must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".to_owned()),
        Ok(ip) if ip.is_unspecified() => Some(format!("may not be unspecified ({ip})")),
        Ok(ip) if ip.is_loopback() => {
            Some("may not be in the loopback range (127.0.0.0/8, ::1/128)".to_owned())
        }
        Ok(IpAddr::V4(ip)) if ip.is_link_local() => {
            Some("may not be in the link-local range (169.254.0.0/16, fe80::/10)".to_owned())
        }
        Ok(_) => None,
    };
    causes.extend(problem.map(|problem| Cause::invalid(field, value, &problem)));
}

fn node_ports(spec: &Value, ports: &[Value], causes: &mut Vec<Cause>) {
    let mut seen = HashSet::new();
    for (index, port) in ports.iter().enumerate() {
        let Some(number) = port["nodePort"].as_i64().filter(|number| *number != 0) else {
            continue;
        };
        let field = format!("spec.ports[{index}].nodePort");
        if spec["type"] == "ClusterIP" {
            let why = "may not be used when `type` is 'ClusterIP'";
            causes.push(Cause::forbidden(&field, why));
        }
        let both = (number, &port["protocol"]);
        if !seen.insert(both) {
            causes.push(Cause::duplicate(&field, &json!(number)));
        }
    }
}

fn repeated(ports: &[Value], causes: &mut Vec<Cause>) {
    let both = |port: &Value| json!({"port": port["port"], "protocol": port["protocol"]});
    let mut seen = HashSet::new();
    for (index, port) in ports.iter().enumerate() {
        if !seen.insert(both(port)) {
            causes.push(Cause::duplicate(&format!("spec.ports[{index}]"), &both(port)));
        }
    }
}

/// What belongs to Services that are reached from outside.
fn traffic(spec: &Value, causes: &mut Vec<Cause>) {
    let balanced = spec["type"] == "LoadBalancer";
    let set = |field: &str| spec.get(field).is_some_and(|value| !value.is_null());
    for field in ["allocateLoadBalancerNodePorts", "loadBalancerClass", "loadBalancerSourceRanges"]
    {
        if set(field) && spec[field] != json!([]) && !balanced {
            let why = "may only be used when `type` is 'LoadBalancer'";
            causes.push(Cause::forbidden(&format!("spec.{field}"), why));
        }
    }
    for (index, range) in items(&spec["loadBalancerSourceRanges"]).iter().enumerate() {
        if text(range).trim().parse::<ipnet::IpNet>().is_err() {
            let field = format!("spec.loadBalancerSourceRanges[{index}]");
            let problem = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
            causes.push(Cause::invalid(&field, range, problem));
        }
    }
    for field in ["internalTrafficPolicy", "externalTrafficPolicy"] {
        if set(field) {
            one_of(&format!("spec.{field}"), &spec[field], &POLICIES, causes);
        }
    }
    let reachable = is_external(&spec["type"]) || !items(&spec["externalIPs"]).is_empty();
    if set("externalTrafficPolicy") && !reachable {
        let problem = "may only be set for externally-accessible services";
        let value = &spec["externalTrafficPolicy"];
        causes.push(Cause::invalid("spec.externalTrafficPolicy", value, problem));
    }
}
