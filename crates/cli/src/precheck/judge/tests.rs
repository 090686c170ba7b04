//! Verdicts over nodes and pods.

use serde_json::{Value, json};

use super::{Finding, Verdict, containerd, kubernetes, no_pod, node, pod, warning};

fn of_node(kubelet: &str, kernel: &str, ready: &str) -> Vec<(String, bool)> {
    let found = node(&json!({
        "metadata": { "name": "n1" },
        "status": {
            "nodeInfo": { "kubeletVersion": kubelet, "kernelVersion": kernel, "operatingSystem": "linux" },
            "conditions": [{ "type": "Ready", "status": ready }],
        },
    }));
    assert!(found.iter().all(|finding| finding.place == "node n1"));
    found.into_iter().map(|Finding { text, fatal, .. }| (text, fatal)).collect()
}

#[test]
fn old_kernels_and_kubelets_are_named() {
    assert_eq!(of_node("v1.34.1", "6.1.0-18-amd64", "True"), []);
    let old = of_node("v1.24.9+k3s1", "4.19.0", "False");
    assert_eq!(old.len(), 3, "{old:?}");
    assert!(old.iter().all(|(_, fatal)| *fatal), "{old:?}");
    let middle = of_node("v1.28.0", "5.2.1", "True");
    assert!(
        matches!(middle.as_slice(), [(text, false)] if text.contains("native sidecars")),
        "{middle:?}"
    );
}

#[test]
fn programs_are_judged_by_their_versions_whatever_they_are() {
    assert_eq!(kubernetes("k3s", "v1.31.4+k3s1"), None);
    let (text, fatal) = kubernetes("k3s", "v1.28.1+k3s1").unwrap();
    assert!(text.starts_with("its k3s v1.28.1+k3s1 has no native sidecars") && !fatal, "{text}");
    assert!(kubernetes("rke2", "v1.24.17+rke2r1").unwrap().1);
    assert_eq!((containerd("1.5.0"), containerd("2.1.4"), containerd("")), (None, None, None));
    assert!(containerd("1.4.13~ds1").unwrap().contains("1.5 or newer"));
    let status = |runtime: &str| {
        let info = json!({ "kubeletVersion": "v1.34.0", "containerRuntimeVersion": runtime });
        json!({ "status": { "nodeInfo": info, "conditions": [{ "type": "Ready", "status": "True" }] } })
    };
    assert_eq!(node(&status("containerd://2.1.4")), []);
    assert!(matches!(node(&status("containerd://1.4.3"))[..], [Finding { fatal: false, .. }]));
}

fn verdict(rules: Value, pull: Value) -> Verdict {
    pod(&json!({ "status": {
        "initContainerStatuses": [{ "name": "interception", "image": "lateen", "state": rules }],
        "containerStatuses": [{ "name": "pull-0", "image": "r:5000/a:1", "state": pull }],
    } }))
}

#[test]
fn a_node_that_cannot_pull_says_why() {
    let done = json!({ "terminated": { "exitCode": 0 } });
    let failing = json!({ "waiting": { "reason": "ErrImagePull", "message": "HTTP response to HTTPS client" } });
    let Verdict::Failed(reasons) = verdict(done.clone(), failing) else { panic!("it cannot pull") };
    assert!(reasons[0].contains("cannot pull r:5000/a:1: HTTP response"), "{reasons:?}");
    let absent = json!({ "waiting": { "reason": "ErrImageNeverPull", "message": "m" } });
    let Verdict::Failed(reasons) = verdict(absent, json!({})) else { panic!("it has no image") };
    assert!(reasons[0].starts_with("it does not have lateen and must not pull it"), "{reasons:?}");
    let creating = json!({ "waiting": { "reason": "ContainerCreating" } });
    assert!(matches!(verdict(done.clone(), creating), Verdict::Waiting(_)));
    for pulled in [
        json!({ "waiting": { "reason": "CreateContainerError", "message": "no command specified" } }),
        json!({ "waiting": { "reason": "CrashLoopBackOff" } }),
        json!({ "running": {} }),
        json!({ "terminated": { "exitCode": 127 } }),
    ] {
        assert_eq!(verdict(done.clone(), pulled.clone()), Verdict::Fine, "{pulled}");
    }
}

#[test]
fn a_node_on_which_interception_fails_says_why() {
    let failed =
        json!({ "terminated": { "exitCode": 1, "message": "the kernel needs nf_tables\n" } });
    let creating = json!({ "waiting": { "reason": "PodInitializing" } });
    let Verdict::Failed(reasons) = verdict(failed, creating.clone()) else { panic!("it failed") };
    assert_eq!(reasons, ["interception ends with 1: the kernel needs nf_tables"]);
    assert!(matches!(verdict(json!({ "running": {} }), creating), Verdict::Waiting(_)));
    assert!(matches!(pod(&json!({})), Verdict::Waiting(_)));
}

#[test]
fn a_pod_without_containers_is_explained_by_its_events() {
    let pod = json!({ "metadata": { "uid": "1" } });
    let event = |uid: &str, kind: &str, message: &str| json!({ "involvedObject": { "uid": uid }, "type": kind, "message": message });
    let events = [
        event("2", "Warning", "another"),
        event("1", "Normal", "scheduled"),
        event("1", "Warning", "no sandbox"),
    ];
    assert_eq!(warning(&pod, &events).as_deref(), Some("no sandbox"));
    assert_eq!(warning(&pod, &events[..2]), None);
}

#[test]
fn a_node_without_a_pod_is_explained_by_the_scheduler_or_by_the_controller() {
    let named = |uid: &str| json!({ "metadata": { "uid": uid } });
    let event = |uid: &str, message: &str| json!({ "involvedObject": { "uid": uid }, "type": "Warning", "message": message });
    let events = [event("set", "privileged is forbidden"), event("pod", "0/2 nodes are available")];
    let told = |set: Option<&Value>, pods: &[Value]| match no_pod(set, pods, &events) {
        Verdict::Waiting(what) => what,
        other => panic!("{other:?}"),
    };
    let set = named("set");
    assert_eq!(told(Some(&set), &[]), "it has no pod: privileged is forbidden");
    assert_eq!(told(Some(&set), &[named("pod")]), "it has no pod: 0/2 nodes are available");
    assert!(told(None, &[]).contains("kube-controller-manager"));
}
