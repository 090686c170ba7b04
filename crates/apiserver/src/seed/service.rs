//! The Service `kubernetes` that every cluster has: in, the API's address; out, the Service, its
//! Endpoints and its EndpointSlice, as the API server of a cluster keeps them.

use serde_json::{Value, json};

use super::{creation, kind};
use crate::catalog;
use crate::object;
use crate::server::Server;
use crate::store::{Expect, Write, WriteError};

const NAMESPACE: &str = "default";
/// Of the Service and of what belongs to it.
pub const NAME: &str = "kubernetes";

/// Makes what is missing, and corrects what tells another address.
pub async fn ensure(server: &Server) -> Result<(), WriteError> {
    let (ip, port) = (server.address.ip(), server.address.port());
    make_service(server, port).await?;
    let endpoints = json!({
        "metadata": {
            "name": NAME, "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"},
        },
        "subsets": [{
            "addresses": [{"ip": ip}],
            "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
        }],
    });
    settle(server, ("", "Endpoints"), endpoints, &["subsets"]).await?;
    let slice = json!({
        "metadata": {"name": NAME, "labels": {"kubernetes.io/service-name": NAME}},
        "addressType": if ip.is_ipv4() { "IPv4" } else { "IPv6" },
        "endpoints": [{"addresses": [ip], "conditions": {"ready": true}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    });
    let fields = ["addressType", "endpoints", "ports"];
    settle(server, ("discovery.k8s.io", "EndpointSlice"), slice, &fields).await
}

async fn make_service(server: &Server, port: u16) -> Result<(), WriteError> {
    let service_kind = kind("", "Service");
    let key = catalog::key(service_kind, NAMESPACE, NAME);
    if let Some(stored) = server.store.get(&key) {
        let mut service = object::parse_stored(&stored.bytes);
        return match service.pointer_mut("/spec/ports/0/targetPort") {
            Some(target) if *target != port => {
                *target = json!(port);
                let write = Write { key, expect: Expect::At(stored.rv), object: Some(service) };
                accept(server.store.write(write).await)
            }
            _ => Ok(()),
        };
    }
    let mut service = json!({
        "metadata": {
            "name": NAME,
            "namespace": NAMESPACE,
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "clusterIP": server.addresses.first().to_string(),
            "internalTrafficPolicy": "Cluster",
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": port}],
            "sessionAffinity": "None",
            "type": "ClusterIP",
        },
    });
    let reservation = server.addresses.assign(&mut service, None).or_else(|_| {
        // A Service of an older store has the first address.
        object::child_mut(&mut service, "spec").shift_remove("clusterIP");
        server.addresses.assign(&mut service, None)
    });
    let Ok(reservation) = reservation else {
        tracing::warn!("no address is free for the service of the api itself");
        return Ok(());
    };
    let made = server.store.write(creation(server, service_kind, NAMESPACE, service)).await;
    if made.is_ok() {
        reservation.keep();
    }
    accept(made)
}

/// Makes an object, or gives the one that is there the wanted `fields`.
async fn settle(
    server: &Server,
    (group, name): (&str, &str),
    wanted: Value,
    fields: &[&str],
) -> Result<(), WriteError> {
    let kind = kind(group, name);
    let key = catalog::key(kind, NAMESPACE, NAME);
    let write = match server.store.get(&key) {
        None => creation(server, kind, NAMESPACE, wanted),
        Some(stored) => {
            let mut value = object::parse_stored(&stored.bytes);
            if fields.iter().all(|field| value[*field] == wanted[*field]) {
                return Ok(());
            }
            for field in fields {
                value[*field] = wanted[*field].clone();
            }
            Write { key, expect: Expect::At(stored.rv), object: Some(value) }
        }
    };
    accept(server.store.write(write).await)
}

/// If somebody else was first, the next sweep looks again.
fn accept(outcome: Result<Value, WriteError>) -> Result<(), WriteError> {
    match outcome {
        Ok(_) | Err(WriteError::Exists | WriteError::Conflict) => Ok(()),
        Err(error) => Err(error),
    }
}
