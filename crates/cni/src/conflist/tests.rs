//! Configurations as their providers write them, with the plugin and without it again.

use lateen_testkit::fuzz::{bytes, fuzz};
use serde_json::{Value, json};

use super::{Conf, choose};

const FLANNEL: &str = r#"{
  "name": "cbr0",
  "cniVersion": "0.3.1",
  "plugins": [
    {
      "type": "flannel",
      "delegate": {
        "hairpinMode": true,
        "isDefaultGateway": true
      }
    },
    {
      "type": "portmap",
      "capabilities": {
        "portMappings": true
      }
    }
  ]
}
"#;

const CALICO: &str = r#"{
  "name": "k8s-pod-network",
  "cniVersion": "0.3.1",
  "plugins": [
    {
      "type": "calico",
      "log_level": "info",
      "datastore_type": "kubernetes",
      "mtu": 0,
      "ipam": {"type": "calico-ipam"},
      "policy": {"type": "k8s"},
      "kubernetes": {"kubeconfig": "/etc/cni/net.d/calico-kubeconfig"}
    },
    {"type": "portmap", "snat": true, "capabilities": {"portMappings": true}},
    {"type": "bandwidth", "capabilities": {"bandwidth": true}}
  ]
}"#;

const CILIUM: &str = r#"
{
  "cniVersion": "0.3.1",
  "name": "cilium",
  "plugins": [
    {
       "type": "cilium-cni",
       "enable-debug": false,
       "log-file": "/var/run/cilium/cilium-cni.log"
    }
  ]
}
"#;

const CONTAINERD: &str = r#"{
    "cniVersion": "1.0.0",
    "name": "containerd-net",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": true,
            "ipMasq": true,
            "promiscMode": true,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": "10.88.0.0/16"}], [{"subnet": "2001:4860:4860::/64"}]],
                "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]
            }
        },
        {"type": "portmap", "capabilities": {"portMappings": true}, "externalSetMarkChain": "KUBE-MARK-MASQ"}
    ]
}
"#;

const COMPACT: &str = r#"{"cniVersion":"1.1.0","name":"n","plugins":[{"type":"ptp"}]}"#;

const BRIDGE: &str = r#"{
  "cniVersion": "0.4.0",
  "name": "mynet",
  "type": "bridge",
  "ipam": {"type": "host-local", "subnet": "10.22.0.0/16"}
}
"#;

fn plugin() -> Value {
    json!({"type": "istio-cni", "plugin_log_level": "info", "exclude_namespaces": ["kube-system"]})
}

fn read(text: &str) -> Conf {
    Conf::read("10-x.conflist", text).unwrap()
}

#[test]
fn the_plugin_comes_to_the_end_and_goes_without_a_trace() {
    for text in [FLANNEL, CALICO, CILIUM, CONTAINERD, COMPACT] {
        let before: Value = serde_json::from_str(text).unwrap();
        let (file, with) = read(text).with(&plugin()).unwrap();
        assert_eq!(file, "10-x.conflist");
        let mut after: Value = serde_json::from_str(&with).unwrap();
        assert_eq!(after["plugins"].as_array_mut().unwrap().pop().unwrap(), plugin(), "{with}");
        assert_eq!(after, before);
        let with = read(&with);
        assert!(with.has_plugin() && !read(text).has_plugin());
        assert_eq!(with.with(&plugin()).unwrap().1, with.text, "a second time changes nothing");
        assert_eq!(with.without().unwrap(), text, "nothing is left");
    }
}

#[test]
fn the_lines_of_others_stay_as_they_are() {
    let with = read(FLANNEL).with(&plugin()).unwrap().1;
    assert!(with.starts_with(FLANNEL.trim_end().trim_end_matches("\n  ]\n}")), "{with}");
    assert!(with.contains("\n    {\n      \"type\": \"istio-cni\",\n"), "{with}");
}

