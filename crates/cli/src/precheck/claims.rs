//! Ports that only one can have. In: the objects of an installation, and what has ports already: other Services, pods, and
//! what listens on a node. Out: findings, each with who has the port.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::facts::Facts;
use super::judge::{Finding, is_linux, items, text};
use super::sockets::Socket;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    #[serde(rename = "TCP")]
    Tcp,
    #[serde(rename = "UDP")]
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
        })
    }
}

/// A port that an object is to have, or has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// As `Service istio-system/istio-ingressgateway`.
    who: String,
    protocol: Protocol,
    port: u16,
    at: At,
    /// Whether it is for some nodes alone, by their labels.
    selects: bool,
}

/// Where it has the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// On every node, by kube-proxy's rules.
    NodePort,
    ExternalIp(IpAddr),
    /// On the node of a pod, by the network provider's rules, perhaps for one address.
    HostPort(Option<IpAddr>),
    /// By a socket of a pod that is in its node's network.
    HostNetwork(Option<IpAddr>),
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Claim { protocol, port, .. } = self;
        match self.at {
            At::NodePort => write!(f, "node port {port} ({protocol})"),
            At::ExternalIp(ip) => write!(f, "port {port} ({protocol}) of external IP {ip}"),
            At::HostPort(_) | At::HostNetwork(_) => write!(f, "port {port} ({protocol})"),
        }
    }
}

/// The kind is an argument, as objects of a list have none.
fn title(kind: &str, object: &Value) -> String {
    let metadata = &object["metadata"];
    format!("{kind} {}/{}", text(metadata, "namespace"), text(metadata, "name"))
}

/// Of a port in a list: nothing of an installation has SCTP.
fn protocol(port: &Value) -> Option<Protocol> {
    match port["protocol"].as_str() {
        None | Some("TCP") => Some(Protocol::Tcp),
        Some("UDP") => Some(Protocol::Udp),
        Some(_) => None,
    }
}

fn number(port: &Value, key: &str) -> Option<u16> {
    port[key].as_u64().and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0)
}

/// What the objects of an installation are to have on nodes.
pub fn wanted(objects: &[Value]) -> Vec<Claim> {
    let of = |object: &Value| match object["kind"] == "Service" {
        true => of_service(object),
        false => of_workload(object, objects),
    };
    objects.iter().flat_map(of).collect()
}

fn of_service(service: &Value) -> Vec<Claim> {
    let (spec, who) = (&service["spec"], title("Service", service));
    let external = items(spec, "externalIPs").iter().filter_map(Value::as_str);
    let external: Vec<IpAddr> = external.filter_map(|ip| ip.parse().ok()).collect();
    let claim = |protocol, port, at| Claim { who: who.clone(), protocol, port, at, selects: false };
    let health = number(spec, "healthCheckNodePort");
    let mut found: Vec<Claim> =
        health.map(|port| claim(Protocol::Tcp, port, At::NodePort)).into_iter().collect();
    for port in items(spec, "ports") {
        let Some(protocol) = protocol(port) else { continue };
        if let Some(port) = number(port, "port") {
            found.extend(external.iter().map(|ip| claim(protocol, port, At::ExternalIp(*ip))));
        }
        found.extend(number(port, "nodePort").map(|port| claim(protocol, port, At::NodePort)));
    }
    found
}

/// What each pod of a workload is to have. One in its node's network listens where Services lead to it, too.
fn of_workload(object: &Value, objects: &[Value]) -> Vec<Claim> {
    let (template, who) = (&object["spec"]["template"], title(text(object, "kind"), object));
    let mut found = ports_of_pod(&template["spec"], &who);
    if template["spec"]["hostNetwork"] != true {
        return found;
    }
    let leads = |service: &&Value| {
        let selector = &service["spec"]["selector"];
        service["kind"] == "Service"
            && service["metadata"]["namespace"] == object["metadata"]["namespace"]
            && selector.as_object().is_some_and(|selector| !selector.is_empty())
            && selects(selector, &template["metadata"]["labels"])
    };
    for port in objects.iter().filter(leads).flat_map(|service| items(&service["spec"], "ports")) {
        // A port by its name is among the containers'.
        let target = if port["targetPort"].is_null() { "port" } else { "targetPort" };
        if let (Some(protocol), Some(port)) = (protocol(port), number(port, target)) {
            let at = At::HostNetwork(None);
            let selects = selects_nodes(&template["spec"]);
            let claim = Claim { who: who.clone(), protocol, port, at, selects };
            if !found.contains(&claim) {
                found.push(claim);
            }
        }
    }
    found
}

