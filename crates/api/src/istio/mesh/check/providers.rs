//! Extension providers, as Istio checks them. In: MeshConfig's list of them as JSON. Out: what is wrong with those that
//! nobody could use.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::Fault;

/// Kinds that are a service of their own: no traffic reaches one without its host and port.
pub const SERVICES: [&str; 11] = [
    "envoyExtAuthzHttp",
    "envoyExtAuthzGrpc",
    "zipkin",
    "lightstep",
    "datadog",
    "opencensus",
    "skywalking",
    "opentelemetry",
    "envoyHttpAls",
    "envoyTcpAls",
    "envoyOtelAls",
];

pub fn unusable_providers(path: &str, providers: &Value) -> Vec<Fault> {
    let mut faults = Vec::new();
    let all: Vec<&Map<String, Value>> =
        providers.as_array().into_iter().flatten().filter_map(Value::as_object).collect();
    let mut named = HashMap::new();
    for (index, provider) in all.iter().enumerate() {
        let at = format!("{path}[{index}]");
        let name = name(provider);
        if name.is_empty() {
            let message = "it is missing: Telemetry objects and policies name providers by it";
            faults.push(Fault::new(format!("{at}.name"), message));
        } else if let first = *named.entry(name).or_insert(index)
            && first != index
        {
            let message =
                format!("{name:?} is the name of {path}[{first}] too: give it another one");
            faults.push(Fault::new(format!("{at}.name"), message));
        }
        let kinds: Vec<&String> = provider.keys().filter(|key| *key != "name").collect();
        match kinds.as_slice() {
            [] => {
                faults.push(Fault::new(&at, "it says not what it is: write prometheus, zipkin …"))
            }
            [kind] => faults.extend(service(&format!("{at}.{kind}"), kind, &provider[*kind])),
            more => {
                let more = more.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(" and ");
                faults.push(Fault::new(&at, format!("it is {more} at once: write one of them")));
            }
        }
    }
    faults
}

fn name(provider: &Map<String, Value>) -> &str {
    provider.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// What keeps traffic from a provider's service.
fn service(at: &str, kind: &str, settings: &Value) -> Vec<Fault> {
    let mut faults = Vec::new();
    if !SERVICES.contains(&kind) {
        return faults;
    }
    if settings["service"].as_str().unwrap_or_default().is_empty() {
        let message = "it is missing: write the host of a Service or ServiceEntry";
        faults.push(Fault::new(format!("{at}.service"), message));
    }
    let port = &settings["port"];
    if !port.as_u64().is_some_and(|port| (1..=65535).contains(&port)) {
        let message = match port {
            Value::Null => "it is missing: write the port of the service".to_owned(),
            other => format!("{other} is not a port: write a number from 1 to 65535"),
        };
        faults.push(Fault::new(format!("{at}.port"), message));
    }
    faults
}
