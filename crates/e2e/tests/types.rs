//! Every Istio kind, at every version that Istio serves: what goes in at one version comes out at
//! each, without losing a field.

use anyhow::{Result, ensure};
use lateen_e2e::{mesh, mesh_with};
use lateen_testkit::isolate::isolated;
use lateen_testkit::kubectl::Version;
use lateen_testkit::mesh::Mesh;
use serde_json::{Value, json};

/// Versions, group, kind, plural.
type Served = (&'static [&'static str], &'static str, &'static str, &'static str);

const NETWORKING: &[&str] = &["v1", "v1beta1", "v1alpha3"];
const SECURITY: &[&str] = &["v1", "v1beta1"];

const KINDS: [Served; 15] = [
    (NETWORKING, "networking", "DestinationRule", "destinationrules"),
    (NETWORKING, "networking", "Gateway", "gateways"),
    (NETWORKING, "networking", "ServiceEntry", "serviceentries"),
    (NETWORKING, "networking", "Sidecar", "sidecars"),
    (NETWORKING, "networking", "VirtualService", "virtualservices"),
    (NETWORKING, "networking", "WorkloadEntry", "workloadentries"),
    (NETWORKING, "networking", "WorkloadGroup", "workloadgroups"),
    (&["v1alpha3"], "networking", "EnvoyFilter", "envoyfilters"),
    (&["v1beta1"], "networking", "ProxyConfig", "proxyconfigs"),
    (SECURITY, "security", "AuthorizationPolicy", "authorizationpolicies"),
    (SECURITY, "security", "PeerAuthentication", "peerauthentications"),
    (SECURITY, "security", "RequestAuthentication", "requestauthentications"),
    (&["v1", "v1alpha1"], "telemetry", "Telemetry", "telemetries"),
    (&["v1alpha1"], "extensions", "WasmPlugin", "wasmplugins"),
    (&["v1alpha1"], "extensions", "TrafficExtension", "trafficextensions"),
];

fn spec(kind: &str) -> Value {
    match kind {
        "DestinationRule" | "Gateway" | "ServiceEntry" | "VirtualService" => routing_spec(kind),
        "Sidecar" | "WorkloadEntry" | "WorkloadGroup" | "EnvoyFilter" | "ProxyConfig" => {
            workload_spec(kind)
        }
        _ => policy_spec(kind),
    }
}

fn routing_spec(kind: &str) -> Value {
    match kind {
        "DestinationRule" => json!({
            "host": "reviews", "exportTo": ["."],
            "trafficPolicy": {
                "loadBalancer": {"simple": "LEAST_REQUEST", "warmup": {"duration": "30s"}},
                "connectionPool": {
                    "tcp": {"maxConnections": 100, "connectTimeout": "30ms",
                            "tcpKeepalive": {"time": "7200s", "interval": "75s"}},
                    "http": {"http2MaxRequests": 1000, "maxRequestsPerConnection": 10}},
                "outlierDetection": {"consecutive5xxErrors": 7, "interval": "300s"},
                "tls": {"mode": "ISTIO_MUTUAL"},
            },
            "subsets": [{"name": "v1", "labels": {"version": "v1"}}],
        }),
        "Gateway" => json!({
            "selector": {"istio": "ingressgateway"},
            "servers": [
                {"port": {"number": 443, "name": "https", "protocol": "HTTPS"}, "hosts": ["a.example"],
                 "tls": {"mode": "SIMPLE", "credentialName": "a", "minProtocolVersion": "TLSV1_2"}},
                {"port": {"number": 31400, "name": "tcp", "protocol": "TCP"}, "hosts": ["*"]},
            ],
        }),
        "ServiceEntry" => json!({
            "hosts": ["db.example"], "addresses": ["192.0.2.0/24"], "location": "MESH_EXTERNAL",
            "ports": [{"number": 3306, "name": "mysql", "protocol": "MySQL", "targetPort": 3307}],
            "resolution": "STATIC",
            "endpoints": [{"address": "192.0.2.2", "ports": {"mysql": 13306}, "weight": 2}],
        }),
        _ => json!({
            "hosts": ["reviews"], "gateways": ["mesh", "gw"], "exportTo": ["*"],
            "http": [{
                "name": "main",
                "match": [{"uri": {"prefix": "/a"}, "headers": {"end-user": {"exact": "jason"}}}],
                "route": [{"destination": {"host": "reviews", "subset": "v1"}, "weight": 100}],
                "timeout": "1.500s", "retries": {"attempts": 3, "perTryTimeout": "2s"},
                "fault": {"delay": {"percentage": {"value": 0.1}, "fixedDelay": "5s"}},
                "mirror": {"host": "shadow"}, "corsPolicy": {"allowCredentials": true},
            }],
            "tcp": [{
                "match": [{"port": 31400, "destinationSubnets": ["10.0.0.0/8"]}],
                "route": [{"destination": {"host": "echo", "port": {"number": 8020}}, "weight": 80},
                          {"destination": {"host": "echo2"}, "weight": 20}],
            }],
            "tls": [{"match": [{"port": 443, "sniHosts": ["reviews"]}],
                     "route": [{"destination": {"host": "reviews"}}]}],
        }),
    }
}

