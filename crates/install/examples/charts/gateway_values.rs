//! The values of the chart `gateway`, one by one. In: nothing. Out: settings for [`super::gateway`].

use lateen_install::{Form, Type};
use serde_json::json;

use super::super::schema;
use super::{
    BUDGETS, Becomes, Setting, VARIABLE, Way, affinity, always, free, item, of, optional,
    or_global, own, setting,
};

/// What sidecars' settings are for gateways, too.
pub fn of_all_gateways() -> Vec<Setting> {
    let word = |path, about, name: &str| {
        let template =
            format!("{{name: {name:?}, value: {{{{ toJson (toString .Values.{path}) }}}}}}");
        item(path, about, json!("zz-word"), json!({"name": name, "value": "zz-word"}), &template)
    };
    vec![
        free("global.proxy.image", "the whole name of an image"),
        setting("global.proxy.logLevel", "of the proxy", json!("warning"), Way::Text("critical")),
        setting(
            "global.proxy.componentLogLevel",
            "of its parts",
            json!("misc:error"),
            Way::Text("zz-part:debug"),
        ),
        word("global.meshID", "of the mesh", "ISTIO_META_MESH_ID"),
        word("global.network", "of the pods", "ISTIO_META_NETWORK"),
        free("global.caAddress", "in place of the control plane's"),
        free("global.ipFamilies", "of the Service, if its own are not set"),
        free("global.ipFamilyPolicy", "of the Service, if its own is not set"),
    ]
}

/// What [`adapt`] puts marks in for.
pub fn own_values() -> Vec<Setting> {
    [of_objects(), of_containers(), of_access(), of_updates()].into_iter().flatten().collect()
}

fn typed(path: &'static str, about: &'static str, kind: Type) -> Setting {
    Setting { schema: Some(schema::of_type(kind)), ..free(path, about) }
}

/// How objects are called and marked.
fn of_objects() -> Vec<Setting> {
    vec![
        own("kind", "Deployment or DaemonSet", json!("Deployment")),
        setting("labels", "of all objects and of pods", json!({}), Way::Texts),
        Setting {
            schema: Some(schema::of_type(Type::Annotations)),
            ..setting(
                "annotations",
                "of workload, Service, autoscaler and role",
                json!({}),
                Way::Texts,
            )
        },
        own(BUDGETS, "whether there is a budget of one pod", json!(true)),
        typed(
            "podDisruptionBudget",
            "another budget",
            Type::Schema("io.k8s.api.policy.v1.PodDisruptionBudgetSpec"),
        ),
        Setting {
            schema: Some(schema::of_type(Type::Word(Form::Value))),
            ..own("networkGateway", "the network whose gateway it is", json!(""))
        },
    ]
}

/// What is in pods.
fn of_containers() -> Vec<Setting> {
    vec![
        typed("volumes", "of pods", Type::Schemas("io.k8s.api.core.v1.Volume")),
        typed("volumeMounts", "of the container", Type::Schemas("io.k8s.api.core.v1.VolumeMount")),
        typed(
            "envVarFrom",
            "variables from Secrets and ConfigMaps",
            Type::Schemas("io.k8s.api.core.v1.EnvVar"),
        ),
        typed("initContainers", "of pods", Type::Schemas("io.k8s.api.core.v1.Container")),
        typed("additionalContainers", "of pods", Type::Schemas("io.k8s.api.core.v1.Container")),
        typed("securityContext", "of pods", Type::Schema("io.k8s.api.core.v1.PodSecurityContext")),
        typed(
            "containerSecurityContext",
            "of the container",
            Type::Schema("io.k8s.api.core.v1.SecurityContext"),
        ),
        typed("lifecycle", "of the container", Type::Schema("io.k8s.api.core.v1.Lifecycle")),
        typed(
            "readinessProbe",
            "in place of the chart's",
            Type::Schema("io.k8s.api.core.v1.Probe"),
        ),
        typed("runAsRoot", "whether the proxy is root", Type::Bool),
    ]
}

