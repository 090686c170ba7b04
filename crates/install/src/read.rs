//! Reads IstioOperator files into a plan. In: documents and settings. Out: a plan, or every reason why
//! there can be none.

mod gateways;
mod rest;
mod source;

use std::collections::BTreeSet;

use lateen_api::issue::{Code, Issue, ObjectRef, Severity};
use lateen_api::labels::{is_label, no_label};
use serde_json::{Map, Value, json};

use crate::check::{self, is_empty};
use crate::input::Input;
use crate::merge::gather;
use crate::path::{self, Step};
use crate::plan::Plan;
use crate::profile;
use crate::setting;
use crate::table::{self, FIELDS, Meaning, Node};

pub use source::clipped;

const API_VERSION: &str = "install.istio.io/v1alpha1";
const KIND: &str = "IstioOperator";
const DEFAULT_NAME: &str = "installed-state";
const DEFAULT_NAMESPACE: &str = "istio-system";

/// Reads files, each with the name by which it is told of, in order, then settings (`path`, `value`).
/// What is wrong with any of them is told together.
pub fn read(files: &[(String, Value)], set: &[(String, String)]) -> Result<Plan, Vec<Issue>> {
    let mut reader = Reader::new(files);
    let mut user = json!({});
    for (source, document) in files {
        if let Some(spec) = reader.document(source, document) {
            gather(&mut user, spec);
        }
    }
    let settings = reader.settings(set);
    let named = settings.iter().rev().find(|(steps, _)| *steps == [Step::Key("profile".into())]);
    let profile = named.map(|(_, value)| value).or_else(|| user.get("profile")).cloned();
    let profile = profile.as_ref().and_then(Value::as_str).filter(|name| !name.is_empty());
    let profile = profile::settings(profile.unwrap_or("default")).unwrap_or_else(|reason| {
        reader.error("spec.profile", reason);
        reader.is_whole = false;
        json!({})
    });
    let mut input = Input { profile, user, settings };
    let (mut spec, refused) = input.assemble();
    refused.into_iter().for_each(|reason| reader.error("--set", reason));
    reader.other_namespace(files, &spec);
    let before = reader.issues.len();
    reader.gateways(&input, &spec);
    if reader.issues.len() > before {
        reader.take_out(&mut input.user, before..reader.issues.len());
        spec = input.assemble().0;
    }
    let told = |issue| clipped(source::named(issue, files));
    match reader.finish(input, spec) {
        Ok(mut plan) => {
            plan.issues = plan.issues.into_iter().map(clipped).collect();
            Ok(plan)
        }
        Err(issues) => Err(issues.into_iter().map(told).collect()),
    }
}

struct Reader {
    object: ObjectRef,
    issues: Vec<Issue>,
    /// Nothing is missing but what is told of: what the rest comes to can be told, too.
    is_whole: bool,
}

