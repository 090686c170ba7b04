//! Tables: objects in, the cells that kubectl prints out.

use jiff::Timestamp;
use lateen_api::kinds::{KINDS, by_kind};
use serde_json::{Value, json};

use super::{IncludeObject, Options, human, render};

fn now() -> Timestamp {
    "2026-01-01T01:00:00Z".parse().unwrap()
}

/// The cells of one object, created five minutes ago, as text.
fn cells(group: &str, kind: &str, mut object: Value) -> Vec<String> {
    object["metadata"]["name"] = json!("x");
    object["metadata"]["creationTimestamp"] = json!("2026-01-01T00:55:00Z");
    let table = render(by_kind(group, kind).unwrap(), &[object], now(), &Options::default());
    let row = table["rows"][0]["cells"].as_array().unwrap();
    row.iter()
        .map(|cell| cell.as_str().map(str::to_owned).unwrap_or_else(|| cell.to_string()))
        .collect()
}

fn columns(group: &str, kind: &str) -> (Vec<String>, Vec<String>) {
    let table = render(by_kind(group, kind).unwrap(), &[], now(), &Options::default());
    let (wide, narrow): (Vec<Value>, Vec<Value>) = table["columnDefinitions"]
        .as_array()
        .unwrap()
        .iter()
        .cloned()
        .partition(|column| column["priority"] == 1);
    let names = |list: Vec<Value>| {
        list.iter().map(|column| column["name"].as_str().unwrap().to_owned()).collect()
    };
    (names(narrow), names(wide))
}

