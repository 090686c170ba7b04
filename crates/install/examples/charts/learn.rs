//! What the renderer makes of a chart's marks. In: a chart and a setting of its switches, one bit each. Out:
//! objects, and for each of them how it looks in every combination.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::emit;
use super::spec::{BARE, Chart, ELSEWHERE, LABEL, NAMESPACE, REVISION, SUFFIX, Setting, TAG, Way};

/// As in Istio's charts. Were it the name of files without one, `lateen install` would take a release's objects
/// for its own that are not wanted any more.
pub const OWNER: &str = "unknown";

/// How names of tags' objects begin.
const TAGGED: &str = "istio-revision-tag-";

/// One object over all combinations; `None` where it is not rendered.
pub struct Learned {
    pub kind: String,
    /// Without the revision.
    pub name: String,
    /// There is one for each tag.
    pub of_tag: bool,
    pub variants: Vec<(u32, Option<Value>)>,
}

pub fn switches(chart: &Chart) -> Vec<&Setting> {
    let is_one = |setting: &&Setting| {
        matches!(setting.way, Way::Switch | Way::SwitchOf(_) | Way::Name(_) | Way::Tags)
    };
    chart.settings.iter().filter(is_one).collect()
}

/// The switches, as bits, that make a difference to objects of a kind.
fn bits_of(chart: &Chart, kind: &str) -> u32 {
    let own = chart.settings.iter().any(|one| matches!(one.way, Way::SwitchOf(of) if of == kind));
    let changes = |setting: &Setting| match setting.way {
        Way::Switch => !own,
        Way::SwitchOf(of) => of == kind,
        _ => true,
    };
    let bits = switches(chart).into_iter().zip(0..).filter(|(setting, _)| changes(setting));
    bits.fold(0, |bits, (_, at)| bits | 1 << at)
}

/// Every combination of these bits.
fn combinations(bits: u32) -> impl Iterator<Item = u32> {
    (0..=bits).filter(move |some| some & !bits == 0)
}

/// In the order of their installation.
pub fn objects(chart: &Chart) -> Vec<Learned> {
    let mut rendered: Rendered = BTreeMap::new();
    let with_switches = chart.settings.iter().filter_map(|setting| match setting.way {
        Way::SwitchOf(kind) => Some(kind),
        _ => None,
    });
    for kind in with_switches.chain([""]) {
        for bits in combinations(bits_of(chart, kind)) {
            rendered.entry(bits).or_insert_with(|| render(chart, bits));
        }
    }
    rendered.values_mut().flatten().for_each(forget_namespace);
    rendered.values_mut().flatten().for_each(forget_tag);
    rendered.values_mut().flatten().for_each(open_texts);
    forget_revision(chart, &mut rendered);
    let mut order: Vec<(String, String)> = Vec::new();
    for object in rendered.values().flatten() {
        if !order.contains(&identity(object)) {
            order.push(identity(object));
        }
    }
    let learned = order.into_iter().map(|(kind, name)| {
        let own = combinations(bits_of(chart, &kind));
        let variants = own.map(|bits| {
            let mut objects = rendered[&bits].iter();
            let found = objects.find(|object| identity(object) == (kind.clone(), name.clone()));
            (bits, found.map(|object| adapted(chart, object)))
        });
        let variants = variants.collect();
        Learned { of_tag: name.starts_with(TAGGED), kind, name, variants }
    });
    learned.collect()
}

/// Objects by the switches that are on.
type Rendered = BTreeMap<u32, Vec<Value>>;

fn adapted(chart: &Chart, object: &Value) -> Value {
    let mut object = texts_apart(chart, object);
    if let Some(adapt) = chart.extras.adapt {
        adapt(&mut object);
    }
    object
}

/// Texts that differ by the revision alone become one, with marks of its forms.
fn forget_revision(chart: &Chart, rendered: &mut Rendered) {
    let switches = switches(chart);
    let at = switches.iter().position(|one| matches!(one.way, Way::Name(_)));
    let bit = 1u32 << at.expect("a chart with values has a revision");
    let on: Vec<u32> = rendered.keys().copied().filter(|bits| bits & bit != 0).collect();
    for bits in on {
        let mut with = rendered.remove(&bits).unwrap_or_default();
        let before = rendered.get_mut(&(bits & !bit)).expect("both have been rendered");
        for with in &mut with {
            if let Some(without) = before.iter_mut().find(|one| identity(one) == identity(with)) {
                unify(with, without);
            }
        }
        rendered.insert(bits, with);
    }
}

fn unify(with: &mut Value, without: &mut Value) {
    match (with, without) {
        (Value::Object(with), Value::Object(without)) => {
            for (name, value) in with {
                if let Some(other) = without.get_mut(name) {
                    unify(value, other);
                }
            }
        }
        (Value::Array(with), Value::Array(without)) => {
            with.iter_mut().zip(without).for_each(|(one, other)| unify(one, other));
        }
        (Value::String(with), Value::String(without)) => {
            let behind = format!("-{REVISION}");
            let joined = match (with.as_str(), without.as_str()) {
                (REVISION, "default") => LABEL.to_owned(),
                (REVISION, "") => BARE.to_owned(),
                // Seen before, beside another switch.
                (_, other) if other.contains(SUFFIX) || [LABEL, BARE].contains(&other) => {
                    other.to_owned()
                }
                (one, other) if one.contains(&behind) && one.replace(&behind, "") == other => {
                    one.replace(&behind, SUFFIX)
                }
                _ => return,
            };
            with.clone_from(&joined);
            *without = joined;
        }
        _ => {}
    }
}

