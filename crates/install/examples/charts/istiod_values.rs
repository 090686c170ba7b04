//! The values of the chart `istiod`, one by one. In: nothing. Out: settings for [`super::istiod`].

use lateen_install::Type;
use serde_json::{Value, json};

use super::super::schema;
use super::{
    Setting, VARIABLE, Way, affinity, always, audience, cluster_domain, free, item, of, optional,
    or_global, own, setting,
};

/// Objects that switches of the injection change.
pub const HOOKS: &str = "MutatingWebhookConfiguration";

pub const DEPLOYMENT_LABEL: &str = "zz/deployment-label";
pub const POD_LABEL: &str = "zz/pod-label";

pub fn variable_from() -> Value {
    let key = json!({"name": "zz-secret", "key": "zz"});
    json!({"name": "ZZ_FROM", "valueFrom": {"secretKeyRef": key}})
}

pub fn volume() -> Value {
    json!({"name": "zz-volume", "emptyDir": {}})
}

pub fn mount() -> Value {
    json!({"name": "zz-volume", "mountPath": "/zz"})
}

pub fn scaling() -> Vec<Setting> {
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
            json!({"scaleDown": {"stabilizationWindowSeconds": 3599}}),
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
        always("pilot.rollingMaxSurge", "of an update", json!("97%"), json!("100%")),
        always("pilot.rollingMaxUnavailable", "of an update", json!("98%"), json!("25%")),
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

pub fn pods() -> Vec<Setting> {
    let mut settings = container();
    settings.extend(nodes());
    settings.extend(marks());
    settings.extend(additions());
    settings.push(setting(
        "pilot.keepaliveMaxServerConnectionAge",
        "after which proxies connect anew",
        json!("30m"),
        Way::Text("990010s"),
    ));
    settings
}

/// The image, and what its container needs.
fn container() -> Vec<Setting> {
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
    ]
}

/// Where pods run.
fn nodes() -> Vec<Setting> {
    vec![
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
    ]
}

/// How pods end, are confined, and are marked.
fn marks() -> Vec<Setting> {
    vec![
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
    ]
}

/// What users add to pods.
fn additions() -> Vec<Setting> {
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
    ]
}

/// Labels and annotations of the objects, and the Service.
pub fn objects() -> Vec<Setting> {
    vec![
        setting(
            "pilot.deploymentLabels",
            "of the Deployment and what is beside it",
            json!({}),
            Way::Entries(DEPLOYMENT_LABEL),
        ),
        setting("pilot.podLabels", "of pods", json!({}), Way::Entries(POD_LABEL)),
        Setting {
            schema: Some(schema::of_type(Type::Annotations)),
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
            schema: Some(schema::of_type(Type::Annotations)),
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
pub fn injection() -> Vec<Setting> {
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

pub fn mesh() -> Vec<Setting> {
    vec![
        own("global.proxy", "settings of sidecars", proxy()),
        own(
            "global.proxy_init",
            "of their init containers",
            json!({"resources": {"requests": {"cpu": "10m", "memory": "10Mi"}}}),
        ),
        cluster_domain(),
        audience(),
        free("global.podDNSSearchNamespaces", "domains that injected pods look names up in, too"),
        free("global.meshNetworks", "other networks"),
        free("global.meshID", "of the mesh"),
        free("global.network", "of the pods"),
        free("global.caAddress", "in place of the control plane's"),
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
