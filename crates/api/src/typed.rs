//! Values read as types. In: JSON. Out: what it says, or where and why it does not fit. Errors carry their path, and all
//! types are read from one kind of deserializer: with a wrapper that tracks the path around another one, the code that
//! reads Kubernetes' and Istio's types is several times as large.

use std::fmt::{self, Display};

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, Expected,
    IntoDeserializer, MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value};

use crate::plain;

/// Where and why a value does not fit its type.
#[derive(Debug)]
pub(crate) struct FieldError {
    /// `spec.ports[0].number`, or empty for the whole.
    pub(crate) path: String,
    pub(crate) message: String,
}

/// Reads a value, keeping the path of what does not fit.
pub(crate) fn typed<T: DeserializeOwned>(value: Value) -> Result<T, FieldError> {
    T::deserialize(Tracked(value)).map_err(|Error(parts)| FieldError {
        path: path(&parts.steps),
        message: plain::mismatch(&parts.message),
    })
}

struct Tracked(Value);

/// Small where all goes well, as almost always.
#[derive(Debug)]
struct Error(Box<Parts>);

#[derive(Debug)]
struct Parts {
    message: String,
    /// The innermost first.
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Field(String),
    Item(usize),
}

fn path(steps: &[Step]) -> String {
    let mut path = String::new();
    for step in steps.iter().rev() {
        match step {
            Step::Field(name) if path.is_empty() => path.push_str(name),
            Step::Field(name) => path.extend([".", name]),
            Step::Item(index) => path.push_str(&format!("[{index}]")),
        }
    }
    path
}

