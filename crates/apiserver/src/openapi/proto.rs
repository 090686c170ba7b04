//! Swagger 2 as protobuf. In: the JSON document. Out: the messages of gnostic's `openapi.v2.Document`
//! (github.com/google/gnostic, openapiv2/OpenAPIv2.proto: the source of the field numbers), as far as
//! kubectl reads them. A oneof is written as the one of its fields that is set.

use prost::Message;
use serde_json::{Map, Value};

#[derive(Clone, PartialEq, Message)]
pub struct Document {
    #[prost(string, tag = "1")]
    pub swagger: String,
    #[prost(message, optional, tag = "2")]
    pub info: Option<Info>,
    #[prost(message, optional, tag = "8")]
    pub paths: Option<Paths>,
    #[prost(message, optional, tag = "9")]
    pub definitions: Option<NamedSchemas>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Info {
    #[prost(string, tag = "1")]
    pub title: String,
    #[prost(string, tag = "2")]
    pub version: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Paths {
    #[prost(message, repeated, tag = "2")]
    pub path: Vec<NamedPathItem>,
}

#[derive(Clone, PartialEq, Message)]
pub struct NamedPathItem {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub value: Option<PathItem>,
}

#[derive(Clone, PartialEq, Message)]
pub struct PathItem {
    #[prost(message, optional, tag = "8")]
    pub patch: Option<Operation>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Operation {
    #[prost(string, tag = "3")]
    pub description: String,
    #[prost(string, tag = "5")]
    pub operation_id: String,
    #[prost(message, repeated, tag = "8")]
    pub parameters: Vec<ParametersItem>,
    #[prost(message, repeated, tag = "13")]
    pub vendor_extension: Vec<NamedAny>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ParametersItem {
    #[prost(message, optional, tag = "1")]
    pub parameter: Option<Parameter>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Parameter {
    #[prost(message, optional, tag = "2")]
    pub non_body_parameter: Option<NonBodyParameter>,
}

#[derive(Clone, PartialEq, Message)]
pub struct NonBodyParameter {
    #[prost(message, optional, tag = "3")]
    pub query_parameter_sub_schema: Option<QueryParameter>,
}

#[derive(Clone, PartialEq, Message)]
pub struct QueryParameter {
    #[prost(string, tag = "2")]
    pub location: String,
    #[prost(string, tag = "4")]
    pub name: String,
    #[prost(string, tag = "6")]
    pub value_type: String,
}

/// `Definitions` and `Properties`, which are the same on the wire.
#[derive(Clone, PartialEq, Message)]
pub struct NamedSchemas {
    #[prost(message, repeated, tag = "1")]
    pub additional_properties: Vec<NamedSchema>,
}

#[derive(Clone, PartialEq, Message)]
pub struct NamedSchema {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub value: Option<Schema>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Schema {
    #[prost(string, tag = "1")]
    pub reference: String,
    #[prost(string, tag = "2")]
    pub format: String,
    #[prost(string, tag = "4")]
    pub description: String,
    #[prost(string, repeated, tag = "19")]
    pub required: Vec<String>,
    #[prost(message, repeated, tag = "20")]
    pub allowed: Vec<Any>,
    #[prost(message, optional, tag = "21")]
    pub additional_properties: Option<SchemaHolder>,
    #[prost(message, optional, tag = "22")]
    pub types: Option<TypeItem>,
    #[prost(message, optional, tag = "23")]
    pub items: Option<SchemaHolder>,
    #[prost(message, optional, tag = "25")]
    pub properties: Option<NamedSchemas>,
    #[prost(message, repeated, tag = "31")]
    pub vendor_extension: Vec<NamedAny>,
}

/// `ItemsItem` and `AdditionalPropertiesItem` with a schema, which are the same on the wire.
#[derive(Clone, PartialEq, Message)]
pub struct SchemaHolder {
    #[prost(message, repeated, tag = "1")]
    pub schema: Vec<Schema>,
}

#[derive(Clone, PartialEq, Message)]
pub struct TypeItem {
    #[prost(string, repeated, tag = "1")]
    pub value: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct NamedAny {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub value: Option<Any>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Any {
    /// JSON, which is YAML.
    #[prost(string, tag = "2")]
    pub yaml: String,
}

/// The whole document.
pub fn document(json: &Value) -> Document {
    Document {
        swagger: text(&json["swagger"]),
        info: Some(Info {
            title: text(&json["info"]["title"]),
            version: text(&json["info"]["version"]),
        }),
        paths: Some(Paths { path: entries(&json["paths"]).map(path_item).collect() }),
        definitions: Some(named_schemas(&json["definitions"])),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn path_item((name, item): (&String, &Value)) -> NamedPathItem {
    let patch = &item["patch"];
    let parameters = patch["parameters"].as_array().into_iter().flatten().map(parameter);
    let operation = Operation {
        description: text(&patch["description"]),
        operation_id: text(&patch["operationId"]),
        parameters: parameters.collect(),
        vendor_extension: patch.as_object().map(extensions).unwrap_or_default(),
    };
    NamedPathItem { name: name.clone(), value: Some(PathItem { patch: Some(operation) }) }
}

fn parameter(parameter: &Value) -> ParametersItem {
    let query = QueryParameter {
        location: text(&parameter["in"]),
        name: text(&parameter["name"]),
        value_type: text(&parameter["type"]),
    };
    let non_body = NonBodyParameter { query_parameter_sub_schema: Some(query) };
    ParametersItem { parameter: Some(Parameter { non_body_parameter: Some(non_body) }) }
}

fn named_schemas(map: &Value) -> NamedSchemas {
    let additional_properties = entries(map)
        .map(|(name, value)| NamedSchema { name: name.clone(), value: Some(schema(value)) })
        .collect();
    NamedSchemas { additional_properties }
}

fn schema(json: &Value) -> Schema {
    let Value::Object(map) = json else { return Schema::default() };
    let strings = |key: &str| -> Vec<String> {
        match map.get(key) {
            Some(Value::String(one)) => vec![one.clone()],
            Some(Value::Array(many)) => many.iter().map(text).collect(),
            _ => Vec::new(),
        }
    };
    let keyword = |key: &str| map.get(key).map(text).unwrap_or_default();
    let holder = |key: &str| {
        let inner = map.get(key).filter(|inner| inner.is_object());
        inner.map(|inner| SchemaHolder { schema: vec![schema(inner)] })
    };
    let types = strings("type");
    // Swagger 2 knows no untyped items; an empty schema is what kubectl takes for "anything".
    let items = holder("items").or_else(|| {
        let list = types.iter().any(|t| t == "array");
        list.then(|| SchemaHolder { schema: vec![Schema::default()] })
    });
    let allowed = map.get("enum").and_then(Value::as_array).into_iter().flatten();
    Schema {
        reference: keyword("$ref"),
        format: keyword("format"),
        description: keyword("description"),
        required: strings("required"),
        allowed: allowed.map(|value| Any { yaml: value.to_string() }).collect(),
        additional_properties: holder("additionalProperties"),
        types: (!types.is_empty()).then_some(TypeItem { value: types }),
        items,
        properties: map.get("properties").map(named_schemas),
        vendor_extension: extensions(map),
    }
}

fn extensions(map: &Map<String, Value>) -> Vec<NamedAny> {
    map.iter()
        .filter(|(name, _)| name.starts_with("x-"))
        .map(|(name, value)| NamedAny {
            name: name.clone(),
            value: Some(Any { yaml: value.to_string() }),
        })
        .collect()
}
