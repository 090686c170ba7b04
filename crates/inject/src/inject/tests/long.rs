//! Lists as long as a request may be: four times the length takes about four times as long, where work
//! that goes through a list for each of its items takes sixteen times as long.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{Settings, Subject, Template, decide, inject, patch};

const LENGTH: usize = 1500;
/// Between the 4 of linear and the 16 of quadratic work.
const LIMIT: f64 = 9.0;

fn named(count: usize) -> Vec<Value> {
    (0..count).map(|at| json!({"name": format!("a{at}"), "value": "x"})).collect()
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|at| format!("a{at}")).collect()
}

fn with(field: &str, items: Vec<Value>) -> Value {
    let mut pod = json!({"metadata": {"name": "web"}, "spec": {"containers": [{"name": "app"}]}});
    pod["spec"][field] = Value::Array(items);
    pod
}

fn annotated(mut pod: Value, name: &str, text: String) -> Value {
    pod["metadata"]["annotations"] = json!({name: text});
    pod
}

/// A pod whose lists in one matter have this length.
type Long = fn(usize) -> Value;

const MATTERS: [(&str, Long); 10] = [
    ("volumes", |n| with("volumes", named(n))),
    ("containers", |n| with("initContainers", named(n))),
    ("probes", |n| {
        let probe = json!({"httpGet": {"port": "missing"}});
        let mut containers = named(n);
        containers.iter_mut().for_each(|one| one["livenessProbe"] = probe.clone());
        with("containers", containers)
    }),
    ("secrets", |n| with("imagePullSecrets", named(n))),
    ("own variables", |n| {
        with(
            "containers",
            vec![json!({"name": "app"}), json!({"name": "istio-proxy", "env": named(n)})],
        )
    }),
    ("user volumes", |n| {
        let volumes = json!(named(n)).to_string();
        annotated(with("volumes", named(n)), "sidecar.istio.io/userVolume", volumes)
    }),
    ("status", |n| {
        let status = json!({"volumes": names(n)}).to_string();
        annotated(with("volumes", named(2 * n)), "sidecar.istio.io/status", status)
    }),
    ("before the proxy", |n| {
        let before = "sidecar.istio.io/init-containers-before-proxy";
        annotated(with("initContainers", named(n)), before, names(n).join(","))
    }),
    ("overrides", |n| {
        let mut pod = with("initContainers", named(n));
        let own = json!({"containers": names(n).iter().map(|name| json!({"name": format!("b{name}")})).collect::<Vec<_>>()});
        pod["metadata"]["annotations"] = json!({
            "sidecar.istio.io/status": "{}",
            "proxy.istio.io/overrides": own.to_string(),
        });
        pod
    }),
    ("templates", |n| {
        let templates = vec!["mine"; n].join(",");
        annotated(with("volumes", named(n)), "inject.istio.io/templates", templates)
    }),
];

fn time(pod: &Value, settings: &Settings) -> Duration {
    let labels = BTreeMap::new();
    let subject = Subject { namespace: "default", namespace_labels: &labels, pod };
    let once = || {
        let start = Instant::now();
        assert!(decide(&subject, settings).is_inject());
        let injected = inject(&subject, settings).unwrap().pod;
        assert!(patch(pod, &injected).is_array());
        inject(&Subject { pod: &injected, ..subject }, settings).unwrap();
        start.elapsed()
    };
    (0..2).map(|_| once()).min().unwrap()
}

#[test]
fn work_grows_with_the_length_of_lists_and_not_with_its_square() {
    let mut settings = Settings::default();
    let overlay = json!({"spec": {"volumes": [{"name": "mine", "emptyDir": {}}]}});
    settings.templates.insert("mine".to_owned(), Template::Overlay(overlay));
    let mut wrong = Vec::new();
    for (matter, long) in MATTERS {
        let (short, long) = (long(LENGTH), long(4 * LENGTH));
        let growth = || {
            let long = time(&long, &settings).as_secs_f64();
            long / time(&short, &settings).as_secs_f64()
        };
        // A busy machine may spoil one measurement, and not all of them.
        let mut measured = Vec::new();
        while measured.len() < 4 && measured.last().is_none_or(|growth| *growth >= LIMIT) {
            measured.push(growth());
        }
        if !measured.iter().any(|growth| *growth < LIMIT) {
            wrong.push((matter, measured));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}
