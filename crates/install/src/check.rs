//! A spec beside the table of fields. In: the spec as merged. Out: an issue for every field that is
//! unknown, of the wrong type, or that does nothing or something else here.

use std::collections::BTreeSet;

use lateen_api::issue::{Code, Issue, ObjectRef, Severity};
use lateen_api::schema::{FindingKind, conform};
use serde_json::{Map, Value};

use crate::facts;
use crate::form::Form;
use crate::hpa;
use crate::mesh;
use crate::path::kind;
use crate::shape::{self, Misfit, Required};
use crate::table::{Entry, FIELDS, Meaning, Node, Type};

const MESH_CONFIG: &str = "io.istio.mesh.MeshConfig";

/// Checks a whole spec.
pub fn check(spec: &Value, object: &ObjectRef) -> Vec<Issue> {
    let mut walk = Walk { object, issues: Vec::new(), is_inert: false };
    match spec {
        Value::Object(fields) => walk.fields(&FIELDS, fields, "spec"),
        Value::Null => {}
        other => walk.error("spec", format!("it is {} and must be an object", kind(other))),
    }
    walk.issues
}

/// What is wrong with the type of a value at `path`.
pub fn mistyped(entry: &Entry, value: &Value, path: &str, object: &ObjectRef) -> Vec<Issue> {
    let mut walk = Walk { object, issues: Vec::new(), is_inert: false };
    walk.typed(entry, value, path);
    walk.issues
}

/// Whether a value asks for nothing at all.
pub fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether a value turns something off, or leaves it off.
fn is_off(value: &Value) -> bool {
    match value {
        Value::Bool(on) => !on,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Object(fields) => {
            fields.get("enabled") == Some(&Value::Bool(false))
                || fields.values().all(|field| is_empty(field) || is_off(field))
        }
        other => is_empty(other),
    }
}

struct Walk<'a> {
    object: &'a ObjectRef,
    issues: Vec<Issue>,
    /// Nothing is made of what is looked at.
    is_inert: bool,
}

