//! Pods as the injector makes them.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use envoy_types::pb::google::protobuf::value::Kind;
use lateen_proxy::agent::drain::Drain;
use lateen_proxy::agent::processes::{Containers, Restarts};
use lateen_xds::client::AdsAddress;

use super::{Pod, Role, Variables};
use crate::proxy::node::node;

const VARIABLES: [(&str, &str); 9] = [
    ("POD_NAME", "web-1"),
    ("POD_NAMESPACE", "shop"),
    ("INSTANCE_IP", "10.0.0.7"),
    ("SERVICE_ACCOUNT", "seller"),
    ("ISTIO_CPU_LIMIT", "2"),
    ("ISTIO_META_CLUSTER_ID", "east"),
    ("ISTIO_META_WORKLOAD_NAME", "web"),
    ("ISTIO_METAJSON_EXTRA", "{\"EXTRA\": {\"a\": 1}}"),
    ("TRUST_DOMAIN", "cluster.local"),
];

fn read(more: &[(&str, &str)]) -> Result<Pod, String> {
    let all = VARIABLES.iter().chain(more);
    let variables: Variables =
        all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let local: [IpAddr; 2] = ["10.0.0.7".parse().unwrap(), "fd00::7".parse().unwrap()];
    let files = |path: &Path| {
        (path == Path::new("/etc/istio/pod/labels")).then(|| "app=\"web\"\n".to_owned())
    };
    Pod::new(Role::Sidecar, variables, &local, files).map_err(|error| format!("{error:#}"))
}

fn pod(more: &[(&str, &str)]) -> Pod {
    read(more).unwrap()
}

fn configured(config: &str) -> Pod {
    pod(&[("PROXY_CONFIG", config)])
}

