//! Values by their paths. In: a path as in `global.proxy.image`. Out: the value in the type that is
//! wanted, or an issue with the path.

use std::collections::BTreeMap;

use lateen_api::issue::{Code, Issue, Severity};
use lateen_api::words;
use serde_json::{Value, json};

use super::{Reader, injector_config};
use crate::NO_EFFECT;
use crate::selector::Selector;

impl Reader<'_> {
    pub fn find(&self, path: &str) -> Option<&Value> {
        self.paths.borrow_mut().insert(path.to_owned());
        let mut at = self.values;
        for part in path.split('.') {
            at = at.get(part)?;
        }
        (!at.is_null()).then_some(at)
    }

    /// A text; an empty one leaves what is there.
    pub fn text(&mut self, path: &str, slot: &mut String) {
        let mut value = slot.clone();
        self.any_text(path, &mut value);
        if !value.is_empty() {
            *slot = value;
        }
    }

    /// A text that may be empty. YAML makes numbers of tags and ports.
    pub fn any_text(&mut self, path: &str, slot: &mut String) {
        match self.find(path) {
            None => {}
            Some(Value::String(text)) => *slot = text.clone(),
            Some(Value::Number(number)) => *slot = number.to_string(),
            Some(_) => self.error(path, "is not a string"),
        }
    }

    pub fn flag(&mut self, path: &str, slot: &mut bool) {
        let value = match self.find(path) {
            None => return,
            Some(Value::Bool(flag)) => Some(*flag),
            Some(Value::String(text)) => words::boolean(text),
            Some(_) => None,
        };
        match value {
            Some(flag) => *slot = flag,
            None => self.error(path, "is neither true nor false"),
        }
    }

    pub fn number(&mut self, path: &str, slot: &mut u32) {
        let value = match self.find(path) {
            None => return,
            Some(Value::String(text)) => text.parse().ok(),
            Some(value) => value.as_u64().and_then(|number| u32::try_from(number).ok()),
        };
        match value {
            Some(number) => *slot = number,
            None => self.error(path, "is not a number from 0 to 4294967295"),
        }
    }

    pub fn object(&mut self, path: &str) -> Option<Value> {
        let value = self.find(path)?.clone();
        if !value.is_object() {
            self.error(path, "is not a map");
            return None;
        }
        Some(value)
    }

    /// A map that holds something.
    pub fn filled(&mut self, path: &str) -> Option<Value> {
        self.object(path).filter(|value| *value != json!({}))
    }

    /// A map of strings; values that YAML made numbers or flags of are taken as written.
    pub fn map(&mut self, path: &str) -> BTreeMap<String, String> {
        let entries = self.object(path).unwrap_or_default();
        let mut map = BTreeMap::new();
        for (key, value) in entries.as_object().into_iter().flatten() {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            map.insert(key.clone(), text);
        }
        map
    }

    /// A list of strings, or of objects with a name, as image pull secrets have it.
    pub fn texts(&mut self, path: &str) -> Vec<String> {
        let Some(value) = self.find(path) else { return Vec::new() };
        let items = value.as_array().map_or(&[][..], Vec::as_slice);
        let texts: Vec<String> = items
            .iter()
            .filter_map(|item| item.as_str().or_else(|| item["name"].as_str()))
            .map(str::to_owned)
            .collect();
        if !value.is_array() || texts.len() != items.len() {
            self.error(path, "is not a list of names");
        }
        texts
    }

    pub fn selectors(&mut self, path: &str) -> Vec<Selector> {
        let Some(value) = self.find(path).cloned() else { return Vec::new() };
        let Some(items) = value.as_array() else {
            self.error(path, "is not a list of label selectors");
            return Vec::new();
        };
        let mut selectors = Vec::new();
        for (index, item) in items.iter().enumerate() {
            match Selector::parse(item) {
                // As in Istio, an empty selector here selects nothing.
                Ok(selector) if selector == Selector::default() => {}
                Ok(selector) => selectors.push(selector),
                Err(message) => self.error(&format!("{path}[{index}]"), message),
            }
        }
        selectors
    }

    pub fn error(&mut self, path: &str, message: impl Into<String>) {
        let code = Code::SCHEMA_VALIDATION_ERROR;
        self.issues.push(Issue::error(injector_config(), path, code, message));
    }

    pub fn warning(&mut self, path: &str, message: impl Into<String>) {
        self.warning_of(NO_EFFECT, path, message);
    }

    pub fn warning_of(&mut self, code: Code, path: &str, message: impl Into<String>) {
        self.issues.push(Issue::warning(injector_config(), path, code, message));
    }

    pub fn info(&mut self, path: &str, message: impl Into<String>) {
        let issue = Issue::warning(injector_config(), path, NO_EFFECT, message);
        self.issues.push(Issue { severity: Severity::Info, ..issue });
    }
}