/// Names of objects of the whole cluster tell the namespace, if it is not the usual one.
fn forget_namespace(object: &mut Value) {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let usual = name.strip_suffix(&format!("-{NAMESPACE}"));
    if object["kind"] == "MutatingWebhookConfiguration"
        && let Some(usual) = usual
    {
        object["metadata"]["name"] = json!(format!("{usual}{ELSEWHERE}"));
    }
}

/// The tag `default` has selectors of its own, and all else of any other tag.
fn forget_tag(object: &mut Value) {
    let metadata = &mut object["metadata"];
    let usual = format!("{TAGGED}default");
    if let Some(name) = metadata["name"].as_str().filter(|name| name.starts_with(&usual)) {
        metadata["name"] = json!(name.replacen(&usual, &format!("{TAGGED}{TAG}"), 1));
        metadata["labels"][lateen_install::labels::TAG] = json!(TAG);
    }
}

/// The trees that are texts within ConfigMaps.
fn open_texts(object: &mut Value) {
    if object["kind"] != "ConfigMap" {
        return;
    }
    let data = &mut object["data"];
    if let Some(text) = data["mesh"].as_str() {
        let mut mesh = lateen_install::documents(text).expect("the mesh's settings are YAML");
        data["mesh"] = mesh.remove(0);
    }
}

/// An object of a revision is the same one as that without.
fn identity(object: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let name = text(&object["metadata"]["name"]);
    let name = name.replace(&format!("-{REVISION}"), "").replace(SUFFIX, "");
    (text(&object["kind"]), name)
}

/// The chart's objects, with marks.
pub fn render(chart: &Chart, bits: u32) -> Vec<Value> {
    let mut spec = chart.spec.clone();
    let switches = switches(chart);
    for setting in &chart.settings {
        let at = switches.iter().position(|switch| switch.path == setting.path);
        let on = at.is_some_and(|at| bits & (1 << at) != 0);
        let value = match &setting.way {
            Way::Switch | Way::SwitchOf(_) => json!(on),
            Way::Tags => json!([if on { "default" } else { TAG }]),
            Way::Name(mark) if on => json!(mark),
            Way::Name(_) | Way::Free | Way::Texts => continue,
            Way::Text(mark) => json!(mark),
            Way::Node { probe, .. } => probe.clone(),
            Way::Entries(name) => json!({ *name: "zz-value" }),
        };
        place(&mut spec, setting, value);
    }
    let operator = json!({
        "apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator",
        "metadata": {"name": OWNER}, "spec": spec,
    });
    let plan =
        lateen_install::read(&[("chart".to_owned(), operator)], &[]).unwrap_or_else(|issues| {
            let issues: Vec<String> = issues.iter().map(ToString::to_string).collect();
            panic!("the marks of chart {} are refused:\n{}", chart.name, issues.join("\n"))
        });
    let (objects, _) = lateen_install::render(&plan);
    let label = lateen_install::labels::COMPONENT;
    let own = objects.into_iter();
    own.filter(|object| object["metadata"]["labels"][label] == chart.component).collect()
}

fn place(spec: &mut Value, setting: &Setting, value: Value) {
    let below_values = format!("values.{}", setting.path);
    let path = setting.operator.unwrap_or(&below_values);
    match path.strip_prefix("k8s.") {
        Some(own) => {
            let gateway = &mut spec["components"]["ingressGateways"][1];
            put(gateway, &format!("k8s.{own}"), value);
        }
        None => put(spec, path, value),
    }
}

pub fn put(tree: &mut Value, path: &str, value: Value) {
    let mut place = tree;
    for step in path.split('.') {
        place = &mut place[step];
    }
    *place = value;
}

/// Settings that are a text within an object are merged by the template.
fn texts_apart(chart: &Chart, object: &Value) -> Value {
    let mut object = object.clone();
    if object["kind"] != "ConfigMap" {
        return object;
    }
    let data = &mut object["data"];
    if data["mesh"].is_object() {
        let mesh = emit::expression(chart, &data["mesh"]);
        data["mesh"] = emit::raw(&format!(
            "toJson (toYaml (mustMergeOverwrite {mesh} (deepCopy .Values.meshConfig)))"
        ));
    }
    object
}

/// By name, for who looks one up.
pub type ByMark = BTreeMap<&'static str, String>;

/// What each mark within a text stands for.
pub fn marks(chart: &Chart) -> ByMark {
    let own = chart.settings.iter().filter_map(|setting| match setting.way {
        Way::Name(mark) | Way::Text(mark) => Some((mark, format!(".Values.{}", setting.path))),
        _ => None,
    });
    let release = chart.release.iter().map(|(mark, expression)| (*mark, (*expression).to_owned()));
    let revision = [
        (TAG, "$tag".to_owned()),
        (SUFFIX, format!("(include \"{}.suffix\" .)", chart.name)),
        (BARE, format!("(include \"{}.revision\" .)", chart.name)),
        (LABEL, "(.Values.revision | default \"default\")".to_owned()),
    ];
    own.chain(release).chain(revision).collect()
}
