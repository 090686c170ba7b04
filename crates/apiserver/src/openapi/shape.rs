//! A read-only view of one place in the schema definitions, used wherever an object is walked beside
//! its schema (patches, strict decoding). In: the definitions map and a definition's name, then steps
//! (`field`, `items`). Out: the resolved schema node and what Kubernetes' extensions say about it. A
//! place that no schema describes is a `Shape` too: maps merge there, lists are atomic.

use lateen_api::schema::{ListMerge, list_merge, patch_merge_key, patch_merges_scalars};
use serde_json::{Map, Value};

use super::atomic::is_atomic_map;

/// One place in a schema, or the absence of a schema.
#[derive(Clone, Copy)]
pub struct Shape<'a> {
    definitions: &'a Map<String, Value>,
    /// The node as written at the place of use: extensions beside a `$ref` stand here.
    outer: Option<&'a Value>,
    /// The node after following references.
    node: Option<&'a Value>,
    /// The definition that `node` is, empty for an inline schema.
    name: &'a str,
    /// The definition and property by which this place was reached.
    held_by: Option<(&'a str, &'a str)>,
}

/// How the items of a list are told apart when several writers own it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListType<'a> {
    /// The list is one value.
    Atomic,
    /// Items are scalars, each at most once.
    Set,
    /// Items are objects told apart by these fields.
    Map(Vec<&'a str>),
}

impl<'a> Shape<'a> {
    /// The shape of the named definition; unknown names give a shape without a schema.
    pub fn named(definitions: &'a Map<String, Value>, name: &str) -> Self {
        match definitions.get_key_value(name) {
            Some((name, node)) => {
                let (node, inner) = resolve(definitions, node);
                let name = inner.unwrap_or(name);
                Shape { definitions, outer: Some(node), node: Some(node), name, held_by: None }
            }
            None => Shape { definitions, outer: None, node: None, name: "", held_by: None },
        }
    }

    fn step(self, outer: Option<&'a Value>, held_by: Option<(&'a str, &'a str)>) -> Self {
        let found = outer.map(|outer| resolve(self.definitions, outer));
        Shape {
            definitions: self.definitions,
            outer,
            node: found.map(|(node, _)| node),
            name: found.and_then(|(_, name)| name).unwrap_or_default(),
            held_by,
        }
    }

