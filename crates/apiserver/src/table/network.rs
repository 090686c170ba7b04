//! Printers of services, endpoints and ingresses. In: an object. Out: its cells.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use super::column::{
    AGE, NAME, Printer, created, items, name, number, string, string_or, text, wide,
};
use super::text::{NONE, UNSET, labels, or_none, selector, shortened};

pub static PRINTERS: &[Printer] = &[
    Printer {
        group: "",
        kind: "Service",
        columns: &[
            NAME,
            text("Type", "spec.type"),
            text("Cluster-IP", "spec.clusterIP"),
            text("External-IP", "spec.externalIPs and the load balancer's addresses"),
            text("Port(s)", "spec.ports"),
            AGE,
            wide("Selector", "spec.selector"),
        ],
        cells: service,
    },
    Printer {
        group: "",
        kind: "Endpoints",
        columns: &[NAME, text("Endpoints", "subsets"), AGE],
        cells: endpoints,
    },
    Printer {
        group: "discovery.k8s.io",
        kind: "EndpointSlice",
        columns: &[
            NAME,
            text("AddressType", "addressType"),
            text("Ports", "ports"),
            text("Endpoints", "endpoints"),
            AGE,
        ],
        cells: endpoint_slice,
    },
    Printer {
        group: "networking.k8s.io",
        kind: "Ingress",
        columns: &[
            NAME,
            text("Class", "spec.ingressClassName"),
            text("Hosts", "hosts of spec.rules"),
            text("Address", "the load balancer's addresses"),
            text("Ports", "80, and 443 with spec.tls"),
            AGE,
        ],
        cells: ingress,
    },
    Printer {
        group: "networking.k8s.io",
        kind: "IngressClass",
        columns: &[
            NAME,
            text("Controller", "spec.controller"),
            text("Parameters", "spec.parameters"),
            AGE,
        ],
        cells: ingress_class,
    },
    Printer {
        group: "networking.k8s.io",
        kind: "NetworkPolicy",
        columns: &[NAME, text("Pod-Selector", "spec.podSelector"), AGE],
        cells: network_policy,
    },
];

fn service(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let cluster_ip = match items(&spec["clusterIPs"]).first() {
        Some(first) => string_or(first, NONE),
        None => string_or(&spec["clusterIP"], NONE),
    };
    let ports: Vec<String> = items(&spec["ports"]).iter().map(service_port).collect();
    vec![
        name(object),
        string_or(&spec["type"], "ClusterIP").into(),
        cluster_ip.into(),
        external_ip(object).into(),
        or_none(ports.join(",")).into(),
        created(object, now),
        labels(&spec["selector"]).into(),
    ]
}

fn service_port(port: &Value) -> String {
    let protocol = string_or(&port["protocol"], "TCP");
    match number(&port["nodePort"]) {
        0 => format!("{}/{protocol}", number(&port["port"])),
        node_port => format!("{}:{node_port}/{protocol}", number(&port["port"])),
    }
}

fn external_ip(object: &Value) -> String {
    let spec = &object["spec"];
    let listed = items(&spec["externalIPs"]).iter().map(|ip| string(ip).to_owned());
    match string_or(&spec["type"], "ClusterIP") {
        "ClusterIP" | "NodePort" => or_none(listed.collect::<Vec<_>>().join(",")),
        "LoadBalancer" => {
            let all: Vec<String> =
                balancer(&object["status"]["loadBalancer"]).into_iter().chain(listed).collect();
            if all.is_empty() { "<pending>".to_owned() } else { all.join(",") }
        }
        "ExternalName" => string(&spec["externalName"]).to_owned(),
        _ => "<unknown>".to_owned(),
    }
}

/// The addresses of a `loadBalancer` status, sorted.
fn balancer(status: &Value) -> BTreeSet<String> {
    items(&status["ingress"])
        .iter()
        .map(|ingress| string_or(&ingress["ip"], string(&ingress["hostname"])).to_owned())
        .filter(|address| !address.is_empty())
        .collect()
}

fn with_port(ip: &str, port: i64) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

fn endpoints(object: &Value, now: Timestamp) -> Vec<Value> {
    let mut list = Vec::new();
    for subset in items(&object["subsets"]) {
        let ips = || items(&subset["addresses"]).iter().map(|address| string(&address["ip"]));
        let ports = items(&subset["ports"]);
        if ports.is_empty() {
            list.extend(ips().map(str::to_owned));
        }
        for port in ports {
            list.extend(ips().map(|ip| with_port(ip, number(&port["port"]))));
        }
    }
    vec![name(object), or_none(shortened(&list, 3)).into(), created(object, now)]
}

fn endpoint_slice(object: &Value, now: Timestamp) -> Vec<Value> {
    let port = |port: &Value| port["port"].as_i64().map_or("*".to_owned(), |p| p.to_string());
    let ports: Vec<String> = items(&object["ports"]).iter().map(port).collect();
    let addresses: Vec<String> = items(&object["endpoints"])
        .iter()
        .flat_map(|endpoint| items(&endpoint["addresses"]))
        .map(|address| string(address).to_owned())
        .collect();
    let or_unset = |text: String| if text.is_empty() { UNSET.to_owned() } else { text };
    vec![
        name(object),
        string(&object["addressType"]).into(),
        or_unset(shortened(&ports, 3)).into(),
        or_unset(shortened(&addresses, 3)).into(),
        created(object, now),
    ]
}

fn ingress(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let hosts: Vec<String> = items(&spec["rules"])
        .iter()
        .map(|rule| string(&rule["host"]).to_owned())
        .filter(|host| !host.is_empty())
        .collect();
    let hosts = if hosts.is_empty() { "*".to_owned() } else { shortened(&hosts, 3) };
    let addresses: Vec<String> = balancer(&object["status"]["loadBalancer"]).into_iter().collect();
    let ports = if items(&spec["tls"]).is_empty() { "80" } else { "80, 443" };
    vec![
        name(object),
        string_or(&spec["ingressClassName"], NONE).into(),
        hosts.into(),
        addresses.join(",").into(),
        ports.into(),
        created(object, now),
    ]
}

fn ingress_class(object: &Value, now: Timestamp) -> Vec<Value> {
    let parameters = &object["spec"]["parameters"];
    let text = match parameters.is_object() {
        false => NONE.to_owned(),
        true => {
            let group = match string(&parameters["apiGroup"]) {
                "" => String::new(),
                group => format!(".{group}"),
            };
            format!("{}{group}/{}", string(&parameters["kind"]), string(&parameters["name"]))
        }
    };
    let controller = string(&object["spec"]["controller"]);
    vec![name(object), controller.into(), text.into(), created(object, now)]
}

fn network_policy(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), selector(&object["spec"]["podSelector"]).into(), created(object, now)]
}