#[test]
fn ages_have_the_precision_kubectl_users_know() {
    for (seconds, text) in [
        (-2, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (5, "5s"),
        (119, "119s"),
        (120, "2m"),
        (123, "2m3s"),
        (600, "10m"),
        (10_799, "179m"),
        (10_800, "3h"),
        (11_100, "3h5m"),
        (28_800, "8h"),
        (172_799, "47h"),
        (172_800, "2d"),
        (176_400, "2d1h"),
        (691_200, "8d"),
        (63_072_000, "2y"),
        (63_158_400, "2y1d"),
        (252_288_000, "8y"),
    ] {
        assert_eq!(human(seconds), text, "{seconds}");
    }
}

#[test]
fn services_print_like_kubernetes() {
    assert_eq!(
        columns("", "Service").0,
        ["Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age"]
    );
    let plain = json!({"spec": {"clusterIP": "10.0.0.1", "selector": {"b": "2", "a": "1"},
        "ports": [{"port": 8020, "protocol": "TCP"}, {"port": 53, "protocol": "UDP", "nodePort": 30053}]}});
    assert_eq!(
        cells("", "Service", plain),
        ["x", "ClusterIP", "10.0.0.1", "<none>", "8020/TCP,53:30053/UDP", "5m", "a=1,b=2"]
    );
    let balancer = json!({"spec": {"type": "LoadBalancer", "clusterIP": "None"}});
    assert_eq!(
        cells("", "Service", balancer),
        ["x", "LoadBalancer", "None", "<pending>", "<none>", "5m", "<none>"]
    );
    let external = json!({"spec": {"type": "ExternalName", "externalName": "example.org"}});
    assert_eq!(cells("", "Service", external)[1..4], ["ExternalName", "<none>", "example.org"]);
}

#[test]
fn core_kinds_print_like_kubernetes() {
    assert_eq!(
        cells("", "Namespace", json!({"status": {"phase": "Active"}})),
        ["x", "Active", "5m"]
    );
    assert_eq!(
        cells("", "ConfigMap", json!({"data": {"a": "1"}, "binaryData": {"b": "MQ=="}})),
        ["x", "2", "5m"]
    );
    assert_eq!(
        cells("", "Secret", json!({"type": "Opaque", "data": {"a": "MQ=="}})),
        ["x", "Opaque", "1", "5m"]
    );
    assert_eq!(cells("", "ServiceAccount", json!({})), ["x", "0", "5m"]);
    assert_eq!(
        cells("coordination.k8s.io", "Lease", json!({"spec": {"holderIdentity": "me"}})),
        ["x", "me", "5m"]
    );
    assert_eq!(
        cells(
            "admissionregistration.k8s.io",
            "MutatingWebhookConfiguration",
            json!({"webhooks": [{}]})
        ),
        ["x", "1", "5m"]
    );
    assert_eq!(
        cells("apiextensions.k8s.io", "CustomResourceDefinition", json!({})),
        ["x", "2026-01-01T00:55:00Z"]
    );
}

#[test]
fn workloads_print_like_kubernetes() {
    let spec = json!({
        "replicas": 2, "selector": {"matchLabels": {"app": "a"}},
        "template": {"spec": {"containers": [{"name": "c", "image": "i"}, {"name": "d", "image": "j"}]}},
    });
    let deployment = json!({"spec": spec, "status": {"readyReplicas": 1, "updatedReplicas": 2}});
    assert_eq!(
        cells("apps", "Deployment", deployment.clone()),
        ["x", "1/2", "2", "0", "5m", "c,d", "i,j", "app=a"]
    );
    assert_eq!(cells("apps", "ReplicaSet", deployment.clone())[..5], ["x", "2", "0", "1", "5m"]);
    assert_eq!(cells("apps", "StatefulSet", deployment)[..3], ["x", "1/2", "5m"]);
    let (narrow, wide) = columns("apps", "DaemonSet");
    assert_eq!(narrow[6..], ["Node Selector", "Age"]);
    assert_eq!(wide, ["Containers", "Images", "Selector"]);
    let job = json!({"spec": {"completions": 1}, "status": {
        "startTime": "2026-01-01T00:55:00Z", "completionTime": "2026-01-01T00:56:30Z", "succeeded": 1,
        "conditions": [{"type": "Complete", "status": "True"}],
    }});
    assert_eq!(cells("batch", "Job", job)[..5], ["x", "Complete", "1/1", "90s", "5m"]);
    let cron = json!({"spec": {"schedule": "* * * * *", "suspend": false}});
    assert_eq!(
        cells("batch", "CronJob", cron)[..7],
        ["x", "* * * * *", "<none>", "False", "0", "<none>", "5m"]
    );
}

#[test]
fn pods_show_why_they_do_not_run() {
    let pod = |status: Value| json!({"spec": {"containers": [{"name": "c"}]}, "status": status});
    let crashing = json!({"phase": "Running", "podIP": "10.0.0.9", "containerStatuses": [{
        "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"finishedAt": "2026-01-01T00:59:00Z"}},
    }]});
    assert_eq!(
        cells("", "Pod", pod(crashing)),
        [
            "x",
            "0/1",
            "CrashLoopBackOff",
            "3 (60s ago)",
            "5m",
            "10.0.0.9",
            "<none>",
            "<none>",
            "<none>"
        ]
    );
    let running = json!({"phase": "Running", "containerStatuses": [
        {"ready": true, "restartCount": 0, "state": {"running": {}}},
    ]});
    assert_eq!(cells("", "Pod", pod(running))[1..4], ["1/1", "Running", "0"]);
    let init = json!({"phase": "Pending", "initContainerStatuses": [
        {"name": "i", "state": {"waiting": {"reason": "ImagePullBackOff"}}},
    ]});
    assert_eq!(cells("", "Pod", pod(init))[2], "Init:ImagePullBackOff");
    let mut leaving = pod(json!({"phase": "Running"}));
    leaving["metadata"] = json!({"deletionTimestamp": "2026-01-01T00:59:00Z"});
    assert_eq!(cells("", "Pod", leaving)[2], "Terminating");
}

#[test]
fn endpoints_are_shortened_after_three() {
    let addresses: Vec<Value> = (1..=5).map(|n| json!({"ip": format!("10.0.0.{n}")})).collect();
    let endpoints = json!({"subsets": [{"addresses": addresses, "ports": [{"port": 80}]}]});
    assert_eq!(
        cells("", "Endpoints", endpoints)[1],
        "10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 2 more..."
    );
    assert_eq!(cells("", "Endpoints", json!({}))[1], "<none>");
    let slice = json!({"addressType": "IPv4", "ports": [{"port": 80}, {}],
        "endpoints": [{"addresses": ["10.0.0.1"]}]});
    assert_eq!(
        cells("discovery.k8s.io", "EndpointSlice", slice),
        ["x", "IPv4", "80,*", "10.0.0.1", "5m"]
    );
}

#[test]
fn events_of_both_groups_print_alike() {
    let (narrow, wide) = columns("", "Event");
    assert_eq!(narrow, ["Last Seen", "Type", "Reason", "Object", "Message"]);
    assert_eq!(wide, ["Subobject", "Source", "First Seen", "Count", "Name"]);
    let core = json!({"type": "Warning", "reason": "NoRuntime", "message": " no runtime\n",
        "involvedObject": {"kind": "Deployment", "name": "echo"}, "source": {"component": "lateen"},
        "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:59:55Z", "count": 2});
    assert_eq!(
        cells("", "Event", core),
        [
            "5s",
            "Warning",
            "NoRuntime",
            "deployment/echo",
            "",
            "lateen",
            "no runtime",
            "60m",
            "2",
            "x"
        ]
    );
    let newer = json!({"type": "Normal", "reason": "R", "note": "n", "eventTime": "2026-01-01T00:59:55.000000Z",
        "regarding": {"kind": "Pod", "name": "p"}, "reportingController": "c", "reportingInstance": "i"});
    assert_eq!(
        cells("events.k8s.io", "Event", newer),
        ["5s", "Normal", "R", "pod/p", "", "c, i", "n", "5s", "1", "x"]
    );
}

#[test]
fn custom_kinds_print_the_kinds_table_columns() {
    let service = json!({"spec": {"hosts": ["*"], "gateways": ["gw"]}});
    assert_eq!(
        cells("networking.istio.io", "VirtualService", service),
        ["x", "[\"gw\"]", "[\"*\"]", "5m"]
    );
}

#[test]
fn every_kind_has_a_cell_for_each_column() {
    let object = json!({"metadata": {"name": "x"}});
    for kind in KINDS {
        let table = render(kind, std::slice::from_ref(&object), now(), &Options::default());
        let width = table["columnDefinitions"].as_array().unwrap().len();
        assert_eq!(table["rows"][0]["cells"].as_array().unwrap().len(), width, "{kind:?}");
    }
}

#[test]
fn rows_carry_what_was_asked_for() {
    let kind = by_kind("", "Secret").unwrap();
    let object = json!({"metadata": {"name": "x"}, "data": {"a": "MQ=="}});
    let row = |include: IncludeObject| {
        let opts = Options { include, ..Options::default() };
        let mut table = render(kind, std::slice::from_ref(&object), now(), &opts);
        table["rows"][0]["object"].take()
    };
    assert_eq!(row(IncludeObject::None), Value::Null);
    assert_eq!(row(IncludeObject::Object), object);
    assert_eq!(
        row(IncludeObject::Metadata),
        json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "x"}})
    );
    let opts =
        Options { headers: false, metadata: json!({"resourceVersion": "7"}), ..Options::default() };
    let table = render(kind, &[], now(), &opts);
    assert_eq!(table["columnDefinitions"], Value::Null);
    assert_eq!(table["metadata"]["resourceVersion"], "7");
    assert_eq!((&table["kind"], &table["apiVersion"]), (&json!("Table"), &json!("meta.k8s.io/v1")));
}