impl Walk<'_> {
    fn push(&mut self, severity: Severity, code: Code, path: &str, message: String) {
        let object = self.object.clone();
        self.issues.push(Issue { object, path: path.to_owned(), code, severity, message });
    }

    fn error(&mut self, path: &str, message: String) {
        self.push(Severity::Error, Code::SCHEMA_VALIDATION_ERROR, path, message);
    }

    /// Of a text without the form that its reader wants, if it has one.
    fn misformed(&mut self, path: &str, message: String) {
        match self.is_inert {
            true => self.push(Severity::Warning, Code::SCHEMA_WARNING, path, message),
            false => self.error(path, message),
        }
    }

    fn fields(&mut self, node: &Node, fields: &Map<String, Value>, path: &str) {
        for (key, value) in fields {
            let inner = format!("{path}.{key}");
            match node.child(key) {
                Some(child) => self.value(child, value, &inner),
                None => {
                    let known: BTreeSet<&str> = node.children.keys().map(String::as_str).collect();
                    self.error(&inner, shape::unknown(key, path, known));
                }
            }
        }
    }

    fn value(&mut self, node: &Node, value: &Value, path: &str) {
        if value.is_null() {
            return;
        }
        let outer = self.is_inert;
        let is_gone = matches!(node.entry, Some(Entry(_, _, Meaning::Gone(_))));
        self.is_inert |= is_gone || is_disabled(value, path);
        match &node.entry {
            Some(entry) => self.entry(entry, node, value, path),
            None => self.outer(node, value, path),
        }
        self.is_inert = outer;
    }

    fn outer(&mut self, node: &Node, value: &Value, path: &str) {
        match (node.children.get("[]"), value) {
            (Some(item), Value::Array(items)) => {
                for (index, value) in items.iter().enumerate() {
                    self.value(item, value, &format!("{path}[{index}]"));
                }
            }
            (Some(_), other) => self.error(path, must_be(other, "a list")),
            (None, Value::Object(fields)) => self.fields(node, fields, path),
            (None, other) => self.error(path, must_be(other, "an object")),
        }
    }

    fn entry(&mut self, entry: &Entry, node: &Node, value: &Value, path: &str) {
        let known = self.issues.len();
        let mut rest = value.clone();
        self.parts(node, &mut rest, path);
        self.typed(entry, &rest, path);
        if !self.issues[known..].iter().any(Issue::is_error) {
            self.meaning(entry, value, path);
        }
    }

    /// Fields that have an entry of their own within an object of one type; those that the type does not
    /// have are taken out of it.
    fn parts(&mut self, node: &Node, value: &mut Value, path: &str) {
        let Value::Object(fields) = value else { return };
        for (key, child) in &node.children {
            let at = format!("{path}.{key}");
            let Some(inner) = fields.get_mut(key) else { continue };
            match &child.entry {
                None => self.parts(child, inner, &at),
                Some(Entry(_, Type::Inherited, _)) => self.value(child, inner, &at),
                Some(_) => {
                    let lost = inner.take();
                    fields.shift_remove(key);
                    self.value(child, &lost, &at);
                }
            }
        }
    }

    fn meaning(&mut self, entry: &Entry, value: &Value, path: &str) {
        match entry.2 {
            Meaning::Used => {}
            _ if is_empty(value) => {}
            Meaning::Moved(to) => {
                let message = format!("it is spec.{to} today, and is read as that");
                self.push(Severity::Info, Code::DEPRECATED, path, message);
            }
            Meaning::Mapped(reason) => {
                self.push(Severity::Info, Code::DEPRECATED, path, reason.to_owned());
            }
            Meaning::Refused(reason) if value == &Value::Bool(true) => {
                self.error(path, reason.to_owned());
            }
            Meaning::Refused(_) => {}
            Meaning::Gone(reason) => {
                let severity = if is_off(value) { Severity::Info } else { Severity::Warning };
                let message = format!("it has no effect: {reason}");
                self.push(severity, Code::DEPRECATED, path, message);
            }
        }
    }

    fn typed(&mut self, entry: &Entry, value: &Value, path: &str) {
        let text = |value: &Value| value.is_string();
        let scalar = |value: &Value| !value.is_object() && !value.is_array();
        match entry.1 {
            Type::Schema(name) => self.schema(name, value, path),
            Type::Schemas(name) => self.each(name, value, path),
            Type::Autoscaler => {
                let name = "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerSpec";
                self.schema(name, &hpa::modern(value), path);
            }
            Type::Labels => self.labels(value, path, true),
            Type::Annotations => self.labels(value, path, false),
            Type::Named => self.map(value, path, text, "a text (in quotes)"),
            Type::Port if value.is_i64() => {
                facts::no_port(value, 0).into_iter().for_each(|told| self.error(path, told));
            }
            Type::Environment => self.map(value, path, scalar, "a text"),
            Type::OneOf(names) => {
                if value.as_str().is_none_or(|text| !names.contains(&text)) {
                    let names: Vec<&str> =
                        names.iter().copied().filter(|n| !n.is_empty()).collect();
                    self.error(path, format!("{value} is none of {}", names.join(", ")));
                }
            }
            Type::Scalar | Type::Tag if value.is_f64() => {
                let message = format!(
                    "it is the number {value}, of which YAML drops zeros at the end: write it in \
                     quotes"
                );
                self.push(Severity::Warning, Code::SCHEMA_WARNING, path, message);
            }
            Type::Word(form) if value.is_string() => self.form(form, value, path),
            Type::Tag if value.is_string() => self.form(Form::Tag, value, path),
            Type::Scalar if value.is_string() => self.form(Form::Value, value, path),
            Type::Words(form) if simply(Type::Texts, value).0 => self.forms(form, value, path),
            simple => {
                let (fits, words) = simply(simple, value);
                if !fits && !value.is_null() {
                    self.error(path, must_be(value, words));
                }
            }
        }
    }

    fn form(&mut self, form: Form, value: &Value, path: &str) {
        if let Some(Err(message)) = value.as_str().map(|text| form.check(text)) {
            self.misformed(path, message);
        }
    }

    fn forms(&mut self, form: Form, value: &Value, path: &str) {
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            if let Some(Err(message)) = item.as_str().map(|text| form.check_item(text)) {
                self.misformed(&format!("{path}[{index}]"), message);
            }
        }
    }

    /// Texts by keys, of which labels have a form, too.
    fn labels(&mut self, value: &Value, path: &str, is_label: bool) {
        self.map(value, path, Value::is_string, "a text (in quotes)");
        for (key, inner) in value.as_object().into_iter().flatten() {
            let text = inner.as_str().filter(|_| is_label).unwrap_or_default();
            let keys = if is_label { Form::Key } else { Form::AnnotationKey };
            let found = keys.check_item(key).and_then(|()| Form::Value.check_item(text));
            if let Err(message) = found {
                self.misformed(&format!("{path}.{key}"), message);
            }
        }
    }

    fn map(&mut self, value: &Value, path: &str, fits: impl Fn(&Value) -> bool, words: &str) {
        let Some(fields) = value.as_object() else {
            return self.error(path, must_be(value, "an object"));
        };
        for (key, inner) in fields.iter().filter(|(_, inner)| !inner.is_null() && !fits(inner)) {
            self.error(&format!("{path}.{key}"), must_be(inner, words));
        }
    }

    fn each(&mut self, name: &str, value: &Value, path: &str) {
        let Some(items) = value.as_array() else {
            return self.error(path, must_be(value, "a list"));
        };
        for (index, item) in items.iter().enumerate() {
            self.schema(name, item, &format!("{path}[{index}]"));
        }
    }

    fn schema(&mut self, name: &str, value: &Value, path: &str) {
        let mut conformed = value.clone();
        if name.starts_with("io.istio.") {
            // Istio's messages come in either spelling, and with numbers in quotes.
            for finding in conform(name, &mut conformed) {
                // The others are misfits below.
                if matches!(finding.kind, FindingKind::OneOf(_)) {
                    let issue = finding.into_issue(self.object.clone());
                    self.error(&join(path, &issue.path), issue.message);
                }
            }
        }
        let misfits = shape::check(name, &conformed, path, Required::Skip);
        for Misfit { path, message, is_form } in &misfits {
            match is_form {
                true => self.misformed(path, message.clone()),
                false => self.error(path, message.clone()),
            }
        }
        if name == MESH_CONFIG && conformed.is_object() {
            let below =
                |misfit: &Misfit| misfit.path[path.len()..].trim_start_matches('.').to_owned();
            let wrong: Vec<String> = misfits.iter().map(below).collect();
            for (inner, message) in mesh::check(conformed, &wrong, self.object) {
                self.error(&join(path, &inner), message);
            }
        }
    }
}

