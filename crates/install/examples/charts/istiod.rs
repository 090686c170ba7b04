//! The values of the chart `istiod`. In: nothing. Out: the chart, as [`super`] has the others.

use lateen_install::{Field, Meaning, Type};
use serde_json::{Value, json};

use super::super::emit;
use super::istiod_values::{
    DEPLOYMENT_LABEL, HOOKS, POD_LABEL, injection, mesh, mount, objects, pods, scaling,
    variable_from, volume,
};
use super::{
    AUDIENCE, AUDIENCE_OF_TOKENS, BUDGET, Becomes, CLUSTER, CLUSTER_NAME, Chart, ELSEWHERE, Extras,
    IMAGE, LEVEL, LOGGING, NAMESPACE, OF_OBJECTS, OF_PODS, Taken, common, of_every_chart,
};

/// The label that asks for injection.
const ASKS: &str = "zz-injection";
/// Whole values that the renderer does not have.
const INIT_CONTAINERS: &str = "zz-init-containers";
const DEPLOYMENT: &str = "zz-deployment-annotations";
const HOOK: &str = "zz-hook-annotations";

pub fn istiod() -> Chart {
    let mut settings = common();
    settings.extend(scaling());
    settings.extend(pods());
    settings.extend(objects());
    settings.extend(injection());
    settings.extend(mesh());
    Chart {
        name: "istiod",
        description: "The control plane of Lateen, a service mesh with the API of Istio",
        component: "Pilot",
        spec: json!({
            "profile": "minimal", "namespace": NAMESPACE,
            "components": {"base": {"enabled": false}},
            "values": {
                "global": {
                    "logging": {"level": LEVEL}, "multiCluster": {"clusterName": CLUSTER},
                    "sds": {"token": {"aud": AUDIENCE}},
                },
                "pilot": {"image": IMAGE},
                "sidecarInjectorWebhook": {"injectLabel": ASKS},
            },
        }),
        settings,
        taken: vec![Taken {
            path: "global.istioNamespace",
            about: "that of the release",
            schema: json!({ "type": ["string", "null"] }),
        }],
        parts: PARTS,
        own: fields(),
        passed: &["global.proxy.", "global.proxy_init.", "sidecarInjectorWebhook.aliases"],
        elsewhere: vec![
            ("cni.", "set it in the chart cni"),
            ("istio_cni.", "set it in the chart cni"),
            ("pilot.cni.", "set it in the chart cni"),
            ("base.", "set it in the chart base"),
            ("global.revision", "set revision"),
            (
                "global.controlPlaneSecurityEnabled",
                "an IstioOperator file opens port 15010, with components.pilot.k8s.service.ports",
            ),
            ("profile", super::PROFILES),
            ("pilot.enabled", "leave the chart out"),
        ],
        nested: "pilot",
        checks: include_str!("istiod_checks.tpl"),
        release: &[
            (NAMESPACE, ".Release.Namespace"),
            (ELSEWHERE, "(include \"istiod.elsewhere\" .)"),
            (IMAGE, "(include \"istiod.image\" (list . .Values.pilot))"),
            (LEVEL, LOGGING),
            (CLUSTER, CLUSTER_NAME),
            (AUDIENCE, AUDIENCE_OF_TOKENS),
            (ASKS, "(.Values.sidecarInjectorWebhook.injectLabel | default \"istio-injection\")"),
        ],
        helpers: include_str!("istiod.tpl"),
        notes: include_str!("istiod_notes.tpl"),
        extras: extras(),
    }
}

const PARTS: &[&str] = &[
    "global",
    "pilot",
    "sidecarInjectorWebhook",
    "meshConfig",
    "revision",
    "revisionTags",
    "telemetry",
    "istiodRemote",
    "base",
    "gateways",
    "gatewayClasses",
    "experimental",
    "cni",
    "istio_cni",
    "ztunnel",
    "defaultRevision",
    "version",
    "clusterResources",
    "mixer",
    "policy",
    "security",
    "citadel",
    "nodeagent",
    "certmanager",
    "galley",
    "prometheus",
    "prometheusOperator",
    "grafana",
    "tracing",
    "kiali",
    "istiocoredns",
];

