//! Calls as container runtimes make them.

use lateen_testkit::fuzz::{bytes, fuzz};
use serde_json::{Value, json};

use super::{Call, Command, Failure, Pod, answer, code, read, version_of};

const ARGS: &str = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=c;K8S_POD_UID=u-1";

fn call(command: &str, config: &Value) -> Result<Call, Failure> {
    with(command, &[], &config.to_string())
}

fn with(command: &str, changed: &[(&str, &str)], input: &str) -> Result<Call, Failure> {
    let usual = [
        ("CNI_COMMAND", command),
        ("CNI_CONTAINERID", "c"),
        ("CNI_NETNS", "/var/run/netns/x"),
        ("CNI_IFNAME", "eth0"),
        ("CNI_ARGS", ARGS),
        ("CNI_PATH", "/opt/cni/bin"),
    ];
    let find = |name: &str| {
        let all = changed.iter().chain(&usual);
        all.clone().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    };
    read(find, input)
}

fn config(version: &str) -> Value {
    json!({
        "cniVersion": version,
        "name": "pods",
        "type": "istio-cni",
        "exclude_namespaces": ["kube-system"],
        "cni_agent_run_dir": "/run/x",
        "pod_namespace": "istio-system",
        "prevResult": {
            "cniVersion": version,
            "interfaces": [{"name": "eth0", "sandbox": "/var/run/netns/x"}],
            "ips": [{"version": "4", "address": "10.88.0.4/24", "interface": 0}],
            "something": {"of": "a later version"},
        },
    })
}

#[test]
fn add_passes_the_result_on_as_it_came_in_every_version() {
    for version in ["0.3.1", "0.4.0", "1.0.0", "1.1.0"] {
        let config = config(version);
        let call = call("ADD", &config).unwrap();
        assert_eq!(answer(&call), Some(config["prevResult"].clone()), "{version}");
        let pod = Pod { namespace: "shop".into(), name: "web-0".into(), uid: "u-1".into() };
        assert_eq!(call.pod, Some(pod));
        assert_eq!(call.netns, "/var/run/netns/x");
        assert_eq!(call.config.excluded_namespaces, ["kube-system"]);
        assert_eq!(call.config.agent_directory, "/run/x");
        assert_eq!(call.config.agent_namespace, "istio-system");
    }
}

#[test]
fn the_first_of_a_chain_answers_with_nothing_but_the_version() {
    let call = call("ADD", &json!({"cniVersion": "1.0.0", "name": "n", "type": "istio-cni"}));
    let call = call.unwrap();
    assert_eq!(answer(&call), Some(json!({"cniVersion": "1.0.0"})));
    assert_eq!(call.config.agent_directory, "/var/run/istio-cni");
}

#[test]
fn every_other_command_is_silent_but_version() {
    for command in ["DEL", "CHECK", "GC", "STATUS"] {
        let call = call(command, &config("1.1.0")).unwrap();
        assert_eq!(answer(&call), None, "{command}");
    }
    let version = with("VERSION", &[("CNI_IFNAME", "")], "{\"cniVersion\": \"1.0.0\"}").unwrap();
    let said = answer(&version).unwrap();
    assert_eq!(said["supportedVersions"], json!(["0.3.1", "0.4.0", "1.0.0", "1.1.0"]));
    assert_eq!(said["cniVersion"], "1.1.0");
    assert_eq!(version.command, Command::Version);
}

#[test]
fn del_needs_no_namespace_any_more() {
    let gone = with("DEL", &[("CNI_NETNS", "")], &config("1.0.0").to_string()).unwrap();
    assert_eq!(gone.netns, "");
}

#[test]
fn errors_have_the_specifications_codes() {
    let good = config("1.0.0").to_string();
    let is = |result: Result<Call, Failure>, code: u32, words: &str| {
        let failure = result.unwrap_err();
        assert_eq!(failure.code, code, "{failure}");
        assert!(failure.message.contains(words), "{failure}");
    };
    is(call("ADD", &config("0.2.0")), code::INCOMPATIBLE_VERSION, "0.3.1, 0.4.0, 1.0.0, 1.1.0");
    is(call("ADD", &config("9.0.0")), code::INCOMPATIBLE_VERSION, "9.0.0");
    is(call("CHECK", &config("0.3.1")), code::INCOMPATIBLE_VERSION, "Check");
    is(call("GC", &config("1.0.0")), code::INCOMPATIBLE_VERSION, "Gc");
    is(call("", &config("1.0.0")), code::INVALID_ENVIRONMENT, "a container runtime starts this");
    is(with("ADD", &[("CNI_NETNS", "")], &good), code::INVALID_ENVIRONMENT, "CNI_NETNS is not set");
    is(with("ADD", &[("CNI_ARGS", "K8S_POD_NAME")], &good), code::INVALID_ENVIRONMENT, "KEY=VALUE");
    is(with("ADD", &[], "{"), code::DECODING, "not valid JSON");
    is(with("ADD", &[], "[]"), code::DECODING, "not a JSON object");
    let mut wrong = config("1.0.0");
    wrong["exclude_namespaces"] = json!("kube-system");
    is(call("ADD", &wrong), code::INVALID_CONFIG, "exclude_namespaces");
    wrong = config("1.0.0");
    wrong["prevResult"] = json!("x");
    is(call("ADD", &wrong), code::INVALID_CONFIG, "prevResult");
}

#[test]
fn an_error_is_json_of_the_callers_version() {
    let failure = Failure::new(code::TRY_AGAIN, "no agent");
    let json = failure.json(&version_of("{\"cniVersion\": \"0.4.0\"}"));
    assert_eq!(json, json!({"cniVersion": "0.4.0", "code": 11, "msg": "no agent"}));
    assert_eq!(failure.json(&version_of("nonsense"))["cniVersion"], "1.1.0");
}

#[test]
fn whatever_a_runtime_says_is_read_or_refused() {
    let samples = ["0.3.1", "1.1.0"].map(|version| config(version).to_string().into_bytes());
    fuzz(2000, bytes(samples.to_vec()), |input| {
        let Ok(input) = String::from_utf8(input) else { return };
        for command in ["ADD", "GC", "VERSION"] {
            match with(command, &[], &input) {
                Ok(call) => drop(answer(&call)),
                Err(failure) => assert!(failure.json(&version_of(&input))["code"].is_u64()),
            }
        }
    });
}

#[test]
fn a_runtime_without_kubernetes_has_no_pod() {
    for args in ["", "IgnoreUnknown=1", "K8S_POD_NAME=x"] {
        let call = with("ADD", &[("CNI_ARGS", args)], &config("1.0.0").to_string()).unwrap();
        assert_eq!(call.pod, None, "{args:?}");
    }
}
