//! The values of the chart `gateway`. In: nothing. Out: the chart, as [`super`] has the others. What an
//! IstioOperator says otherwise than Istio's chart, or not at all, is put in by [`adapt`].

use serde_json::{Value, json};

use super::{
    Becomes, Chart, Extras, NAMESPACE, RELEASE, SYSTEM, Setting, Taken, VARIABLE, Way, affinity,
    always, cluster_domain, common, of, optional, setting,
};

const ROLE: &str = "zz-role";
const APP: &str = "zz-app";
const ACCOUNT: &str = "zz-gateway-account";
const KIND: &str = "zz-kind";
const KINDS: &str = "zz-plural-kind";
/// Entries that stand for values of the chart's own.
const LABELS: &str = "zz/labels";
const ANNOTATIONS: &str = "zz/annotations";
const NETWORK: &str = "zz/network";
const BUDGET: &str = "zz/budget";
/// Items that stand for several or none.
const NETWORKS: &str = "zz-networks";
const VOLUMES: &str = "zz-volumes";
const MOUNTS: &str = "zz-mounts";
const READY_SECONDS: u32 = 990_101;
const GRACE_SECONDS: u32 = 990_102;
const BEHAVIOR: u32 = 990_103;
const SPREAD: u32 = 990_104;

pub fn gateway() -> Chart {
    let mut settings = common();
    settings.retain(|setting| setting.path != BUDGETS);
    secrets_of_its_own(&mut settings);
    settings.push(of(
        "namespace",
        setting(
            "global.istioNamespace",
            "the control plane's",
            json!("istio-system"),
            Way::Text(SYSTEM),
        ),
    ));
    settings.push(cluster_domain());
    settings.push(of(
        "meshConfig.trustDomain",
        setting(
            "meshConfig.trustDomain",
            "as the control plane's chart has it",
            json!("cluster.local"),
            Way::Text("zz-trust"),
        ),
    ));
    settings.extend(own_values());
    settings.extend(gateway_workload());
    settings.extend(gateway_service());
    Chart {
        name: "gateway",
        description: "A gateway of Lateen, a service mesh with the API of Istio",
        component: "IngressGateways",
        spec: json!({
            "profile": "minimal",
            "components": {"ingressGateways": [
                {"name": "istio-ingressgateway", "enabled": false},
                {
                    "name": RELEASE, "namespace": NAMESPACE, "enabled": true,
                    "label": {"istio": ROLE},
                },
            ]},
            "values": {"global": {"defaultPodDisruptionBudget": {"enabled": true}}},
        }),
        settings,
        taken: vec![Taken {
            path: "name",
            about: "in place of the release's",
            schema: json!({ "type": "string" }),
        }],
        checks: "{{- if not (has .Values.kind (list \"Deployment\" \"DaemonSet\")) }}\n\
                 {{- fail (printf \"kind is %s: it is Deployment or DaemonSet\" .Values.kind) }}\n\
                 {{- end }}\n",
        release: &[
            (NAMESPACE, ".Release.Namespace"),
            (RELEASE, "(default .Release.Name .Values.name)"),
            (ROLE, "(include \"gateway.role\" .)"),
            (APP, "(include \"gateway.app\" .)"),
            (ACCOUNT, "(include \"gateway.serviceAccountName\" .)"),
            (KIND, ".Values.kind"),
            (KINDS, "(printf \"%ss\" (lower .Values.kind))"),
        ],
        helpers: include_str!("gateway.tpl"),
        extras: extras(),
    }
}

const BUDGETS: &str = "global.defaultPodDisruptionBudget.enabled";

/// Istio's chart has them beside `global`.
fn secrets_of_its_own(settings: &mut [Setting]) {
    for setting in settings {
        let (template, condition) = match setting.path {
            "global.imagePullPolicy" => (
                "{{ toJson (.Values.imagePullPolicy | default .Values.global.imagePullPolicy) }}",
                "or .Values.imagePullPolicy .Values.global.imagePullPolicy",
            ),
            "global.imagePullSecrets" => (
                "{{ include \"gateway.imagePullSecrets\" . }}",
                "or .Values.imagePullSecrets .Values.global.imagePullSecrets",
            ),
            _ => continue,
        };
        if let Way::Node { becomes, .. } = &mut setting.way {
            becomes[0].template = template.to_owned();
            becomes[0].condition = Some(condition.to_owned());
        }
    }
}

