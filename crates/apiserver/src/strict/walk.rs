//! The walk of an object beside its schema. In: the object and its shape. Out: problems.

use serde_json::{Map, Value};

use super::builtin::{self as go, json_type};
use super::{Problem, Severity};
use crate::openapi::shape::Shape;

/// Collects problems; remembers where it is.
pub struct Walk {
    custom: bool,
    problems: Vec<Problem>,
}

/// Where the walk stands.
#[derive(Clone)]
struct Place<'a> {
    /// With indexes, as Kubernetes' field paths.
    path: String,
    /// Without indexes, as encoding/json names fields.
    go_path: String,
    /// The struct that holds the field.
    holder: &'a str,
    /// Decoded as Kubernetes' own types are: everything but the body of a custom resource.
    decoded: bool,
}

impl<'a> Place<'a> {
    fn child(&self, name: &str, holder: &'a str) -> Place<'a> {
        let join = |path: &str| match path {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        };
        Place {
            path: join(&self.path),
            go_path: join(&self.go_path),
            holder,
            decoded: self.decoded,
        }
    }

    /// A value of a free map, which encoding/json does not name.
    fn entry(&self, key: &str) -> Place<'a> {
        Place { path: format!("{}.{key}", self.path), ..self.clone() }
    }

    fn item(&self, index: usize) -> Place<'a> {
        Place { path: format!("{}[{index}]", self.path), ..self.clone() }
    }
}

impl Walk {
    /// `custom`: the kind is one of a CustomResourceDefinition.
    pub fn new(custom: bool) -> Self {
        Walk { custom, problems: Vec::new() }
    }

    pub fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// Checks a whole object; metadata is decoded the same way for all kinds.
    pub fn top(&mut self, object: &Value, shape: Shape<'_>) {
        let Some(map) = object.as_object() else { return };
        let root = Place {
            path: String::new(),
            go_path: String::new(),
            holder: shape.name(),
            decoded: !self.custom,
        };
        for (key, value) in map {
            let mut place = root.child(key, shape.name());
            place.decoded |= matches!(key.as_str(), "metadata" | "apiVersion" | "kind");
            self.field(value, key, shape, place);
        }
        self.required(map, shape, &root);
    }

    fn field(&mut self, value: &Value, key: &str, shape: Shape<'_>, place: Place<'_>) {
        if shape.declares(key) || shape.field(key).is_known() {
            self.value(value, shape.field(key), place);
        } else if shape.properties().is_some() && !shape.preserves_unknown() {
            self.problems.push(Problem {
                severity: Severity::Strict,
                message: format!("unknown field {:?}", place.path),
                path: place.path,
                reason: "",
            });
        }
    }

    fn value(&mut self, value: &Value, shape: Shape<'_>, place: Place<'_>) {
        if place.decoded {
            return self.decoded(value, shape, place);
        }
        let types = shape.types();
        let fits = types.is_empty()
            || value.is_null() && shape.keyword("x-lateen-nullable").is_some()
            || shape.is_int_or_string() && matches!(json_type(value), "integer" | "string")
            || types.iter().any(|wanted| is_type(value, wanted));
        if !fits {
            let (found, wanted) = (json_type(value), types.join(","));
            let message = format!(
                "Invalid value: {found:?}: {} in body must be of type {wanted}: {found:?}",
                place.path
            );
            return self.invalid(&place, "FieldValueTypeInvalid", message);
        }
        self.allowed(value, shape, &place);
        self.inside(value, shape, &place);
    }

    fn invalid(&mut self, place: &Place<'_>, reason: &'static str, message: String) {
        self.problems.push(Problem {
            severity: Severity::Invalid,
            path: place.path.clone(),
            reason,
            message,
        });
    }

    fn allowed(&mut self, value: &Value, shape: Shape<'_>, place: &Place<'_>) {
        let Some(Value::Array(allowed)) = shape.keyword("enum") else { return };
        if !allowed.contains(value) {
            let names: Vec<String> = allowed.iter().map(Value::to_string).collect();
            let message =
                format!("Unsupported value: {value}: supported values: {}", names.join(", "));
            self.invalid(place, "FieldValueNotSupported", message);
        }
    }

    fn inside(&mut self, value: &Value, shape: Shape<'_>, place: &Place<'_>) {
        match value {
            Value::Object(map) => {
                let holder = shape.name();
                for (key, value) in map {
                    let place = match shape.declares(key) || shape.properties().is_some() {
                        true => place.child(key, holder),
                        false => place.entry(key),
                    };
                    self.field(value, key, shape, place);
                }
                self.required(map, shape, place);
                self.one_of(map, shape, place);
            }
            Value::Array(list) => {
                for (index, item) in list.iter().enumerate() {
                    self.value(item, shape.items(), place.item(index));
                }
            }
            _ => {}
        }
    }

    fn required(&mut self, map: &Map<String, Value>, shape: Shape<'_>, place: &Place<'_>) {
        // Kubernetes writes status itself; what it leaves out there is no user's mistake.
        if place.decoded && (place.path == "status" || place.path.starts_with("status.")) {
            return;
        }
        let Some(Value::Array(required)) = shape.node().and_then(|node| node.get("required"))
        else {
            return;
        };
        for name in required.iter().filter_map(Value::as_str) {
            if !map.contains_key(name) {
                let child = place.child(name, "");
                self.invalid(&child, "FieldValueRequired", "Required value".to_owned());
            }
        }
    }

    fn one_of(&mut self, map: &Map<String, Value>, shape: Shape<'_>, place: &Place<'_>) {
        let Some(Value::Array(groups)) = shape.keyword("x-lateen-one-of") else { return };
        for group in groups.iter().filter_map(Value::as_array) {
            let names = group.iter().filter_map(Value::as_str);
            let set = names.filter(|name| map.get(*name).is_some_and(|v| !v.is_null())).count();
            if set > 1 {
                let message = format!(
                    "Invalid value: {:?} must validate one and only one schema (oneOf). Found \
                     {set} valid alternatives",
                    place.path
                );
                self.invalid(place, "FieldValueInvalid", message);
            }
        }
    }

    /// A value that is decoded into a Go struct.
    fn decoded(&mut self, value: &Value, shape: Shape<'_>, place: Place<'_>) {
        match go::mismatch(value, shape) {
            Some(mismatch) => {
                let holder = go::short_name(place.holder);
                self.problems.push(Problem {
                    severity: Severity::Decode,
                    message: mismatch.message(holder, &place.go_path),
                    path: place.path,
                    reason: "",
                });
            }
            None => self.inside(value, shape, &place),
        }
    }
}

fn is_type(value: &Value, wanted: &str) -> bool {
    let found = json_type(value);
    found == wanted || (wanted == "number" && found == "integer")
}