/// What a pod has on its node.
fn ports_of_pod(spec: &Value, who: &str) -> Vec<Claim> {
    let in_network = spec["hostNetwork"] == true;
    let stays = |container: &&Value| container["restartPolicy"] == "Always";
    let sidecars = items(spec, "initContainers").iter().filter(stays);
    let containers = items(spec, "containers").iter().chain(sidecars);
    let mut found = Vec::new();
    for port in containers.flat_map(|container| items(container, "ports")) {
        let ip = text(port, "hostIP").parse().ok().filter(|ip: &IpAddr| !ip.is_unspecified());
        let (key, at) = match in_network {
            true => ("containerPort", At::HostNetwork(ip)),
            false => ("hostPort", At::HostPort(ip)),
        };
        if let (Some(protocol), Some(port)) = (protocol(port), number(port, key)) {
            let selects = selects_nodes(spec);
            found.push(Claim { who: who.to_owned(), protocol, port, at, selects });
        }
    }
    found
}

fn selects_nodes(spec: &Value) -> bool {
    let selector = spec["nodeSelector"].as_object();
    selector.is_some_and(|selector| !selector.is_empty()) || has_affinity(spec)
}

/// Whether it has to be on nodes of a kind that its labels alone do not tell.
fn has_affinity(spec: &Value) -> bool {
    spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"].is_object()
}

/// Whether a node keeps a pod away. Taints of Kubernetes' own are there for as long as the node is not well.
fn repels(node: &Value, spec: &Value) -> bool {
    let counts = |taint: &&Value| {
        ["NoSchedule", "NoExecute"].contains(&text(taint, "effect"))
            && !text(taint, "key").starts_with("node.kubernetes.io/")
    };
    let tolerated = |taint: &Value| {
        items(spec, "tolerations").iter().any(|toleration| tolerates(toleration, taint))
    };
    items(&node["spec"], "taints").iter().filter(counts).any(|taint| !tolerated(taint))
}

fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let is_same = |key: &str| text(toleration, key) == text(taint, key);
    let is_any = |key: &str| text(toleration, key).is_empty();
    let exists = toleration["operator"] == "Exists";
    (is_same("key") || exists && is_any("key"))
        && (exists || is_same("value"))
        && (is_same("effect") || is_any("effect"))
}

/// Whether labels are those of a selector, which may be none.
fn selects(selector: &Value, labels: &Value) -> bool {
    let mut pairs = selector.as_object().into_iter().flatten();
    pairs.all(|(key, value)| labels[key] == *value)
}

/// Ports of the installation's Services that other Services have already.
pub fn services(wanted: &[Value], live: &[Value]) -> Vec<Finding> {
    let same = |a: &Value, b: &Value| {
        ["name", "namespace"].iter().all(|key| a["metadata"][key] == b["metadata"][key])
    };
    let mut found = Vec::new();
    for ours in wanted.iter().filter(|object| object["kind"] == "Service") {
        for theirs in live.iter().filter(|theirs| !same(ours, theirs)) {
            let taken = of_service(theirs);
            for claim in of_service(ours) {
                if let Some(other) = taken.iter().find(|it| it.is_same_port(&claim)) {
                    let text = format!("{claim} is taken by {}: change one of them", other.who);
                    found.push(Finding { place: claim.who, text, fatal: true });
                }
            }
        }
    }
    found
}

/// Whether pods of an installation are to have ports of their nodes.
pub fn are_of_pods(wanted: &[Value]) -> bool {
    let mut workloads = wanted.iter().filter(|object| object["spec"]["template"].is_object());
    workloads.any(|object| !of_workload(object, wanted).is_empty())
}

/// Ports on nodes that other pods have already. A Deployment needs but one node; whether a DaemonSet has a pod on each is not
/// always known.
pub fn pods(wanted: &[Value], live: &[Value], nodes: &[Value]) -> Vec<Finding> {
    let mut found = Vec::new();
    for workload in wanted.iter().filter(|object| object["spec"]["template"].is_object()) {
        let claims = of_workload(workload, wanted);
        let spec = &workload["spec"]["template"]["spec"];
        let suits = |node: &&Value| {
            is_linux(node) && selects(&spec["nodeSelector"], &node["metadata"]["labels"])
        };
        let is_sure = |node: &Value| {
            workload["kind"] != "DaemonSet" || !has_affinity(spec) && !repels(node, spec)
        };
        let suitable: Vec<&Value> = nodes.iter().filter(suits).collect();
        let others: Vec<&Value> = live.iter().filter(|pod| is_others(pod, workload)).collect();
        let taken = |node: &&Value| taken_by_pod(&claims, &others, node, is_sure(node));
        let taken: Vec<Finding> = suitable.iter().filter_map(taken).collect();
        if workload["kind"] == "DaemonSet" || taken.len() == suitable.len() {
            found.extend(taken);
        }
    }
    found
}

