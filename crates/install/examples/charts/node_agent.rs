//! The values of the chart `cni`. In: nothing. Out: the chart, as [`super`] has the others.

use serde_json::json;

use super::{
    Becomes, Chart, Extras, NAMESPACE, REVISION, Setting, Taken, VARIABLE, Way, affinity, always,
    image, of, off, optional, setting,
};

/// The node agent.
pub fn cni() -> Chart {
    let mut settings = image();
    settings.extend(node());
    settings.extend(repair());
    settings.extend(pod());
    Chart {
        name: "cni",
        description: "The node agent of Lateen, a service mesh with the API of Istio",
        component: "Cni",
        spec: json!({
            "profile": "empty",
            "namespace": NAMESPACE,
            "components": {"cni": {"enabled": true}},
        }),
        settings,
        taken: vec![
            Taken {
                path: "chained",
                about: "true: the plugin is always in the chain of the network provider",
                schema: json!({ "enum": [true] }),
            },
            Taken {
                path: "provider",
                about: "default, or nothing",
                schema: json!({ "enum": ["", "default"] }),
            },
        ],
        checks: "",
        release: &[(NAMESPACE, ".Release.Namespace")],
        helpers: "",
        extras: Extras::default(),
    }
}

fn pod() -> Vec<Setting> {
    let tolerations = json!([
        {"effect": "NoSchedule", "operator": "Exists"},
        {"key": "CriticalAddonsOnly", "operator": "Exists"},
        {"effect": "NoExecute", "operator": "Exists"},
    ]);
    vec![
        of(
            "components.cni.k8s.resources",
            always(
                "resources",
                "of the container",
                json!({"requests": {"cpu": "990005m", "memory": "990006Mi"}}),
                json!({"requests": {"cpu": "20m", "memory": "32Mi"}}),
            ),
        ),
        of(
            "components.cni.k8s.tolerations",
            always("tolerations", "of taints", json!([{"key": "zz-taint"}]), tolerations),
        ),
        of("components.cni.k8s.affinity", optional("affinity", "of pods", affinity())),
        of(
            "components.cni.k8s.podAnnotations",
            setting("podAnnotations", "of pods", json!({}), Way::Entries("zz/annotation")),
        ),
        of(
            "values.cni.podLabels",
            setting("podLabels", "of pods", json!({}), Way::Entries("zz/label")),
        ),
        of(
            "values.cni.seccompProfile",
            optional(
                "seccompProfile",
                "of the container",
                json!({"type": "Localhost", "localhostProfile": "zz-profile"}),
            ),
        ),
        of(
            "values.cni.env",
            setting("env", "variables by name", json!({}), Way::Entries(VARIABLE)),
        ),
    ]
}

fn node() -> Vec<Setting> {
    let namespaces = Becomes {
        rendered: json!("zz-excluded"),
        template: "{{ toJson (join \",\" .Values.excludeNamespaces) }}".to_owned(),
        condition: None,
    };
    vec![
        of("revision", setting("revision", "of the control plane", json!(""), Way::Name(REVISION))),
        setting(
            "global.logging.level",
            "as Istio writes it",
            json!("default:info"),
            Way::Text("zz-level:debug"),
        ),
        off("global.logAsJson", "one object a line"),
        of(
            "values.cni.excludeNamespaces",
            setting(
                "excludeNamespaces",
                "whose pods are left alone",
                json!(["istio-system", "kube-system"]),
                Way::Node { probe: json!(["zz-excluded"]), becomes: vec![namespaces] },
            ),
        ),
        of(
            "values.cni.cniBinDir",
            setting(
                "cniBinDir",
                "the node's network plugins",
                json!("/opt/cni/bin"),
                Way::Text("/zz-bin"),
            ),
        ),
        of(
            "values.cni.cniConfDir",
            setting(
                "cniConfDir",
                "the node's network configurations",
                json!("/etc/cni/net.d"),
                Way::Text("/zz-net"),
            ),
        ),
        of(
            "values.cni.rollingMaxUnavailable",
            always("rollingMaxUnavailable", "of an update", json!("98%"), json!(1)),
        ),
    ]
}

/// The first of the wishes counts.
fn repair() -> Vec<Setting> {
    vec![
        of(
            "values.cni.repair.enabled",
            setting(
                "repair.enabled",
                "look after pods that started without rules",
                json!(true),
                Way::Switch,
            ),
        ),
        of(
            "values.cni.repair.repairPods",
            setting("repair.repairPods", "lay their rules", json!(true), Way::Switch),
        ),
        of("values.cni.repair.deletePods", off("repair.deletePods", "or delete them")),
        of("values.cni.repair.labelPods", off("repair.labelPods", "or label them")),
    ]
}