/// Whether a value is a component that is not installed.
fn is_disabled(value: &Value, path: &str) -> bool {
    let component = path.strip_prefix("spec.components.").is_some_and(|rest| !rest.contains('.'));
    component && value["enabled"] == Value::Bool(false)
}

/// Whether a value has a type that takes no more than a look at it, and that type for people.
fn simply(wanted: Type, value: &Value) -> (bool, &'static str) {
    match wanted {
        Type::Bool => (value.is_boolean(), "true or false"),
        Type::Int | Type::Port => (value.is_u64() || value.is_i64(), "a whole number"),
        Type::Number => (value.is_number(), "a number"),
        Type::Text | Type::Word(_) => (value.is_string(), "a text"),
        Type::Scalar | Type::Tag => (value.is_string() || value.is_number(), "a text"),
        Type::IntOrText => {
            (value.is_string() || value.is_i64(), "a whole number or a text such as 25%")
        }
        Type::Texts | Type::Words(_) => {
            let all = value.as_array().is_some_and(|items| items.iter().all(Value::is_string));
            (all, "a list of texts")
        }
        Type::Object => (value.is_object(), "an object"),
        Type::List => (value.is_array(), "a list"),
        Type::Any
        | Type::Inherited
        | Type::Schema(_)
        | Type::Schemas(_)
        | Type::Autoscaler
        | Type::Labels
        | Type::Annotations
        | Type::Named
        | Type::Environment
        | Type::OneOf(_) => (true, ""),
    }
}

fn join(path: &str, inner: &str) -> String {
    if inner.is_empty() { path.to_owned() } else { format!("{path}.{inner}") }
}

fn must_be(value: &Value, words: &str) -> String {
    format!("it is {} and must be {words}", kind(value))
}