/// Whether a pod has its ports still, and is not the workload's own.
fn is_others(pod: &Value, workload: &Value) -> bool {
    let selector = &workload["spec"]["selector"]["matchLabels"];
    let own = pod["metadata"]["namespace"] == workload["metadata"]["namespace"]
        && selects(selector, &pod["metadata"]["labels"]);
    !own && !["Succeeded", "Failed"].contains(&text(&pod["status"], "phase"))
}

fn taken_by_pod(claims: &[Claim], pods: &[&Value], node: &Value, fatal: bool) -> Option<Finding> {
    let node = text(&node["metadata"], "name");
    let on_node = pods.iter().filter(|pod| text(&pod["spec"], "nodeName") == node);
    let theirs: Vec<Claim> =
        on_node.flat_map(|pod| ports_of_pod(&pod["spec"], &title("Pod", pod))).collect();
    claims.iter().find_map(|ours| {
        let theirs = theirs.iter().find(|theirs| ours.meets(theirs))?;
        let text = format!(
            "{ours}, which {} needs{}, is taken by {}: change one of them",
            ours.who,
            here(fatal),
            theirs.who
        );
        Some(Finding { place: format!("node {node}"), text, fatal })
    })
}

/// A condition, where it is not known whether a pod is to be on the node.
fn here(is_sure: bool) -> &'static str {
    if is_sure { "" } else { " if it is to run here" }
}

/// Ports of the installation on which something listens on a node, and whether it is known that the installation needs them
/// there.
pub fn listeners(wanted: &[Claim], facts: &Facts) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    for claim in wanted {
        if let Some(socket) = facts.sockets.iter().find(|it| claim.is_taken_by(it, facts)) {
            let process = socket.process.as_ref();
            let process = process.map_or("a process".to_owned(), ToString::to_string);
            let here = here(!claim.selects);
            let text = format!(
                "{claim}, which {} needs{here}, is taken by {process}, which listens on {}: end that, or choose another \
                 port",
                claim.who, socket.address
            );
            found.push((text, !claim.selects));
        }
    }
    found
}

const KUBE_PROXY: &str = "kube-proxy";

/// By the names of processes: kube-proxy, or what has one in it, which listens on node ports for nothing else.
const KUBE_PROXIES: [&str; 5] = [KUBE_PROXY, "k3s-server", "k3s-agent", "kubelite", "k0s"];

/// Programs that listen there for what is installed already.
fn is_expected_listener(claim: &Claim, socket: &Socket) -> bool {
    let name = socket.process.as_ref().map(|process| process.name.as_str());
    match claim.at {
        At::NodePort => name.is_some_and(|name| KUBE_PROXIES.contains(&name)),
        At::ExternalIp(_) => name == Some(KUBE_PROXY),
        At::HostPort(_) | At::HostNetwork(_) => name == Some("lateen"),
    }
}

impl Claim {
    fn is_same_port(&self, other: &Claim) -> bool {
        (self.protocol, self.port, self.at) == (other.protocol, other.port, other.at)
    }

    /// Whether two pods on one node cannot have both.
    fn meets(&self, other: &Claim) -> bool {
        let ip = |claim: &Claim| match claim.at {
            At::HostPort(ip) | At::HostNetwork(ip) => ip,
            At::ExternalIp(ip) => Some(ip),
            At::NodePort => None,
        };
        let apart = ip(self).zip(ip(other)).is_some_and(|(ours, theirs)| ours != theirs);
        self.protocol == other.protocol && self.port == other.port && !apart
    }

    fn is_taken_by(&self, socket: &Socket, facts: &Facts) -> bool {
        let (ip, port) = (socket.address.ip(), socket.address.port());
        // A socket for every address of IPv6 may take IPv4, too.
        let is_any = |wanted: IpAddr| ip.is_unspecified() && (ip.is_ipv6() || wanted.is_ipv4());
        let on = |wanted: IpAddr| ip == wanted || is_any(wanted);
        let meets = match self.at {
            At::ExternalIp(wanted) => facts.addresses.contains(&wanted) && on(wanted),
            At::HostPort(Some(wanted)) | At::HostNetwork(Some(wanted)) => on(wanted),
            // Rules take what comes for the node, but for what it says to itself.
            At::NodePort | At::HostPort(None) => !ip.is_loopback(),
            // A socket for every address cannot be beside any other one.
            At::HostNetwork(None) => true,
        };
        meets
            && self.protocol == socket.protocol
            && self.port == port
            && !is_expected_listener(self, socket)
    }
}

#[cfg(test)]
mod tests;