impl Reader {
    /// The installation has the name of the first file's object.
    fn new(files: &[(String, Value)]) -> Self {
        let metadata = |field: &str| {
            let found = files.iter().find_map(|(_, document)| document["metadata"][field].as_str());
            found.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let name = metadata("name").unwrap_or_else(|| DEFAULT_NAME.to_owned());
        let namespace = metadata("namespace").unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
        let object = ObjectRef::new("install.istio.io", KIND, namespace, name);
        Self { object, issues: Vec::new(), is_whole: true }
    }

    fn error(&mut self, path: &str, message: String) {
        let code = Code::SCHEMA_VALIDATION_ERROR;
        self.issues.push(Issue::error(self.object.clone(), path, code, message));
    }

    /// The spec of one document, with what has moved in its new place.
    fn document(&mut self, source: &str, document: &Value) -> Option<Value> {
        let text = |field: &str| document[field].as_str().unwrap_or_default().to_owned();
        if (text("apiVersion").as_str(), text("kind").as_str()) != (API_VERSION, KIND) {
            let (api_version, kind) = (text("apiVersion"), text("kind"));
            let found = if !document.is_object() {
                path::kind(document).to_owned()
            } else if kind.is_empty() {
                "an object without kind".to_owned()
            } else {
                format!("{kind} of {api_version:?}")
            };
            let message =
                format!("{found} cannot be installed, only {KIND} of {API_VERSION:?} can");
            self.error(source, message);
            self.is_whole = false;
            return None;
        }
        for key in document.as_object().into_iter().flat_map(Map::keys) {
            if !matches!(key.as_str(), "apiVersion" | "kind" | "metadata" | "spec" | "status") {
                let known = ["metadata", "spec"];
                let told = match crate::nearest::near(key, known) {
                    Some(meant) => format!("unknown field, did you mean {meant}?"),
                    None => "unknown field, write it below metadata or spec".to_owned(),
                };
                self.error(key, told);
            }
        }
        self.other_name(document);
        let metadata = &document["metadata"];
        if !metadata.is_null() && !metadata.is_object() {
            let kind = path::kind(metadata);
            self.error("metadata", format!("it is {kind} and must be an object"));
        }
        // Read as none, a name would make this installation another one's.
        for field in ["name", "namespace"] {
            let value = &document["metadata"][field];
            if !value.is_null() && !value.is_string() {
                let kind = path::kind(value);
                let path = format!("metadata.{field}");
                self.error(&path, format!("it is {kind} and must be a text (in quotes)"));
            }
        }
        let mut spec = match &document["spec"] {
            Value::Null => json!({}),
            spec => spec.clone(),
        };
        if !spec.is_object() {
            self.error("spec", format!("it is {} and must be an object", path::kind(&spec)));
            self.is_whole = false;
            return None;
        }
        let before = self.issues.len();
        self.twins(&spec);
        self.same_ports(&spec);
        self.same_variables(&spec);
        let named = self.issues.len();
        let (mut moves, written) = (Vec::new(), spec.clone());
        collect_moves(&FIELDS, &spec, String::new(), &mut moves);
        for (from, to) in &moves {
            self.relocate(&mut spec, from, to);
        }
        // What was wrong with those is nowhere any more.
        let relocated = self.issues.len();
        self.issues.extend(check::check(&spec, &self.object));
        self.take_out(&mut spec, relocated..self.issues.len());
        self.take_out(&mut spec, before..named);
        for issue in &mut self.issues[before..] {
            issue.path = rest::as_written(&issue.path, &moves, &written);
        }
        Some(spec)
    }

    /// Several files make one installation, whose name is the first one's.
    fn other_name(&mut self, document: &Value) {
        let name = document["metadata"]["name"].as_str().filter(|name| !name.is_empty());
        if let Some(name) = name.filter(|name| *name != self.object.name) {
            let message = format!(
                "all files and documents make one installation, which has the first one's name, {}, and not {name}",
                self.object.name
            );
            let (object, code) = (self.object.clone(), Code::SCHEMA_WARNING);
            self.issues.push(Issue::warning(object, "metadata.name", code, message));
        }
    }

    /// Objects go to the spec's namespace, whichever their IstioOperator has.
    fn other_namespace(&mut self, files: &[(String, Value)], spec: &Value) {
        let text = |path: &str| path::get(spec, path)?.as_str().filter(|text| !text.is_empty());
        let home = text("namespace").or_else(|| text("values.global.istioNamespace"));
        let home = home.unwrap_or(DEFAULT_NAMESPACE);
        let own = files.iter().filter_map(|(_, it)| it["metadata"]["namespace"].as_str());
        for own in own.filter(|own| !own.is_empty() && *own != home) {
            if !is_label(own) {
                self.error("metadata.namespace", no_label(own));
                continue;
            }
            let message =
                format!("this installs to {home}: to install to {own}, set spec.namespace to it");
            let (object, code) = (self.object.clone(), Code::SCHEMA_WARNING);
            self.issues.push(Issue::warning(object, "metadata.namespace", code, message));
        }
    }

    /// Moves the value at `from` to where it belongs today, unless that has a value of its own.
    fn relocate(&mut self, spec: &mut Value, from: &str, to: &str) {
        let Some(value) = path::take(spec, from) else { return };
        if is_empty(&value) {
            return;
        }
        let full = format!("spec.{from}");
        let entry = from.split('.').try_fold(&*FIELDS, Node::child).and_then(|node| node.entry);
        let wrong = entry.map(|entry| check::mistyped(&entry, &value, &full, &self.object));
        let wrong = wrong.unwrap_or_default();
        let is_wrong = wrong.iter().any(Issue::is_error);
        self.issues.extend(wrong);
        if is_wrong {
            return;
        }
        let message = match path::get(spec, to) {
            Some(own) if !own.is_object() => {
                format!("it is spec.{to} today, which is set too and is what is applied")
            }
            own => {
                let mut moved = value;
                if let Some(own) = own {
                    gather(&mut moved, own.clone());
                }
                path::put(spec, to, moved);
                format!("it is spec.{to} today, and is read as that")
            }
        };
        let object = self.object.clone();
        let severity = Severity::Info;
        self.issues.push(Issue { object, path: full, code: Code::DEPRECATED, severity, message });
    }

    /// What is not checked may not put a scalar in the place of everything below it, either.
    fn wiped(&mut self, values: &Value, over: &Value, path: &str) {
        let Some(fields) = values.as_object() else { return };
        match over {
            Value::Null => {}
            Value::Object(over) => {
                for (key, over) in over {
                    let known = fields.get(key).unwrap_or(&Value::Null);
                    self.wiped(known, over, &format!("{path}.{key}"));
                }
            }
            other => {
                let message = format!("it is {} and must be an object", path::kind(other));
                self.error(path, message);
            }
        }
    }

    /// Settings as steps and values; a path that has moved is followed.
    fn settings(&mut self, set: &[(String, String)]) -> Vec<(Vec<Step>, Value)> {
        let mut settings = Vec::new();
        for (text, value) in set {
            match path::parse(text.strip_prefix("spec.").unwrap_or(text)) {
                Ok(steps) => {
                    let steps = self.follow(steps);
                    let value = setting::value(&steps, value);
                    if self.fits(&steps, &value) {
                        settings.push((steps, value));
                    }
                }
                Err(reason) => self.error("--set", reason),
            }
        }
        settings
    }

    /// The steps to where a setting belongs today.
    fn follow(&mut self, steps: Vec<Step>) -> Vec<Step> {
        let Some((from, to, length)) = table::moved(&steps) else { return steps };
        let message = format!("it is spec.{to} today, and is read as that");
        let (object, code) = (self.object.clone(), Code::DEPRECATED);
        let (path, severity) = (format!("spec.{from}"), Severity::Info);
        self.issues.push(Issue { object, path, code, severity, message });
        let mut new = path::parse(to).expect("invariant: the table has paths");
        new.extend_from_slice(&steps[length..]);
        new
    }

    /// A setting is checked by itself, so that what is told of it has its path.
    fn fits(&mut self, steps: &[Step], value: &Value) -> bool {
        let found = check::check(&path::nest(steps, value.clone()), &self.object);
        let fits = !found.iter().any(Issue::is_error);
        self.issues.extend(found);
        fits
    }

    fn finish(mut self, mut input: Input, mut spec: Value) -> Result<Plan, Vec<Issue>> {
        let before = self.issues.len();
        self.wiped(&spec["values"], &spec["unvalidatedValues"], "spec.unvalidatedValues");
        if self.issues.len() > before {
            path::take(&mut spec, "unvalidatedValues");
            path::take(&mut input.user, "unvalidatedValues");
        }
        let mut told = BTreeSet::new();
        self.issues.retain(|issue| told.insert(issue.clone()));
        let Reader { object, mut issues, is_whole } = self;
        let is_wrong = issues.iter().any(Issue::is_error);
        if is_wrong && !is_whole {
            issues.sort_by_key(|issue| issue.severity);
            return Err(issues);
        }
        let mut plan = Plan::new(object, input, spec);
        match plan.complete() {
            Ok(()) if !is_wrong => {
                issues.append(&mut plan.issues);
                plan.issues = issues;
                return Ok(plan);
            }
            Ok(()) => {}
            Err(errors) => {
                plan = rest::without(plan, &errors);
                issues.extend(errors);
            }
        }
        issues.extend(rest::refused(&plan, &issues));
        issues.sort_by_key(|issue| issue.severity);
        Err(issues)
    }
}

/// The paths in `value` whose fields have moved, with their new ones.
fn collect_moves(
    node: &Node,
    value: &Value,
    path: String,
    moves: &mut Vec<(String, &'static str)>,
) {
    if let Some(Meaning::Moved(to)) = node.entry.map(|entry| entry.2) {
        return moves.push((path, to));
    }
    for (key, inner) in value.as_object().into_iter().flatten() {
        if let Some(child) = node.child(key) {
            let dot = if path.is_empty() { "" } else { "." };
            collect_moves(child, inner, format!("{path}{dot}{key}"), moves);
        }
    }
}
