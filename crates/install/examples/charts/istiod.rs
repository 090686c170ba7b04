//! The values of the chart `istiod`. In: nothing. Out: the chart, as [`super`] has the others.

use lateen_install::{Field, Meaning, Type};
use serde_json::{Value, json};

use super::super::emit;
use super::{
    BUDGET, Becomes, CLUSTER, CLUSTER_NAME, Chart, ELSEWHERE, Extras, IMAGE, LEVEL, LOGGING,
    NAMESPACE, Setting, Taken, VARIABLE, Way, affinity, always, cluster_domain, common, free, item,
    of, of_every_chart, optional, or_global, own, setting,
};

/// The label that asks for injection.
const ASKS: &str = "zz-injection";
const HOOKS: &str = "MutatingWebhookConfiguration";
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
                "global": {"logging": {"level": LEVEL}, "multiCluster": {"clusterName": CLUSTER}},
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
        passed: &[
            "global.proxy.",
            "global.proxy_init.",
            "global.network",
            "global.meshID",
            "global.caAddress",
            "sidecarInjectorWebhook.aliases",
        ],
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
        lines: vec![
            (
                json!("zz-argument"),
                "{{- range .Values.pilot.extraContainerArgs }}\n- {{ toJson . }}\n{{- end }}",
            ),
            (
                variable_from(),
                "{{- range .Values.pilot.envVarFrom }}\n- {{ toJson . }}\n{{- end }}",
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

fn variable_from() -> Value {
    let key = json!({"name": "zz-secret", "key": "zz"});
    json!({"name": "ZZ_FROM", "valueFrom": {"secretKeyRef": key}})
}

fn volume() -> Value {
    json!({"name": "zz-volume", "emptyDir": {}})
}

fn mount() -> Value {
    json!({"name": "zz-volume", "mountPath": "/zz"})
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

fn scaling() -> Vec<Setting> {
    let memory = json!({"type": "Resource", "resource": {
        "name": "memory", "target": {"type": "Utilization", "averageUtilization": 990_007},
    }});
    vec![
        setting("pilot.autoscaleEnabled", "by CPU", json!(true), Way::Switch),
        always("pilot.autoscaleMin", "replicas at least", json!(990_001), json!(1)),
        always("pilot.autoscaleMax", "replicas at most", json!(990_002), json!(5)),
        optional(
            "pilot.autoscaleBehavior",
            "how fast",
            json!({"scaleDown": {"stabilizationWindowSeconds": 990_008}}),
        ),
        always(
            "pilot.cpu.targetAverageUtilization",
            "per cent of the request",
            json!(990_003),
            json!(80),
        ),
        item(
            "pilot.memory.targetAverageUtilization",
            "per cent of the request",
            json!(990_007),
            memory,
            "{\"type\": \"Resource\", \"resource\": {\"name\": \"memory\", \"target\": {\"type\": \"Utilization\", \
             \"averageUtilization\": {{ toJson .Values.pilot.memory.targetAverageUtilization }}}}}",
        ),
        of(
            "components.pilot.k8s.replicaCount",
            always("pilot.replicaCount", "without autoscaler", json!(990_004), json!(1)),
        ),
        always("pilot.rollingMaxSurge", "of an update", json!("zz-surge"), json!("100%")),
        always("pilot.rollingMaxUnavailable", "of an update", json!("zz-less"), json!("25%")),
        Setting {
            schema: Some(json!({ "$ref": "#/$defs/io.k8s.api.policy.v1.PodDisruptionBudgetSpec" })),
            ..of(
                "components.pilot.k8s.podDisruptionBudget",
                free("pilot.podDisruptionBudget", "another budget"),
            )
        },
        Setting {
            schema: Some(json!({ "$ref": "#/$defs/io.k8s.api.policy.v1.PodDisruptionBudgetSpec" })),
            ..free("pilot.pdb", "the same, as Istio's chart names it")
        },
    ]
}

fn pods() -> Vec<Setting> {
    let sources = |path, about, probe: Value| Setting {
        default: None,
        ..setting(
            path,
            about,
            Value::Null,
            Way::Node { probe: json!([probe]), becomes: Vec::new() },
        )
    };
    vec![
        free("pilot.hub", "where the image is, if elsewhere"),
        free("pilot.tag", "which image, if another one"),
        free("pilot.image", "the whole name of an image"),
        of(
            "components.pilot.k8s.resources",
            always(
                "pilot.resources",
                "of the container",
                json!({"requests": {"cpu": "990005m", "memory": "990006Mi"}}),
                json!({"requests": {"cpu": "50m", "memory": "64Mi"}}),
            ),
        ),
        of(
            "components.pilot.k8s.nodeSelector",
            or_global(
                "pilot.nodeSelector",
                "labels of nodes",
                json!({"zz": "nodes"}),
                "defaultNodeSelector",
            ),
        ),
        of(
            "components.pilot.k8s.tolerations",
            or_global(
                "pilot.tolerations",
                "of taints",
                json!([{"key": "zz-taint"}]),
                "defaultTolerations",
            ),
        ),
        of("components.pilot.k8s.affinity", optional("pilot.affinity", "of pods", affinity())),
        of(
            "components.pilot.k8s.priorityClassName",
            or_global(
                "pilot.priorityClassName",
                "of pods",
                json!("zz-priority"),
                "priorityClassName",
            ),
        ),
        optional(
            "pilot.topologySpreadConstraints",
            "of pods",
            json!([{
                "maxSkew": 1, "topologyKey": "zz-zone", "whenUnsatisfiable": "ScheduleAnyway",
            }]),
        ),
        optional("pilot.terminationGracePeriodSeconds", "of pods", json!(990_009)),
        optional(
            "pilot.seccompProfile",
            "of the container",
            json!({"type": "Localhost", "localhostProfile": "zz-profile"}),
        ),
        of(
            "components.pilot.k8s.podAnnotations",
            setting("pilot.podAnnotations", "of pods", json!({}), Way::Entries("zz/annotation")),
        ),
        setting("pilot.podLabels", "of pods", json!({}), Way::Entries("zz/pod-label")),
        of("components.pilot.k8s.volumes", sources("pilot.volumes", "of pods", volume())),
        of(
            "components.pilot.k8s.volumeMounts",
            sources("pilot.volumeMounts", "of the container", mount()),
        ),
        sources("pilot.extraContainerArgs", "of the container", json!("zz-argument")),
        sources("pilot.envVarFrom", "variables from Secrets and ConfigMaps", variable_from()),
        Setting {
            default: None,
            ..setting("pilot.env", "variables by name", Value::Null, Way::Entries(VARIABLE))
        },
        Setting {
            schema: Some(json!({
                "type": ["array", "null"], "items": { "$ref": "#/$defs/io.k8s.api.core.v1.Container" },
            })),
            ..free("pilot.initContainers", "of pods")
        },
        setting(
            "pilot.keepaliveMaxServerConnectionAge",
            "after which proxies connect anew",
            json!("30m"),
            Way::Text("zz-age"),
        ),
    ]
}

/// Labels and annotations of the objects, and the Service.
fn objects() -> Vec<Setting> {
    vec![
        setting(
            "pilot.deploymentLabels",
            "of the Deployment and what is beside it",
            json!({}),
            Way::Entries("zz/deployment-label"),
        ),
        Setting {
            schema: Some(super::super::schema::by_name(&["string", "null"])),
            ..free("pilot.deploymentAnnotations", "of the Deployment")
        },
        optional("pilot.serviceAccountAnnotations", "of the account", json!({"zz": "account"})),
        of(
            "components.pilot.k8s.serviceAnnotations",
            optional("pilot.serviceAnnotations", "of the Service", json!({"zz": "service"})),
        ),
        or_global("pilot.ipFamilies", "of the Service", json!(["IPv6", "IPv4"]), "ipFamilies"),
        or_global(
            "pilot.ipFamilyPolicy",
            "of the Service",
            json!("PreferDualStack"),
            "ipFamilyPolicy",
        ),
        free("global.ipFamilies", "of the Service"),
        free("global.ipFamilyPolicy", "of the Service"),
        Setting {
            schema: Some(super::super::schema::by_name(&["string", "null"])),
            ..free("pilot.sidecarInjectorWebhookAnnotations", "of the injector's webhooks")
        },
        free("pilot.configMap", "false: the mesh's settings are another ConfigMap"),
        free(
            "global.omitSidecarInjectorConfigMap",
            "the injector's settings are another ConfigMap",
        ),
        Setting {
            default: None,
            ..setting("revisionTags", "other names of this revision", Value::Null, Way::Tags)
        },
        setting("global.configValidation", "by a webhook", json!(true), Way::Switch),
        free("base.validationURL", "in place of the Service, which validates"),
        free("base.validationCABundle", "of that"),
    ]
}

/// Which pods are injected, and with what.
fn injection() -> Vec<Setting> {
    let switch = |path, about, condition| Setting {
        default: None,
        condition,
        ..setting(path, about, Value::Null, Way::SwitchOf(HOOKS))
    };
    vec![
        switch("sidecarInjectorWebhook.enableNamespacesByDefault", "inject everywhere", None),
        switch(
            "sidecarInjectorWebhook.objectSelector.enabled",
            "whether pods' labels are asked; true",
            Some("ne (toString .Values.sidecarInjectorWebhook.objectSelector.enabled) \"false\""),
        ),
        switch(
            "sidecarInjectorWebhook.objectSelector.autoInject",
            "whether pods without a label are injected; true",
            Some(
                "ne (toString .Values.sidecarInjectorWebhook.objectSelector.autoInject) \"false\"",
            ),
        ),
        free("sidecarInjectorWebhook.injectLabel", "of namespaces, in place of istio-injection"),
        free("sidecarInjectorWebhook.neverInjectSelector", "pods that are left alone"),
        free("sidecarInjectorWebhook.alwaysInjectSelector", "pods that are injected in any case"),
        free("sidecarInjectorWebhook.injectedAnnotations", "of injected pods"),
        free("sidecarInjectorWebhook.templates", "more templates, by name"),
        own(
            "sidecarInjectorWebhook.defaultTemplates",
            "in place of the template sidecar",
            json!([]),
        ),
        own("sidecarInjectorWebhook.reinvocationPolicy", "Never or IfNeeded", json!("Never")),
        own("sidecarInjectorWebhook.rewriteAppHTTPProbe", "probes through the proxy", json!(true)),
        free("sidecarInjectorWebhook.injectionURL", "in place of the Service, which injects"),
        free("sidecarInjectorWebhook.injectionPath", "of the Service; /inject"),
        free("sidecarInjectorWebhook.caBundle", "of that"),
        free("gateways.securityContext", "of injected gateways"),
        free("gateways.seccompProfile", "of injected gateways"),
        free("pilot.cni.enabled", "the chart cni is installed: it lays the rules of injected pods"),
    ]
}

fn mesh() -> Vec<Setting> {
    vec![
        own("global.proxy", "settings of sidecars", proxy()),
        own(
            "global.proxy_init",
            "of their init containers",
            json!({"resources": {"requests": {"cpu": "10m", "memory": "10Mi"}}}),
        ),
        cluster_domain(),
        free("global.meshNetworks", "other networks"),
        of(
            "meshConfig",
            own(
                "meshConfig",
                "the mesh's settings",
                json!({
                    "defaultConfig": {"proxyMetadata": {}},
                    "enablePrometheusMerge": true,
                    "trustDomain": "cluster.local",
                }),
            ),
        ),
    ]
}

/// The profile's own.
fn proxy() -> Value {
    json!({
        "autoInject": "enabled", "componentLogLevel": "misc:error", "logLevel": "warning", "includeIPRanges": "*",
        "readinessInitialDelaySeconds": 0, "readinessPeriodSeconds": 15,
        "readinessFailureThreshold": 4,
        "startupProbe": {"enabled": true, "failureThreshold": 600}, "statusPort": 15020,
        "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}},
    })
}