#[test]
fn an_older_entry_makes_way_and_what_was_added_behind_comes_before() {
    let old = read(FLANNEL).with(&json!({"type": "istio-cni", "log_level": "debug"})).unwrap().1;
    let new = read(&old).with(&plugin()).unwrap().1;
    assert_eq!(new, read(FLANNEL).with(&plugin()).unwrap().1);
    let mut value: Value = serde_json::from_str(&new).unwrap();
    value["plugins"].as_array_mut().unwrap().push(json!({"type": "sbr"}));
    let last = read(&value.to_string()).with(&plugin()).unwrap().1;
    let last: Value = serde_json::from_str(&last).unwrap();
    let types: Vec<&Value> =
        last["plugins"].as_array().unwrap().iter().map(|p| &p["type"]).collect();
    assert_eq!(types, ["flannel", "portmap", "sbr", "istio-cni"]);
}

#[test]
fn one_plugin_becomes_a_list_of_its_name() {
    let conf = Conf::read("10-bridge.conf", BRIDGE).unwrap();
    let (file, text) = conf.with(&plugin()).unwrap();
    assert_eq!(file, "10-bridge.conflist");
    let list: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&list["cniVersion"], &list["name"]), (&json!("0.4.0"), &json!("mynet")));
    let bridge: Value = serde_json::from_str(BRIDGE).unwrap();
    assert_eq!(list["plugins"], json!([bridge, plugin()]));
    let without = Conf::read(&file, &text).unwrap().without().unwrap();
    let without: Value = serde_json::from_str(&without).unwrap();
    assert_eq!(without["plugins"], json!([bridge]));
}

#[test]
fn the_first_valid_one_is_chosen_by_name() {
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let files = [
        file("99-loopback.conf", r#"{"cniVersion": "0.3.1", "name": "lo", "type": "loopback"}"#),
        file("10-calico.conflist", CALICO),
        file("05-broken.conflist", "{\"name\": \"x\", "),
        file("00-readme.txt", "no"),
        file("06-empty.conflist", r#"{"name": "x", "cniVersion": "0.3.1", "plugins": []}"#),
        file("07-list-in.conf", r#"{"name": "x", "cniVersion": "0.3.1"}"#),
        file("08-nameless.conf", r#"{"type": "bridge", "cniVersion": "0.3.1"}"#),
        file("calico-kubeconfig", "apiVersion: v1"),
    ];
    let (chosen, passed_over) = choose(&files);
    assert_eq!(chosen.unwrap().file, "10-calico.conflist");
    let names: Vec<&str> = passed_over.iter().map(|(name, _)| name.as_str()).collect();
    let expected =
        ["05-broken.conflist", "06-empty.conflist", "07-list-in.conf", "08-nameless.conf"];
    assert_eq!(names, expected);
    assert!(passed_over[0].1.to_string().contains("not valid JSON"), "{}", passed_over[0].1);
    assert_eq!(choose(&files[3..4]), (None, Vec::new()));
}

#[test]
fn what_the_plugin_would_not_understand_is_refused() {
    for version in ["0.2.0", "2.0.0", ""] {
        let text = FLANNEL.replace("0.3.1", version);
        let error = read(&text).with(&plugin()).unwrap_err().to_string();
        assert!(error.contains("its cniVersion is"), "{error}");
    }
    let only = json!({"cniVersion": "1.0.0", "name": "x", "plugins": [plugin()]}).to_string();
    assert!(read(&only).without().is_err(), "a list of nothing would break the node");
    assert!(Conf::read("a.conf", "[]").is_err() && Conf::read("a.conf", "").is_err());
    assert!(Conf::read("a.conf", r#"{"name": "x", "type": 1}"#).is_err());
}

#[test]
fn whatever_the_text_is_the_others_stay() {
    let samples = [FLANNEL, CALICO, CILIUM, CONTAINERD, COMPACT, BRIDGE];
    let samples = samples.map(|text| text.as_bytes().to_vec());
    fuzz(2000, bytes(samples.to_vec()), |text| {
        let Ok(text) = String::from_utf8(text) else { return };
        let Ok(conf) = Conf::read("10-x.conflist", &text) else { return };
        let Ok((file, with)) = conf.with(&plugin()) else { return };
        let with = Conf::read(&file, &with).expect("what is written can be read");
        assert_eq!(with.with(&plugin()).unwrap().1, with.text);
        if !conf.has_plugin() && file == conf.file {
            let without: Value = serde_json::from_str(&with.without().unwrap()).unwrap();
            let before: Value = serde_json::from_str(&text).unwrap();
            if before["type"].is_null() {
                assert_eq!(without, before);
            }
        }
    });
}