fn workload_spec(kind: &str) -> Value {
    match kind {
        "Sidecar" => json!({
            "workloadSelector": {"labels": {"app": "a"}},
            "egress": [{"port": {"number": 9080, "protocol": "HTTP", "name": "egress"},
                        "hosts": ["prod-us1/*", "istio-system/*"]}],
            "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"},
        }),
        "WorkloadEntry" => json!({
            "address": "192.0.2.7", "ports": {"http": 8080}, "labels": {"app": "a"},
            "locality": "us/east/1", "network": "n1", "weight": 3, "serviceAccount": "a",
        }),
        "WorkloadGroup" => json!({
            "metadata": {"labels": {"app": "a"}, "annotations": {"note": "x"}},
            "template": {"serviceAccount": "a", "ports": {"http": 8080}},
            "probe": {"periodSeconds": 5, "httpGet": {"path": "/ready", "port": 8080}},
        }),
        "EnvoyFilter" => json!({
            "workloadSelector": {"labels": {"app": "a"}}, "priority": 10,
            "configPatches": [{
                "applyTo": "NETWORK_FILTER",
                "match": {"context": "SIDECAR_OUTBOUND", "listener": {"portNumber": 9307}},
                "patch": {"operation": "INSERT_BEFORE", "value": {
                    "name": "x", "typed_config": {"@type": "type.example/X", "any_thing": [1, "2"]}}},
            }],
        }),
        _ => json!({
            "selector": {"matchLabels": {"app": "a"}}, "concurrency": 0,
            "environmentVariables": {"A": "b"}, "image": {"imageType": "distroless"},
        }),
    }
}

fn policy_spec(kind: &str) -> Value {
    let selector = json!({"matchLabels": {"app": "a"}});
    match kind {
        "AuthorizationPolicy" => json!({
            "selector": selector, "action": "DENY",
            "rules": [{"from": [{"source": {"principals": ["cluster.local/ns/a/sa/b"]}}],
                       "to": [{"operation": {"methods": ["GET"], "ports": ["80"]}}],
                       "when": [{"key": "request.headers[x]", "values": ["y"]}]}],
        }),
        "PeerAuthentication" => json!({
            "selector": selector, "mtls": {"mode": "STRICT"},
            "portLevelMtls": {"8080": {"mode": "DISABLE"}},
        }),
        "RequestAuthentication" => json!({
            "selector": selector,
            "jwtRules": [{"issuer": "me", "jwksUri": "https://me.example/jwks",
                          "fromHeaders": [{"name": "x-jwt", "prefix": "Bearer "}]}],
        }),
        "Telemetry" => json!({
            "selector": selector,
            "tracing": [{"randomSamplingPercentage": 10.5}],
            "accessLogging": [{"providers": [{"name": "envoy"}],
                               "filter": {"expression": "response.code >= 400"}}],
        }),
        "WasmPlugin" => json!({
            "selector": selector, "url": "oci://example/plugin:1", "phase": "AUTHN", "priority": 10,
            "pluginConfig": {"free": {"form": [1, 2]}},
        }),
        _ => json!({
            "selector": selector, "phase": "AUTHZ", "priority": 5,
            "lua": {"inlineCode": "function envoy_on_request(handle) end"},
        }),
    }
}

fn object(group: &str, version: &str, kind: &str) -> Value {
    json!({
        "apiVersion": format!("{group}.istio.io/{version}"), "kind": kind,
        "metadata": {"name": "sample"}, "spec": spec(kind),
    })
}

/// Applies every kind at its version number `at`, as one list.
fn apply_all(mesh: &Mesh, at: usize) -> Result<usize> {
    let chosen = KINDS.iter().filter_map(|(versions, group, kind, _)| {
        versions.get(at).map(|version| object(group, version, kind))
    });
    let items: Vec<Value> = chosen.collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    mesh.apply(&list.to_string())?;
    Ok(items.len())
}

#[test]
fn every_kind_round_trips_at_every_version() {
    isolated(|| {
        let mesh = mesh()?;
        for at in 0..NETWORKING.len() {
            ensure!(apply_all(&mesh, at)? > 0);
            for (versions, group, kind, plural) in KINDS {
                for version in versions.iter().filter(|_| at < versions.len()) {
                    let resource = format!("{plural}.{version}.{group}.istio.io");
                    let found = mesh.object(&resource, "sample")?;
                    let expected = format!("{group}.istio.io/{version}");
                    ensure!(found["apiVersion"] == json!(expected), "{resource}: {found}");
                    ensure!(found["spec"] == spec(kind), "{resource}: {found}");
                }
                let resource = format!("{plural}.{group}.istio.io");
                if at < versions.len() {
                    mesh.kubectl(&["delete", &resource, "sample"])?;
                }
            }
        }
        Ok(())
    });
}

#[test]
fn debians_kubectl_accepts_every_kind_too() {
    isolated(|| {
        let mesh = mesh_with(Version::Debian)?;
        for at in 0..NETWORKING.len() {
            apply_all(&mesh, at)?;
        }
        Ok(())
    });
}
