//! The node agent and its plugin without a container runtime: the plugin is called as a runtime calls it, with
//! the configuration that the agent made, in network namespaces of its own, against the embedded API.

#[path = "cni/node.rs"]
mod node;

use std::fs;

use anyhow::ensure;
use lateen_e2e::SOON;
use lateen_testkit::isolate::isolated;
use lateen_testkit::wait::wait_until;
use serde_json::{Value, json};

use node::{CONFLIST, Node, Pod, by_init_container, rules};

const TRY_AGAIN: i64 = 11;

#[test]
fn a_pod_gets_the_rules_that_its_init_container_would_lay() {
    isolated(|| {
        let node = Node::new()?;
        let agent = node.agent(&[])?;
        let dns = "concurrency: 1\nproxyMetadata: {ISTIO_META_DNS_CAPTURE: 'true'}";
        let cases = [
            json!({}),
            json!({"proxy.istio.io/config": dns}),
            json!({"sidecar.istio.io/interceptionMode": "TPROXY"}),
            json!({
                "traffic.sidecar.istio.io/includeOutboundIPRanges": "10.64.0.0/16,fd00:99::/64",
                "traffic.sidecar.istio.io/excludeOutboundIPRanges": "10.64.9.0/24",
                "traffic.sidecar.istio.io/includeOutboundPorts": "9000",
                "traffic.sidecar.istio.io/excludeOutboundPorts": "25,3306",
                "traffic.sidecar.istio.io/includeInboundPorts": "80,8080",
                "traffic.sidecar.istio.io/excludeInterfaces": "eth1",
                "istio.io/reroute-virtual-interfaces": "net1",
                "status.sidecar.istio.io/port": "15099",
            }),
            json!({"traffic.sidecar.istio.io/includeOutboundIPRanges": ""}),
        ];
        for (at, annotations) in cases.iter().enumerate() {
            let pod = Pod::new(&format!("web-{at}"), annotations)?;
            node.mesh.apply(&pod.injected(true)?.to_string())?;
            let (code, said) = node.call("ADD", &pod)?;
            ensure!(code == 0, "{annotations}: {said}");
            ensure!(said == node::previous(), "{said}");
            let expected = by_init_container(&pod)?;
            ensure!(expected.contains("15001"), "{annotations}: {expected}");
            let laid = rules(&pod.namespace)?;
            ensure!(laid == expected, "{annotations}: {laid} and not {expected}");
            for command in ["CHECK", "DEL"] {
                let (code, said) = node.call(command, &pod)?;
                ensure!((code, &said) == (0, &Value::Null), "{command}: {said}");
            }
        }
        wait_until("each to be told and counted", SOON, || {
            let log = agent.stderr();
            ensure!(log.matches("a pod has its rules").count() == cases.len(), "{log}");
            let metrics = node.page("15014", "/metrics")?;
            let laid = format!("lateen_cni_pods_total{{result=\"laid\"}} {}\n", cases.len());
            ensure!(metrics.contains(&laid), "{metrics}");
            Ok(())
        })
    });
}

#[test]
fn other_pods_are_left_alone() {
    isolated(|| {
        let node = Node::new()?;
        let agent = node.agent(&[])?;
        let plain = Pod::new("plain", &json!({}))?;
        node.mesh.apply(&plain.object.to_string())?;
        let by_init = Pod::new("by-init", &json!({}))?;
        node.mesh.apply(&by_init.injected(false)?.to_string())?;
        let none = Pod::new("none", &json!({"sidecar.istio.io/interceptionMode": "NONE"}))?;
        node.mesh.apply(&none.injected(true)?.to_string())?;
        let unknown = Pod::new("unknown", &json!({}))?;
        for pod in [&plain, &by_init, &none, &unknown] {
            let (code, said) = node.call("ADD", pod)?;
            ensure!(code == 0 && said == node::previous(), "{}: {said}", pod.name);
            ensure!(rules(&pod.namespace)?.is_empty(), "{} has rules", pod.name);
        }
        ensure!(agent.stderr().contains("a pod is left alone"), "{}", agent.stderr());
        let own = node.call_in("ADD", &plain, "/proc/self/ns/net")?;
        ensure!(own.0 == 0, "a pod without rules may be anywhere: {}", own.1);
        let mesh = Pod::new("mesh", &json!({}))?;
        node.mesh.apply(&mesh.injected(true)?.to_string())?;
        let (code, said) = node.call_in("ADD", &mesh, "/proc/self/ns/net")?;
        ensure!(code == 1 && said["msg"].to_string().contains("the node's own network"), "{said}");
        Ok(())
    });
}

#[test]
fn who_cannot_be_told_from_the_mesh_waits_for_agent_and_api() {
    isolated(|| {
        let mut node = Node::new()?;
        let agent = node.agent(&[])?;
        let pod = Pod::new("web", &json!({}))?;
        node.mesh.apply(&pod.injected(true)?.to_string())?;
        node.mesh.stop()?;
        let (code, said) = node.call("ADD", &pod)?;
        ensure!(code == 1 && said["code"] == TRY_AGAIN, "{said}");
        ensure!(said["msg"].to_string().contains("Kubernetes API"), "{said}");
        drop(agent);
        let (code, said) = node.call("ADD", &pod)?;
        ensure!(code == 1 && said["code"] == TRY_AGAIN, "{said}");
        ensure!(said["msg"].to_string().contains("DaemonSet istio-cni-node"), "{said}");
        for (namespace, name) in [("kube-system", "dns"), ("istio-system", "istio-cni-node-x2x4")] {
            let other = Pod { pod_namespace: namespace.into(), name: name.into(), ..pod.clone() };
            let (code, said) = node.call("ADD", &other)?;
            ensure!(code == 0 && said == node::previous(), "{name}: {said}");
        }
        let (code, _) = node.call("DEL", &pod)?;
        ensure!(code == 0, "a pod can go without an agent");
        Ok(())
    });
}