/// What no IstioOperator has.
fn fields() -> Vec<Field> {
    const GATEWAYS: Meaning = Meaning::Gone("install the chart gateway, once for each of them");
    const AMBIENT: Meaning = Meaning::Gone("ambient mode is not offered");
    let mut fields = of_every_chart();
    fields.extend([
        Field("meshConfig", Type::Schema("io.istio.mesh.MeshConfig"), Meaning::Used),
        Field("gateways.istio-ingressgateway", Type::Object, GATEWAYS),
        Field("gateways.istio-egressgateway", Type::Object, GATEWAYS),
        Field("pilot.ambientInitContainerInjection", Type::Bool, AMBIENT),
        Field("cni.useAppArmorAnnotation", Type::Bool, Meaning::Gone("set it in the chart cni")),
    ]);
    fields
}

fn extras() -> Extras {
    let optional = |mark: &str, path: &str| Becomes {
        rendered: json!(mark),
        template: format!("{{{{ toJson .Values.{path} }}}}"),
        condition: Some(format!(".Values.{path}")),
    };
    Extras {
        adapt: Some(adapt),
        conditions: vec![
            ("ConfigMap", "istio", "ne (toString .Values.pilot.configMap) \"false\""),
            (
                "ConfigMap",
                "istio-sidecar-injector",
                "not .Values.global.omitSidecarInjectorConfigMap",
            ),
            (
                "PodDisruptionBudget",
                "",
                "or .Values.pilot.podDisruptionBudget .Values.global.defaultPodDisruptionBudget.enabled",
            ),
        ],
        entries: vec![(BUDGET, "(include \"istiod.budget\" . | fromJson)")],
        kept: vec![(POD_LABEL, OF_PODS), (DEPLOYMENT_LABEL, OF_OBJECTS)],
        lines: vec![
            (
                json!("zz-argument"),
                "{{- range .Values.pilot.extraContainerArgs }}\n- {{ toJson . }}\n{{- end }}",
            ),
            (
                variable_from(),
                "{{- range .Values.pilot.envVarFrom }}\n\
                 {{- if not (hasKey ($.Values.pilot.env | default dict) .name) }}\n\
                 - {{ toJson . }}\n{{- end }}\n{{- end }}",
            ),
            (volume(), "{{- range .Values.pilot.volumes }}\n- {{ toJson . }}\n{{- end }}"),
            (mount(), "{{- range .Values.pilot.volumeMounts }}\n- {{ toJson . }}\n{{- end }}"),
        ],
        becomes: vec![
            optional(INIT_CONTAINERS, "pilot.initContainers"),
            optional(DEPLOYMENT, "pilot.deploymentAnnotations"),
            optional(HOOK, "pilot.sidecarInjectorWebhookAnnotations"),
        ],
    }
}

/// Whole texts and calls come from named templates.
fn adapt(object: &mut Value) {
    match object["kind"].as_str().unwrap_or_default() {
        "ConfigMap" if object["data"]["config"].is_string() => {
            let text = |name: &str| emit::raw(&format!("toJson (include \"istiod.{name}\" .)"));
            object["data"]["config"] = text("injectorConfig");
            object["data"]["values"] = text("injectorValues");
        }
        "ConfigMap" => {
            let networks =
                "toJson (toYaml (dict \"networks\" (.Values.global.meshNetworks | default dict)))";
            object["data"]["meshNetworks"] = emit::raw(networks);
        }
        "Deployment" => {
            object["metadata"]["annotations"] = json!(DEPLOYMENT);
            object["spec"]["template"]["spec"]["initContainers"] = json!(INIT_CONTAINERS);
        }
        "PodDisruptionBudget" => {
            let selector = object["spec"]["selector"].take();
            object["spec"] = json!({ "selector": selector, BUDGET: "" });
        }
        HOOKS => {
            object["metadata"]["annotations"] = json!(HOOK);
            for webhook in object["webhooks"].as_array_mut().into_iter().flatten() {
                webhook["clientConfig"] = emit::raw("include \"istiod.injector\" .");
                webhook["reinvocationPolicy"] = emit::raw("include \"istiod.reinvocation\" .");
            }
        }
        "ValidatingWebhookConfiguration" => {
            for webhook in object["webhooks"].as_array_mut().into_iter().flatten() {
                webhook["clientConfig"] = emit::raw("include \"istiod.validator\" .");
            }
        }
        _ => {}
    }
}