/// Who reaches pods, and what they may.
fn of_access() -> Vec<Setting> {
    vec![
        typed("service.allocateLoadBalancerNodePorts", "ports of nodes, too", Type::Bool),
        typed(
            "service.selectorLabels",
            "more labels by which the Service selects pods",
            Type::Labels,
        ),
        own("serviceAccount.create", "or it is there already", json!(true)),
        Setting {
            schema: Some(schema::of_type(Type::Word(Form::Name))),
            ..own("serviceAccount.name", "in place of the gateway's", json!(""))
        },
        own("rbac.enabled", "the right to read certificates", json!(true)),
        typed(
            "imagePullPolicy",
            "in place of global's",
            Type::OneOf(&["", "Always", "IfNotPresent", "Never"]),
        ),
        typed(
            "imagePullSecrets",
            "beside global's, as a pod has them",
            Type::Schemas("io.k8s.api.core.v1.LocalObjectReference"),
        ),
    ]
}

/// How pods spread and are replaced.
fn of_updates() -> Vec<Setting> {
    vec![
        typed(
            "topologySpreadConstraints",
            "of pods",
            Type::Schemas("io.k8s.api.core.v1.TopologySpreadConstraint"),
        ),
        typed("minReadySeconds", "of an update", Type::Int),
        typed("terminationGracePeriodSeconds", "of pods", Type::Int),
        typed(
            "autoscaling.autoscaleBehavior",
            "how fast",
            Type::Schema("io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerBehavior"),
        ),
        Setting {
            schema: Some(schema::of_type(Type::Schema("io.k8s.api.apps.v1.DeploymentStrategy"))),
            ..own(
                "strategy",
                "of a Deployment's update",
                json!({
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": "25%"},
                }),
            )
        },
    ]
}

pub fn gateway_workload() -> Vec<Setting> {
    let mut settings = scaling();
    settings.extend(pods());
    settings
}

/// How many pods there are.
fn scaling() -> Vec<Setting> {
    vec![
        of(
            "values.gateways.istio-ingressgateway.autoscaleEnabled",
            setting("autoscaling.enabled", "by CPU", json!(true), Way::Switch),
        ),
        of(
            "values.gateways.istio-ingressgateway.autoscaleMin",
            always("autoscaling.minReplicas", "at least", json!(990_001), json!(1)),
        ),
        of(
            "values.gateways.istio-ingressgateway.autoscaleMax",
            always("autoscaling.maxReplicas", "at most", json!(990_002), json!(5)),
        ),
        of(
            "values.gateways.istio-ingressgateway.cpu.targetAverageUtilization",
            always(
                "autoscaling.targetCPUUtilizationPercentage",
                "of the request",
                json!(990_003),
                json!(80),
            ),
        ),
        of("k8s.replicaCount", replicas()),
        of(
            "values.gateways.istio-ingressgateway.memory.targetAverageUtilization",
            Setting {
                // Istio's chart has an empty object there.
                schema: Some(
                    json!({ "type": ["integer", "object", "null"], "minimum": 1, "maxProperties": 0 }),
                ),
                ..item(
                    "autoscaling.targetMemoryUtilizationPercentage",
                    "of the request",
                    json!(990_007),
                    json!({"type": "Resource", "resource": {
                        "name": "memory", "target": {"type": "Utilization", "averageUtilization": 990_007},
                    }}),
                    "{\"type\": \"Resource\", \"resource\": {\"name\": \"memory\", \"target\": {\"type\": \"Utilization\", \
                 \"averageUtilization\": {{ toJson .Values.autoscaling.targetMemoryUtilizationPercentage }}}}}",
                )
            },
        ),
    ]
}

fn pods() -> Vec<Setting> {
    vec![
        of(
            "k8s.resources",
            always(
                "resources",
                "of the container",
                json!({"requests": {"cpu": "990005m", "memory": "990006Mi"}}),
                json!({"requests": {"cpu": "20m", "memory": "32Mi"}}),
            ),
        ),
        of(
            "k8s.nodeSelector",
            or_global(
                "nodeSelector",
                "labels of nodes",
                json!({"zz": "nodes"}),
                "defaultNodeSelector",
            ),
        ),
        of(
            "k8s.tolerations",
            or_global(
                "tolerations",
                "of taints",
                json!([{"key": "zz-taint"}]),
                "defaultTolerations",
            ),
        ),
        of("k8s.affinity", optional("affinity", "of pods", affinity())),
        of(
            "values.gateways.istio-ingressgateway.serviceAccount.annotations",
            Setting {
                default: Some(json!({})),
                ..optional("serviceAccount.annotations", "of the account", json!({"zz": "account"}))
            },
        ),
        of(
            "k8s.priorityClassName",
            or_global("priorityClassName", "of pods", json!("zz-priority"), "priorityClassName"),
        ),
        of(
            "k8s.podAnnotations",
            setting("podAnnotations", "of pods", json!({}), Way::Entries("zz/annotation")),
        ),
        of(
            "values.gateways.istio-ingressgateway.env",
            setting("env", "variables by name", json!({}), Way::Entries(VARIABLE)),
        ),
    ]
}

