//! What the renderer makes of a chart's marks. In: a chart and a setting of its switches, one bit each. Out:
//! objects, and for each of them how it looks in every combination.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::emit;
use super::spec::{BARE, Chart, ELSEWHERE, LABEL, NAMESPACE, REVISION, SUFFIX, Setting, TAG, Way};

/// As in Istio's charts. Were it the name of files without one, `lateen install` would take a release's objects
/// for its own that are not wanted any more.
const OWNER: &str = "unknown";

/// How names of tags' objects begin.
const TAGGED: &str = "istio-revision-tag-";

/// One object over all combinations; `None` where it is not rendered.
pub struct Learned {
    pub kind: String,
    /// There is one for each tag.
    pub of_tag: bool,
    pub variants: Vec<(u32, Option<Value>)>,
}

pub fn switches(chart: &Chart) -> Vec<&Setting> {
    let settings = chart.settings.iter();
    settings
        .filter(|setting| matches!(setting.way, Way::Switch | Way::Name(_) | Way::Tags))
        .collect()
}

/// In the order of their installation.
pub fn objects(chart: &Chart) -> Vec<Learned> {
    let combinations = 0..1u32 << switches(chart).len();
    let mut rendered: Vec<Vec<Value>> = combinations.map(|bits| render(chart, bits)).collect();
    rendered.iter_mut().flatten().for_each(forget_namespace);
    rendered.iter_mut().flatten().for_each(forget_tag);
    rendered.iter_mut().flatten().for_each(open_texts);
    forget_revision(chart, &mut rendered);
    let mut order: Vec<(String, String)> = Vec::new();
    for object in rendered.iter().flatten() {
        if !order.contains(&identity(object)) {
            order.push(identity(object));
        }
    }
    let learned = order.into_iter().map(|name| {
        let variants = rendered.iter().zip(0u32..).map(|(objects, bits)| {
            let found = objects.iter().find(|object| identity(object) == name);
            let adapted = found.map(|object| {
                let mut object = texts_apart(chart, object);
                if let Some(adapt) = chart.extras.adapt {
                    adapt(&mut object);
                }
                object
            });
            (bits, adapted)
        });
        let of_tag = name.1.starts_with(TAGGED);
        Learned { kind: name.0.clone(), of_tag, variants: variants.collect() }
    });
    learned.collect()
}

/// Texts that differ by the revision alone become one, with marks of its forms.
fn forget_revision(chart: &Chart, rendered: &mut [Vec<Value>]) {
    let switches = switches(chart);
    let at = switches.iter().position(|one| matches!(one.way, Way::Name(_)));
    let bit = 1usize << at.expect("a chart with values has a revision");
    for on in (0..rendered.len()).filter(|bits| bits & bit != 0) {
        let (before, after) = rendered.split_at_mut(on);
        for with in &mut after[0] {
            let same = before[on & !bit].iter_mut().find(|one| identity(one) == identity(with));
            if let Some(without) = same {
                unify(with, without);
            }
        }
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
    if let Some(text) = data["values"].as_str() {
        data["values"] = serde_json::from_str(text).expect("the injector's values are JSON");
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
            Way::Switch => json!(on),
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
    if data["values"].is_object() {
        let values = without_settings(chart, data["values"].take());
        let values = emit::expression(chart, &values);
        let own = "(dict \"global\" (deepCopy .Values.global) \
                   \"sidecarInjectorWebhook\" (deepCopy .Values.sidecarInjectorWebhook))";
        let variables = "(ternary (dict \"pilot\" (dict \"env\" .Values.pilot.env)) (dict) \
                         (not (empty .Values.pilot.env)))";
        let tags = "(ternary (dict \"revisionTags\" .Values.revisionTags) (dict) \
                    (not (empty .Values.revisionTags)))";
        data["values"] = emit::raw(&format!(
            "toJson (toPrettyJson (mustMergeOverwrite {values} {own} {variables} {tags}))"
        ));
    }
    object
}

/// The chart's own values come from the chart.
fn without_settings(chart: &Chart, mut values: Value) -> Value {
    let injected = ["global.", "sidecarInjectorWebhook.", "pilot.env", "revisionTags"];
    for setting in &chart.settings {
        if !injected.iter().any(|part| setting.path.starts_with(part)) {
            continue;
        }
        let mut steps: Vec<&str> = setting.path.split('.').collect();
        let last = steps.pop().expect("a path has a step");
        // The sidecars' image is no setting of the chart.
        if matches!(setting.way, Way::Free) && setting.path == "global.proxy" {
            let image = values["global"]["proxy"]["image"].take();
            values["global"]["proxy"] = json!({ "image": image });
            continue;
        }
        let parent = steps.iter().try_fold(&mut values, |place, step| place.get_mut(*step));
        if let Some(Value::Object(parent)) = parent {
            parent.shift_remove(last);
        }
    }
    prune(&mut values);
    values
}

/// Objects of which nothing is left.
fn prune(value: &mut Value) {
    if let Value::Object(map) = value {
        map.values_mut().for_each(prune);
        let kept = std::mem::take(map).into_iter();
        *map = kept.filter(|(_, one)| *one != json!({})).collect::<Map<_, _>>();
    }
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
