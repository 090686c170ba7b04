//! What a user wrote, as read and checked. In: a profile's settings, the files' laid over each other, those of the
//! command line. Out: the spec that they make together, also without one of them.

use serde_json::{Value, json};

use crate::merge::merge;
use crate::path::{self, Missing, Step};

/// The parts of a spec, the weakest first.
#[derive(Debug, Clone, Default)]
pub struct Input {
    pub profile: Value,
    pub user: Value,
    pub settings: Vec<(Vec<Step>, Value)>,
}

impl Input {
    /// The spec, and why settings of the command line have no place in it.
    pub fn assemble(&self) -> (Value, Vec<String>) {
        let mut spec = self.profile.clone();
        let mut user = self.user.clone();
        leave_sections(&mut user, &self.profile);
        merge(&mut spec, user);
        let set = |(steps, value): &(Vec<Step>, Value)| {
            let is_empty = value.is_null() && section(&self.profile, steps);
            let set =
                (!is_empty).then(|| path::set(&mut spec, steps, value.clone(), Missing::Make));
            set?.err()
        };
        let refused = self.settings.iter().filter_map(set).collect();
        keep_components(&mut spec, &self.profile["components"]);
        (spec, refused)
    }

    /// Where a gateway of the spec is in the files, or in the spec if they do not have it.
    pub fn gateway(&self, list: &str, at: usize, gateway: &Value) -> String {
        let same = |own: &Value| {
            own["name"] == gateway["name"]
                && (own["namespace"].is_null() || own["namespace"] == gateway["namespace"])
        };
        let mut own = self.user["components"][list].as_array().into_iter().flatten();
        let at = own.position(same).unwrap_or(at);
        format!("spec.components.{list}[{at}]")
    }
}

/// Takes out of a file's settings sections with nothing behind them, which are the profile's, as in the charts: they are
/// what is left of one whose lines are comments. A null in place of a single value takes the profile's away.
fn leave_sections(user: &mut Value, profile: &Value) {
    let (Some(user), Some(profile)) = (user.as_object_mut(), profile.as_object()) else { return };
    user.retain(|name, own| !own.is_null() || !profile.get(name).is_some_and(is_section));
    for (name, own) in user {
        if let Some(profile) = profile.get(name) {
            leave_sections(own, profile);
        }
    }
}

fn is_section(value: &Value) -> bool {
    value.is_object() || value.is_array()
}

/// Whether a profile has a section at a path.
fn section(profile: &Value, steps: &[Step]) -> bool {
    let found = steps.iter().try_fold(profile, |at, step| match step {
        Step::Key(key) => at.get(key),
        Step::Index(_) | Step::Select(..) | Step::Contains(_) => None,
    });
    found.is_some_and(is_section)
}

/// Gives a spec the profile's components where it has none: what is left empty turns nothing off.
fn keep_components(spec: &mut Value, profile: &Value) {
    let (Some(spec), Some(profile)) = (spec.as_object_mut(), profile.as_object()) else { return };
    let own = spec.entry("components").or_insert_with(|| json!({}));
    let Some(own) = own.as_object_mut() else { return };
    for (name, default) in profile {
        let own = own.entry(name).or_insert_with(|| default.clone());
        match (own.as_array_mut(), default.as_array()) {
            // The profile's gateways are the first ones.
            (Some(own), Some(default)) => own.iter_mut().zip(default).for_each(keep_enabled),
            _ => keep_enabled((own, default)),
        }
    }
}

fn keep_enabled((own, default): (&mut Value, &Value)) {
    if let (Some(enabled), Some(own)) = (default.get("enabled"), own.as_object_mut())
        && own.get("name") == default.get("name")
    {
        own.entry("enabled").or_insert_with(|| enabled.clone());
    }
}

/// Lays what is not checked over the values.
pub fn unchecked_values(spec: &mut Value) {
    if let Some(unchecked) = path::take(spec, "unvalidatedValues") {
        let mut values = spec["values"].take();
        merge(&mut values, unchecked);
        spec["values"] = values;
    }
}

