//! The values of the chart `gateway`. In: nothing. Out: the chart, as [`super`] has the others. What an
//! IstioOperator says otherwise than Istio's chart, or not at all, is put in by [`adapt`].

use lateen_install::{Field, Meaning, Type};
use serde_json::{Value, json};

use super::super::emit;
use super::gateway_values::{gateway_service, gateway_workload, of_all_gateways, own_values};
use super::{
    AUDIENCE, AUDIENCE_OF_TOKENS, BUDGET, BUDGETS, Becomes, CLUSTER, CLUSTER_NAME, Chart, Extras,
    IMAGE, LEVEL, LOGGING, NAMESPACE, OF_ISTIOD, RELEASE, SYSTEM, Setting, Taken, Way, audience,
    cluster_domain, common, of, of_every_chart, setting,
};

/// A host and its port.
const AUTHORITY: &str = "zz-authority:15012";
const ROLE: &str = "zz-role";
const APP: &str = "zz-app";
const ACCOUNT: &str = "zz-gateway-account";
const KIND: &str = "zz-kind";
const KINDS: &str = "zz-plural-kind";
/// Entries that stand for values of the chart's own.
const LABELS: &str = "zz/labels";
const ANNOTATIONS: &str = "zz/annotations";
const NETWORK: &str = "zz/network";
const SECURITY: &str = "zz/security";
const OF_CONTAINER: &str = "zz/of-container";
const SELECTOR: &str = "zz/selector";
/// Items that stand for several or none.
const NETWORKS: &str = "zz-networks";
const VOLUMES: &str = "zz-volumes";
const MOUNTS: &str = "zz-mounts";
const SOURCES: &str = "zz-sources";
const CONTAINERS: &str = "zz-containers";
/// Whole values that the renderer does not have.
const INIT_CONTAINERS: &str = "zz-init-containers";
const LIFECYCLE: &str = "zz-lifecycle";
const ALLOCATE: &str = "zz-allocate";
const READY_SECONDS: u32 = 990_101;
const GRACE_SECONDS: u32 = 990_102;
const BEHAVIOR: u32 = 990_103;
const SPREAD: u32 = 990_104;

pub fn gateway() -> Chart {
    Chart {
        name: "gateway",
        description: "A gateway of Lateen, a service mesh with the API of Istio",
        component: "IngressGateways",
        spec: spec(),
        settings: settings(),
        taken: vec![Taken {
            path: "name",
            about: "in place of the release's",
            schema: json!({ "type": ["string", "null"] }),
        }],
        parts: &["global"],
        own: fields(),
        passed: &[],
        elsewhere: vec![("global.", OF_ISTIOD)],
        nested: "",
        checks: include_str!("gateway_checks.tpl"),
        release: &[
            (NAMESPACE, ".Release.Namespace"),
            (RELEASE, "(default .Release.Name .Values.name)"),
            (ROLE, "(include \"gateway.role\" .)"),
            (APP, "(include \"gateway.app\" .)"),
            (ACCOUNT, "(include \"gateway.serviceAccountName\" .)"),
            (KIND, ".Values.kind"),
            (KINDS, "(printf \"%ss\" (lower .Values.kind))"),
            (IMAGE, "(include \"gateway.image\" (list . .Values.global.proxy))"),
            (LEVEL, LOGGING),
            (CLUSTER, CLUSTER_NAME),
            (AUDIENCE, AUDIENCE_OF_TOKENS),
            (AUTHORITY, "(include \"gateway.authority\" .)"),
        ],
        helpers: include_str!("gateway.tpl"),
        notes: "The gateway {{ default .Release.Name .Values.name }} is installed. Gateway objects choose it by \
                istio: {{ include \"gateway.role\" . }}",
        extras: extras(),
    }
}

fn spec() -> Value {
    json!({
        "profile": "minimal",
        "components": {"ingressGateways": [
            {"name": "istio-ingressgateway", "enabled": false},
            {
                "name": RELEASE, "namespace": NAMESPACE, "enabled": true,
                "label": {"istio": ROLE},
            },
        ]},
        "values": {"global": {
            "defaultPodDisruptionBudget": {"enabled": true},
            "logging": {"level": LEVEL}, "multiCluster": {"clusterName": CLUSTER},
            "proxy": {"image": IMAGE}, "caAddress": AUTHORITY,
            "sds": {"token": {"aud": AUDIENCE}},
        }},
    })
}

fn settings() -> Vec<Setting> {
    let mut settings = common();
    settings.retain(|setting| setting.path != BUDGETS);
    settings.extend(of_all_gateways());
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
    settings.extend([cluster_domain(), audience()]);
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
    settings
}