fn replicas() -> Setting {
    let becomes = vec![Becomes {
        rendered: json!(990_004),
        template: "{{ toJson .Values.replicaCount }}".to_owned(),
        condition: Some("ne .Values.kind \"DaemonSet\"".to_owned()),
    }];
    let way = Way::Node { probe: json!(990_004), becomes };
    setting("replicaCount", "without autoscaler", json!(1), way)
}

pub fn gateway_service() -> Vec<Setting> {
    let mut settings = vec![ports(), kind_of_service()];
    settings.extend(addresses());
    settings.extend(distribution());
    settings
}

/// The pod's ports follow from the Service's, and so does the leave to listen below 1024.
fn ports() -> Setting {
    let probe = json!([{"name": "zz-port", "port": 99, "protocol": "TCP"}]);
    let becomes = vec![
        Becomes {
            rendered: probe.clone(),
            template: "{{ include \"gateway.servicePorts\" . }}".to_owned(),
            condition: None,
        },
        Becomes {
            rendered: json!([
                {"containerPort": 99, "protocol": "TCP"},
                {"containerPort": 15090, "name": "http-envoy-prom", "protocol": "TCP"},
            ]),
            template: "{{ include \"gateway.containerPorts\" . }}".to_owned(),
            condition: None,
        },
    ];
    let usual = json!([
        {"name": "status-port", "port": 15021, "targetPort": 15021},
        {"name": "http2", "port": 80, "targetPort": 8080},
        {"name": "https", "port": 443, "targetPort": 8443},
    ]);
    of(
        "values.gateways.istio-ingressgateway.ports",
        setting("service.ports", "as a Service has them", usual, Way::Node { probe, becomes }),
    )
}

fn kind_of_service() -> Setting {
    of(
        "k8s.service.type",
        Setting {
            schema: Some(json!({
                "enum": ["ClusterIP", "NodePort", "LoadBalancer", "None", null],
            })),
            ..always(
                "service.type",
                "of the Service, or None",
                json!("NodePort"),
                json!("LoadBalancer"),
            )
        },
    )
}

/// Where the Service is reached, and by whom.
fn addresses() -> Vec<Setting> {
    vec![
        of(
            "k8s.service.externalIPs",
            optional("service.externalIPs", "addresses of nodes", json!(["192.0.2.199"])),
        ),
        of(
            "k8s.service.loadBalancerIP",
            optional("service.loadBalancerIP", "a wish", json!("192.0.2.198")),
        ),
        of(
            "k8s.service.loadBalancerSourceRanges",
            optional("service.loadBalancerSourceRanges", "who may", json!(["192.0.2.196/31"])),
        ),
        of(
            "k8s.service.externalTrafficPolicy",
            optional("service.externalTrafficPolicy", "Local or Cluster", json!("Local")),
        ),
        of(
            "k8s.service.loadBalancerClass",
            optional("service.loadBalancerClass", "who balances", json!("zz.example/class")),
        ),
        of(
            "k8s.service.ipFamilies",
            or_global(
                "service.ipFamilies",
                "IPv4 or IPv6 first",
                json!(["IPv6", "IPv4"]),
                "ipFamilies",
            ),
        ),
        of(
            "k8s.service.ipFamilyPolicy",
            or_global(
                "service.ipFamilyPolicy",
                "one or both",
                json!("PreferDualStack"),
                "ipFamilyPolicy",
            ),
        ),
        of("k8s.service.clusterIP", optional("service.clusterIP", "a wish", json!("192.0.2.195"))),
    ]
}

/// Which pods get its traffic.
fn distribution() -> Vec<Setting> {
    vec![
        of(
            "k8s.service.internalTrafficPolicy",
            optional("service.internalTrafficPolicy", "Local or Cluster", json!("Cluster")),
        ),
        of(
            "k8s.service.trafficDistribution",
            optional("service.trafficDistribution", "which endpoints first", json!("PreferClose")),
        ),
        of(
            "k8s.serviceAnnotations",
            setting("service.annotations", "of the Service", json!({}), Way::Entries("zz/service")),
        ),
    ]
}