#[test]
fn the_node_is_the_one_that_istios_agent_makes() {
    let node = node(&pod(&[("PROXY_CONFIG", "{\"concurrency\":2}")]));
    assert_eq!(node.id, "sidecar~10.0.0.7~web-1.shop~shop.svc.cluster.local");
    let elsewhere = Pod { domain: "k8s.corp.example".to_owned(), ..pod(&[]) };
    let id = crate::proxy::node::node(&elsewhere).id;
    assert_eq!(id, "sidecar~10.0.0.7~web-1.shop~shop.svc.k8s.corp.example");
    assert_eq!(node.cluster, "web.shop");
    let fields = node.metadata.unwrap().fields;
    let text = |name: &str| match &fields[name].kind {
        Some(Kind::StringValue(text)) => text.clone(),
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(text("CLUSTER_ID"), "east");
    assert_eq!(text("WORKLOAD_NAME"), "web");
    assert_eq!(text("INSTANCE_IPS"), "10.0.0.7,fd00::7");
    assert_eq!(text("SERVICE_ACCOUNT"), "seller");
    for object in ["LABELS", "EXTRA", "PROXY_CONFIG"] {
        assert!(matches!(fields[object].kind, Some(Kind::StructValue(_))), "{object}");
    }
    assert!(!fields.contains_key("DNS_CAPTURE"));
}

#[test]
fn the_control_plane_is_asked_over_tls_unless_its_plain_port_is_named() {
    let tls = |host: &str| AdsAddress::Tls {
        host: host.into(),
        roots: "/var/run/secrets/istio/root-cert.pem".into(),
        token: "/var/run/secrets/tokens/istio-token".into(),
    };
    assert_eq!(pod(&[]).control_plane().unwrap(), tls("istiod.istio-system.svc:15012"));
    let canary = configured("discoveryAddress: istiod-canary.istio-system.svc:15012");
    assert_eq!(canary.control_plane().unwrap(), tls("istiod-canary.istio-system.svc:15012"));
    let plain = configured("{\"discoveryAddress\":\"istiod:15010\"}");
    assert_eq!(plain.control_plane().unwrap(), AdsAddress::Tcp("istiod:15010".into()));
    assert!(pod(&[("XDS_ROOT_CA", "SYSTEM")]).control_plane().is_err());
}

#[test]
fn proxy_metadata_is_environment_too() {
    let captured = configured("proxyMetadata: {ISTIO_META_DNS_CAPTURE: \"true\"}");
    assert!(captured.captures_dns());
    assert!(node(&captured).metadata.unwrap().fields.contains_key("DNS_CAPTURE"));
    assert!(!pod(&[]).captures_dns());
    assert!(!Pod { role: Role::Gateway, ..captured }.captures_dns());
}

#[test]
fn workers_follow_the_configuration_then_the_limit_and_never_exceed_the_cores() {
    assert_eq!(pod(&[]).workers(8), 2);
    assert_eq!(pod(&[]).workers(1), 1);
    assert_eq!(pod(&[("ISTIO_CPU_LIMIT", "")]).workers(8), 8);
    assert_eq!(configured("concurrency: 4").workers(8), 4);
    assert_eq!(configured("concurrency: 0").workers(8), 8);
}

#[test]
fn the_drain_is_istios() {
    let seconds = Duration::from_secs;
    assert_eq!(pod(&[]).drain().unwrap(), Drain::After(seconds(5)));
    let long = configured("terminationDrainDuration: 1m");
    assert_eq!(long.drain().unwrap(), Drain::After(seconds(60)));
    let idle = pod(&[("EXIT_ON_ZERO_ACTIVE_CONNECTIONS", "true")]);
    assert_eq!(idle.drain().unwrap(), Drain::Idle(seconds(5)));
    let idle = [("EXIT_ON_ZERO_ACTIVE_CONNECTIONS", "true"), ("MINIMUM_DRAIN_DURATION", "1m30s")];
    assert_eq!(pod(&idle).drain().unwrap(), Drain::Idle(seconds(90)));
}

#[test]
fn what_cannot_be_read_is_named() {
    assert!(read(&[("POD_NAME", "")]).unwrap_err().contains("POD_NAME"));
    assert!(read(&[("INSTANCE_IP", "here")]).unwrap_err().contains("INSTANCE_IP"));
    assert!(read(&[("PROXY_CONFIG", "concurrency: many")]).unwrap_err().contains("PROXY_CONFIG"));
    let refused =
        |name: &str, value: &str| format!("{:#}", pod(&[(name, value)]).agent().unwrap_err());
    assert!(refused("ISTIO_KUBE_APP_PROBERS", "[]").contains("ISTIO_KUBE_APP_PROBERS"));
    let own = "{\"port\":\"15020\"}";
    assert!(refused("ISTIO_PROMETHEUS_ANNOTATIONS", own).contains("agent's own"));
    assert!(configured("statusPort: 70000").agent().is_err());
}

#[test]
fn an_agent_that_was_started_again_knows_it_by_the_pod_s_volume() {
    let folder = std::env::temp_dir().join(format!("lateen-pod-{}", std::process::id()));
    std::fs::create_dir_all(folder.join(super::DATA)).unwrap();
    let root = folder.to_str().unwrap();
    let containers = |when: &str, config: &str| {
        pod(&[
            ("LATEEN_ROOT", root),
            ("LATEEN_END_WITH", when),
            ("PROXY_CONFIG", config),
            ("ISTIO_META_APP_CONTAINERS", "a,b"),
        ])
        .ends_with()
    };
    let held = "holdApplicationUntilProxyStarts: true";
    assert_eq!(containers("", held), None);
    let never = |later| Some(Containers { later, restarts: Restarts::Never });
    assert_eq!(containers("processes", held), never(2));
    assert_eq!(containers("processes", ""), never(0));
    let restarts = Restarts::Failed { containers: 2 };
    assert_eq!(containers("success", held), Some(Containers { later: 2, restarts }));
    let restarts = Restarts::FailedBefore;
    assert_eq!(containers("success", held), Some(Containers { later: 0, restarts }));
    std::fs::remove_dir_all(&folder).unwrap();
}
