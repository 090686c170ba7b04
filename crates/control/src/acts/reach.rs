//! How far an Istio object reaches. In: the object as JSON. Out: the hosts, gateways and workloads that it names.

use std::collections::BTreeSet;

use lateen_api::kinds::Kind;
use lateen_model::host::Domain;
use lateen_model::service::Labels;
use serde_json::Value;

/// What an object says of itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reach {
    /// Services by the names that they may have; patterns may be among them.
    pub hosts: Vec<String>,
    /// Gateways, as `NAMESPACE/NAME`.
    pub gateways: Vec<String>,
    pub workloads: Option<Selector>,
    /// The words of the graph API for what it does.
    pub badges: Vec<&'static str>,
    pub traffic: Traffic,
}

/// What an object says of traffic that Kiali tells of, too.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Traffic {
    /// The hosts that VirtualServices route and that Gateways serve, as they are written.
    pub routed: BTreeSet<String>,
    pub served: BTreeSet<String>,
    /// Whether it is led to several destinations: requests, and connections.
    pub shifts_requests: bool,
    pub shifts_connections: bool,
}

impl Traffic {
    pub fn add(&mut self, other: &Self) {
        self.routed.extend(other.routed.iter().cloned());
        self.served.extend(other.served.iter().cloned());
        self.shifts_requests |= other.shifts_requests;
        self.shifts_connections |= other.shifts_connections;
    }
}

/// Which workloads an object chooses.
#[derive(Debug, Clone, PartialEq)]
pub struct Selector {
    /// `None`: all of the scope.
    pub labels: Option<Labels>,
    pub scope: Scope,
}

/// In which namespaces it chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Its own.
    Own,
    /// Its own; all, if it is in the root namespace and chooses by no label.
    OwnOrDefault,
    /// Its own; all, if it is in the root namespace.
    OwnOrRoot,
    /// All: gateways are chosen across namespaces.
    Anywhere,
}

/// Where an object is: what its short names of hosts mean.
#[derive(Clone, Copy)]
struct Home<'a> {
    namespace: &'a str,
    domain: &'a Domain,
}

impl Reach {
    /// Of kinds that act on nothing by themselves it is empty.
    pub fn read(kind: &Kind, object: &Value, domain: &Domain) -> Self {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
        let home = Home { namespace, domain };
        let spec = &object["spec"];
        match kind.kind {
            "VirtualService" => virtual_service(spec, home),
            "DestinationRule" => destination_rule(spec, home),
            "Gateway" => Self {
                badges: vec!["gateway"],
                traffic: Traffic {
                    served: items(&spec["servers"])
                        .flat_map(|server| texts(&server["hosts"]))
                        .map(str::to_owned)
                        .collect(),
                    ..Traffic::default()
                },
                workloads: Some(Selector {
                    labels: labels(&spec["selector"]),
                    scope: Scope::Anywhere,
                }),
                ..Self::default()
            },
            "ServiceEntry" => Self {
                hosts: texts(&spec["hosts"]).map(str::to_ascii_lowercase).collect(),
                badges: vec!["serviceEntry"],
                ..Self::default()
            },
            "PeerAuthentication" => chosen(spec, home, Scope::OwnOrDefault, "peerAuthentication"),
            "RequestAuthentication" => {
                chosen(spec, home, Scope::OwnOrRoot, "requestAuthentication")
            }
            "AuthorizationPolicy" => chosen(spec, home, Scope::OwnOrRoot, "authorizationPolicy"),
            "Telemetry" | "ProxyConfig" => chosen(spec, home, Scope::OwnOrDefault, ""),
            "WasmPlugin" | "TrafficExtension" => chosen(spec, home, Scope::OwnOrRoot, ""),
            "EnvoyFilter" => Self {
                workloads: Some(Selector {
                    labels: labels(&spec["workloadSelector"]["labels"]),
                    scope: Scope::OwnOrRoot,
                }),
                ..Self::default()
            },
            _ => Self::default(),
        }
    }
}

