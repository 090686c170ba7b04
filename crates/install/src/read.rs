//! Reads IstioOperator files into a plan. In: documents and settings. Out: a plan, or every reason why
//! there can be none.

mod source;

use std::collections::BTreeSet;

use lateen_api::issue::{Code, Issue, ObjectRef, Severity};
use serde_json::{Map, Value, json};

use crate::check::{self, is_empty};
use crate::merge::merge;
use crate::path::{self, Missing, Step};
use crate::plan::Plan;
use crate::profile;
use crate::rules::{is_label, no_label};
use crate::setting;
use crate::table::{self, FIELDS, Meaning, Node};

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
            merge(&mut user, spec);
        }
    }
    let settings = reader.settings(set);
    let named = settings.iter().rev().find(|(steps, _)| *steps == [Step::Key("profile".into())]);
    let profile = named.map(|(_, value)| value).or_else(|| user.get("profile")).cloned();
    let profile = profile.as_ref().and_then(Value::as_str).filter(|name| !name.is_empty());
    let mut spec = profile::settings(profile.unwrap_or("default")).unwrap_or_else(|reason| {
        reader.error("spec.profile", reason);
        json!({})
    });
    merge(&mut spec, user);
    for (steps, value) in settings {
        if let Err(reason) = path::set(&mut spec, &steps, value, Missing::Make) {
            reader.error("--set", reason);
        }
    }
    reader.gateways(&spec);
    reader
        .finish(spec)
        .map_err(|issues| issues.into_iter().map(|issue| source::named(issue, files)).collect())
}

