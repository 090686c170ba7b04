//! The charts' values. In: nothing. Out: for each value its path in the chart, its path in an IstioOperator,
//! its default, and how it is found again in what is rendered.

#[path = "gateway.rs"]
mod gateway;
#[path = "gateway_values.rs"]
mod gateway_values;
#[path = "istiod.rs"]
mod istiod;
#[path = "istiod_values.rs"]
mod istiod_values;
#[path = "node_agent.rs"]
mod node_agent;

use lateen_install::{Field, Meaning, Type};
use serde_json::{Value, json};

pub use gateway::gateway;
pub use istiod::istiod;
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
    /// The parts of an IstioOperator's values that its users may set.
    pub parts: &'static [&'static str],
    /// What no IstioOperator has, or has in another type.
    pub own: Vec<Field>,
    /// Beginnings of paths that are used without being found in what is rendered.
    pub passed: &'static [&'static str],
    /// Beginnings of paths of what other charts use, and what is said of them.
    pub elsewhere: Vec<(&'static str, &'static str)>,
    /// In older files, the chart's own values are within this one.
    pub nested: &'static str,
    /// A template that refuses what a schema cannot.
    pub checks: &'static str,
    /// Marks that stand for what is no value: the release's name and namespace.
    pub release: &'static [(&'static str, &'static str)],
    /// Named templates.
    pub helpers: &'static str,
    /// What is said after an installation.
    pub notes: &'static str,
    pub extras: Extras,
}