#[test]
fn the_chain_keeps_the_plugin_until_the_daemon_set_goes() {
    isolated(|| {
        let node = Node::new()?;
        node.mesh.apply(node::DAEMON_SET)?;
        let mut agent = node.agent(&[])?;
        wait_until("a line that tells it", SOON, || {
            let log = agent.stderr();
            ensure!(log.contains("the plugin is in the node's chain"), "{log}");
            Ok(())
        })?;
        let with = fs::read_to_string(node.conflist())?;
        fs::write(node.conflist(), CONFLIST)?;
        wait_until("the plugin to come again", SOON, || {
            ensure!(fs::read_to_string(node.conflist())? == with, "not yet");
            Ok(())
        })?;
        fs::remove_file(node.plugin())?;
        wait_until("the program to come again", SOON, || {
            ensure!(node.plugin().exists(), "not yet");
            Ok(())
        })?;
        wait_until("three installations to be counted, and no look", SOON, || {
            let metrics = node.page("15014", "/metrics")?;
            let line = "istio_cni_installs_total{result=\"SUCCESS\"} 3";
            ensure!(metrics.lines().any(|one| one == line), "{metrics}");
            Ok(())
        })?;
        agent.success_after_term()?;
        ensure!(fs::read_to_string(node.conflist())? == with, "it is gone before the next agent");
        let mut agent = node.agent(&[])?;
        node.mesh.kubectl(&["delete", "daemonset", "-n", "istio-system", "istio-cni-node"])?;
        agent.success_after_term()?;
        ensure!(fs::read_to_string(node.conflist())? == CONFLIST, "something is left");
        ensure!(!node.plugin().exists(), "the program is left");
        Ok(())
    });
}

#[test]
fn the_plugin_leaves_a_node_that_gets_no_agent_any_more() {
    isolated(|| {
        let node = Node::new()?;
        node.mesh.apply(node::DAEMON_SET)?;
        let select = |value: &str| {
            let selector =
                json!({"spec": {"template": {"spec": {"nodeSelector": {"mesh": value}}}}});
            let patch = ["patch", "daemonset", "-n", "istio-system", "istio-cni-node", "-p"];
            node.mesh.kubectl(&[&patch[..], &[&selector.to_string()]].concat())
        };
        select("yes")?;
        let mut agent = node.agent(&[])?;
        agent.success_after_term()?;
        ensure!(node.plugin().exists(), "the node's label is the DaemonSet's: {}", agent.stderr());
        let mut agent = node.agent(&[])?;
        select("no")?;
        agent.success_after_term()?;
        ensure!(fs::read_to_string(node.conflist())? == CONFLIST, "{}", agent.stderr());
        ensure!(!node.plugin().exists(), "the program is left");
        Ok(())
    });
}

#[test]
fn a_pod_is_not_deleted_before_its_successor_would_get_rules() {
    isolated(|| {
        let node = Node::new()?;
        let pod = Pod::new("early", &json!({}))?;
        node.mesh.apply(&pod.injected(true)?.to_string())?;
        node.fail_validation(&pod)?;
        fs::remove_file(node.conflist())?;
        let agent = node.start(&["--repair-repair-pods=false", "--repair-delete-pods=true"])?;
        let said = "a pod without rules goes once the plugin is in the chain";
        wait_until("the agent to wait", SOON, || {
            ensure!(agent.stderr().contains(said), "{}", agent.stderr());
            Ok(())
        })?;
        wait_until("the one reason to be counted once", SOON, || {
            let metrics = node.page("15014", "/metrics")?;
            let line = "istio_cni_installs_total{result=\"CREATE_CNI_CONFIG_FAILURE\"} 1";
            ensure!(metrics.lines().any(|one| one == line), "{metrics}");
            Ok(())
        })?;
        node.mesh.kubectl(&["get", "pod", "early"])?;
        fs::write(node.conflist(), CONFLIST)?;
        wait_until("the pod to go", SOON, || {
            let left = node.mesh.kubectl(&["get", "pods", "-o", "name"])?;
            ensure!(!left.contains("pod/early"), "{left}: {}", agent.stderr());
            Ok(())
        })
    });
}

#[test]
fn a_pod_that_started_before_the_agent_is_repaired() {
    isolated(|| {
        let node = Node::new()?;
        // It is looked for among all processes of this machine, whose other tests have pods too.
        let pod = Pod::at("10.77.99.99", "early", &json!({}))?;
        node.mesh.apply(&pod.injected(true)?.to_string())?;
        let (code, said) = pod.validate()?;
        ensure!(code == 126, "{code}: {said}");
        let _program = pod.run("sleep 100")?;
        node.fail_validation(&pod)?;
        let agent = node.agent(&[])?;
        wait_until("the pod's rules", SOON, || {
            ensure!(!rules(&pod.namespace)?.is_empty(), "none: {}", agent.stderr());
            Ok(())
        })?;
        ensure!(rules(&pod.namespace)? == by_init_container(&pod)?, "{}", rules(&pod.namespace)?);
        let (code, said) = pod.validate()?;
        ensure!(code == 0, "{code}: {said}");
        wait_until("an event", SOON, || {
            let events = node.mesh.kubectl(&["get", "events", "-o", "name"])?;
            ensure!(events.contains("early."), "{events}");
            Ok(())
        })?;
        let metrics = node.page("15014", "/metrics")?;
        let line = "istio_cni_repair_pods_repaired_total{type=\"repair\",result=\"success\"} 1";
        ensure!(metrics.contains(line), "{metrics}");
        Ok(())
    });
}