struct Reader {
    object: ObjectRef,
    issues: Vec<Issue>,
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
        Self { object, issues: Vec::new() }
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
            let found = if kind.is_empty() {
                "an object without kind".to_owned()
            } else {
                format!("{kind} of {api_version:?}")
            };
            let message =
                format!("{found} cannot be installed, only {KIND} of {API_VERSION:?} can");
            self.error(source, message);
            return None;
        }
        for key in document.as_object().into_iter().flat_map(Map::keys) {
            if !matches!(key.as_str(), "apiVersion" | "kind" | "metadata" | "spec" | "status") {
                let known = ["metadata", "spec"];
                let meant = crate::nearest::nearest(key, known).unwrap_or("spec");
                self.error(key, format!("unknown field, did you mean {meant}?"));
            }
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
            return None;
        }
        self.twins(&spec);
        self.same_ports(&spec);
        let mut moves = Vec::new();
        collect_moves(&FIELDS, &spec, String::new(), &mut moves);
        for (from, to) in moves {
            self.relocate(&mut spec, &from, to);
        }
        self.issues.extend(check::check(&spec, &self.object));
        Some(spec)
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
                    merge(&mut moved, own.clone());
                }
                path::put(spec, to, moved);
                format!("it is spec.{to} today, and is applied as that")
            }
        };
        let object = self.object.clone();
        let severity = Severity::Info;
        self.issues.push(Issue { object, path: full, code: Code::DEPRECATED, severity, message });
    }

    /// Two gateways of one name in one list would be taken for one.
    fn twins(&mut self, spec: &Value) {
        for list in ["ingressGateways", "egressGateways"] {
            let gateways = spec["components"][list].as_array().cloned().unwrap_or_default();
            let mut seen = BTreeSet::new();
            // What is no object is told with all other wrong types.
            for (at, gateway) in gateways.iter().enumerate().filter(|(_, one)| one.is_object()) {
                let path = format!("spec.components.{list}[{at}]");
                let text = |field: &str| gateway[field].as_str().unwrap_or_default();
                for field in ["name", "namespace"] {
                    if !text(field).is_empty() && !is_label(text(field)) {
                        self.error(&format!("{path}.{field}"), no_label(text(field)));
                    }
                }
                if text("name").is_empty() {
                    let message = "it is missing, every gateway has a name".to_owned();
                    self.error(&format!("{path}.name"), message);
                } else if !seen.insert((text("name").to_owned(), text("namespace").to_owned())) {
                    let name = text("name");
                    let message =
                        format!("there are two gateways {name} in one namespace, rename one");
                    self.error(&path, message);
                }
            }
        }
    }

    /// Ports are laid over the profile's by their numbers: of two with one number one would be lost.
    fn same_ports(&mut self, spec: &Value) {
        let mut lists = vec![(
            "spec.components.pilot.k8s.service.ports".to_owned(),
            &spec["components"]["pilot"]["k8s"]["service"]["ports"],
        )];
        for list in ["ingressGateways", "egressGateways"] {
            let gateways = spec["components"][list].as_array().into_iter().flatten();
            lists.extend(gateways.enumerate().map(|(at, gateway)| {
                let path = format!("spec.components.{list}[{at}].k8s.service.ports");
                (path, &gateway["k8s"]["service"]["ports"])
            }));
        }
        for (path, ports) in lists {
            let mut seen = BTreeSet::new();
            for (at, port) in ports.as_array().into_iter().flatten().enumerate() {
                let Some(number) = port["port"].as_i64() else { continue };
                let protocol = port["protocol"].as_str().filter(|protocol| !protocol.is_empty());
                let protocol = protocol.unwrap_or("TCP");
                if !seen.insert((number, protocol)) {
                    let message = format!("there are two ports {number} of {protocol}, remove one");
                    self.error(&format!("{path}[{at}].port"), message);
                }
            }
        }
    }

    /// An ingress and an egress gateway have their names in common.
    fn gateways(&mut self, spec: &Value) {
        let home = path::get(spec, "namespace").and_then(Value::as_str);
        let home = home.or_else(|| path::get(spec, "values.global.istioNamespace")?.as_str());
        let mut seen: Vec<(String, String)> = Vec::new();
        for list in ["ingressGateways", "egressGateways"] {
            let gateways = spec["components"][list].as_array().into_iter().flatten();
            for (at, gateway) in gateways.enumerate() {
                if gateway["enabled"] != json!(true) {
                    continue;
                }
                let text = |field: &str| gateway[field].as_str().map(str::to_owned);
                let namespace = text("namespace").or_else(|| home.map(str::to_owned));
                let key = (text("name").unwrap_or_default(), namespace.unwrap_or_default());
                if seen.contains(&key) {
                    let message = format!(
                        "there are two gateways {} in namespace {}, rename one",
                        key.0, key.1
                    );
                    self.error(&format!("spec.components.{list}[{at}]"), message);
                }
                seen.push(key);
            }
        }
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
                    settings.push((steps, value));
                }
                Err(reason) => self.error("--set", reason),
            }
        }
        self.check_settings(&settings);
        settings
    }

    /// The steps to where a setting belongs today.
    fn follow(&mut self, steps: Vec<Step>) -> Vec<Step> {
        let Some((from, to, length)) = table::moved(&steps) else { return steps };
        let message = format!("it is spec.{to} today, and is applied as that");
        let (object, code) = (self.object.clone(), Code::DEPRECATED);
        let (path, severity) = (format!("spec.{from}"), Severity::Info);
        self.issues.push(Issue { object, path, code, severity, message });
        let mut new = path::parse(to).expect("invariant: the table has paths");
        new.extend_from_slice(&steps[length..]);
        new
    }

    /// Settings are checked by themselves, so that what is told of them has their paths.
    fn check_settings(&mut self, settings: &[(Vec<Step>, Value)]) {
        let mut alone = json!({});
        for (steps, value) in settings {
            // What does not fit into nothing may fit into what the files have, which is tried later.
            let _ = path::set(&mut alone, steps, value.clone(), Missing::Make);
        }
        self.issues.extend(check::check(&alone, &self.object));
    }

    fn finish(mut self, mut spec: Value) -> Result<Plan, Vec<Issue>> {
        self.wiped(&spec["values"], &spec["unvalidatedValues"], "spec.unvalidatedValues");
        let mut told = BTreeSet::new();
        self.issues.retain(|issue| told.insert(issue.clone()));
        if self.issues.iter().any(Issue::is_error) {
            self.issues.sort_by_key(|issue| issue.severity);
            return Err(self.issues);
        }
        if let Some(unchecked) = path::take(&mut spec, "unvalidatedValues") {
            let mut values = spec["values"].take();
            merge(&mut values, unchecked);
            spec["values"] = values;
        }
        let mut plan = Plan::new(self.object, spec, self.issues);
        match plan.complete() {
            Ok(()) => Ok(plan),
            Err(mut issues) => {
                issues.extend(plan.issues);
                Err(issues)
            }
        }
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