/// What a chart has that no IstioOperator says.
#[derive(Default)]
pub struct Extras {
    /// Puts marks into a rendered object.
    pub adapt: Option<fn(&mut Value)>,
    /// Kinds of objects, with a name or all of them, that are there under a condition alone.
    pub conditions: Vec<(&'static str, &'static str, &'static str)>,
    /// Names of entries, and the objects that take their place.
    pub entries: Vec<(&'static str, &'static str)>,
    /// Names of entries, and what they do not take the place of.
    pub kept: Vec<(&'static str, &'static [&'static str])>,
    /// Items of lists, and the lines that take their place.
    pub lines: Vec<(Value, &'static str)>,
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
    /// When a switch is on, if not when its value is true.
    pub condition: Option<&'static str>,
    /// Of a value that no IstioOperator has, if its default does not tell.
    pub schema: Option<Value>,
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
    /// A switch that changes objects of this kind alone.
    SwitchOf(&'static str),
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
const SYSTEM: &str = "zz-system";
/// A whole image name, which a template makes of its parts.
const IMAGE: &str = "zz.example/image";
const LEVEL: &str = "zz-level:debug";
const CLUSTER: &str = "zz-cluster";
const LOGGING: &str = ".Values.global.logging.level";
const CLUSTER_NAME: &str = "(.Values.global.multiCluster.clusterName | default \"Kubernetes\")";
const AUDIENCE: &str = "zz-audience";
const AUDIENCE_OF_TOKENS: &str = "(.Values.global.sds.token.aud | default \"istio-ca\")";
/// An entry in a budget's place.
const BUDGET: &str = "zz/budget";
const BUDGETS: &str = "global.defaultPodDisruptionBudget.enabled";

/// Labels of pods that are the chart's own, and those of the objects around them.
const OF_PODS: &[&str] = &[
    "istio.io/rev",
    "operator.istio.io/component",
    "istio.io/dataplane-mode",
    "sidecar.istio.io/inject",
];
const OF_OBJECTS: &[&str] = &["release"];

fn setting(path: &'static str, about: &'static str, default: Value, way: Way) -> Setting {
    let (operator, condition, schema) = (None, None, None);
    Setting { path, operator, default: Some(default), about, way, condition, schema }
}

/// A value that the chart's own templates use.
fn own(path: &'static str, about: &'static str, default: Value) -> Setting {
    setting(path, about, default, Way::Free)
}

/// The same without a default.
fn free(path: &'static str, about: &'static str) -> Setting {
    Setting { default: None, ..own(path, about, Value::Null) }
}

/// A switch that is off unless it is set.
fn off(path: &'static str, about: &'static str) -> Setting {
    Setting { default: None, ..setting(path, about, Value::Null, Way::Switch) }
}

fn of(operator: &'static str, setting: Setting) -> Setting {
    Setting { operator: Some(operator), ..setting }
}

/// A whole value that is rendered as it is, and left out when it is empty.
fn optional(path: &'static str, about: &'static str, probe: Value) -> Setting {
    let value = format!(".Values.{path}");
    // A number may be 0.
    let condition = match probe {
        Value::Number(_) => format!("not (kindIs \"invalid\" {value})"),
        _ => value.clone(),
    };
    optional_as(path, about, probe, &value, &condition)
}

/// The same with another expression.
fn optional_as(
    path: &'static str,
    about: &'static str,
    probe: Value,
    expression: &str,
    condition: &str,
) -> Setting {
    let becomes = vec![Becomes {
        rendered: probe.clone(),
        template: format!("{{{{ toJson ({expression}) }}}}"),
        condition: Some(condition.to_owned()),
    }];
    let way = Way::Node { probe, becomes };
    Setting { default: None, ..setting(path, about, Value::Null, way) }
}

/// A whole value, or that of all components.
fn or_global(path: &'static str, about: &'static str, probe: Value, global: &str) -> Setting {
    let expression = format!(".Values.{path} | default .Values.global.{global}");
    let condition = format!("or .Values.{path} .Values.global.{global}");
    optional_as(path, about, probe, &expression, &condition)
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

/// An item of a list that is there if the value is set.
fn item(
    path: &'static str,
    about: &'static str,
    probe: Value,
    rendered: Value,
    template: &str,
) -> Setting {
    let condition = Some(format!(".Values.{path}"));
    let becomes = vec![Becomes { rendered, template: template.to_owned(), condition }];
    let way = Way::Node { probe, becomes };
    Setting { default: None, ..setting(path, about, Value::Null, way) }
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
        own("global.hub", "where the image is", json!("lateen-mesh")),
        own("global.tag", "which image", json!(version)),
        optional("global.imagePullPolicy", "when it is pulled", json!("IfNotPresent")),
        Setting {
            default: None,
            ..setting(
                "global.imagePullSecrets",
                "names of Secrets",
                Value::Null,
                Way::Node { probe: json!(["zz-secret"]), becomes: vec![secrets] },
            )
        },
    ]
}

/// What pods may ask of nodes where their chart says nothing.
fn of_all_pods() -> Vec<Setting> {
    vec![
        free("global.defaultNodeSelector", "labels of nodes, for pods without nodeSelector"),
        free("global.defaultTolerations", "for pods without tolerations"),
        free("global.priorityClassName", "for pods without one"),
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
    settings.extend(of_all_pods());
    settings.extend([
        of("revision", setting("revision", "of the control plane", json!(""), Way::Name(REVISION))),
        own("global.logging.level", "as Istio writes it", json!("default:info")),
        off("global.logAsJson", "one object a line"),
        free("global.multiCluster.clusterName", "this cluster's, or Kubernetes"),
        setting(
            BUDGETS,
            "whether there is a budget of one pod where no other is set",
            json!(true),
            Way::Free,
        ),
    ]);
    settings
}

/// Proxies' tokens, in the control plane's chart and in a gateway's.
fn audience() -> Setting {
    free("global.sds.token.aud", "whom proxies' tokens are for; istio-ca")
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

const PROFILES: &str = "a chart has no profiles: set the values that the profile sets";
const COMPATIBILITY: &str = "there is one set of defaults, that of this version";
const OF_ISTIOD: &str = "set it in the chart istiod";

/// What every chart of Istio has had.
fn of_every_chart() -> Vec<Field> {
    vec![
        Field("profile", Type::Text, Meaning::Gone(PROFILES)),
        Field("compatibilityVersion", Type::Text, Meaning::Gone(COMPATIBILITY)),
        Field("platform", Type::Text, Meaning::Gone("the objects are the same on every platform")),
        Field(
            "ownerName",
            Type::Text,
            Meaning::Gone("the release is told by Helm's own annotations"),
        ),
    ]
}

pub fn base() -> Chart {
    let mut fields = of_every_chart();
    fields.extend([
        Field("revision", Type::Text, Meaning::Gone("the definitions are those of all revisions")),
        Field(
            "experimental",
            Type::Object,
            Meaning::Gone("experimental values of Istio's charts have no meaning here"),
        ),
    ]);
    let free = |path, about, default| Setting { schema: None, ..own(path, about, default) };
    Chart {
        name: "base",
        description: "CustomResourceDefinitions of Lateen, a service mesh with the API of Istio",
        component: "Base",
        spec: json!({ "profile": "minimal" }),
        settings: vec![
            free("base.enableIstioConfigCRDs", "or the chart installs nothing", json!(true)),
            free("base.excludedCRDs", "names of definitions that are left out", json!([])),
        ],
        taken: vec![Taken {
            path: "defaultRevision",
            about: "default, or nothing; the chart istiod has its validators",
            schema: json!({ "enum": ["", "default", null] }),
        }],
        parts: &["global", "base"],
        own: fields,
        passed: &[],
        elsewhere: vec![("global.", OF_ISTIOD), ("base.", OF_ISTIOD)],
        nested: "",
        checks: "",
        release: &[],
        helpers: "",
        notes: "The definitions of the mesh's kinds are installed.",
        extras: Extras::default(),
    }
}
