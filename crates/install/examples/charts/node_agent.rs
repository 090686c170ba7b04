//! The values of the chart `cni`. In: nothing. Out: the chart, as [`super`] has the others.

use lateen_install::{Field, Meaning, Type};
use serde_json::{Value, json};

use super::super::emit;
use super::{
    Becomes, Chart, Extras, IMAGE, LEVEL, NAMESPACE, OF_ISTIOD, OF_OBJECTS, OF_PODS, REVISION,
    Setting, Taken, VARIABLE, Way, affinity, always, free, image, item, of, of_all_pods,
    of_every_chart, off, optional, optional_as, own, setting,
};

/// An entry that stands for labels of nodes.
const NODES: &str = "zz/nodes";
const POD_LABEL: &str = "zz/label";
const SET_LABEL: &str = "zz/set-label";
const GRACE_SECONDS: u32 = 990_201;

/// The node agent.
pub fn cni() -> Chart {
    let mut settings = image();
    pull_policy_of_its_own(&mut settings);
    settings.extend(of_all_pods());
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
            "components": {"cni": {"enabled": true, "k8s": {"nodeSelector": {NODES: "zz-value"}}}},
            "values": {
                "global": {"logging": {"level": LEVEL}},
                "cni": {"image": IMAGE, "cniConfFileName": "zz-file"},
            },
        }),
        settings,
        taken: vec![
            Taken {
                path: "chained",
                about: "true: the plugin is always in the chain of the network provider",
                schema: json!({ "enum": [true, null] }),
            },
            Taken {
                path: "provider",
                about: "default, or nothing",
                schema: json!({ "enum": ["", "default", null] }),
            },
        ],
        parts: &["global", "cni"],
        own: fields(),
        passed: &[],
        elsewhere: vec![("global.", OF_ISTIOD), ("cni.enabled", "leave the chart out")],
        nested: "cni",
        checks: include_str!("cni_checks.tpl"),
        release: &[
            (NAMESPACE, ".Release.Namespace"),
            (IMAGE, "(include \"cni.image\" (list . .Values))"),
            (LEVEL, "(.Values.logging.level | default .Values.global.logging.level)"),
            ("zz-file", ".Values.cniConfFileName"),
        ],
        helpers: "",
        notes: "The node agent is installed: it lays the rules of pods that the chart istiod injects with \
                cni.enabled=true.",
        extras: Extras {
            adapt: Some(adapt),
            entries: vec![(
                NODES,
                "(.Values.nodeSelector | default .Values.global.defaultNodeSelector | default dict)",
            )],
            kept: vec![(POD_LABEL, OF_PODS), (SET_LABEL, OF_OBJECTS)],
            becomes: vec![
                Becomes {
                    rendered: json!({"name": "CNI_CONF_NAME", "value": "zz-file"}),
                    template:
                        "{name: \"CNI_CONF_NAME\", value: {{ toJson .Values.cniConfFileName }}}"
                            .to_owned(),
                    condition: Some(".Values.cniConfFileName".to_owned()),
                },
                Becomes {
                    rendered: json!(GRACE_SECONDS),
                    template: "{{ toJson .Values.terminationGracePeriodSeconds }}".to_owned(),
                    condition: None,
                },
            ],
            ..Extras::default()
        },
    }
}

fn pull_policy_of_its_own(settings: &mut Vec<Setting>) {
    for setting in settings.iter_mut().filter(|setting| setting.path == "global.imagePullPolicy") {
        let way = optional_as(
            "pullPolicy",
            "in place of global's",
            json!("IfNotPresent"),
            ".Values.pullPolicy | default .Values.global.imagePullPolicy",
            "or .Values.pullPolicy .Values.global.imagePullPolicy",
        );
        setting.way = way.way;
    }
    settings.push(free("pullPolicy", "in place of global's"));
}

fn fields() -> Vec<Field> {
    let mut fields = of_every_chart();
    fields.extend([
        Field(
            "defaultRevision",
            Type::Text,
            Meaning::Gone("one agent serves the pods of all revisions"),
        ),
        Field(
            "cni.useAppArmorAnnotation",
            Type::Bool,
            Meaning::Gone("the profile is a field of the container's security context"),
        ),
    ]);
    fields
}