/// What [`adapt`] puts marks in for.
fn own_values() -> Vec<Setting> {
    let own = |path, about, default| setting(path, about, default, Way::Free);
    vec![
        own("kind", "Deployment or DaemonSet", json!("Deployment")),
        setting("labels", "of all objects and of pods", json!({}), Way::Texts),
        setting("annotations", "of workload, Service, autoscaler and role", json!({}), Way::Texts),
        own(BUDGETS, "whether there is a budget of one pod", json!(true)),
        own("podDisruptionBudget", "another budget", json!({})),
        own("networkGateway", "the network whose gateway it is", json!("")),
        own("volumes", "of pods", json!([])),
        own("volumeMounts", "of the container", json!([])),
        own("serviceAccount.create", "or it is there already", json!(true)),
        own("serviceAccount.name", "in place of the gateway's", json!("")),
        own("rbac.enabled", "the right to read certificates", json!(true)),
        own("imagePullPolicy", "in place of global's", json!("")),
        own("imagePullSecrets", "beside global's, as a pod has them", json!([])),
        own("topologySpreadConstraints", "of pods", json!([])),
        own("minReadySeconds", "of an update", json!(null)),
        own("terminationGracePeriodSeconds", "of pods", json!(null)),
        own("autoscaling.autoscaleBehavior", "how fast", json!({})),
        own(
            "strategy",
            "of a Deployment's update",
            json!({
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": "25%"},
            }),
        ),
    ]
}

fn extras() -> Extras {
    let optional = |rendered: Value, path: &str| Becomes {
        rendered,
        template: format!("{{{{ toJson .Values.{path} }}}}"),
        condition: Some(format!(".Values.{path}")),
    };
    let strategy = Becomes {
        rendered: json!({
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": "25%"},
        }),
        template: "{{ toJson (ternary (dict \"type\" \"Recreate\") .Values.strategy \
                   (eq .Values.strategy.type \"Recreate\")) }}"
            .to_owned(),
        condition: Some("ne .Values.kind \"DaemonSet\"".to_owned()),
    };
    Extras {
        adapt: Some(adapt),
        conditions: vec![
            ("ServiceAccount", ".Values.serviceAccount.create"),
            ("Role", ".Values.rbac.enabled"),
            ("RoleBinding", ".Values.rbac.enabled"),
            ("Service", "ne .Values.service.type \"None\""),
            ("HorizontalPodAutoscaler", "ne .Values.kind \"DaemonSet\""),
            (
                "PodDisruptionBudget",
                "or .Values.podDisruptionBudget .Values.global.defaultPodDisruptionBudget.enabled",
            ),
        ],
        entries: vec![
            (LABELS, "(.Values.labels | default dict)"),
            (ANNOTATIONS, "(.Values.annotations | default dict)"),
            (NETWORK, "(include \"gateway.network\" . | fromJson)"),
            (BUDGET, "(.Values.podDisruptionBudget | default (dict \"minAvailable\" 1))"),
        ],
        lines: vec![
            (
                NETWORKS,
                "{{- with .Values.networkGateway }}\n\
                 - {name: \"ISTIO_META_NETWORK\", value: {{ toJson . }}}\n\
                 - {name: \"ISTIO_META_REQUESTED_NETWORK_VIEW\", value: {{ toJson . }}}\n\
                 {{- end }}",
            ),
            (VOLUMES, "{{- range .Values.volumes }}\n- {{ toJson . }}\n{{- end }}"),
            (MOUNTS, "{{- range .Values.volumeMounts }}\n- {{ toJson . }}\n{{- end }}"),
        ],
        becomes: vec![
            optional(json!(READY_SECONDS), "minReadySeconds"),
            optional(json!(GRACE_SECONDS), "terminationGracePeriodSeconds"),
            optional(json!(SPREAD), "topologySpreadConstraints"),
            optional(json!(BEHAVIOR), "autoscaling.autoscaleBehavior"),
            strategy,
        ],
    }
}

/// Istio's chart names account and role after the gateway, has labels and annotations for all, and more than one
/// kind of workload.
fn adapt(object: &mut Value) {
    rename(object);
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    let annotated = ["Deployment", "Service", "HorizontalPodAutoscaler", "Role", "RoleBinding"];
    object["metadata"]["labels"][LABELS] = json!("");
    if annotated.contains(&kind.as_str()) {
        object["metadata"]["annotations"][ANNOTATIONS] = json!("");
    }
    match kind.as_str() {
        "Deployment" => adapt_workload(object),
        "Service" => object["metadata"]["labels"][NETWORK] = json!(""),
        "HorizontalPodAutoscaler" => object["spec"]["behavior"] = json!(BEHAVIOR),
        "PodDisruptionBudget" => {
            let selector = object["spec"]["selector"].take();
            object["spec"] = json!({ "selector": selector, BUDGET: "" });
        }
        _ => {}
    }
}