    /// The resolved schema node.
    pub fn node(&self) -> Option<&'a Value> {
        self.node
    }

    /// Whether a schema describes this place at all.
    pub fn is_known(&self) -> bool {
        self.node.is_some()
    }

    /// The definition at this place, such as `io.k8s.api.core.v1.ServicePort`; empty when inline.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// A keyword or extension: the place of use wins over the definition.
    pub fn keyword(&self, name: &str) -> Option<&'a Value> {
        self.outer.and_then(|outer| outer.get(name)).or_else(|| self.node.and_then(|n| n.get(name)))
    }

    fn flag(&self, name: &str) -> bool {
        self.keyword(name).and_then(Value::as_bool).unwrap_or(false)
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        self.keyword(name).and_then(Value::as_str)
    }

    /// The declared properties.
    pub fn properties(&self) -> Option<&'a Map<String, Value>> {
        self.node.and_then(|node| node.get("properties")).and_then(Value::as_object)
    }

    /// Whether `name` is a declared property, as opposed to a key of a free map.
    pub fn declares(&self, name: &str) -> bool {
        self.properties().is_some_and(|properties| properties.contains_key(name))
    }

    /// The shape of one property, or of a value of a free map.
    pub fn field(&self, name: &str) -> Shape<'a> {
        match self.properties().and_then(|properties| properties.get_key_value(name)) {
            Some((name, found)) => self.step(Some(found), Some((self.name, name))),
            None => self.additional(),
        }
    }

    /// The shape of a free map's values.
    pub fn additional(&self) -> Shape<'a> {
        let found = self.node.and_then(|node| node.get("additionalProperties"));
        self.step(found.filter(|schema| schema.is_object()), None)
    }

    /// The shape of a list's items.
    pub fn items(&self) -> Shape<'a> {
        self.step(self.node.and_then(|node| node.get("items")), None)
    }

    /// The declared JSON types, `null` left out.
    pub fn types(&self) -> Vec<&'a str> {
        match self.node.and_then(|node| node.get("type")) {
            Some(Value::String(one)) => vec![one.as_str()],
            Some(Value::Array(many)) => {
                many.iter().filter_map(Value::as_str).filter(|t| *t != "null").collect()
            }
            _ => Vec::new(),
        }
    }

    /// Whether an integer and a string both fit here.
    pub fn is_int_or_string(&self) -> bool {
        self.flag("x-kubernetes-int-or-string") || self.text("format") == Some("int-or-string")
    }

    /// Whether fields that the schema does not name are kept.
    pub fn preserves_unknown(&self) -> bool {
        self.flag("x-kubernetes-preserve-unknown-fields")
            || self.flag("x-kubernetes-embedded-resource")
    }

    /// How the list here is told apart by server-side apply.
    pub fn list_type(&self) -> ListType<'a> {
        match self.text("x-kubernetes-list-type") {
            Some("set") => return ListType::Set,
            Some("map") => {
                if let Some(Value::Array(keys)) = self.keyword("x-kubernetes-list-map-keys") {
                    return ListType::Map(keys.iter().filter_map(Value::as_str).collect());
                }
            }
            _ => {}
        }
        match self.held_by.map(|(definition, field)| list_merge(definition, field)) {
            Some(ListMerge::Map(keys)) => ListType::Map(keys.to_vec()),
            Some(ListMerge::Set) => ListType::Set,
            Some(ListMerge::Atomic) | None => ListType::Atomic,
        }
    }

    /// Whether the map here is one value to server-side apply.
    pub fn is_atomic_map(&self) -> bool {
        self.text("x-kubernetes-map-type") == Some("atomic")
            || is_atomic_map(self.name, self.held_by)
    }

    /// Whether strategic merge patch merges the list here instead of replacing it.
    pub fn patch_merges(&self) -> bool {
        self.patch_strategy("merge")
            || self.patch_merge_key().is_some()
            || self.held_by.is_some_and(|(name, field)| patch_merges_scalars(name, field))
    }

    /// Whether the patch strategy here contains `name` (`merge`, `replace`, `retainKeys`).
    pub fn patch_strategy(&self, name: &str) -> bool {
        self.text("x-kubernetes-patch-strategy")
            .is_some_and(|strategies| strategies.split(',').any(|s| s == name))
    }

    /// The field by which strategic merge patch tells list items apart.
    pub fn patch_merge_key(&self) -> Option<&'a str> {
        self.text("x-kubernetes-patch-merge-key").or_else(|| {
            let (definition, field) = self.held_by?;
            patch_merge_key(definition, field)
        })
    }
}

fn reference(node: &Value) -> Option<&str> {
    let direct = node.get("$ref").and_then(Value::as_str);
    let wrapped = || node.get("allOf")?.as_array()?.first()?.get("$ref")?.as_str();
    direct.or_else(wrapped).map(|path| path.rsplit('/').next().unwrap_or(path))
}

/// Follows `$ref` (also inside a one-element `allOf`, which is how OpenAPI v3 lets a reference have
/// siblings) to the schema and its definition's name. No definition is a reference to itself.
fn resolve<'a>(
    definitions: &'a Map<String, Value>,
    node: &'a Value,
) -> (&'a Value, Option<&'a str>) {
    match reference(node).and_then(|name| definitions.get_key_value(name)) {
        Some((name, target)) => {
            let (node, inner) = resolve(definitions, target);
            (node, inner.or(Some(name)))
        }
        None => (node, None),
    }
}
