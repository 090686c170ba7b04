//! The mesh's settings in files. In: the files of `--values` and `--mesh-config`. Out: the entries of the ConfigMaps
//! that they stand for, and everything that is wrong with them, by file and path.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Result, anyhow};
use lateen_api::issue::{Issue, ObjectRef};
use lateen_inject::{Settings, injector_config, mesh_config};
use serde_json::{Value, json};

use super::InjectCommand;
use super::source::Texts;
use crate::bounded;
use crate::output::{causes, printable};

/// Which of the two ConfigMaps a file stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Values,
    Mesh,
}

/// What the files say.
#[derive(Debug, Default)]
pub struct Given {
    pub values: Option<Source>,
    pub mesh: Option<Source>,
}

/// A file: its name, and the entries of its ConfigMap.
#[derive(Debug)]
pub struct Source {
    pub name: String,
    pub entries: Value,
}

impl Part {
    pub fn key(self) -> &'static str {
        match self {
            Part::Values => "values",
            Part::Mesh => "mesh",
        }
    }

    /// The field of an IstioOperator's spec that is checked by the same rules.
    fn field(self) -> &'static str {
        match self {
            Part::Values => "values",
            Part::Mesh => "meshConfig",
        }
    }

    fn config_map(self) -> ObjectRef {
        match self {
            Part::Values => injector_config(),
            Part::Mesh => mesh_config(),
        }
    }

    /// What the file may be, for people.
    fn wanted(self) -> &'static str {
        match self {
            Part::Values => {
                "the injector's values (global, sidecarInjectorWebhook, …), or the ConfigMap istio-sidecar-injector"
            }
            Part::Mesh => "MeshConfig (defaultConfig, trustDomain, …), or the ConfigMap istio",
        }
    }
}

impl Given {
    /// Reads the files, and tells all that is wrong with any of them.
    pub fn read(command: &InjectCommand) -> (Given, Vec<String>) {
        let mut wrong = Vec::new();
        let mut read = |path: Option<&Path>, part| match path.map(|path| Source::read(path, part)) {
            Some(Err(error)) => {
                wrong.push(causes(&error));
                None
            }
            Some(Ok(source)) => Some(source),
            None => None,
        };
        let values = read(command.values.as_deref(), Part::Values);
        let mesh = read(command.mesh_config.as_deref(), Part::Mesh);
        let given = Given { values, mesh };
        wrong.extend(given.faults());
        (given, wrong)
    }

    fn of(&self, part: Part) -> Option<&Source> {
        match part {
            Part::Values => self.values.as_ref(),
            Part::Mesh => self.mesh.as_ref(),
        }
    }

    /// The file that an issue about a ConfigMap is about.
    pub fn file(&self, object: &ObjectRef) -> Option<&str> {
        let part = [Part::Values, Part::Mesh].into_iter().find(|part| part.config_map() == *object);
        self.of(part?).map(|source| source.name.as_str())
    }

    /// What an installation by these settings would be refused for in what injection reads, then what injection by them
    /// would.
    fn faults(&self) -> Vec<String> {
        let mut told: Vec<(Part, String, String)> = self.refused();
        let entries = |part| self.of(part).map(|source| &source.entries).unwrap_or(&Value::Null);
        let texts = Texts::of(entries(Part::Values), entries(Part::Mesh));
        let (_, issues) = Settings::from_config_map(&texts.config, &texts.values, &texts.mesh, "");
        for issue in issues.into_iter().filter(Issue::is_error) {
            let part = if issue.object == mesh_config() { Part::Mesh } else { Part::Values };
            let known = |(at, path, _): &(Part, String, String)| *at == part && *path == issue.path;
            if !told.iter().any(known) {
                told.push((part, issue.path, issue.message));
            }
        }
        let line = |(part, path, message): (Part, String, String)| {
            let file = &self.of(part)?.name;
            let dot = if path.is_empty() { "" } else { ": " };
            Some(format!("error: {file}: {path}{dot}{message}"))
        };
        told.into_iter().filter_map(line).collect()
    }