fn virtual_service(spec: &Value, home: Home<'_>) -> Reach {
    let mut reach = Reach { badges: vec!["virtualService"], ..Reach::default() };
    let gateways: Vec<&str> = texts(&spec["gateways"]).collect();
    for gateway in gateways.iter().filter(|name| **name != "mesh") {
        reach.gateways.push(match gateway.contains('/') {
            true => (*gateway).to_owned(),
            false => format!("{}/{gateway}", home.namespace),
        });
    }
    // What only gateways route is no service's name.
    if gateways.is_empty() || gateways.contains(&"mesh") {
        reach.hosts.extend(texts(&spec["hosts"]).flat_map(|host| names(host, home)));
    }
    let routes: Vec<&Value> =
        ["http", "tls", "tcp"].into_iter().flat_map(|protocol| items(&spec[protocol])).collect();
    let destinations = routes.iter().flat_map(|route| items(&route["route"]));
    let leads = destinations.filter_map(|one| one["destination"]["host"].as_str());
    reach.hosts.extend(leads.flat_map(|host| names(host, home)));
    let is_split = |route: &Value| items(&route["route"]).count() > 1;
    let shifts = |protocol: &str| items(&spec[protocol]).any(is_split);
    reach.traffic = Traffic {
        routed: texts(&spec["hosts"]).map(str::to_owned).collect(),
        shifts_requests: shifts("http"),
        shifts_connections: shifts("tls") || shifts("tcp"),
        ..Traffic::default()
    };
    for (badge, is_there) in [
        ("trafficShifting", is_split as fn(&Value) -> bool),
        ("faultInjection", |route| route["fault"].is_object()),
        ("mirroring", |route| route["mirror"].is_object() || items(&route["mirrors"]).count() > 0),
        ("timeout", |route| route["timeout"].is_string()),
    ] {
        if routes.iter().any(|route| is_there(route)) {
            reach.badges.push(badge);
        }
    }
    reach
}

fn destination_rule(spec: &Value, home: Home<'_>) -> Reach {
    let mut reach = Reach { badges: vec!["destinationRule"], ..Reach::default() };
    reach.hosts.extend(spec["host"].as_str().into_iter().flat_map(|host| names(host, home)));
    let mut policies =
        std::iter::once(spec).chain(items(&spec["subsets"])).map(|part| &part["trafficPolicy"]);
    if policies.any(|policy| {
        policy["outlierDetection"].is_object() || policy["connectionPool"].is_object()
    }) {
        reach.badges.push("circuitBreaker");
    }
    reach
}

/// A policy with Istio's `selector`, or with `targetRefs` in its place.
fn chosen(spec: &Value, home: Home<'_>, scope: Scope, badge: &'static str) -> Reach {
    let mut reach = Reach::default();
    reach.badges.extend(Some(badge).filter(|badge| !badge.is_empty()));
    let one = Some(&spec["targetRef"]).filter(|target| target.is_object());
    let targets: Vec<&Value> = items(&spec["targetRefs"]).chain(one).collect();
    if targets.is_empty() {
        let labels = labels(&spec["selector"]["matchLabels"]);
        reach.workloads = Some(Selector { labels, scope });
        return reach;
    }
    for target in targets {
        let name = target["name"].as_str().unwrap_or_default();
        match target["kind"].as_str() {
            Some("Service") => reach.hosts.extend(names(name, home)),
            Some("Gateway") => {
                let label = "gateway.networking.k8s.io/gateway-name".to_owned();
                let labels = Some([(label, name.to_owned())].into());
                reach.workloads = Some(Selector { labels, scope: Scope::Own });
            }
            _ => {}
        }
    }
    reach
}

/// The names that a host may mean, in lower case.
fn names(host: &str, home: Home<'_>) -> Vec<String> {
    home.domain.candidates(&host.to_ascii_lowercase(), home.namespace)
}

fn labels(value: &Value) -> Option<Labels> {
    let labels = value.as_object().filter(|labels| !labels.is_empty())?;
    let pair = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    Some(labels.iter().filter_map(pair).collect())
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    items(value).filter_map(Value::as_str)
}