fn adapt_workload(object: &mut Value) {
    object["kind"] = json!(KIND);
    let spec = &mut object["spec"];
    spec["minReadySeconds"] = json!(READY_SECONDS);
    let labels = &mut spec["template"]["metadata"]["labels"];
    labels[LABELS] = json!("");
    labels[NETWORK] = json!("");
    let pod = &mut spec["template"]["spec"];
    pod["terminationGracePeriodSeconds"] = json!(GRACE_SECONDS);
    pod["topologySpreadConstraints"] = json!(SPREAD);
    push(&mut pod["volumes"], VOLUMES);
    let container = &mut pod["containers"][0];
    push(&mut container["volumeMounts"], MOUNTS);
    push(&mut container["env"], NETWORKS);
    for variable in container["env"].as_array_mut().into_iter().flatten() {
        if let Some(owner) = variable["value"].as_str()
            && variable["name"] == "ISTIO_META_OWNER"
        {
            variable["value"] = json!(owner.replace("/deployments/", &format!("/{KINDS}/")));
        }
    }
}

fn push(list: &mut Value, item: &str) {
    list.as_array_mut().expect("the renderer has such a list").push(json!(item));
}

fn rename(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.contains_key("app") && map.contains_key("istio") {
                map["app"] = json!(APP);
            }
            map.values_mut().for_each(rename);
        }
        Value::Array(list) => list.iter_mut().for_each(rename),
        Value::String(text)
            if [format!("{RELEASE}-service-account"), format!("{RELEASE}-sds")].contains(text) =>
        {
            ACCOUNT.clone_into(text);
        }
        _ => {}
    }
}

fn gateway_workload() -> Vec<Setting> {
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
            "k8s.resources",
            always(
                "resources",
                "of the container",
                json!({"requests": {"cpu": "990005m", "memory": "990006Mi"}}),
                json!({"requests": {"cpu": "20m", "memory": "32Mi"}}),
            ),
        ),
        of("k8s.nodeSelector", optional("nodeSelector", "labels of nodes", json!({"zz": "nodes"}))),
        of("k8s.tolerations", optional("tolerations", "of taints", json!([{"key": "zz-taint"}]))),
        of("k8s.affinity", optional("affinity", "of pods", affinity())),
        of(
            "values.gateways.istio-ingressgateway.serviceAccount.annotations",
            Setting {
                default: Some(json!({})),
                ..optional("serviceAccount.annotations", "of the account", json!({"zz": "account"}))
            },
        ),
        of("k8s.priorityClassName", optional("priorityClassName", "of pods", json!("zz-priority"))),
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

/// The pod's ports follow from the Service's, and so does the leave to listen below 1024.
fn gateway_service() -> Vec<Setting> {
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
        Becomes {
            rendered: json!([{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]),
            template: "[{\"name\": \"net.ipv4.ip_unprivileged_port_start\", \"value\": \"0\"}]"
                .to_owned(),
            condition: Some("include \"gateway.privileged\" .".to_owned()),
        },
    ];
    let usual = json!([
        {"name": "status-port", "port": 15021, "targetPort": 15021},
        {"name": "http2", "port": 80, "targetPort": 8080},
        {"name": "https", "port": 443, "targetPort": 8443},
    ]);
    vec![
        of(
            "values.gateways.istio-ingressgateway.ports",
            setting("service.ports", "as a Service has them", usual, Way::Node { probe, becomes }),
        ),
        of(
            "k8s.service.type",
            always("service.type", "of the Service", json!("NodePort"), json!("LoadBalancer")),
        ),
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
            optional("service.ipFamilies", "IPv4 or IPv6 first", json!(["IPv6", "IPv4"])),
        ),
        of(
            "k8s.service.ipFamilyPolicy",
            optional("service.ipFamilyPolicy", "one or both", json!("PreferDualStack")),
        ),
        of(
            "k8s.serviceAnnotations",
            setting("service.annotations", "of the Service", json!({}), Way::Entries("zz/service")),
        ),
    ]
}