impl Error {
    fn within(mut self, step: Step) -> Self {
        self.0.steps.push(step);
        self
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {}

impl serde::de::Error for Error {
    fn custom<T: Display>(message: T) -> Self {
        Self(Box::new(Parts { message: message.to_string(), steps: Vec::new() }))
    }

    /// JSON has a word of its own for what serde calls a unit.
    fn invalid_type(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        match found {
            Unexpected::Unit => Self::custom(format_args!("invalid type: null, expected {wanted}")),
            found => Self::custom(format_args!("invalid type: {found}, expected {wanted}")),
        }
    }
}

impl<'de> Deserializer<'de> for Tracked {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Number(value) => match (value.as_u64(), value.as_i64(), value.as_f64()) {
                (Some(whole), ..) => visitor.visit_u64(whole),
                (_, Some(whole), _) => visitor.visit_i64(whole),
                (.., value) => visitor.visit_f64(value.unwrap_or(f64::NAN)),
            },
            Value::String(value) => visitor.visit_string(value),
            Value::Array(values) => {
                let count = values.len();
                let mut items = Items { rest: values.into_iter().enumerate() };
                let read = visitor.visit_seq(&mut items)?;
                match items.rest.len() {
                    0 => Ok(read),
                    _ => Err(Error::invalid_length(count, &"fewer elements in array")),
                }
            }
            Value::Object(fields) => visitor.visit_map(Fields::of(fields)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let wrong = |found| Err(Error::invalid_type(found, &"string or map"));
        match self.0 {
            Value::String(name) => visitor.visit_enum(Choice { name, value: None }),
            Value::Object(fields) => {
                let mut fields = fields.into_iter();
                match (fields.next(), fields.next()) {
                    (Some((name, value)), None) => {
                        visitor.visit_enum(Choice { name, value: Some(value) })
                    }
                    _ => Err(Error::invalid_value(Unexpected::Map, &"map with a single key")),
                }
            }
            Value::Null => wrong(Unexpected::Unit),
            Value::Bool(value) => wrong(Unexpected::Bool(value)),
            Value::Number(_) => wrong(Unexpected::Other("a number")),
            Value::Array(_) => wrong(Unexpected::Seq),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier
    }
}

struct Items {
    rest: std::iter::Enumerate<std::vec::IntoIter<Value>>,
}

impl<'de> SeqAccess<'de> for Items {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some((index, value)) = self.rest.next() else { return Ok(None) };
        let read = seed.deserialize(Tracked(value));
        read.map(Some).map_err(|error| error.within(Step::Item(index)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

struct Fields {
    rest: serde_json::map::IntoIter,
    /// The field that is read.
    name: String,
    value: Value,
}

impl Fields {
    fn of(fields: Map<String, Value>) -> Self {
        Self { rest: fields.into_iter(), name: String::new(), value: Value::Null }
    }

    fn here(&mut self, error: Error) -> Error {
        error.within(Step::Field(std::mem::take(&mut self.name)))
    }
}

impl<'de> MapAccess<'de> for Fields {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let Some((name, value)) = self.rest.next() else { return Ok(None) };
        (self.name, self.value) = (name, value);
        let key = seed.deserialize(Name(&self.name));
        key.map(Some).map_err(|error| self.here(error))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        let value = self.value.take();
        seed.deserialize(Tracked(value)).map_err(|error| self.here(error))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

/// A field's name, which is a number where a map is by numbers.
struct Name<'n>(&'n str);

impl Name<'_> {
    fn number<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match (self.0.parse(), self.0.parse()) {
            (Ok(number), _) => visitor.visit_u64(number),
            (_, Ok(number)) => visitor.visit_i64(number),
            _ => visitor.visit_str(self.0),
        }
    }
}

macro_rules! numbers {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.number(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for Name<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str(self.0)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.into_deserializer().deserialize_enum(name, variants, visitor)
    }

    numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16 deserialize_u32
        deserialize_u64
    }

    forward_to_deserialize_any! {
        bool i128 u128 f32 f64 char str string bytes byte_buf option unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}

/// One of several: its name, and what it has.
struct Choice {
    name: String,
    value: Option<Value>,
}

struct Content {
    name: String,
    value: Option<Value>,
}

impl<'de> EnumAccess<'de> for Choice {
    type Error = Error;
    type Variant = Content;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Content), Error> {
        let Self { name, value } = self;
        let variant = seed.deserialize(Name(&name))?;
        Ok((variant, Content { name, value }))
    }
}

impl Content {
    fn read<T>(
        self,
        read: impl FnOnce(Tracked) -> Result<T, Error>,
        wanted: &'static str,
    ) -> Result<T, Error> {
        let Some(value) = self.value else {
            return Err(Error::invalid_type(Unexpected::UnitVariant, &wanted));
        };
        read(Tracked(value)).map_err(|error| error.within(Step::Field(self.name)))
    }
}

impl<'de> VariantAccess<'de> for Content {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        match self.value {
            None | Some(Value::Null) => Ok(()),
            Some(_) => Err(Error::custom(format_args!("{} has no value of its own", self.name))),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        self.read(|value| seed.deserialize(value), "newtype variant")
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.read(|value| value.deserialize_any(visitor), "tuple variant")
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.read(|value| value.deserialize_any(visitor), "struct variant")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::typed;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(rename_all = "camelCase", default)]
    struct Spec {
        ports: Vec<Port>,
        labels: BTreeMap<String, String>,
        ids: BTreeMap<u16, u8>,
        weight: Option<f64>,
        choice: Option<Choice>,
        free: Option<Value>,
        #[serde(flatten)]
        more: BTreeMap<String, Value>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Port {
        number: u16,
    }

    #[derive(Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
    #[serde(rename_all = "camelCase")]
    enum Side {
        Left,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "camelCase")]
    enum Choice {
        All,
        Some(u8),
        Of { what: Vec<bool> },
        Pair(u8, u8),
    }

    /// What a library makes of it.
    fn same<T: for<'de> Deserialize<'de> + PartialEq + std::fmt::Debug>(value: Value) {
        let own = typed::<T>(value.clone()).map_err(|error| error.message);
        let theirs = serde_json::from_value::<T>(value.clone());
        let theirs = theirs.map_err(|error| crate::plain::mismatch(&error.to_string()));
        assert_eq!(own, theirs, "{value}");
    }

    #[test]
    fn values_are_read_as_by_the_library_for_json() {
        for spec in [
            json!({}),
            json!({ "ports": [{ "number": 1 }], "labels": { "a": "b" }, "weight": 1, "other": [null] }),
            json!({ "weight": 1.5, "choice": "all", "free": { "a": [1, -2, 0.5, null, true] } }),
            json!({ "choice": { "some": 5 } }),
            json!({ "choice": { "of": { "what": [true] } } }),
            json!({ "choice": { "pair": [1, 2] } }),
            json!({ "choice": { "all": null } }),
            json!({ "choice": null, "weight": null }),
            json!({ "ports": null }),
            json!({ "ports": [{ "number": 70000 }] }),
            json!({ "ports": [{ "number": -1 }] }),
            json!({ "ports": [{ "number": "1" }] }),
            json!({ "ports": [{ "number": 1.5 }] }),
            json!({ "ports": [{ "number": null }] }),
            json!({ "ports": [{}] }),
            json!({ "ports": [{ "number": 1, "name": "x" }] }),
            json!({ "ports": {} }),
            json!({ "labels": [] }),
            json!({ "labels": { "a": 1 } }),
            json!({ "choice": "none" }),
            json!({ "choice": true }),
            json!({ "choice": [] }),
            json!({ "choice": { "some": 5, "all": null } }),
            json!({ "choice": "some" }),
            json!({ "choice": { "some": "x" } }),
            json!([]),
            json!(null),
            json!("text"),
        ] {
            same::<Spec>(spec);
        }
        same::<(u8, String)>(json!([1, "x"]));
        same::<(u8, String)>(json!([1]));
        same::<(u8, String)>(json!([1, "x", 2]));
        same::<Port>(json!([1, "x"]));
        same::<Vec<Option<char>>>(json!(["x", null]));
        same::<BTreeMap<u16, u8>>(json!({ "80": 1 }));
        same::<BTreeMap<i8, u8>>(json!({ "-8": 1 }));
        same::<BTreeMap<Side, u8>>(json!({ "left": 1 }));
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_path() {
        for (spec, path) in [
            (json!({ "ports": [{ "number": 1 }, { "number": "x" }] }), "ports[1].number"),
            (json!({ "ports": [{}] }), "ports[0]"),
            (json!({ "ports": [{ "number": 1, "name": "x" }] }), "ports[0].name"),
            (json!({ "labels": { "a": 1 } }), "labels.a"),
            (json!({ "ids": { "1": 1, "x": 1 } }), "ids.x"),
            (json!({ "ids": { "70000": 1 } }), "ids.70000"),
            (json!({ "choice": { "of": { "what": [true, 1] } } }), "choice.of.what[1]"),
            (json!(5), ""),
        ] {
            assert_eq!(typed::<Spec>(spec.clone()).unwrap_err().path, path, "{spec}");
        }
    }
}
