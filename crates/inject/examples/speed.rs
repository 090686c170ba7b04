//! How long one injection takes: decide, inject and patch of a typical pod, and of a large one. In: the number of
//! rounds (10000). Out: p50, p99 and the longest, in microseconds. Run it with `--release`.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use lateen_inject::{Settings, Subject, decide, inject, patch};
use serde_json::{Value, json};

/// As a Deployment's controller sends it: with an owner, probes, a mounted token and annotations.
fn typical() -> Value {
    let probe = |path: &str| json!({"httpGet": {"path": path, "port": "http", "scheme": "HTTP"}, "timeoutSeconds": 1});
    let token = json!({"name": "kube-api-access", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"});
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "web-5d4f8-",
            "labels": {"app": "web", "version": "v1", "pod-template-hash": "5d4f8"},
            "annotations": {
                "prometheus.io/scrape": "true",
                "prometheus.io/port": "9090",
                "proxy.istio.io/config": "concurrency: 2\nholdApplicationUntilProxyStarts: true\n",
                "traffic.sidecar.istio.io/excludeOutboundPorts": "3306",
            },
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d4f8",
                "controller": true, "uid": "0",
            }],
        },
        "spec": {
            "serviceAccountName": "web",
            "containers": [{
                "name": "web", "image": "web:1", "volumeMounts": [token],
                "ports": [{"name": "http", "containerPort": 8080}],
                "env": (0..20).map(|at| json!({"name": format!("V{at}"), "value": "x"})).collect::<Vec<_>>(),
                "readinessProbe": probe("/ready"), "livenessProbe": probe("/live"),
            }],
            "volumes": [{"name": "kube-api-access", "projected": {"sources": []}}],
        },
    })
}

/// Four such containers, of which three have more to say.
fn large() -> Value {
    let mut pod = typical();
    let first = pod["spec"]["containers"][0].clone();
    for number in 1..4 {
        let mut more = first.clone();
        more["name"] = json!(format!("web{number}"));
        more["ports"][0]["containerPort"] = json!(8080 + number);
        let env =
            (0..40).map(|at| json!({"name": format!("VARIABLE_{at}"), "value": "of some length"}));
        more["env"] = env.collect();
        pod["spec"]["containers"].as_array_mut().expect("typical").push(more);
    }
    pod
}

fn main() {
    let rounds = std::env::args().nth(1).and_then(|rounds| rounds.parse().ok()).unwrap_or(10_000);
    for (name, pod) in [("typical", typical()), ("large", large())] {
        measure(name, &pod, rounds);
    }
}

fn measure(name: &str, pod: &Value, rounds: usize) {
    let settings = Settings { native_sidecar: true, ..Settings::default() };
    let labels = BTreeMap::from([("istio-injection".to_owned(), "enabled".to_owned())]);
    let subject = Subject { namespace: "shop", namespace_labels: &labels, pod };
    let once = || {
        assert!(decide(&subject, &settings).is_inject());
        let injected = inject(&subject, &settings).expect("the pod is in order");
        patch(pod, &injected.pod)
    };
    // The schema of ProxyConfig is built at its first use.
    let size = once().to_string().len();
    let mut times: Vec<u128> = (0..rounds.max(1))
        .map(|_| {
            let start = Instant::now();
            black_box(once());
            start.elapsed().as_micros()
        })
        .collect();
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    println!(
        "{} rounds of a {name} pod of {} bytes, a patch of {size} bytes: p50 {} µs, p99 {} µs, longest {} µs",
        times.len(),
        pod.to_string().len(),
        at(50),
        at(99),
        at(100)
    );
}