/// What no IstioOperator has.
fn fields() -> Vec<Field> {
    let mut fields = of_every_chart();
    fields.extend([
        Field("pilot", Type::Object, Meaning::Gone(OF_ISTIOD)),
        Field("defaultRevision", Type::Text, Meaning::Gone("set revision")),
        Field(
            "unprivilegedPort",
            Type::Any,
            Meaning::Gone("ports below 1024 are allowed to the pod where the Service has one"),
        ),
    ]);
    fields
}

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

fn extras() -> Extras {
    Extras {
        adapt: Some(adapt),
        conditions: vec![
            ("ServiceAccount", "", ".Values.serviceAccount.create"),
            ("Role", "", ".Values.rbac.enabled"),
            ("RoleBinding", "", ".Values.rbac.enabled"),
            ("Service", "", "ne .Values.service.type \"None\""),
            ("HorizontalPodAutoscaler", "", "ne .Values.kind \"DaemonSet\""),
            (
                "PodDisruptionBudget",
                "",
                "or .Values.podDisruptionBudget .Values.global.defaultPodDisruptionBudget.enabled",
            ),
        ],
        entries: vec![
            (LABELS, "(.Values.labels | default dict)"),
            (ANNOTATIONS, "(.Values.annotations | default dict)"),
            (NETWORK, "(include \"gateway.network\" . | fromJson)"),
            (BUDGET, "(include \"gateway.budget\" . | fromJson)"),
            (SECURITY, "(include \"gateway.security\" . | fromJson)"),
            (OF_CONTAINER, "(include \"gateway.containerSecurity\" . | fromJson)"),
            (SELECTOR, "(.Values.service.selectorLabels | default dict)"),
        ],
        kept: Vec::new(),
        lines: lines(),
        becomes: becomes(),
    }
}

/// What stands for several items or none.
fn lines() -> Vec<(Value, &'static str)> {
    vec![
        (
            json!(NETWORKS),
            "{{- with .Values.networkGateway }}\n\
             {{- $own := include \"gateway.variables\" $ | fromJson }}\n\
             {{- range $name := list \"ISTIO_META_NETWORK\" \"ISTIO_META_REQUESTED_NETWORK_VIEW\" }}\n\
             {{- if not (hasKey $own $name) }}\n\
             - {name: {{ toJson $name }}, value: {{ toJson $.Values.networkGateway }}}\n\
             {{- end }}\n{{- end }}\n{{- end }}",
        ),
        (
            json!(SOURCES),
            "{{- range .Values.envVarFrom }}\n\
             {{- if not (hasKey ($.Values.env | default dict) .name) }}\n\
             - {{ toJson . }}\n{{- end }}\n{{- end }}",
        ),
        (
            json!(CONTAINERS),
            "{{- range .Values.additionalContainers }}\n- {{ toJson . }}\n{{- end }}",
        ),
        (json!(VOLUMES), "{{- range .Values.volumes }}\n- {{ toJson . }}\n{{- end }}"),
        (json!(MOUNTS), "{{- range .Values.volumeMounts }}\n- {{ toJson . }}\n{{- end }}"),
    ]
}

/// Whole values.
fn becomes() -> Vec<Becomes> {
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
    vec![
        optional(json!(READY_SECONDS), "minReadySeconds"),
        optional(json!(GRACE_SECONDS), "terminationGracePeriodSeconds"),
        optional(json!(SPREAD), "topologySpreadConstraints"),
        optional(json!(BEHAVIOR), "autoscaling.autoscaleBehavior"),
        optional(json!(INIT_CONTAINERS), "initContainers"),
        optional(json!(LIFECYCLE), "lifecycle"),
        Becomes {
            condition: Some(
                "not (kindIs \"invalid\" .Values.service.allocateLoadBalancerNodePorts)".to_owned(),
            ),
            ..optional(json!(ALLOCATE), "service.allocateLoadBalancerNodePorts")
        },
        strategy,
    ]
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
        "Service" => {
            object["metadata"]["labels"][NETWORK] = json!("");
            object["spec"]["selector"][SELECTOR] = json!("");
            object["spec"]["allocateLoadBalancerNodePorts"] = json!(ALLOCATE);
        }
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
    pod["initContainers"] = json!(INIT_CONTAINERS);
    // Its kernel setting is put in by the template.
    if let Some(context) = pod["securityContext"].as_object_mut() {
        context.shift_remove("sysctls");
    }
    pod["securityContext"][SECURITY] = json!("");
    push(&mut pod["volumes"], VOLUMES);
    push(&mut pod["containers"], CONTAINERS);
    let container = &mut pod["containers"][0];
    push(&mut container["volumeMounts"], MOUNTS);
    push(&mut container["env"], NETWORKS);
    push(&mut container["env"], SOURCES);
    container["securityContext"][OF_CONTAINER] = json!("");
    container["lifecycle"] = json!(LIFECYCLE);
    let usual = emit::literal(&container["readinessProbe"]);
    let probe = format!("toJson (.Values.readinessProbe | default {usual})");
    container["readinessProbe"] = emit::raw(&probe);
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