    /// An installation knows every field of both, and finds slips in their names. Values that are none of injection's,
    /// as a live Istio of another version may have them, keep nothing from being injected.
    fn refused(&self) -> Vec<(Part, String, String)> {
        let mut spec = json!({});
        for part in [Part::Values, Part::Mesh] {
            let text = self.of(part).and_then(|source| source.entries[part.key()].as_str());
            // What is no YAML is told where it is read.
            if let Some(value) = text.and_then(|text| lateen_api::yaml::one(text).ok()) {
                spec[part.field()] = value;
            }
        }
        let document = json!({
            "apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator", "spec": spec,
        });
        let refused = lateen_install::read(&[(String::new(), document)], &[]).err();
        let errors = refused.unwrap_or_default().into_iter().filter(Issue::is_error);
        let paths = Settings::paths_of_values();
        let matters = |(part, path, message): &(Part, String, String)| {
            *part == Part::Mesh || is_read(path, &paths) || is_read(meant(message), &paths)
        };
        errors.filter_map(|issue| placed(&issue)).filter(matters).collect()
    }
}

/// Whether a path leads to one of these, or into it.
fn is_read(path: &str, paths: &BTreeSet<String>) -> bool {
    let within = |inner: &str, outer: &str| {
        let rest = inner.strip_prefix(outer);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    !path.is_empty() && paths.iter().any(|read| within(path, read) || within(read, path))
}

/// The path that a misspelt one was meant for, if that is told.
fn meant(message: &str) -> &str {
    message.split_once("did you mean ").map_or("", |(_, path)| path.trim_end_matches('?'))
}

/// An issue of a spec as one of the part that it is in.
fn placed(issue: &Issue) -> Option<(Part, String, String)> {
    let within = |part: Part| {
        let rest = issue.path.strip_prefix("spec.")?.strip_prefix(part.field())?;
        let path = if rest.is_empty() { rest } else { rest.strip_prefix('.')? };
        let above = format!("spec.{}.", part.field());
        Some((part, path.to_owned(), issue.message.replace(&above, "")))
    };
    within(Part::Values).or_else(|| within(Part::Mesh))
}

impl Source {
    fn read(path: &Path, part: Part) -> Result<Source> {
        let name = bounded::name(path);
        let entries = entries(bounded::read(path)?, part);
        let entries = entries.map_err(|reason| anyhow!("{name} cannot be used: {reason}"))?;
        Ok(Source { name, entries })
    }
}

/// A ConfigMap's entries with the part's key among them; a text that is no Kubernetes object is the entry itself.
pub fn entries(text: String, part: Part) -> Result<Value, String> {
    let documents = lateen_install::documents(&text);
    let documents = documents.map_err(|reason| format!("it is {reason}"))?;
    let wanted = |what: String| format!("{what}: give {}", part.wanted());
    let document = match documents.as_slice() {
        [] => return Err(wanted("it is empty".to_owned())),
        [one] => one,
        several => return Err(wanted(format!("it has {} documents", several.len()))),
    };
    if !document.is_object() {
        return Err(wanted("it is no map of settings".to_owned()));
    }
    let key = part.key();
    match document["kind"].as_str() {
        Some("ConfigMap") if document["data"][key].is_string() => Ok(document["data"].clone()),
        Some("ConfigMap") => Err(wanted(format!("the ConfigMap has no key {key}"))),
        Some("IstioOperator") => {
            let field = part.field();
            Err(wanted(format!("it is an IstioOperator, of which spec.{field} alone is meant")))
        }
        Some(kind) => Err(wanted(format!("it is a {}", printable(kind)))),
        None if document["apiVersion"].is_null() => Ok(json!({ key: text })),
        None => Err(wanted("it is a Kubernetes object without kind".to_owned())),
    }
}

#[cfg(test)]
mod tests;