/// What follows from more than one value, and what the renderer has no setting for.
fn adapt(object: &mut Value) {
    if object["kind"] != "DaemonSet" {
        return;
    }
    let strategy = "toJson (.Values.updateStrategy | default (dict \"type\" \"RollingUpdate\" \"rollingUpdate\" \
                    (dict \"maxUnavailable\" .Values.rollingMaxUnavailable)))";
    object["spec"]["updateStrategy"] = emit::raw(strategy);
    let pod = &mut object["spec"]["template"]["spec"];
    pod["terminationGracePeriodSeconds"] = json!(GRACE_SECONDS);
    let privileged = emit::raw("toJson (.Values.privileged | default false)");
    pod["containers"][0]["securityContext"]["privileged"] = privileged;
}

fn pod() -> Vec<Setting> {
    let mut settings = vec![of(
        "components.cni.k8s.resources",
        always(
            "resources",
            "of the container",
            json!({"requests": {"cpu": "990005m", "memory": "990006Mi"}}),
            json!({"requests": {"cpu": "20m", "memory": "32Mi"}}),
        ),
    )];
    settings.extend(nodes());
    settings.extend(marks());
    settings.extend(container());
    settings
}

/// Where pods run: everywhere, if nobody says otherwise.
fn nodes() -> Vec<Setting> {
    let tolerations = json!([
        {"effect": "NoSchedule", "operator": "Exists"},
        {"key": "CriticalAddonsOnly", "operator": "Exists"},
        {"effect": "NoExecute", "operator": "Exists"},
    ]);
    vec![
        of(
            "components.cni.k8s.tolerations",
            optional_as(
                "tolerations",
                "of taints; all, if neither these nor global's are set",
                json!([{"key": "zz-taint"}]),
                &format!(
                    ".Values.tolerations | default .Values.global.defaultTolerations | default {}",
                    emit::literal(&tolerations)
                ),
                "true",
            ),
        ),
        of("components.cni.k8s.nodeSelector", free("nodeSelector", "labels of nodes")),
        of(
            "components.cni.k8s.priorityClassName",
            optional_as(
                "priorityClassName",
                "of pods",
                json!("zz-priority"),
                ".Values.priorityClassName | default .Values.global.priorityClassName | default \"system-node-critical\"",
                "true",
            ),
        ),
        of("components.cni.k8s.affinity", optional("affinity", "of pods", affinity())),
    ]
}

/// How pods and their DaemonSet are marked and confined.
fn marks() -> Vec<Setting> {
    vec![
        of(
            "components.cni.k8s.podAnnotations",
            setting("podAnnotations", "of pods", json!({}), Way::Entries("zz/annotation")),
        ),
        of(
            "values.cni.podLabels",
            setting("podLabels", "of pods", json!({}), Way::Entries(POD_LABEL)),
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
            "values.cni.seLinuxOptions",
            optional("seLinuxOptions", "of the container", json!({"type": "zz-type"})),
        ),
        of(
            "values.cni.daemonSetLabels",
            Setting {
                default: None,
                ..setting(
                    "daemonSetLabels",
                    "of the DaemonSet",
                    Value::Null,
                    Way::Entries(SET_LABEL),
                )
            },
        ),
    ]
}

/// How pods are replaced and what they run.
fn container() -> Vec<Setting> {
    vec![
        free("updateStrategy", "in place of rollingMaxUnavailable"),
        free("privileged", "whether the container is"),
        own("terminationGracePeriodSeconds", "of pods", json!(5)),
        free("hub", "where the image is, if elsewhere"),
        free("tag", "which image, if another one"),
        free("image", "the whole name of an image"),
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
        own("global.logging.level", "as Istio writes it", json!("default:info")),
        free("logging.level", "the same for the agent alone"),
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
        free("cniConfFileName", "the one of them that the plugin is put into"),
        own("rollingMaxUnavailable", "of an update", json!(1)),
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
        word("repair.initContainerName", "REPAIR_INIT_CONTAINER_NAME", "zz-init"),
        word("repair.brokenPodLabelKey", "REPAIR_BROKEN_POD_LABEL_KEY", "zz/key"),
        word("repair.brokenPodLabelValue", "REPAIR_BROKEN_POD_LABEL_VALUE", "zz-broken"),
    ]
}

/// A variable that is there if its value is set.
fn word(path: &'static str, name: &str, probe: &str) -> Setting {
    let rendered = json!({"name": name, "value": probe});
    let template = format!("{{name: {name:?}, value: {{{{ toJson (toString .Values.{path}) }}}}}}");
    let operator = match path {
        "repair.initContainerName" => "values.cni.repair.initContainerName",
        "repair.brokenPodLabelKey" => "values.cni.repair.brokenPodLabelKey",
        _ => "values.cni.repair.brokenPodLabelValue",
    };
    of(operator, item(path, "as in Istio", json!(probe), rendered, &template))
}
