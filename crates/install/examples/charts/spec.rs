//! The charts' values. In: nothing. Out: for each value its path in the chart, its path in an IstioOperator,
//! its default, and how it is found again in what is rendered.

#[path = "gateway.rs"]
mod gateway;
#[path = "node_agent.rs"]
mod node_agent;

use serde_json::{Value, json};

pub use gateway::gateway;
pub use node_agent::cni;

pub struct Chart {
    pub name: &'static str,
    pub description: &'static str,
    /// `operator.istio.io/component` of its objects.
    pub component: &'static str,
    /// The IstioOperator's spec before any value is set.
    pub spec: Value,
    pub settings: Vec<Setting>,
    /// Values that Istio's users set and that change nothing here, as long as they have this schema.
    pub taken: Vec<Taken>,
    /// A template that refuses what a schema cannot.
    pub checks: &'static str,
    /// Marks that stand for what is no value: the release's name and namespace.
    pub release: &'static [(&'static str, &'static str)],
    /// Named templates.
    pub helpers: &'static str,
    pub extras: Extras,
}

/// What a chart has that no IstioOperator says.
#[derive(Default)]
pub struct Extras {
    /// Puts marks into a rendered object.
    pub adapt: Option<fn(&mut Value)>,
    /// Kinds of objects that are there under a condition alone.
    pub conditions: Vec<(&'static str, &'static str)>,
    /// Names of entries, and the objects that take their place.
    pub entries: Vec<(&'static str, &'static str)>,
    /// Items of lists, and the lines that take their place.
    pub lines: Vec<(&'static str, &'static str)>,
    pub becomes: Vec<Becomes>,
}

pub struct Setting {
    /// In the chart's values.
    pub path: &'static str,
    /// In the IstioOperator's spec, if not below `values`.
    pub operator: Option<&'static str>,
    pub default: Option<Value>,
    pub about: &'static str,
    pub way: Way,
}

pub struct Taken {
    pub path: &'static str,
    pub about: &'static str,
    pub schema: Value,
}

