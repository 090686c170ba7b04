//! Where a walk through an object is in the definition of its kind. In: an object, then fields and items. Out: the
//! fields by which the items of a list are told apart.

use lateen_api::kinds::{by_kind, split_api_version};
use lateen_api::schema::{definition_name, definitions, merge_key};
use serde_json::Value;

const PREFIX: &str = "#/components/schemas/";

/// Nowhere, for kinds and fields that are not known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place {
    /// The name of the definition, if it has one.
    name: &'static str,
    schema: Option<&'static Value>,
    /// By which items are told apart, of a list that has such fields.
    pub keys: Option<&'static [&'static str]>,
}

impl Place {
    pub fn of(object: &Value) -> Self {
        let text = |field: &str| object[field].as_str().unwrap_or_default();
        let (group, version) = split_api_version(text("apiVersion"));
        let kind = by_kind(group, text("kind")).filter(|kind| kind.serves(version));
        kind.map_or_else(Self::default, |kind| Self::named(&definition_name(kind, version)))
    }

    fn named(name: &str) -> Self {
        match definitions().get_key_value(name) {
            Some((name, schema)) => Self { name, schema: Some(schema), keys: None },
            None => Self::default(),
        }
    }

    fn at(schema: &'static Value) -> Self {
        match schema.get("$ref").and_then(Value::as_str) {
            Some(name) => Self::named(name.strip_prefix(PREFIX).unwrap_or(name)),
            None => Self { schema: Some(schema), ..Self::default() },
        }
    }

    pub fn field(self, key: &str) -> Self {
        let Some(schema) = self.schema else { return self };
        let own = schema.get("properties").and_then(|properties| properties.get(key));
        let inner = own.or_else(|| schema.get("additionalProperties"));
        let inner = inner.map_or_else(Self::default, Self::at);
        Self { keys: merge_key(self.name, key), ..inner }
    }

    pub fn item(self) -> Self {
        let items = self.schema.and_then(|schema| schema.get("items"));
        items.map_or_else(Self::default, Self::at)
    }
}