/// Takes the value at a path such as `spec.a.b[0].c` out of a spec; an item of a list leaves a hole, so that the
/// others keep their places. False if there is none.
pub fn take_out(spec: &mut Value, path: &str) -> bool {
    let Some(rest) = path.strip_prefix("spec.") else { return false };
    take_below(spec, rest)
}

/// Takes holes out of lists of scalars, whose items are not told apart by their places.
pub fn close_holes(value: &mut Value) {
    match value {
        Value::Array(items) => {
            if !items.iter().any(|item| item.is_object() || item.is_array()) {
                items.retain(|item| !item.is_null());
            }
            items.iter_mut().for_each(close_holes);
        }
        Value::Object(fields) => fields.values_mut().for_each(close_holes),
        _ => {}
    }
}

/// The same for a path below a value.
pub fn take_below(value: &mut Value, path: &str) -> bool {
    if let Some((index, rest)) = path.strip_prefix('[').and_then(|path| path.split_once(']')) {
        let item = index.parse::<usize>().ok().and_then(|index| value.get_mut(index));
        return match (item, rest.strip_prefix('.').unwrap_or(rest)) {
            (None, _) => false,
            (Some(item), "") => {
                *item = Value::Null;
                true
            }
            (Some(item), rest) => take_below(item, rest),
        };
    }
    let Some(fields) = value.as_object_mut() else { return false };
    if fields.shift_remove(path).is_some() {
        return true;
    }
    let mut keys: Vec<String> =
        fields.keys().filter(|key| path::begins(path, key)).cloned().collect();
    keys.sort_by_key(|key| std::cmp::Reverse(key.len()));
    keys.iter().any(|key| {
        let rest = &path[key.len()..];
        let rest = rest.strip_prefix('.').unwrap_or(rest);
        fields.get_mut(key).is_some_and(|inner| take_below(inner, rest))
    })
}

/// A tree without what is at these steps, which are keys and places. An item leaves a hole here, too: what its
/// neighbours are refused for is then found again.
pub fn without(root: &Value, steps: &[Step]) -> Value {
    let mut root = root.clone();
    let Some((last, way)) = steps.split_last() else { return json!({}) };
    let inner = way.iter().try_fold(&mut root, |at, step| match step {
        Step::Key(key) => at.get_mut(key),
        Step::Index(index) => at.get_mut(usize::try_from(*index).ok()?),
        Step::Select(..) | Step::Contains(_) => None,
    });
    match (inner, last) {
        (Some(Value::Object(fields)), Step::Key(key)) => drop(fields.shift_remove(key)),
        (Some(Value::Array(items)), Step::Index(index)) => {
            let item = usize::try_from(*index).ok().and_then(|at| items.get_mut(at));
            item.into_iter().for_each(|item| *item = Value::Null);
        }
        _ => {}
    }
    root
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::take_out;

    #[test]
    fn a_value_is_taken_out_and_the_others_keep_their_places() {
        let whole = json!({"a": {"b.c/d": 1, "b": {"c/d": 2}}, "l": [{"x": 1}, {"x": 2, "y": 3}]});
        for (path, left) in [
            ("spec.a.b.c/d", json!({"a": {"b": {"c/d": 2}}, "l": whole["l"]})),
            ("spec.l[0]", json!({"a": whole["a"], "l": [null, {"x": 2, "y": 3}]})),
            ("spec.l[1].y", json!({"a": whole["a"], "l": [{"x": 1}, {"x": 2}]})),
        ] {
            let mut spec = whole.clone();
            assert!(take_out(&mut spec, path), "{path}");
            assert_eq!(spec, left, "{path}");
        }
        for path in ["spec", "spec.x", "spec.l[7]", "spec.a.b.c/d.e", "metadata.name"] {
            assert!(!take_out(&mut whole.clone(), path), "{path}");
        }
    }
}