/// How a value is found again.
pub enum Way {
    /// True or false, which changes anything at all.
    Switch,
    /// A name that may be left out, and is found within texts: a switch with a mark.
    Name(&'static str),
    /// Names of tags, each of which has objects of its own: a switch between the tag `default` and another one.
    Tags,
    /// A text with this mark.
    Text(&'static str),
    /// A whole value, and what becomes of this probe.
    Node { probe: Value, becomes: Vec<Becomes> },
    /// Entries of this name beside fixed ones, in an object or among environment variables.
    Entries(&'static str),
    /// What only reaches the ConfigMaps, or an expression of the chart's own.
    Free,
    /// The same, texts by name.
    Texts,
}

/// A place that follows from a value.
pub struct Becomes {
    /// From the probe.
    pub rendered: Value,
    pub template: String,
    /// Without it the field is left out.
    pub condition: Option<String>,
}

pub const REVISION: &str = "zz-revision";
/// The revision behind a hyphen, or nothing; itself or `default`; itself or nothing.
pub const SUFFIX: &str = "zz-suffix";
pub const LABEL: &str = "zz-label";
pub const BARE: &str = "zz-bare";
/// The namespace behind a hyphen, unless it is the usual one.
pub const ELSEWHERE: &str = "zz-elsewhere";
pub const NAMESPACE: &str = "zz-namespace";
pub const TAG: &str = "zz-alias";
pub const RELEASE: &str = "zz-release";
/// Among environment variables.
pub const VARIABLE: &str = "ZZ_VARIABLE";
/// Whether pods are injected that do not say.
const POLICY: &str = "zz-policy";
const SYSTEM: &str = "zz-system";

fn setting(path: &'static str, about: &'static str, default: Value, way: Way) -> Setting {
    Setting { path, operator: None, default: Some(default), about, way }
}

/// A switch that is off unless it is set.
fn off(path: &'static str, about: &'static str) -> Setting {
    Setting { path, operator: None, default: None, about, way: Way::Switch }
}

fn of(operator: &'static str, setting: Setting) -> Setting {
    Setting { operator: Some(operator), ..setting }
}

/// A whole value that is rendered as it is, and left out when it is empty.
fn optional(path: &'static str, about: &'static str, probe: Value) -> Setting {
    let becomes = vec![Becomes {
        rendered: probe.clone(),
        template: format!("{{{{ toJson .Values.{path} }}}}"),
        condition: Some(format!(".Values.{path}")),
    }];
    Setting { path, operator: None, default: None, about, way: Way::Node { probe, becomes } }
}

/// A whole value that is always there.
fn always(path: &'static str, about: &'static str, probe: Value, default: Value) -> Setting {
    let becomes = vec![Becomes {
        rendered: probe.clone(),
        template: format!("{{{{ toJson .Values.{path} }}}}"),
        condition: None,
    }];
    setting(path, about, default, Way::Node { probe, becomes })
}

fn image() -> Vec<Setting> {
    let secrets = Becomes {
        rendered: json!([{"name": "zz-secret"}]),
        template:
            "[{{- range $at, $name := .Values.global.imagePullSecrets }}{{ if $at }}, {{ end }}\
                   {\"name\": {{ toJson $name }}}{{ end -}}]"
                .to_owned(),
        condition: Some(".Values.global.imagePullSecrets".to_owned()),
    };
    let version = env!("CARGO_PKG_VERSION");
    vec![
        setting("global.hub", "where the image is", json!("lateen-mesh"), Way::Text("zz-hub")),
        setting("global.tag", "which image", json!(version), Way::Text("zz-tag")),
        optional("global.imagePullPolicy", "when it is pulled", json!("IfNotPresent")),
        Setting {
            path: "global.imagePullSecrets",
            operator: None,
            default: None,
            about: "names of Secrets",
            way: Way::Node { probe: json!(["zz-secret"]), becomes: vec![secrets] },
        },
    ]
}

fn affinity() -> Value {
    let expression = json!({"key": "zz-node", "operator": "Exists"});
    let preference = json!({"matchExpressions": [expression]});
    let preferred = json!([{"weight": 1, "preference": preference}]);
    json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}})
}

fn common() -> Vec<Setting> {
    let mut settings = image();
    settings.extend([
        of("revision", setting("revision", "of the control plane", json!(""), Way::Name(REVISION))),
        setting(
            "global.logging.level",
            "as Istio writes it",
            json!("default:info"),
            Way::Text("zz-level:debug"),
        ),
        off("global.logAsJson", "one object a line"),
        setting(
            "global.multiCluster.clusterName",
            "this cluster's",
            json!("Kubernetes"),
            Way::Text("zz-cluster"),
        ),
        setting(
            "global.defaultPodDisruptionBudget.enabled",
            "whether there are budgets",
            json!(true),
            Way::Switch,
        ),
    ]);
    settings
}

/// The domain of Services' names.
fn cluster_domain() -> Setting {
    setting(
        "global.proxy.clusterDomain",
        "of Services",
        json!("cluster.local"),
        Way::Text("zz-domain"),
    )
}

pub fn base() -> Chart {
    Chart {
        name: "base",
        description: "CustomResourceDefinitions of Lateen, a service mesh with the API of Istio",
        component: "Base",
        spec: json!({ "profile": "minimal" }),
        settings: Vec::new(),
        taken: vec![Taken {
            path: "defaultRevision",
            about: "default, or nothing; the chart istiod has its validators",
            schema: json!({ "enum": ["", "default"] }),
        }],
        checks: "",
        release: &[],
        helpers: "",
        extras: Extras::default(),
    }
}

