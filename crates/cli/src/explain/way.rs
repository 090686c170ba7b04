//! One connection's way through the mesh, joined from the gateway's access record, the record of the
//! server's sidecar, and the VirtualService that routed it. Pure: JSON in, [`Way`] out.

use serde::Serialize;
use serde_json::Value;

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Way {
    pub client: String,
    pub listener: String,
    pub bytes_received: u64,
    pub bytes_sent: u64,
    pub duration_ms: f64,
    pub virtual_service: Option<Route>,
    pub service: Option<Service>,
    pub server: Option<Server>,
    /// Why the connection failed, if it did.
    pub failure: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Route {
    /// `namespace/name`.
    pub name: String,
    pub rule: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Service {
    pub name: String,
    pub cluster: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Server {
    pub name: String,
    pub address: String,
    pub seen_by_sidecar: bool,
}

/// Where an Istio object is: from the `config` path in `filter_metadata.istio`, such as
/// `/apis/networking.istio.io/v1/namespaces/default/virtual-service/tcp-echo`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Origin {
    pub namespace: String,
    pub kind: String,
    pub name: String,
}

pub fn origin(record: &Value) -> Option<Origin> {
    let path = record["origin"]["config"].as_str()?;
    let mut parts = path.rsplit('/');
    let (name, kind, namespace) = (parts.next()?, parts.next()?, parts.next()?);
    Some(Origin { namespace: namespace.into(), kind: kind.into(), name: name.into() })
}

/// What asking for a VirtualService gave.
pub enum Found {
    Object(Value),
    Gone,
    /// It could not be read, for this reason.
    NotRead(String),
}

/// Joins the gateway's `record` with the sidecars' `records` (all of this machine) and the
/// VirtualService object it names, if it was found.
pub fn join(record: &Value, sidecars: &[Value], virtual_service: &Found) -> Way {
    let text = |field: &str| record[field].as_str().unwrap_or_default().to_owned();
    let flags = record["flags"].as_array().is_some_and(|flags| !flags.is_empty());
    Way {
        client: text("downstream_remote"),
        listener: text("downstream_local"),
        bytes_received: record["bytes_received"].as_u64().unwrap_or(0),
        bytes_sent: record["bytes_sent"].as_u64().unwrap_or(0),
        duration_ms: record["duration_ms"].as_f64().unwrap_or(0.0),
        virtual_service: virtual_service_route(record, virtual_service),
        service: record["cluster"].as_str().and_then(service),
        server: server(record, sidecars),
        failure: flags.then(|| text("close_reason")),
    }
}

fn virtual_service_route(record: &Value, found: &Found) -> Option<Route> {
    let origin = origin(record).filter(|origin| origin.kind == "virtual-service")?;
    let port = record["downstream_local"].as_str()?.rsplit(':').next()?.parse::<u64>().ok()?;
    let gone = || "no longer there".to_owned();
    let rule = match found {
        Found::Object(object) => rule(object, port).unwrap_or_else(gone),
        Found::Gone => gone(),
        Found::NotRead(reason) => format!("not read: {reason}"),
    };
    Some(Route { name: format!("{}/{}", origin.namespace, origin.name), rule })
}

/// The first TCP route that takes `port`, in words.
fn rule(object: &Value, port: u64) -> Option<String> {
    let routes = object["spec"]["tcp"].as_array()?;
    let takes = |route: &&Value| {
        route["match"].as_array().is_none_or(|matches| {
            matches.iter().any(|one| one["port"].as_u64().is_none_or(|wanted| wanted == port))
        })
    };
    let destinations = routes.iter().find(takes)?["route"].as_array()?;
    let words: Vec<String> = destinations.iter().map(destination).collect();
    Some(format!("port {port} -> {}", words.join(", ")))
}

fn destination(route: &Value) -> String {
    let destination = &route["destination"];
    let mut words = destination["host"].as_str().unwrap_or("?").to_owned();
    if let Some(port) = destination["port"]["number"].as_u64() {
        words.push_str(&format!(":{port}"));
    }
    if let Some(subset) = destination["subset"].as_str() {
        words.push_str(&format!(" subset {subset}"));
    }
    if let Some(weight) = route["weight"].as_u64() {
        words.push_str(&format!(" ({weight}%)"));
    }
    words
}

/// `outbound|8020|subset|host`, Istio's cluster name, as a service.
fn service(cluster: &str) -> Option<Service> {
    let mut parts = cluster.split('|');
    let (_, port, _, host) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    Some(Service { name: format!("{host}:{port}"), cluster: cluster.into() })
}

fn server(record: &Value, sidecars: &[Value]) -> Option<Server> {
    let address = record["upstream_remote"].as_str()?;
    let local = record["upstream_local"].as_str().unwrap_or_default();
    let seen_by_sidecar = sidecars.iter().any(|other| {
        other["downstream_remote"] == local
            && [&other["original_destination"], &other["downstream_local"]]
                .iter()
                .any(|destination| **destination == address)
    });
    // Istio's endpoint metadata: name;namespace;canonical name;canonical revision;cluster.
    let workload = record["workload"]["workload"].as_str().unwrap_or_default();
    let mut parts = workload.split(';');
    let name = match (parts.next(), parts.next()) {
        (Some(name), Some(namespace)) if !name.is_empty() => format!("{namespace}/{name}"),
        _ => "endpoint".into(),
    };
    Some(Server { name, address: address.into(), seen_by_sidecar })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record() -> Value {
        json!({
            "downstream_remote": "127.0.0.1:40112",
            "downstream_local": "127.0.0.1:31400",
            "upstream_local": "10.201.4.1:51000",
            "upstream_remote": "10.201.4.2:8020",
            "cluster": "outbound|8020||tcp-echo-server.default.svc.cluster.local",
            "origin": { "config": "/apis/networking.istio.io/v1/namespaces/default/virtual-service/tcp-echo" },
            "workload": { "workload": "echo-server;default;echo-server;v1;Kubernetes" },
            "bytes_received": 5, "bytes_sent": 5, "duration_ms": 1.0, "flags": [],
            "close_reason": "closed by both sides",
        })
    }

    #[test]
    fn gateway_and_sidecar_records_join_by_the_connection_between_them() {
        let sidecar = json!({
            "downstream_remote": "10.201.4.1:51000", "original_destination": "10.201.4.2:8020",
        });
        let route = json!({ "spec": { "tcp": [{
            "match": [{ "port": 31400 }],
            "route": [{ "destination": { "host": "tcp-echo-server", "port": { "number": 8020 } } }],
        }] } });
        let way = join(&record(), &[sidecar], &Found::Object(route));
        assert_eq!(
            way.server.unwrap(),
            Server {
                name: "default/echo-server".into(),
                address: "10.201.4.2:8020".into(),
                seen_by_sidecar: true,
            }
        );
        assert_eq!(way.virtual_service.unwrap().rule, "port 31400 -> tcp-echo-server:8020");
        assert_eq!(way.failure, None);
    }

    #[test]
    fn a_failed_connection_says_why_and_names_no_server() {
        let mut failed = record();
        failed["flags"] = json!(["NR"]);
        failed["close_reason"] = json!("no route");
        failed["upstream_remote"] = Value::Null;
        let way = join(&failed, &[], &Found::NotRead("no answer".into()));
        assert_eq!(way.failure.as_deref(), Some("no route"));
        assert_eq!(way.server, None);
    }
}