pub fn istiod() -> Chart {
    let mut settings = common();
    settings.extend(istiod_workload());
    settings.extend(istiod_mesh());
    Chart {
        name: "istiod",
        description: "The control plane of Lateen, a service mesh with the API of Istio",
        component: "Pilot",
        spec: json!({ "profile": "minimal", "namespace": NAMESPACE }),
        settings,
        taken: vec![Taken {
            path: "global.istioNamespace",
            about: "that of the release",
            schema: json!({ "type": "string" }),
        }],
        checks: "{{- with .Values.global.istioNamespace }}{{ if ne . $.Release.Namespace }}\n\
                 {{- fail (printf \"global.istioNamespace is %s: install into it, with --namespace %s\" . .) }}\n\
                 {{- end }}{{ end }}\n",
        release: &[
            (NAMESPACE, ".Release.Namespace"),
            (ELSEWHERE, "(include \"istiod.elsewhere\" .)"),
            (POLICY, "(default \"enabled\" .Values.global.proxy.autoInject)"),
        ],
        helpers: "{{- define \"istiod.elsewhere\" -}}\n\
                  {{- if ne .Release.Namespace \"istio-system\" -}}-{{ .Release.Namespace }}{{- end -}}\n\
                  {{- end -}}\n",
        extras: Extras { adapt: Some(adapt_injector), ..Extras::default() },
    }
}

/// The injector's policy is a text within a text.
fn adapt_injector(object: &mut Value) {
    if let Some(Value::String(config)) = object.pointer_mut("/data/config") {
        *config = config.replace("policy: enabled", &format!("policy: {POLICY}"));
    }
}

fn istiod_workload() -> Vec<Setting> {
    vec![
        setting("pilot.autoscaleEnabled", "by CPU", json!(true), Way::Switch),
        always("pilot.autoscaleMin", "replicas at least", json!(990_001), json!(1)),
        always("pilot.autoscaleMax", "replicas at most", json!(990_002), json!(5)),
        always(
            "pilot.cpu.targetAverageUtilization",
            "per cent of the request",
            json!(990_003),
            json!(80),
        ),
        always("pilot.replicaCount", "without autoscaler", json!(990_004), json!(1)),
        always("pilot.rollingMaxSurge", "of an update", json!("97%"), json!("100%")),
        always("pilot.rollingMaxUnavailable", "of an update", json!("98%"), json!("25%")),
        setting(
            "pilot.keepaliveMaxServerConnectionAge",
            "after which proxies connect anew",
            json!("30m"),
            Way::Text("97h"),
        ),
        of(
            "components.pilot.k8s.resources",
            always(
                "pilot.resources",
                "of the container",
                json!({"requests": {"cpu": "990005m", "memory": "990006Mi"}}),
                json!({"requests": {"cpu": "50m", "memory": "64Mi"}}),
            ),
        ),
        optional("pilot.nodeSelector", "labels of nodes", json!({"zz": "nodes"})),
        optional("pilot.tolerations", "of taints", json!([{"key": "zz-taint"}])),
        optional("pilot.affinity", "of pods", affinity()),
        of(
            "components.pilot.k8s.priorityClassName",
            optional("pilot.priorityClassName", "of pods", json!("zz-priority")),
        ),
        of(
            "components.pilot.k8s.podAnnotations",
            setting("pilot.podAnnotations", "of pods", json!({}), Way::Entries("zz/annotation")),
        ),
        setting("pilot.env", "variables by name", json!({}), Way::Entries(VARIABLE)),
        setting("revisionTags", "other names of this revision", json!([]), Way::Tags),
    ]
}

/// What the control plane does with pods and proxies.
fn istiod_mesh() -> Vec<Setting> {
    vec![
        off("sidecarInjectorWebhook.enableNamespacesByDefault", "inject everywhere"),
        setting(
            "pilot.cni.enabled",
            "the chart cni is installed: it lays the rules of injected pods",
            json!(false),
            Way::Switch,
        ),
        setting(
            "sidecarInjectorWebhook.rewriteAppHTTPProbe",
            "probes through the proxy",
            json!(true),
            Way::Free,
        ),
        setting("global.configValidation", "by a webhook", json!(true), Way::Switch),
        setting("global.proxy", "settings of sidecars", proxy(), Way::Free),
        cluster_domain(),
        of(
            "meshConfig",
            setting(
                "meshConfig",
                "the mesh's settings",
                json!({
                    "defaultConfig": {"proxyMetadata": {}},
                    "enablePrometheusMerge": true,
                    "trustDomain": "cluster.local",
                }),
                Way::Free,
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
